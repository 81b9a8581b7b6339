"""ReverseSequence."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.movement import move

__all__ = ["ReverseSequence"]


class ReverseSequence(Converter):
    """Sequences read backwards, each up to its length."""

    notes = "constant lengths"

    @staticmethod
    def opset_10(call: Call) -> None:
        """All opsets agree."""
        move(call)
