"""Quantised layers, in real numbers: a network that was made for small integers, on encrypted data.

Encrypted numbers are real, and rounding is no polynomial. So quantised weights become the numbers that they stand for,
and what is quantised inside a network is scaled, shifted and kept within the range of its type, but not rounded: it is
off by up to half a step, towards what the network computed before it was quantised. A warning says so. At the end of a
network the client rounds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.expansion.writing import Writer
from hecc.compiler.importer.folding.quantisation import spread

__all__ = [
    "write_conv_integer",
    "write_dequantize",
    "write_dynamic",
    "write_matmul_integer",
    "write_qlinear_conv",
    "write_qlinear_matmul",
    "write_quantize",
]

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

RANGES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "int2": (-2, 1),
        "int4": (-8, 7),
        "int8": (-128, 127),
        "int16": (-(1 << 15), (1 << 15) - 1),
        "uint2": (0, 3),
        "uint4": (0, 15),
        "uint8": (0, 255),
        "uint16": (0, (1 << 16) - 1),
    }
)
"""The smallest and the largest number of each type."""


def write_quantize(writer: Writer) -> bool:
    """``x / scale + zero point``, kept within the range of the type; rounded at the end of a network only."""
    call = Call.of(writer.scope, writer.node)
    if not _encrypted(call):
        return False
    scale, zero, kind = _scale(call, 1, call.value(0))
    _quantized(writer, call, writer.node.input[0], scale, zero, kind)
    return True


def write_dequantize(writer: Writer) -> bool:
    """``(x - zero point) scale``."""
    call = Call.of(writer.scope, writer.node)
    if not _encrypted(call):
        return False
    scale, zero, _ = _scale(call, 1, call.value(0))
    writer.add("Mul", _less(writer, writer.node.input[0], zero), _number(writer, scale), output=call.name)
    return True


def write_dynamic(writer: Writer) -> bool:
    """The numbers themselves, with a step of one: the range of encrypted data is not known, and not needed."""
    if not _encrypted(Call.of(writer.scope, writer.node)):
        return False
    quantised, scale, zero = [*writer.node.output, "", ""][:3]
    _tell(writer)
    writer.add("Identity", writer.node.input[0], output=quantised)
    if scale:
        writer.constant(np.ones((), np.float32), output=scale)
    if zero:
        writer.constant(np.zeros((), np.float32), output=zero)
    return True


def write_conv_integer(writer: Writer) -> bool:
    """A convolution of what is above the zero points."""
    call = Call.of(writer.scope, writer.node)
    if not _encrypted(call):
        return False
    data = _less(writer, writer.node.input[0], _zero(call, 2))
    weight = _weight(call, 1, 3, np.ones(()), 0)
    writer.add("Conv", data, _number(writer, weight), output=call.name, **_attributes(writer))
    return True


def write_matmul_integer(writer: Writer) -> bool:
    """A product of what is above the zero points."""
    call = Call.of(writer.scope, writer.node)
    if not _encrypted(call):
        return False
    data = _less(writer, writer.node.input[0], _zero(call, 2))
    weight = _weight(call, 1, 3, np.ones(()), -1)
    writer.add("MatMul", data, _number(writer, weight), output=call.name)
    return True


def write_qlinear_conv(writer: Writer) -> bool:
    """A convolution of the numbers that are meant, quantised again."""
    call = Call.of(writer.scope, writer.node)
    if not _encrypted(call):
        return False
    step, factor = _floats(call, 1), _floats(call, 4)
    data = writer.add(
        "Mul", _less(writer, writer.node.input[0], _zero(call, 2)), _number(writer, np.asarray(step).reshape(()))
    )
    inputs = [data, _number(writer, _weight(call, 3, 5, factor, 0))]
    if call.optional(8) is not None:
        inputs.append(_number(writer, call.constant(8).array * step.reshape(()) * factor))
    result = writer.add("Conv", *inputs, **_attributes(writer))
    zero = _zero(call, 7)
    _quantized(writer, call, result, _floats(call, 6).reshape(()), zero, call.constant(7).array.dtype.name)
    return True


def write_qlinear_matmul(writer: Writer) -> bool:
    """A product of the numbers that are meant, quantised again."""
    call = Call.of(writer.scope, writer.node)
    if not _encrypted(call):
        return False
    data = writer.add("Mul", _less(writer, writer.node.input[0], _zero(call, 2)), _number(writer, _floats(call, 1)))
    result = writer.add("MatMul", data, _number(writer, _weight(call, 3, 5, _floats(call, 4), -1)))
    _quantized(writer, call, result, _floats(call, 6), _zero(call, 7), call.constant(7).array.dtype.name)
    return True


def _encrypted(call: Call) -> bool:
    """Whether a node acts on encrypted data, which then has to be its first input."""
    if not any(isinstance(operand, Value) for operand in call.operands):
        return False
    call.value(0)
    return True


def _quantized(writer: Writer, call: Call, name: str, scale: Array, zero: Array, kind: str) -> None:
    if kind not in RANGES:
        raise call.refuse(f"quantising to {kind} rounds, which is not a polynomial", "quantise to 8 bits")
    if not bool((scale > 0).all()):
        raise call.fault("its scale is not positive")
    result = writer.add("Mul", name, _number(writer, 1.0 / scale))
    if call.name in _outputs(writer):
        result = writer.add("Round", result)
    else:
        _tell(writer)
    if zero.any():
        result = writer.add("Add", result, _number(writer, zero))
    writer.add("Identity", writer.clipped(result, *RANGES[kind]), output=call.name)


def _tell(writer: Writer) -> None:
    """Say once for a model that nothing is rounded."""
    nodes = writer.scope.model.graph.node
    rounding = [node for node in nodes if node.op_type in ROUNDING and not node.domain]
    first = next((node for node in rounding if node.output[0] not in _outputs(writer)), writer.node)
    if writer.node.output[0] == first.output[0] and not writer.scope.batch.made_up:
        log.warning(
            "%s '%s' and others like it round to whole steps, which encrypted data are not: results differ by about "
            "half a step from those of the quantised network, towards those before it was quantised",
            writer.node.op_type,
            writer.node.name or writer.node.output[0],
        )


ROUNDING = frozenset({"DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "QuantizeLinear"})


def _outputs(writer: Writer) -> set[str]:
    return {item.name for item in writer.scope.model.graph.output}


def _number(writer: Writer, array: Any) -> str:
    return writer.constant(np.asarray(array, dtype=np.float32))


def _less(writer: Writer, name: str, zero: Array) -> str:
    return writer.add("Sub", name, _number(writer, zero)) if zero.any() else name


def _floats(call: Call, index: int) -> Array:
    return call.constant(index).array.astype(np.float64)


def _zero(call: Call, index: int) -> Array:
    """A zero point: zero where it is left out."""
    return np.zeros(()) if call.optional(index) is None else _floats(call, index)


def _scale(call: Call, index: int, value: Value) -> tuple[Array, Array, str]:
    """Scale and zero point as they apply to a value, and the type of what is quantised."""
    like = np.broadcast_to(np.float32(0), call.scope.batch.whole(value.shape))
    scale = spread(call, _floats(call, index), like)
    wanted = call.attribute("output_dtype", 0)
    kind = helper.tensor_dtype_to_np_dtype(wanted or onnx.TensorProto.UINT8).name
    if call.optional(index + 1) is None:
        return scale, np.zeros(()), kind
    given = call.constant(index + 1)
    return scale, spread(call, _floats(call, index + 1), like), given.array.dtype.name


def _weight(call: Call, index: int, zero: int, scale: Array, axis: int) -> Array:
    """The numbers that a quantised weight stands for; scale and zero point may be one for each place of an axis."""
    weight = _floats(call, index)

    def along(numbers: Array) -> Array:
        if numbers.size == 1 or numbers.ndim != 1:
            return numbers.reshape(()) if numbers.size == 1 else numbers
        shape = [1] * weight.ndim
        shape[axis] = numbers.size
        return numbers.reshape(shape)

    return np.asarray((weight - along(_zero(call, zero))) * along(scale))


def _attributes(writer: Writer) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in writer.node.attribute}
