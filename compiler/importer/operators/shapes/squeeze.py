"""Squeeze."""

from __future__ import annotations

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter

__all__ = ["Squeeze"]


class Squeeze(Converter):
    """The tensor without axes of extent one."""

    notes = "the axes must be constant"

    @staticmethod
    def opset_7(call: Call) -> None:
        """The axes are an attribute."""
        _squeeze(call, call.attribute("axes", ()))

    @staticmethod
    def opset_13(call: Call) -> None:
        """The axes are an input."""
        _squeeze(call, call.integers(1) or ())


def _squeeze(call: Call, axes: tuple[int, ...]) -> None:
    value = call.value(0)
    batch = call.scope.batch
    if axes:
        dropped = call.axes(axes, len(value.shape))
    else:
        # An open batch is not meant by "all axes of extent one", although one example has extent one there.
        kept = 1 if batch.dynamic or batch.extent > 1 else 0
        dropped = tuple(axis for axis in range(kept, len(value.shape)) if value.shape[axis] == 1)
    for axis in dropped:
        if batch.whole(value.shape)[axis] != 1:
            raise call.fault(f"axis {axis} of '{value.name}' has extent {batch.whole(value.shape)[axis]}, not one")
    call.rename(value, tuple(extent for axis, extent in enumerate(value.shape) if axis not in dropped))
