"""Affine maps that several converters need."""

from __future__ import annotations

import math

import numpy as np

from hecc.compiler.graph.affine import AffineMap, Pool, Reshape, Select, compose

__all__ = ["average", "broadcast", "select", "transpose"]


def select(in_shape: tuple[int, ...], index: np.typing.NDArray[np.int64]) -> AffineMap:
    """The map ``y[i] = x[index[i]]`` for an index array of the result's shape; a Reshape where that is all it is."""
    if index.size == math.prod(in_shape) and np.array_equal(index.reshape(-1), np.arange(index.size)):
        return Reshape(in_shape, index.shape)
    return Select.of(in_shape, index.shape, index)


def broadcast(in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> AffineMap:
    """Repeat a tensor along new and unit axes, by numpy's rules."""
    return select(in_shape, np.broadcast_to(_positions(in_shape), out_shape))


def transpose(in_shape: tuple[int, ...], order: tuple[int, ...]) -> AffineMap:
    """Permute axes."""
    return select(in_shape, _positions(in_shape).transpose(order))


def average(in_shape: tuple[int, ...], axes: tuple[int, ...]) -> AffineMap:
    """Mean over some axes, which keep extent one."""
    out_shape = tuple(1 if axis in axes else extent for axis, extent in enumerate(in_shape))
    kept = [axis for axis in range(len(in_shape)) if axis not in axes]
    if len(in_shape) > 2 and kept == [0, 1]:
        # A whole image per channel: said as a pooling, so that layouts see channels.
        return _pool(in_shape)
    moved = transpose(in_shape, (*kept, *axes))
    count = math.prod(in_shape[axis] for axis in axes)
    flat = (1, math.prod(in_shape) // count, count)
    pooled = compose(_pool(flat), compose(Reshape(moved.out_shape, flat), moved))
    return compose(Reshape(pooled.out_shape, out_shape), pooled)


def _pool(in_shape: tuple[int, ...]) -> Pool:
    """Average over all axes behind the first two."""
    spatial = in_shape[2:]
    units = (1,) * len(spatial)
    return Pool(in_shape, (*in_shape[:2], *units), spatial, units, ((0, 0),) * len(spatial), units)


def _positions(shape: tuple[int, ...]) -> np.typing.NDArray[np.int64]:
    return np.arange(math.prod(shape), dtype=np.int64).reshape(shape)
