"""Reshape."""

from __future__ import annotations

import math

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter

__all__ = ["Reshape"]


class Reshape(Converter):
    """The same numbers in another shape."""

    notes = "the shape must be constant, or computed from shapes"

    @staticmethod
    def opset_7(call: Call) -> None:
        """Zero copies the extent of the input."""
        _reshape(call, copy_zero=True)

    @staticmethod
    def opset_14(call: Call) -> None:
        """With ``allowzero`` a zero is an extent, which leaves no elements."""
        _reshape(call, copy_zero=not call.attribute("allowzero", 0))


def _reshape(call: Call, *, copy_zero: bool) -> None:
    value = call.value(0)
    batch = call.scope.batch
    target = call.integers(1) or ()
    whole = _resolve(call, batch.whole(value.shape), target, copy_zero)
    shape = batch.example(whole)
    if shape is None:
        raise call.refuse_mixing()
    call.rename(value, shape)


def _resolve(call: Call, shape: tuple[int, ...], target: tuple[int, ...], copy_zero: bool) -> tuple[int, ...]:
    """The shape that a target means."""
    size = math.prod(shape)
    found = f"cannot reshape {'x'.join(map(str, shape)) or 'a scalar'} to {list(target)}"
    if min(target, default=0) < -1 or target.count(-1) > 1:
        raise call.fault(found)
    result = []
    for axis, extent in enumerate(target):
        if extent == 0 and copy_zero:
            if axis >= len(shape):
                raise call.fault(found)
            result.append(shape[axis])
        else:
            result.append(extent)
    if -1 in result:
        known = math.prod(extent for extent in result if extent != -1)
        if known == 0 or size % known:
            raise call.fault(found)
        result[result.index(-1)] = size // known
    # An exporter that traced a batch may have written it into the target although the axis is dynamic.
    if call.scope.batch.dynamic and result and result[0] > 1 and math.prod(result) == size * result[0]:
        result[0] = 1
    if math.prod(result) != size:
        raise call.fault(found)
    return tuple(result)
