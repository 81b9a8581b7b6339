"""The elementary functions of analysis: like activations, each is a line.

Where one of them has no value, or none that is finite, there is no polynomial either: the values of its argument have
to keep away from there, margin included.
"""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import FITTED, define_function

__all__ = [
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Cos",
    "Cosh",
    "Log",
    "Reciprocal",
    "Sin",
    "Sinh",
    "Sqrt",
    "Tan",
]

AWAY = f"{FITTED}, away from where it is not defined"


class Acos(Converter):
    """The arc cosine."""

    notes = AWAY

    @staticmethod
    def opset_7(call: Call) -> None:
        """``acos(x)``."""
        define_function(call, "acos", call.value(0))


class Acosh(Converter):
    """The inverse hyperbolic cosine."""

    notes = AWAY

    @staticmethod
    def opset_9(call: Call) -> None:
        """``acosh(x)``."""
        define_function(call, "acosh", call.value(0))


class Asin(Converter):
    """The arc sine."""

    notes = AWAY

    @staticmethod
    def opset_7(call: Call) -> None:
        """``asin(x)``."""
        define_function(call, "asin", call.value(0))


class Asinh(Converter):
    """The inverse hyperbolic sine."""

    notes = FITTED

    @staticmethod
    def opset_9(call: Call) -> None:
        """``asinh(x)``."""
        define_function(call, "asinh", call.value(0))


class Atan(Converter):
    """The arc tangent."""

    notes = FITTED

    @staticmethod
    def opset_7(call: Call) -> None:
        """``atan(x)``."""
        define_function(call, "atan", call.value(0))


class Atanh(Converter):
    """The inverse hyperbolic tangent."""

    notes = AWAY

    @staticmethod
    def opset_9(call: Call) -> None:
        """``atanh(x)``."""
        define_function(call, "atanh", call.value(0))


class Cos(Converter):
    """The cosine."""

    notes = FITTED

    @staticmethod
    def opset_7(call: Call) -> None:
        """``cos(x)``."""
        define_function(call, "cos", call.value(0))


class Cosh(Converter):
    """The hyperbolic cosine."""

    notes = FITTED

    @staticmethod
    def opset_9(call: Call) -> None:
        """``cosh(x)``."""
        define_function(call, "cosh", call.value(0))


class Log(Converter):
    """The natural logarithm."""

    notes = AWAY

    @staticmethod
    def opset_7(call: Call) -> None:
        """``log(x)``."""
        define_function(call, "log", call.value(0))


class Reciprocal(Converter):
    """The reciprocal."""

    notes = AWAY

    @staticmethod
    def opset_7(call: Call) -> None:
        """``1 / x``."""
        define_function(call, "reciprocal", call.value(0))


class Sin(Converter):
    """The sine."""

    notes = FITTED

    @staticmethod
    def opset_7(call: Call) -> None:
        """``sin(x)``."""
        define_function(call, "sin", call.value(0))


class Sinh(Converter):
    """The hyperbolic sine."""

    notes = FITTED

    @staticmethod
    def opset_9(call: Call) -> None:
        """``sinh(x)``."""
        define_function(call, "sinh", call.value(0))


class Sqrt(Converter):
    """The square root."""

    notes = AWAY

    @staticmethod
    def opset_7(call: Call) -> None:
        """``sqrt(x)``."""
        define_function(call, "sqrt", call.value(0))


class Tan(Converter):
    """The tangent."""

    notes = AWAY

    @staticmethod
    def opset_7(call: Call) -> None:
        """``tan(x)``."""
        define_function(call, "tan", call.value(0))
