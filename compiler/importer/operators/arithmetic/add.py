"""Add."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.arithmetic import add_masked

__all__ = ["Add"]


class Add(Converter):
    """Sum of two tensors, encrypted or constant."""

    notes = "encrypted + encrypted and encrypted + constant, any broadcasting; minus infinity as a mask before Softmax"

    @staticmethod
    def opset_7(call: Call) -> None:
        """Broadcast by numpy's rules."""
        add_masked(call, [call.operand(0), call.operand(1)])
