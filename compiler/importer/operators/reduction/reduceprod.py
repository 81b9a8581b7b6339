"""ReduceProd."""

from __future__ import annotations

import math

import numpy as np

from hecc.compiler.graph.affine import Reshape
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.maps import select

__all__ = ["ReduceProd"]


class ReduceProd(Converter):
    """Product over some axes, as a tree of products of two tensors."""

    notes = "the axes must be constant"

    @staticmethod
    def opset_7(call: Call) -> None:
        """The axes are an attribute."""
        _reduce(call, call.value(0), call.attribute("axes", ()))

    @staticmethod
    def opset_18(call: Call) -> None:
        """The axes are an input; without any, the tensor may be left alone."""
        axes = call.integers(1) or ()
        if not axes and call.attribute("noop_with_empty_axes", 0):
            call.rename(call.value(0))
        else:
            _reduce(call, call.value(0), axes)


def _reduce(call: Call, value: Value, axes: tuple[int, ...]) -> None:
    rank = len(value.shape)
    reduced = tuple(sorted(call.axes(axes, rank))) or tuple(range(rank))
    kept = tuple(axis for axis in range(rank) if axis not in reduced)
    shape = tuple(
        1 if axis in reduced else extent
        for axis, extent in enumerate(value.shape)
        if axis in kept or call.attribute("keepdims", 1)
    )
    count = math.prod(value.shape[axis] for axis in reduced)
    positions = np.arange(math.prod(value.shape)).reshape(value.shape).transpose(*kept, *reduced).reshape(-1, count)
    factors = []
    for number, index in enumerate(positions.T):
        factor = Value(call.scope.fresh(f"{call.name}:{number}"), shape)
        call.affine(factor, (value, select(value.shape, index.reshape(shape))))
        factors.append(factor)
    while len(factors) > 1:
        # In pairs, so that the depth is the logarithm of the number of factors.
        pairs = [
            call.product(factors[i], factors[i + 1], f"{call.name}:product") for i in range(0, len(factors) - 1, 2)
        ]
        factors = [*pairs, *factors[2 * len(pairs) :]]
    call.affine(Value(call.name, shape), (factors[0], Reshape(shape, shape)))
