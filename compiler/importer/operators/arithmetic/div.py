"""Div."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.building.scope import Constant
from hecc.compiler.importer.definitions.arithmetic import multiply, scale
from hecc.compiler.importer.definitions.functions import define_function

__all__ = ["Div"]


class Div(Converter):
    """Division by a constant, or product with the reciprocal."""

    notes = "an encrypted divisor's reciprocal is a fitted polynomial, away from zero; any broadcasting"

    @staticmethod
    def opset_7(call: Call) -> None:
        """Broadcast by numpy's rules."""
        dividend, divisor = call.operand(0), call.operand(1)
        if isinstance(divisor, Constant):
            scale(call, call.value(0), divisor, reciprocal=True)
            return
        reciprocal = define_function(call, "reciprocal", divisor, f"{call.name}:reciprocal")
        if isinstance(dividend, Constant):
            scale(call, reciprocal, dividend)
        else:
            multiply(call, dividend, reciprocal)
