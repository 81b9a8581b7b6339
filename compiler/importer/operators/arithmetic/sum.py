"""Sum."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.arithmetic import combine

__all__ = ["Sum"]


class Sum(Converter):
    """Sum of any number of tensors, encrypted or constant."""

    notes = "any number of encrypted and constant tensors, any broadcasting"

    @staticmethod
    def opset_7(call: Call) -> None:
        """Broadcast by numpy's rules, which opset 8 allowed; before it all shapes are equal."""
        combine(call, [(call.operand(i), 1.0) for i in range(len(call.node.input))])
