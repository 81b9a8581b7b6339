"""Reductions and choices over axes of constants, and products of matrices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.folding.arithmetic import is_real, present, rounded, widened

__all__ = ["REDUCTIONS"]

Array = NDArray[Any]
Arrays = Sequence[Array | None]
Rule = Callable[[Call, Arrays], Array | tuple[Array, ...]]


def _reduced(function: Callable[..., Any], *, real: bool = False, empty: bool = False) -> Rule:
    """Over the axes, which were attributes first, and are an input since opset 13 of ReduceSum and 18 of the others.

    ``real`` says that integers have no such reduction, ``empty`` that it has a value where there are no elements.
    """

    def rule(call: Call, operands: Arrays) -> Array:
        data = present(operands)[0]
        given = call.attribute("axes", ())
        if len(operands) > 1 and (listed := operands[1]) is not None:
            given = tuple(int(axis) for axis in listed.reshape(-1))
        axes = call.axes(given, data.ndim)
        if real and not is_real(data):
            raise call.refuse(f"it reduces {data.dtype.name} to what is no integer", "cast its input to float32")
        # Without axes the reduction may be over none: then it acts on each element alone.
        each = bool(call.attribute("noop_with_empty_axes", 0))
        over = axes if axes or each else tuple(range(data.ndim))
        if not empty and not math.prod(data.shape[axis] for axis in over):
            raise call.refuse("it reduces an axis of no elements", "remove it from the network")
        keep = bool(call.attribute("keepdims", 1))
        if data.dtype.kind in "iu":
            exact = np.abs(function(data.astype(np.float64), axis=over, keepdims=keep))
            if bool((exact > float(np.iinfo(data.dtype).max)).any()):
                raise call.refuse(f"its result is beyond {data.dtype.name}", "use smaller numbers")
        return rounded(function(widened(data), axis=over, keepdims=keep), data)

    return rule


def _mean(data: Array, **over: Any) -> Any:
    if is_real(data):
        return np.mean(data, **over)
    total = np.asarray(np.sum(data, dtype=data.dtype, **over))
    return np.trunc(total / (data.size // total.size))


def _log_sum_exp(data: Array, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Less the maximum, so that no exponential overflows."""
    largest = np.max(data.astype(np.float64), axis=axis, keepdims=True)
    finite = np.where(np.isfinite(largest), largest, 0.0)
    total = np.log(np.sum(np.exp(data - finite), axis=axis, keepdims=True)) + finite
    return total if keepdims else np.squeeze(total, axis)


def _extreme(*, largest: bool) -> Rule:
    def rule(call: Call, operands: Arrays) -> Array:
        (data,) = present(operands)
        (axis,) = call.axes((call.attribute("axis", 0),), data.ndim)
        chosen = np.argmax if largest else np.argmin
        if call.attribute("select_last_index", 0):
            index = data.shape[axis] - 1 - chosen(np.flip(data, axis), axis=axis)
        else:
            index = chosen(data, axis=axis)
        found = np.asarray(index, dtype=np.int64)
        return np.expand_dims(found, axis) if call.attribute("keepdims", 1) else found

    return rule


def _top(call: Call, operands: Arrays) -> tuple[Array, Array]:
    """The first elements in order, and where they were; of equal ones the first comes first."""
    data, *rest = present(operands)
    count = int(rest[0].reshape(-1)[0]) if call.source.opset >= 10 else call.attribute("k", 0)
    (axis,) = call.axes((call.attribute("axis", -1),), data.ndim)
    if not 0 <= count <= data.shape[axis]:
        raise call.fault(f"it wants {count} of {data.shape[axis]} elements")
    if call.attribute("largest", 1):
        # The last of a stable order backwards would put the last of equal ones first.
        backwards = np.flip(data, axis)
        order = data.shape[axis] - 1 - np.flip(np.argsort(backwards, axis=axis, kind="stable"), axis)
    else:
        order = np.argsort(data, axis=axis, kind="stable")
    index = np.take(order, range(count), axis=axis)
    return np.take_along_axis(data, index, axis), index.astype(np.int64)


def _hardmax(call: Call, operands: Arrays) -> Array:
    """Over one axis, or before opset 13 over all axes from one on."""
    (data,) = present(operands)
    newer = call.source.opset >= 13
    (axis,) = call.axes((call.attribute("axis", -1 if newer else 1),), data.ndim)
    moved = np.moveaxis(data, axis, -1) if newer else data.reshape(math.prod(data.shape[:axis]), -1)
    ones = np.zeros(moved.shape, data.dtype)
    np.put_along_axis(ones, moved.argmax(axis=-1)[..., np.newaxis], np.ones((), data.dtype), axis=-1)
    return np.moveaxis(ones, -1, axis) if newer else ones.reshape(data.shape)


def _cumulative(function: Callable[..., Any], start: int) -> Rule:
    def rule(call: Call, operands: Arrays) -> Array:
        data, axes = present(operands)
        (axis,) = call.axes(tuple(int(axis) for axis in axes.reshape(-1)), data.ndim)
        given = np.flip(data, axis) if call.attribute("reverse", 0) else data
        found = rounded(function(widened(given), axis=axis), data)
        if call.attribute("exclusive", 0):
            first = np.full_like(found.take([0], axis=axis), start)
            found = np.concatenate([first, found.take(range(found.shape[axis] - 1), axis=axis)], axis=axis)
        return np.flip(found, axis) if call.attribute("reverse", 0) else found

    return rule


def _matmul(call: Call, operands: Arrays) -> Array:
    left, right = present(operands)
    if left.dtype != right.dtype:
        raise call.fault(f"its factors hold {left.dtype.name} and {right.dtype.name}")
    try:
        return rounded(np.matmul(widened(left), widened(right)), left)
    except ValueError:
        raise call.fault("its factors do not fit one another") from None


def _matmul_integer(call: Call, operands: Arrays) -> Array:
    """Each factor less its zero point: one, or one for every row on the left, for every column on the right."""
    left, right, *zeros = operands
    assert left is not None
    assert right is not None
    factors = [left.astype(np.int32), right.astype(np.int32)]
    for number, zero in enumerate(zeros):
        if zero is not None:
            column = number == 0 and zero.ndim == 1 and zero.size > 1
            factors[number] = factors[number] - zero.astype(np.int32).reshape((-1, 1) if column else zero.shape)
    try:
        return np.asarray(np.matmul(*factors), dtype=np.int32)
    except ValueError:
        raise call.fault("its factors do not fit one another") from None


def _determinant(call: Call, operands: Arrays) -> Array:
    (data,) = present(operands)
    if data.ndim < 2 or data.shape[-1] != data.shape[-2]:
        raise call.fault("its input holds no square matrices")
    if not is_real(data) or not bool(np.isfinite(data).all()):
        raise call.refuse(f"it is of {data.dtype.name}, or of infinity or NaN", "use finite real numbers")
    return rounded(np.linalg.det(widened(data)), data)


def _numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    """A sum or a product in the type of what is added or multiplied."""
    return lambda data, **over: function(data, dtype=data.dtype, **over)


REDUCTIONS: Mapping[str, Rule] = MappingProxyType(
    {
        "ArgMax": _extreme(largest=True),
        "ArgMin": _extreme(largest=False),
        "CumProd": _cumulative(np.cumprod, 1),
        "CumSum": _cumulative(np.cumsum, 0),
        "Det": _determinant,
        "Hardmax": _hardmax,
        "MatMul": _matmul,
        "MatMulInteger": _matmul_integer,
        "ReduceL1": _reduced(lambda x, **over: np.abs(x).sum(dtype=x.dtype, **over)),
        "ReduceL2": _reduced(lambda x, **over: np.sqrt(np.square(x).sum(dtype=x.dtype, **over)), real=True),
        "ReduceLogSum": _reduced(lambda x, **over: np.log(x.sum(dtype=x.dtype, **over)), real=True),
        "ReduceLogSumExp": _reduced(_log_sum_exp, real=True),
        "ReduceMax": _reduced(np.max),
        "ReduceMean": _reduced(_mean),
        "ReduceMin": _reduced(np.min),
        "ReduceProd": _reduced(_numbers(np.prod), empty=True),
        "ReduceSum": _reduced(_numbers(np.sum), empty=True),
        "ReduceSumSquare": _reduced(lambda x, **over: np.square(x).sum(dtype=x.dtype, **over)),
        "TopK": _top,
    }
)
"""By operator."""
