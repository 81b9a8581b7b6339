"""Shapes and places of constants: where ONNX's reference implementation is not to be relied on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.folding.arithmetic import present

__all__ = ["SHAPES"]

Array = NDArray[Any]
Arrays = Sequence[Array | None]


def _shape(call: Call, operands: Arrays) -> Array:
    """A part of the shape since opset 15; ends beyond it are moved to it."""
    (data,) = present(operands)
    ends = []
    for name, default in (("start", 0), ("end", data.ndim)):
        end = call.attribute(name, default)
        ends.append(min(max(end + data.ndim if end < 0 else end, 0), data.ndim))
    return np.asarray(data.shape[slice(*ends)], dtype=np.int64)


def _unsqueeze(call: Call, operands: Arrays) -> Array:
    """The axes, an input since opset 13, are those of the result, in whatever order they stand."""
    data, *listed = present(operands)
    given = tuple(int(axis) for axis in listed[0].reshape(-1)) if listed else call.attribute("axes", ())
    return np.expand_dims(data, call.axes(given, data.ndim + len(given)))


def _scatter(call: Call, operands: Arrays) -> Array:
    """The data with the elements along one axis replaced that the indices name; ScatterElements took its place."""
    data, index, updates = present(operands)
    (axis,) = call.axes((call.attribute("axis", 0),), data.ndim)
    extent = data.shape[axis]
    fits = index.ndim == data.ndim and index.shape == updates.shape and data.dtype == updates.dtype
    if not fits or bool((index < -extent).any() or (index >= extent).any()):
        raise call.fault("its indices and updates do not fit its data")
    grid = list(np.ogrid[tuple(slice(size) for size in index.shape)])
    grid[axis] = index
    found = data.copy()
    try:
        found[tuple(grid)] = updates
    except IndexError:
        raise call.fault("its indices and updates do not fit its data") from None
    return found


def _affine_grid(call: Call, operands: Arrays) -> Array:
    """Where each pixel of a result lies in an image that an affine map moves: from -1 to 1, last axis first."""
    theta, size = present(operands)
    batch, _, *sizes = (int(extent) for extent in size.reshape(-1))
    rank = len(sizes)
    if theta.shape != (batch, rank, rank + 1) or rank not in (2, 3) or min(sizes) < 1:
        raise call.fault(f"its maps of shape {'x'.join(map(str, theta.shape))} do not fit images of {rank} axes")
    aligned = bool(call.attribute("align_corners", 0))
    if aligned and min(sizes) == 1:
        # Zero in PyTorch, one in onnxruntime.
        raise call.refuse(
            "where the only pixel of an axis lies is ambiguous with align_corners", "set align_corners to 0"
        )
    lines = []
    for extent in sizes:
        step = np.arange(extent, dtype=np.float64)
        lines.append((2 * step - (extent - 1)) / (extent - 1 if aligned else extent))
    points = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1], np.ones(sizes)], axis=-1)
    moved = np.einsum("...k,bik->b...i", points, theta.astype(np.float64))
    return np.asarray(moved).astype(theta.dtype)


def _one_hot(call: Call, operands: Arrays) -> Array:
    """One of two values in each place, the second where an index says so; an index beyond the depth says nothing."""
    index, depths, values = present(operands)
    depth = int(depths.reshape(-1)[0]) if depths.size == 1 else 0
    if depth < 1 or values.shape != (2,):
        raise call.fault("its depth is no positive number, or its values are not two")
    (axis,) = call.axes((call.attribute("axis", -1),), index.ndim + 1)
    call.bounded((*index.shape, depth))
    whole = index.astype(np.int64)
    counted = np.expand_dims(np.where(whole < 0, whole + depth, whole), axis)
    places = np.arange(depth).reshape(-1, *(1,) * (index.ndim - axis))
    return np.asarray(np.where(counted == places, values[1], values[0])).astype(values.dtype)


SHAPES: Mapping[str, Callable[[Call, Arrays], Array]] = MappingProxyType(
    {"AffineGrid": _affine_grid, "OneHot": _one_hot, "Scatter": _scatter, "Shape": _shape, "Unsqueeze": _unsqueeze}
)
"""By operator."""
