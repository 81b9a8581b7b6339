"""Elementwise arithmetic of encrypted tensors and constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import AffineMap, Scale, compose
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.scope import Constant
from hecc.compiler.importer.definitions.maps import broadcast

__all__ = ["add_masked", "combine", "multiply", "powers", "scale"]


def combine(call: Call, summands: Sequence[tuple[Value | Constant, float]], output: str = "") -> Value:
    """Define the output, or a value on the way to it, as a sum of operands, each with a factor; they broadcast."""
    rank = max(len(operand.shape) for operand, _ in summands)
    summands = [
        (call.example(operand, rank) if isinstance(operand, Constant) else operand, factor)
        for operand, factor in summands
    ]
    shape = call.broadcast(*(operand.shape for operand, _ in summands))
    terms: list[tuple[Value, AffineMap]] = []
    constants: list[tuple[Constant, float]] = []
    for operand, factor in summands:
        if isinstance(operand, Value):
            spread = broadcast(operand.shape, shape)
            terms.append((operand, spread if factor == 1.0 else compose(Scale.of(shape, call.number(factor)), spread)))
        else:
            constants.append((operand, factor))
    result = Value(output or call.name, shape)
    call.affine(result, *terms, bias=_bias(call, constants))
    return result


def add_masked(call: Call, operands: Sequence[Value | Constant]) -> None:
    """Define the output as a sum, where constants, or values by a sum before, may be minus infinity in places.

    Such a mask is kept beside the value, for the softmax that reads it.
    """
    finite: list[Value | Constant] = []
    places: list[NDArray[np.bool_]] = []
    rank = max(len(operand.shape) for operand in operands)
    for operand in operands:
        if isinstance(operand, Value):
            finite.append(operand)
            if operand.name in call.scope.masked:
                places.append(call.scope.masked[operand.name])
            continue
        whole = call.example(operand, rank)
        hidden = np.isneginf(whole.array.astype(np.float64))
        if bool(hidden.any()):
            places.append(hidden)
            name = f"{whole.name}:unmasked"
            whole = Constant(name, np.where(hidden, np.zeros((), whole.array.dtype), whole.array))
        finite.append(whole)
    result = combine(call, [(operand, 1.0) for operand in finite])
    if places:
        shape = result.shape
        call.scope.masked[result.name] = np.logical_or.reduce([np.broadcast_to(one, shape) for one in places])


def _bias(call: Call, constants: Sequence[tuple[Constant, float]]) -> str | None:
    """The parameter that holds a sum of constants: the constant itself where it is only one."""
    if not constants:
        return None
    if len(constants) == 1:
        constant, factor = constants[0]
        if factor == 1.0:
            return call.parameter(constant)
        suffix = ":negated" if factor == -1.0 else f":times {factor:g}"
        return _derived(call, constant, suffix, constant.array * factor)
    for constant, _ in constants:
        call.parameter(constant)
    total = sum(
        (constant.array * factor for constant, factor in constants[1:]), constants[0][0].array * constants[0][1]
    )
    name = "+".join(constant.name for constant, _ in constants)
    return call.scope.parameter(name + ":sum", np.asarray(total, dtype=constants[0][0].array.dtype))


def scale(call: Call, value: Value, constant: Constant, *, reciprocal: bool = False) -> None:
    """Define the output as a value times a constant, or divided by it; they broadcast together."""
    shape = call.broadcast(value.shape, constant.shape)
    if not reciprocal:
        factor = call.parameter(constant)
    elif bool((constant.array == 0).any()):
        raise call.refuse(f"its constant '{constant.name}' holds a zero to divide by", "remove the division by zero")
    else:
        factor = _derived(call, constant, ":reciprocal", 1.0 / constant.array.astype(np.float64))
    call.affine(Value(call.name, shape), (value, compose(Scale.of(shape, factor), broadcast(value.shape, shape))))


def multiply(call: Call, left: Value, right: Value, output: str | None = None) -> Value:
    """Define the output, or an intermediate value, as the product of two encrypted tensors; they broadcast together."""
    if left == right:
        return call.square(left, output)
    shape = call.broadcast(left.shape, right.shape)

    def spread(value: Value, side: str) -> Value:
        if value.shape == shape:
            return value
        repeated = Value(call.scope.fresh(f"{call.name}:{side}"), shape)
        call.affine(repeated, (value, broadcast(value.shape, shape)))
        return repeated

    return call.product(spread(left, "left"), spread(right, "right"), output)


def powers(call: Call, base: Value, exponent: int, output: str | None = None) -> Value:
    """Define the output, or an intermediate value, as a power: ceil(log2(exponent)) products in a row."""
    known = {1: base}

    def raised(exponent: int, name: str | None = None) -> Value:
        if exponent not in known:
            # The largest power of two below, and the rest.
            high = 1 << (exponent - 1).bit_length() - 1
            left, right = (raised(part, f"{output or call.name}:{part}") for part in (high, exponent - high))
            known[exponent] = call.square(left, name) if left == right else call.product(left, right, name)
        return known[exponent]

    return raised(exponent, output)


def _derived(call: Call, constant: Constant, suffix: str, array: NDArray[Any]) -> str:
    """A parameter computed from a constant, in the precision in which it was computed."""
    call.parameter(constant)
    return call.parameter(constant, suffix, array)
