"""Slice."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.movement import move

__all__ = ["Slice"]


class Slice(Converter):
    """A part of the tensor along some axes."""

    notes = "constant starts, ends, axes and steps; steps may be negative"

    @staticmethod
    def opset_7(call: Call) -> None:
        """Starts, ends and axes are attributes; opset 10 made them inputs, and added steps."""
        move(call)
