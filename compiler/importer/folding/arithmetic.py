"""Elementwise arithmetic, comparisons and logic of constants, in the types of ONNX.

Integers wrap around, their quotients are truncated, and their powers are those of double precision. Real numbers are
computed in double precision and rounded once, which for float32 and float16 is what hardware does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from hecc.compiler.importer.building.call import Call

__all__ = ["ELEMENTWISE", "is_real", "present", "rounded", "widened"]

Array = NDArray[Any]
Arrays = Sequence[Array | None]
Rule = Callable[[Call, Arrays], Array]


def is_real(array: Array) -> bool:
    """Whether an array holds real numbers; numpy does not count the shortest types of ONNX among them."""
    return array.dtype.kind == "f" or array.dtype.name.startswith(("bfloat", "float"))


def widened(array: Array) -> Array:
    """Real numbers in double precision, others as they are."""
    return array.astype(np.float64) if is_real(array) else array


def rounded(array: Any, like: Array) -> Array:
    """A result in the type of an operand."""
    return np.asarray(array).astype(like.dtype)


def present(operands: Arrays) -> list[Array]:
    """The operands that are there."""
    return [array for array in operands if array is not None]


def alike(call: Call, operands: Arrays) -> list[Array]:
    """The operands that are there, which are of one type and broadcast together."""
    given = present(operands)
    if not given or len({array.dtype for array in given}) > 1:
        raise call.fault(f"its inputs hold {' and '.join(array.dtype.name for array in given) or 'nothing'}")
    call.broadcast(*(array.shape for array in given))
    return given


def _plain(function: Callable[..., Any]) -> Rule:
    """Of any number of operands, in their own type."""

    def rule(call: Call, operands: Arrays) -> Array:
        given = alike(call, operands)
        return rounded(function(*map(widened, given)), given[0])

    return rule


def _several(function: Callable[[Any, Any], Any]) -> Rule:
    """Of two operands at a time."""
    return _plain(lambda *operands: reduce(function, operands))


def _truth(function: Callable[..., Any]) -> Rule:
    def rule(call: Call, operands: Arrays) -> Array:
        given = alike(call, operands)
        return np.asarray(function(*given), dtype=np.bool_)

    return rule


def _divide(call: Call, operands: Arrays) -> Array:
    dividend, divisor = alike(call, operands)
    if is_real(dividend):
        return rounded(np.divide(widened(dividend), widened(divisor)), dividend)
    _refuse_zero(call, divisor)
    quotient = np.floor_divide(dividend, divisor)
    # Truncated, as in C: one more where the floor of a negative quotient is below it.
    return rounded(quotient + ((dividend % divisor != 0) & ((dividend < 0) != (divisor < 0))), dividend)


def _modulo(call: Call, operands: Arrays) -> Array:
    """The remainder has the sign of the divisor, or with ``fmod`` that of the dividend."""
    dividend, divisor = alike(call, operands)
    if is_real(dividend):
        if not call.attribute("fmod", 0):
            raise call.fault("it needs fmod=1 for real numbers")
    else:
        _refuse_zero(call, divisor)
    function = np.fmod if call.attribute("fmod", 0) else np.mod
    return rounded(function(widened(dividend), widened(divisor)), dividend)


def _power(call: Call, operands: Arrays) -> Array:
    # Of two types since opset 12.
    base, exponent = present(operands)
    call.broadcast(base.shape, exponent.shape)
    found = np.power(base.astype(np.float64), exponent.astype(np.float64))
    return found.astype(base.dtype) if is_real(base) else _integral(call, found, base.dtype)


def _refuse_zero(call: Call, divisor: Array) -> None:
    if bool((divisor == 0).any()):
        raise call.refuse("it divides an integer by zero", "remove the division by zero")


def _clip(call: Call, operands: Arrays) -> Array:
    """The bounds were attributes before opset 11."""
    data = present(operands)[0]
    if call.source.opset < 11:
        bounds = [call.attribute(name, 0.0) if name in call.attributes else None for name in ("min", "max")]
    else:
        bounds = [operands[i] if i < len(operands) else None for i in (1, 2)]  # type: ignore[misc]
    if data.dtype.kind == "f":
        # By default onnxruntime clips infinity to the largest number of the type.
        limits = np.finfo(data.dtype)
        bounds = [end if bound is None else bound for bound, end in zip(bounds, (limits.min, limits.max), strict=True)]
    low, high = (None if bound is None else rounded(bound, data) for bound in bounds)
    for bound in (low, high):
        if bound is not None and bound.size != 1:
            raise call.fault("its bounds are not scalars")
    found = data if low is None else np.maximum(data, low.reshape(()))
    return rounded(found if high is None else np.minimum(found, high.reshape(())), data)


def _where(call: Call, operands: Arrays) -> Array:
    condition, first, second = present(operands)
    alike(call, [first, second])
    call.broadcast(condition.shape, first.shape, second.shape)
    return rounded(np.where(condition, first, second), first)


def _infinite(call: Call, operands: Arrays) -> Array:
    (data,) = present(operands)
    found = np.zeros(data.shape, np.bool_)
    if call.attribute("detect_positive", 1):
        found |= data == np.inf
    if call.attribute("detect_negative", 1):
        found |= data == -np.inf
    return found


def _shrink(call: Call, operands: Arrays) -> Array:
    """Elements of a magnitude above ``lambd``, moved towards zero by ``bias``; zero in place of the others."""
    (data,) = present(operands)
    bound, bias = call.attribute("lambd", 0.5), call.attribute("bias", 0.0)
    wide = widened(data)
    return rounded(np.where(wide < -bound, wide + bias, np.where(wide > bound, wide - bias, 0)), data)


def _thresholded(call: Call, operands: Arrays) -> Array:
    (data,) = present(operands)
    return rounded(np.where(widened(data) > call.attribute("alpha", 1.0), data, 0), data)


def _shift(call: Call, operands: Arrays) -> Array:
    data, by = alike(call, operands)
    left = call.attribute("direction", "") == "LEFT"
    return rounded(np.left_shift(data, by) if left else np.right_shift(data, by), data)


def _cast(call: Call, operands: Arrays) -> Array:
    return _as(call, present(operands)[0], helper.tensor_dtype_to_np_dtype(call.attribute("to", 0)))


def _cast_like(call: Call, operands: Arrays) -> Array:
    data, like = present(operands)
    return _as(call, data, like.dtype)


PLAIN = frozenset(
    {
        onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16,
        onnx.TensorProto.BOOL, onnx.TensorProto.INT8, onnx.TensorProto.INT16, onnx.TensorProto.INT32,
        onnx.TensorProto.INT64, onnx.TensorProto.UINT8, onnx.TensorProto.UINT16, onnx.TensorProto.UINT32,
        onnx.TensorProto.UINT64,
    }
)  # fmt: skip
"""Types that a cast may make."""


def _as(call: Call, data: Array, kind: np.dtype[Any]) -> Array:
    """Truncated to an integer, rounded to a shorter real type; a truth value is whether it is not zero."""
    if helper.np_dtype_to_tensor_dtype(kind) not in PLAIN or data.dtype.kind in "OSU":
        raise call.refuse(
            f"hecc has no checked rule to cast a constant from {data.dtype.name} to {kind.name}",
            "store the weight in float32",
        )
    if kind.kind in "iu" and is_real(data):
        return _integral(call, widened(data), kind)
    return np.asarray(widened(data) != 0 if kind.kind == "b" else data.astype(kind))


def _integral(call: Call, data: Array, kind: np.dtype[Any]) -> Array:
    """Real numbers truncated; what a number beyond the type's range becomes depends on the processor."""
    limits = np.iinfo(kind)
    whole = np.trunc(data)
    # The largest integers of 64 bits are no double, but the power of two above them is.
    if not bool(((whole >= float(limits.min)) & (whole < float(limits.max) + 1.0)).all()):
        raise call.refuse(
            f"it turns a number into {kind.name} that this type cannot hold", "use numbers that the type can hold"
        )
    return whole.astype(kind)


ELEMENTWISE: Mapping[str, Rule] = MappingProxyType(
    {
        "Abs": _plain(np.abs),
        "Add": _plain(np.add),
        "And": _truth(np.logical_and),
        "BitShift": _shift,
        "BitwiseAnd": _plain(np.bitwise_and),
        "BitwiseNot": _plain(np.bitwise_not),
        "BitwiseOr": _plain(np.bitwise_or),
        "BitwiseXor": _plain(np.bitwise_xor),
        "Cast": _cast,
        "CastLike": _cast_like,
        "Ceil": _plain(np.ceil),
        "Clip": _clip,
        "Div": _divide,
        "Equal": _truth(np.equal),
        "Floor": _plain(np.floor),
        "Greater": _truth(np.greater),
        "GreaterOrEqual": _truth(np.greater_equal),
        "IsInf": _infinite,
        "IsNaN": _truth(np.isnan),
        "Less": _truth(np.less),
        "LessOrEqual": _truth(np.less_equal),
        "Max": _several(np.maximum),
        "Mean": _plain(lambda *operands: reduce(np.add, operands) / len(operands)),
        "Min": _several(np.minimum),
        "Mod": _modulo,
        "Mul": _plain(np.multiply),
        "Neg": _plain(np.negative),
        "Not": _truth(np.logical_not),
        "Or": _truth(np.logical_or),
        "Pow": _power,
        "Relu": _plain(lambda x: np.maximum(x, 0)),
        "Round": _plain(np.rint),
        "Shrink": _shrink,
        "Sign": _plain(np.sign),
        "Sub": _plain(np.subtract),
        "Sum": _several(np.add),
        "ThresholdedRelu": _thresholded,
        "Where": _where,
        "Xor": _truth(np.logical_xor),
    }
)
"""By operator; the first operand's type is the result's, but for casts, and truth values of comparisons."""
