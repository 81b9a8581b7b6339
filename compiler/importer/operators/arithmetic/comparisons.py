"""Comparisons: one where they hold, and zero elsewhere.

No polynomial follows a jump. But exporters write functions that have none, such as softplus, as one formula where a
comparison holds and another where it does not; what is approximated is then the whole.
"""

from __future__ import annotations

from hecc.compiler.graph.affine import Scale
from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.nodes import FunctionNode, Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.arithmetic import combine

__all__ = ["Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Sign"]

JUMP = "as a part of a function without a jump, such as `Where(x > 0, x, 0)`"


def _function(call: Call, value: Value, name: str, output: str) -> Value:
    result = Value(output, value.shape)
    call.scope.define(FunctionNode(result, call.source, value.name, Primitive(name, (), ARGUMENT)))
    return result


def _compare(call: Call, name: str, *, swapped: bool = False) -> None:
    sign = -1.0 if swapped else 1.0
    distance = call.scope.fresh(f"{call.name}:difference")
    compared = combine(call, [(call.operand(0), sign), (call.operand(1), -sign)], distance)
    _function(call, compared, name, call.name)


class Greater(Converter):
    """``a > b``."""

    notes = JUMP

    @staticmethod
    def opset_7(call: Call) -> None:
        """Broadcast by numpy's rules."""
        _compare(call, "positive")


class GreaterOrEqual(Converter):
    """``a >= b``."""

    notes = JUMP

    @staticmethod
    def opset_12(call: Call) -> None:
        """Broadcast by numpy's rules."""
        _compare(call, "nonnegative")


class Less(Converter):
    """``a < b``."""

    notes = JUMP

    @staticmethod
    def opset_7(call: Call) -> None:
        """Broadcast by numpy's rules."""
        _compare(call, "positive", swapped=True)


class LessOrEqual(Converter):
    """``a <= b``."""

    notes = JUMP

    @staticmethod
    def opset_12(call: Call) -> None:
        """Broadcast by numpy's rules."""
        _compare(call, "nonnegative", swapped=True)


class Not(Converter):
    """One where a comparison does not hold."""

    notes = JUMP

    @staticmethod
    def opset_7(call: Call) -> None:
        """``1 - x``."""
        value = call.value(0)
        one, minus = call.number(1.0), call.number(-1.0)
        call.affine(Value(call.name, value.shape), (value, Scale.of(value.shape, minus)), bias=one)


class Sign(Converter):
    """The sign."""

    notes = JUMP

    @staticmethod
    def opset_9(call: Call) -> None:
        """-1, 0 or 1."""
        _function(call, call.value(0), "sign", call.name)
