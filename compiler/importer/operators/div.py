"""Div."""

from __future__ import annotations

from hecc.compiler.importer.arithmetic import scale
from hecc.compiler.importer.call import Call
from hecc.compiler.importer.converter import Converter
from hecc.compiler.ir.graph import Value

__all__ = ["Div"]


class Div(Converter):
    """Division by a constant."""

    notes = "the divisor must be constant"

    @staticmethod
    def opset_7(call: Call) -> None:
        """Broadcast by numpy's rules."""
        if isinstance(divisor := call.operand(1), Value):
            raise call.refuse(
                f"its divisor '{divisor.name}' is encrypted, and division is not a polynomial",
                "divide by a constant, or multiply instead, and train again",
            )
        scale(call, call.value(0), call.constant(1), reciprocal=True)
