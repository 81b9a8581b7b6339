"""Compress."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.movement import move

__all__ = ["Compress"]


class Compress(Converter):
    """The slices for which a condition holds."""

    notes = "a constant condition"

    @staticmethod
    def opset_9(call: Call) -> None:
        """Opset 11 allowed a negative axis."""
        move(call)
