"""Trilu."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.movement import move

__all__ = ["Trilu"]


class Trilu(Converter):
    """The upper or lower triangle of matrices, and zeros."""

    notes = "a constant diagonal"

    @staticmethod
    def opset_14(call: Call) -> None:
        """All opsets agree."""
        move(call)
