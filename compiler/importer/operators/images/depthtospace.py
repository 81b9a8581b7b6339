"""DepthToSpace."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.movement import move

__all__ = ["DepthToSpace"]


class DepthToSpace(Converter):
    """Blocks of channels become blocks of pixels."""

    notes = "both modes"

    @staticmethod
    def opset_7(call: Call) -> None:
        """Opset 11 added the mode CRD."""
        move(call)
