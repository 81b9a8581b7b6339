"""Mean."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.arithmetic import combine

__all__ = ["Mean"]


class Mean(Converter):
    """Mean of any number of tensors, encrypted or constant."""

    notes = "any number of encrypted and constant tensors, any broadcasting"

    @staticmethod
    def opset_7(call: Call) -> None:
        """Broadcast by numpy's rules, which opset 8 allowed; before it all shapes are equal."""
        count = len(call.node.input)
        combine(call, [(call.operand(i), 1.0 / count) for i in range(count)])
