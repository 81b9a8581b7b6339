"""GatherND."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.movement import move

__all__ = ["GatherND"]


class GatherND(Converter):
    """Slices picked by their index along the first axes."""

    notes = "constant indices"

    @staticmethod
    def opset_11(call: Call) -> None:
        """Opset 12 added batch axes."""
        move(call)
