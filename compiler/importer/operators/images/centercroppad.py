"""CenterCropPad."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.movement import move

__all__ = ["CenterCropPad"]


class CenterCropPad(Converter):
    """The middle of the tensor, or the tensor in the middle of zeros."""

    notes = "a constant shape"

    @staticmethod
    def opset_18(call: Call) -> None:
        """All opsets agree."""
        move(call)
