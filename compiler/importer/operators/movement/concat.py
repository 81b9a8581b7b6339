"""Concat."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.movement import move

__all__ = ["Concat"]


class Concat(Converter):
    """Tensors put one behind the other along an axis."""

    notes = "encrypted and constant tensors"

    @staticmethod
    def opset_7(call: Call) -> None:
        """Opset 11 allowed a negative axis."""
        move(call, range(len(call.node.input)))
