"""Mul."""

from __future__ import annotations

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.building.scope import Constant
from hecc.compiler.importer.definitions.arithmetic import multiply, scale

__all__ = ["Mul"]


class Mul(Converter):
    """Elementwise product: a scaling by a constant, a square, or a product of two encrypted tensors."""

    notes = "encrypted × constant and encrypted × encrypted, any broadcasting"

    @staticmethod
    def opset_7(call: Call) -> None:
        """Broadcast by numpy's rules."""
        left, right = call.operand(0), call.operand(1)
        if isinstance(right, Constant):
            scale(call, call.value(0), right)
        elif isinstance(left, Value):
            multiply(call, left, right)
        else:
            scale(call, right, left)
