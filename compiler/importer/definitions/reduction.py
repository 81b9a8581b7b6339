"""Reductions that are linear: means and sums over axes."""

from __future__ import annotations

import math

from hecc.compiler.graph.affine import Reshape, Scale, compose
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.definitions.maps import average

__all__ = ["reduce", "reduce_given"]


def reduce_given(call: Call, value: Value, *, total: bool, output: str | None = None) -> Value:
    """Define the output, or an intermediate value, as the mean or the sum over the axes of input 1, if there are any.

    Without axes the reduction is over all of them, unless ``noop_with_empty_axes`` says that there is none.
    """
    axes = call.integers(1) or ()
    if axes or not call.attribute("noop_with_empty_axes", 0):
        return reduce(call, value, axes, total=total, output=output)
    if output is None:
        call.rename(value)
    return value


def reduce(call: Call, value: Value, axes: tuple[int, ...], *, total: bool, output: str | None = None) -> Value:
    """Define the output, or an intermediate value, as the mean or the sum over some axes; all where none are given."""
    rank = len(value.shape)
    reduced = tuple(sorted(call.axes(axes, rank))) or tuple(range(rank))
    mean = average(value.shape, reduced)
    shape = mean.out_shape
    if not call.attribute("keepdims", 1):
        shape = tuple(extent for axis, extent in enumerate(value.shape) if axis not in reduced)
    count = math.prod(value.shape[axis] for axis in reduced)
    scaled = compose(Scale.of(mean.out_shape, call.number(count)), mean) if total and count > 1 else mean
    result = Value(call.name if output is None else call.scope.fresh(output), shape)
    call.affine(result, (value, compose(Reshape(mean.out_shape, shape), scaled)))
    return result
