"""SpaceToDepth."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.movement import move

__all__ = ["SpaceToDepth"]


class SpaceToDepth(Converter):
    """Blocks of pixels become blocks of channels."""

    notes = "both modes"

    @staticmethod
    def opset_7(call: Call) -> None:
        """Opset 28 added the mode CRD."""
        move(call)
