"""Tile."""

from __future__ import annotations

from hecc.compiler.importer.call import Call
from hecc.compiler.importer.converter import Converter
from hecc.compiler.importer.movement import move

__all__ = ["Tile"]


class Tile(Converter):
    """The tensor repeated along its axes."""

    notes = "constant repeats"

    @staticmethod
    def opset_7(call: Call) -> None:
        """All opsets agree."""
        move(call)
