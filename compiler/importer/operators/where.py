"""Where."""

from __future__ import annotations

from hecc.compiler.importer.call import Call
from hecc.compiler.importer.converter import Converter
from hecc.compiler.importer.movement import move

__all__ = ["Where"]


class Where(Converter):
    """Elements of one tensor where a condition holds, else of another."""

    notes = "a constant condition; encrypted and constant tensors"

    @staticmethod
    def opset_9(call: Call) -> None:
        """Broadcast by numpy's rules."""
        move(call, (1, 2))
