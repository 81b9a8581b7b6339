"""Quantised constants: weights that a file holds as small integers with a scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.folding.arithmetic import widened

__all__ = ["QUANTISATION", "spread"]

Array = NDArray[Any]
Arrays = Sequence[Array | None]
Rule = Callable[[Call, Arrays], Array | tuple[Array, ...]]


def spread(call: Call, numbers: Array, data: Array) -> Array:
    """Scales or zero points as they apply: one for all, along an axis since opset 13, or for blocks since opset 21."""
    if numbers.size == 1 and not (numbers.ndim == data.ndim > 1):
        return numbers.reshape(())
    (axis,) = call.axes((call.attribute("axis", 1),), data.ndim)
    if numbers.ndim == 1:
        if call.source.opset < 13 or numbers.size != data.shape[axis]:
            raise call.fault(f"its scale of {numbers.size} numbers does not fit its input")
        return numbers.reshape(-1, *(1,) * (data.ndim - axis - 1))
    block = call.attribute("block_size", 0)
    if block < 1 or numbers.ndim != data.ndim:
        raise call.fault("its scale does not fit its input")
    spread = np.repeat(numbers, block, axis=axis).take(range(data.shape[axis]), axis=axis)
    if spread.shape != data.shape:
        raise call.fault("its scale does not fit its input")
    return spread


def _dequantize(call: Call, operands: Arrays) -> Array:
    """``(x - zero point) * scale``, in the type of the scale, or the one asked for."""
    data, scale, zero = (*operands, None)[:3]
    assert data is not None
    assert scale is not None
    kind = call.attribute("output_dtype", 0)
    wide = data.astype(np.float64)
    if zero is not None:
        wide = wide - spread(call, zero, data).astype(np.float64)
    found = wide * spread(call, scale, data).astype(np.float64)
    return found.astype(helper.tensor_dtype_to_np_dtype(kind) if kind else scale.dtype)


LIMITS = ("int8", "uint8", "int16", "uint16")


def _quantize(call: Call, operands: Arrays) -> Array:
    """``x / scale``, rounded to the nearest even integer, plus the zero point, clipped to the type's range."""
    data, scale, zero = (*operands, None)[:3]
    assert data is not None
    assert scale is not None
    wanted = call.attribute("output_dtype", 0)
    kind = zero.dtype if zero is not None else helper.tensor_dtype_to_np_dtype(wanted or onnx.TensorProto.UINT8)
    if kind.name not in LIMITS or data.dtype != np.float32 or call.attribute("precision", 0):
        # How float16 is divided decides about halves, and differs between onnxruntime's kernels.
        raise call.refuse(
            f"hecc has no checked rule to quantise a constant from {data.dtype.name} to {kind.name}",
            "store the weight in float32",
        )
    # In single precision: that decides about halves.
    single = np.float32
    quotient = data.astype(single) / spread(call, scale, data).astype(single)
    shifted = np.rint(quotient).astype(np.float64)
    if zero is not None:
        shifted = shifted + spread(call, zero, data).astype(np.float64)
    limits = np.iinfo(kind)
    return np.clip(shifted, limits.min, limits.max).astype(kind)


def _dynamic(call: Call, operands: Arrays) -> tuple[Array, Array, Array]:
    """Bytes, with the scale and the zero point that the range of the data asks for."""
    (data,) = (array for array in operands if array is not None)
    if not bool(np.isfinite(data).all()):
        raise call.refuse("it quantises infinity or NaN", "use finite numbers")
    single = np.float32
    low, high = min(single(0), data.min(initial=0)), max(single(0), data.max(initial=0))
    scale = single(1) if high == low else single((single(high) - single(low)) / single(255))
    zero = np.rint(np.clip(-single(low) / scale, 0, 255)).astype(np.uint8)
    quantised = np.clip(np.rint(widened(data.astype(single) / scale)) + float(zero), 0, 255).astype(np.uint8)
    return quantised, np.asarray(scale, dtype=single), np.asarray(zero)


QUANTISATION: Mapping[str, Rule] = MappingProxyType(
    {"DequantizeLinear": _dequantize, "DynamicQuantizeLinear": _dynamic, "QuantizeLinear": _quantize}
)
"""By operator."""
