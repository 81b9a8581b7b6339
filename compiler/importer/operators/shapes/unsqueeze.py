"""Unsqueeze."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter

__all__ = ["Unsqueeze"]


class Unsqueeze(Converter):
    """The tensor with further axes of extent one."""

    notes = "the axes must be constant"

    @staticmethod
    def opset_7(call: Call) -> None:
        """The axes are an attribute."""
        _unsqueeze(call, call.attribute("axes", ()))

    @staticmethod
    def opset_13(call: Call) -> None:
        """The axes are an input."""
        _unsqueeze(call, call.integers(1) or ())


def _unsqueeze(call: Call, axes: tuple[int, ...]) -> None:
    value = call.value(0)
    rank = len(value.shape) + len(axes)
    new = call.axes(axes, rank)
    old = iter(value.shape)
    call.rename(value, tuple(1 if axis in new else next(old) for axis in range(rank)))
