"""Flatten."""

from __future__ import annotations

import math

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter

__all__ = ["Flatten"]


class Flatten(Converter):
    """The tensor as a matrix."""

    @staticmethod
    def opset_7(call: Call) -> None:
        """A negative axis, which opset 11 allowed, counts from the back."""
        value = call.value(0)
        axis = call.attribute("axis", 1)
        rank = len(value.shape)
        if not -rank <= axis <= rank:
            raise call.fault(f"axis {axis} does not exist in a tensor of rank {rank}")
        axis = axis + rank if axis < 0 else axis
        call.rename(value, (math.prod(value.shape[:axis]), math.prod(value.shape[axis:])))
