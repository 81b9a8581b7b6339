"""Tile."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.movement import move

__all__ = ["Tile"]


class Tile(Converter):
    """The tensor repeated along its axes."""

    notes = "constant repeats"

    @staticmethod
    def opset_7(call: Call) -> None:
        """All opsets agree."""
        move(call)
