"""GatherElements."""

from __future__ import annotations

import math

import numpy as np

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.maps import select

__all__ = ["GatherElements"]


class GatherElements(Converter):
    """Elements picked by their index along one axis."""

    notes = "constant indices"

    @staticmethod
    def opset_11(call: Call) -> None:
        """All opsets agree."""
        value, indices = call.value(0), call.constant(1).array
        rank = len(value.shape)
        (axis,) = call.axes((call.attribute("axis", 0),), rank)
        extent = value.shape[axis]
        # Along the other axes the indices may be shorter than the tensor.
        fits = indices.ndim == rank and all(
            i <= n or a == axis for a, (i, n) in enumerate(zip(indices.shape, value.shape, strict=True))
        )
        if not fits or bool((indices < -extent).any() or (indices >= extent).any()):
            raise call.fault(f"its indices do not fit axis {axis} of '{value.name}'")
        grid: list[np.typing.NDArray[np.int64]] = list(np.ogrid[tuple(slice(extent) for extent in indices.shape)])
        grid[axis] = indices.astype(np.int64) % extent
        positions = np.arange(math.prod(value.shape)).reshape(value.shape)
        gather = select(value.shape, positions[tuple(grid)])
        call.affine(Value(call.name, gather.out_shape), (value, gather))
