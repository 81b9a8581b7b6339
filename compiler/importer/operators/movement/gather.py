"""Gather."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.movement import move

__all__ = ["Gather"]


class Gather(Converter):
    """Slices of the tensor, picked by their index along one axis."""

    notes = "constant indices"

    @staticmethod
    def opset_7(call: Call) -> None:
        """Opset 11 allowed negative indices."""
        move(call)
