"""Resizing: each element of the result is a weighted sum of a few elements, axis by axis.

The weight of element ``i`` for a result at coordinate ``x`` is ``k(s (i - x))``, normalised to a sum of one, where
``k`` is the kernel of the interpolation and ``s`` stretches it for antialiasing. For the cubic kernel see Keys, "Cubic
convolution interpolation for digital image processing", IEEE Transactions on Acoustics, Speech and Signal Processing 29
(1981).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from hecc.compiler.importer.call import Call
from hecc.compiler.importer.maps import select
from hecc.compiler.ir.affine import Weighted
from hecc.compiler.ir.graph import Value

__all__ = ["Axis", "resize"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """How one axis is resized: its extents before and after, the factor asked for, and the region of interest."""

    before: int
    after: int
    scale: float
    region: tuple[float, float] = (0.0, 1.0)

    def coordinates(self, mode: str) -> Floats | None:
        """Where each element of the result lies in the tensor; None for a mode that does not exist."""
        x = np.arange(self.after, dtype=np.float64)
        # As ONNX's reference has it, the length by which align_corners divides is not rounded.
        resized = self.scale * self.before
        half_pixel = (x + 0.5) / self.scale - 0.5
        if mode == "half_pixel":
            return half_pixel
        if mode == "half_pixel_symmetric":
            return half_pixel + self.before / 2 * (1 - self.after / resized)
        if mode == "pytorch_half_pixel":
            return half_pixel if resized != 1 else np.full(self.after, -0.5)
        if mode == "asymmetric":
            return x / self.scale
        if mode == "align_corners":
            return x * (self.before - 1) / (resized - 1) if resized != 1 else np.zeros(self.after)
        if mode == "tf_crop_and_resize":
            start, end = (edge * (self.before - 1) for edge in self.region)
            return start + (
                x * (end - start) / (resized - 1) if resized != 1 else np.full(self.after, (end - start) / 2)
            )
        return None


def resize(call: Call, value: Value, axes: Sequence[Axis], coordinates: str, nearest: str) -> None:
    """Define the output as a value resized along all its axes, by the attributes of Resize."""
    shape = call.bounded(tuple(axis.after for axis in axes))
    crops = coordinates == "tf_crop_and_resize"
    matrices, inside = [], np.ones((), dtype=bool)
    mode = call.attribute("mode", "nearest")
    for axis in axes:
        where = axis.coordinates(coordinates)
        if where is None:
            raise call.fault(f"coordinate_transformation_mode '{coordinates}' does not exist")
        if axis.before == axis.after and axis.scale == 1.0 and not (crops and axis.region != (0.0, 1.0)):
            where = np.arange(axis.after, dtype=np.float64)
        seen = (where >= 0) & (where <= axis.before - 1) if crops else np.ones(axis.after, dtype=bool)
        inside = inside[..., np.newaxis] & seen
        matrices.append(_nearest(call, axis, where, nearest) if mode == "nearest" else _kernel(call, axis, where, mode))
    matrix = scipy.sparse.csr_array(reduce(lambda a, b: scipy.sparse.kron(a, b, format="csr"), matrices))
    matrix = scipy.sparse.csr_array(matrix.multiply(inside.reshape(-1, 1))) if crops else matrix
    matrix.eliminate_zeros()
    bias = None
    filling = call.attribute("extrapolation_value", 0.0)
    if crops and filling and not bool(inside.all()):
        bias = call.scope.parameter(f"{call.name}:outside", np.where(inside, 0.0, filling).astype(np.float32))
    entries = matrix.tocoo()
    if mode == "nearest":
        index = np.full(matrix.shape[0], -1, dtype=np.int64)
        index[entries.row] = entries.col
        call.affine(Value(call.name, shape), (value, select(value.shape, index.reshape(shape))), bias=bias)
        return
    weight = call.scope.parameter(f"{call.name}:weight", entries.data)
    rows, columns = entries.row.astype(np.int64), entries.col.astype(np.int64)
    call.affine(Value(call.name, shape), (value, Weighted.of(value.shape, shape, rows, columns, weight)), bias=bias)


def _nearest(call: Call, axis: Axis, where: Floats, rounding: str) -> scipy.sparse.csr_array:
    """The matrix of an axis that takes the nearest element."""
    rules: dict[str, Callable[[Floats], Floats]] = {
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    if rounding not in rules:
        raise call.fault(f"nearest_mode '{rounding}' does not exist")
    columns = np.clip(rules[rounding](where), 0, axis.before - 1).astype(np.int64)
    rows = np.arange(axis.after)
    return scipy.sparse.csr_array((np.ones(axis.after), (rows, columns)), shape=(axis.after, axis.before))


def _kernel(call: Call, axis: Axis, where: Floats, mode: str) -> scipy.sparse.csr_array:
    """The matrix of an axis that weights the elements around each coordinate."""
    if mode not in ("linear", "cubic"):
        raise call.fault(f"mode '{mode}' does not exist")
    stretch = min(axis.scale, 1.0) if call.attribute("antialias", 0) else 1.0
    reach = (1.0 if mode == "linear" else 2.0) / stretch
    taps = np.floor(where - reach)[:, np.newaxis] + np.arange(int(np.ceil(2 * reach)) + 2)
    distance = np.abs(taps - where[:, np.newaxis]) * stretch
    if mode == "linear":
        weights = np.maximum(0.0, 1.0 - distance)
    else:
        a = call.attribute("cubic_coeff_a", -0.75)
        near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
        far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
    if call.attribute("exclude_outside", 0):
        weights = np.where((taps >= 0) & (taps < axis.before), weights, 0.0)
    total = weights.sum(axis=1, keepdims=True)
    weights = weights / np.where(total == 0, 1.0, total)
    if not bool(np.isfinite(weights).all()):
        raise call.fault("its cubic_coeff_a is not a number")
    columns = np.clip(taps, 0, axis.before - 1).astype(np.int64)
    rows = np.broadcast_to(np.arange(axis.after)[:, np.newaxis], taps.shape)
    # An element at the border stands for those outside, so that a place may occur twice; the weights add.
    entries = (weights.reshape(-1), (rows.reshape(-1), columns.reshape(-1)))
    return scipy.sparse.csr_array(entries, shape=(axis.after, axis.before))
