"""Split."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.movement import move

__all__ = ["Split"]


class Split(Converter):
    """The tensor cut into parts along an axis."""

    notes = "constant sizes; all outputs"

    @staticmethod
    def opset_7(call: Call) -> None:
        """The sizes are an attribute; opset 13 made them an input, opset 18 added their number."""
        move(call)
