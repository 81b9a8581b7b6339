"""GridSample."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import Weighted
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter

__all__ = ["GridSample"]

Floats = NDArray[np.float64]
CUBIC = -0.75
"""The parameter of the cubic kernel, which ONNX fixes."""


class GridSample(Converter):
    """The image at the points of a grid, by interpolation: a spatial transformer whose grid is known."""

    notes = "a constant grid; all modes and paddings"

    @staticmethod
    def opset_16(call: Call) -> None:
        """Opset 20 gave the modes other names, and allowed more axes than two."""
        image, grid = call.value(0), call.constant(1)
        call.parameter(grid)
        points = grid.array.astype(np.float64)
        precision = np.dtype(np.float64 if grid.array.dtype == np.float64 else np.float32)
        rank = len(image.shape) - 2
        batch, channels, *sizes = image.shape
        if rank < 1 or points.ndim != rank + 2 or points.shape[0] != batch or points.shape[-1] != rank:
            found = "x".join(map(str, points.shape))
            raise call.fault(f"its grid of shape {found} does not fit '{image.name}'")
        mode = {"bilinear": "linear", "bicubic": "cubic"}.get(given := call.attribute("mode", "linear"), given)
        padding = call.attribute("padding_mode", "zeros")
        if mode not in ("nearest", "linear", "cubic") or padding not in ("zeros", "border", "reflection"):
            raise call.fault(f"its mode '{mode}' or its padding_mode '{padding}' does not exist")
        shape = (batch, channels, *points.shape[1:-1])
        call.bounded((*shape, {"nearest": 1, "linear": 2, "cubic": 4}[mode] ** rank))
        count = math.prod(points.shape[1:-1])
        if not count:
            raise call.fault("it has no points")
        # For every point: the pixels that it is made of, over all axes together, and their weights.
        pixels, weights = np.zeros((batch * count, 1), np.int64), np.ones((batch * count, 1))
        for axis, size in enumerate(sizes):
            # The last coordinate is that of the first axis.
            where = points[..., rank - 1 - axis].reshape(-1)
            aligned = bool(call.attribute("align_corners", 0))
            taps, shares = _taps(where, size, mode, padding, aligned, precision)
            pixels = (pixels[:, :, np.newaxis] * size + taps[:, np.newaxis]).reshape(len(pixels), -1)
            weights = (weights[:, :, np.newaxis] * shares[:, np.newaxis]).reshape(len(weights), -1)
        planes = np.arange(batch * channels).reshape(batch, channels, 1, 1)
        per_image = pixels.reshape(batch, 1, count, -1)
        columns = planes * math.prod(sizes) + per_image
        rows = np.broadcast_to(planes * count + np.arange(count)[:, np.newaxis], columns.shape)
        spread = np.broadcast_to(weights.reshape(batch, 1, count, -1), columns.shape).reshape(-1)
        kept = np.flatnonzero(spread)
        name = call.scope.parameter(f"{call.name}:weight", spread[kept])
        sampling = Weighted.of(image.shape, shape, rows.reshape(-1)[kept], columns.reshape(-1)[kept], name)
        call.affine(Value(call.name, shape), (image, sampling))


def _taps(
    where: Floats, size: int, mode: str, padding: str, aligned: bool, precision: np.dtype[Any]
) -> tuple[NDArray[np.int64], Floats]:
    """The pixels along one axis that each point is made of, and their weights, both of shape (points, taps)."""
    low, high = (0.0, size - 1.0) if aligned else (-0.5, size - 0.5)
    # In single precision, unless the grid is in double: that decides about points halfway between pixels.
    x = (low + (where + 1) / 2 * (high - low)).astype(precision).astype(np.float64)
    if mode == "nearest":
        x = np.rint(x)
    outside = (x < low) | (x > high)
    if padding == "border" and mode != "cubic":
        # With cubic interpolation PyTorch and onnxruntime clamp the pixels only, which ONNX's text leaves open.
        x = np.where(outside, np.clip(x, 0, size - 1), x)
    elif padding == "reflection":
        x = np.where(outside, _reflected(x, low, high), x)
    if mode == "nearest":
        taps, shares = np.trunc(x)[:, np.newaxis], np.ones((len(x), 1))
    elif mode == "linear":
        taps = np.floor(x)[:, np.newaxis] + np.arange(2)
        shares = 1.0 - np.abs(taps - x[:, np.newaxis])
    else:
        taps = np.floor(x)[:, np.newaxis] + np.arange(-1, 3)
        distance = np.abs(taps - x[:, np.newaxis])
        near = ((CUBIC + 2) * distance - (CUBIC + 3)) * distance**2 + 1
        far = ((CUBIC * distance - 5 * CUBIC) * distance + 8 * CUBIC) * distance - 4 * CUBIC
        shares = np.where(distance <= 1, near, far)
    if padding == "zeros":
        shares = np.where((taps >= 0) & (taps < size), shares, 0.0)
    elif padding == "reflection":
        taps = np.trunc(np.where((taps < low) | (taps > high), _reflected(taps, low, high), taps))
    return np.clip(taps, 0, size - 1).astype(np.int64), shares


def _reflected(x: Floats, low: float, high: float) -> Floats:
    """Coordinates reflected at both borders until they lie between them."""
    if high == low:
        return np.full_like(x, low)
    along = np.mod(x - low, 2 * (high - low))
    return np.asarray(low + np.minimum(along, 2 * (high - low) - along))
