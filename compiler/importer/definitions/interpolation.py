"""Resizing: each element of the result is a weighted sum of a few elements, axis by axis.

The weight of element ``i`` for a result at coordinate ``x`` is ``k(s (i - x))``, normalised to a sum of one, where
``k`` is the kernel of the interpolation and ``s`` stretches it for antialiasing. For the cubic kernel see Keys, "Cubic
convolution interpolation for digital image processing", IEEE Transactions on Acoustics, Speech and Signal Processing 29
(1981).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from hecc.compiler.graph.affine import Weighted
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.definitions.maps import select

__all__ = ["SIMPLE", "Axis", "resize"]

Floats = NDArray[np.float64]

HALFWAY = 1e-6
"""How far from a half a coordinate still counts as halfway, as in onnxruntime: what rounding has added."""

SIMPLE = "simple"
"""How the nearest element was chosen before opset 11: the next one where the tensor shrinks, else the one before."""


@dataclass(frozen=True)
class Axis:
    """How one axis is resized: its extents before and after, the factor asked for, and the region of interest."""

    before: int
    after: int
    scale: float
    region: tuple[float, float] = (0.0, 1.0)

    def coordinates(self, mode: str) -> Floats | None:
        """Where each element of the result lies in the tensor; None for a mode that does not exist.

        In single precision, operation by operation as onnxruntime has it: that decides about halves, and about the
        elements at the border. The length of the result is a whole number of elements, also where the factor times
        the extent is none; ONNX's reference does not round it.
        """
        formula = _FORMULAS.get(mode)
        if formula is None:
            return None
        if self.scale == 1.0:
            # Of such an axis onnxruntime takes all, whatever the region.
            return np.arange(self.after, dtype=np.float64)
        x = np.arange(self.after, dtype=np.float32)
        sizes = np.asarray([self.scale, self.after, self.before, *self.region], dtype=np.float32)
        return np.asarray(formula(x, *sizes), dtype=np.float32).astype(np.float64)


Single = np.float32
CROP = "tf_crop_and_resize"
HALF, ONE, TWO = Single(0.5), Single(1), Single(2)


def _align_corners(x: Any, _: Single, after: Single, before: Single, *__: Single) -> Any:
    return x * (before - ONE) / (after - ONE) if after != ONE else np.zeros_like(x)


def _crop(x: Any, _: Single, after: Single, before: Single, start: Single, end: Single) -> Any:
    if after > ONE:
        return start * (before - ONE) + x * (end - start) * (before - ONE) / (after - ONE)
    return np.full_like(x, HALF * (start + end) * (before - ONE))


def _half_pixel(x: Any, scale: Single, *_: Single) -> Any:
    return (x + HALF) / scale - HALF


def _symmetric(x: Any, scale: Single, after: Single, before: Single, *_: Single) -> Any:
    """Centred: what is cut off of the result's length is cut off at both ends."""
    return (before / TWO * (ONE - after / (scale * before)) + (x + HALF) / scale) - HALF


_FORMULAS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "align_corners": _align_corners,
        "asymmetric": lambda x, scale, *_: x / scale,
        "half_pixel": _half_pixel,
        "half_pixel_symmetric": _symmetric,
        "pytorch_half_pixel": lambda x, scale, after, *_: _half_pixel(x, scale) if after > ONE else np.zeros_like(x),
        CROP: _crop,
        "tf_half_pixel_for_nn": lambda x, scale, *_: (x + HALF) / scale,
    }
)
"""Of an element of the result: its place in the tensor, from the factor, both extents, and the region of interest."""


def resize(call: Call, value: Value, axes: Sequence[Axis], coordinates: str, nearest: str) -> None:
    """Define the output as a value resized along all its axes, by the attributes of Resize."""
    shape = call.bounded(tuple(axis.after for axis in axes))
    if all(axis.before == axis.after for axis in axes):
        # Whatever the factors and the region are, onnxruntime copies a tensor that keeps its size.
        call.rename(value)
        return
    crops = coordinates == CROP
    matrices, inside = [], np.ones((), dtype=bool)
    mode = call.attribute("mode", "nearest")
    for axis in axes:
        where = axis.coordinates(coordinates)
        if where is None:
            raise call.fault(f"coordinate_transformation_mode '{coordinates}' does not exist")
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
        "round_prefer_floor": lambda x: np.ceil(x - 0.5 - HALFWAY),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5 + HALFWAY),
        "floor": np.floor,
        "ceil": np.ceil,
        SIMPLE: np.ceil if axis.scale < 1 else np.floor,
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
    antialiased = bool(call.attribute("antialias", 0))
    if antialiased and axis.before == axis.after:
        # An axis that keeps its size is copied.
        where = np.arange(axis.after, dtype=np.float64)
    stretch = min(axis.scale, 1.0) if antialiased else 1.0
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
