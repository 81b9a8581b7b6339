"""LogSoftmax."""

from __future__ import annotations

from hecc.compiler.graph import operators
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import FITTED, define_operator

__all__ = ["LogSoftmax"]


class LogSoftmax(Converter):
    """In the middle of a network the logarithm of the sum of exponentials; at the end the client computes it."""

    notes = f"in the middle of a network, {FITTED}"

    @staticmethod
    def opset_7(call: Call) -> None:
        """All axes from ``axis`` on together."""
        (first,) = call.axes((call.attribute("axis", 1),), len(call.value(0).shape))
        value = call.value(0)
        axes = tuple(range(first, len(value.shape)))
        define_operator(call, [value], operators.LogSoftmax((value.shape,), value.shape, axes))

    @staticmethod
    def opset_13(call: Call) -> None:
        """Along ``axis``."""
        value = call.value(0)
        axes = call.axes((call.attribute("axis", -1),), len(value.shape))
        define_operator(call, [value], operators.LogSoftmax((value.shape,), value.shape, axes))
