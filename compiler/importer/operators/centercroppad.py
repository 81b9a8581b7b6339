"""CenterCropPad."""

from __future__ import annotations

from hecc.compiler.importer.call import Call
from hecc.compiler.importer.converter import Converter
from hecc.compiler.importer.movement import move

__all__ = ["CenterCropPad"]


class CenterCropPad(Converter):
    """The middle of the tensor, or the tensor in the middle of zeros."""

    notes = "a constant shape"

    @staticmethod
    def opset_18(call: Call) -> None:
        """All opsets agree."""
        move(call)
