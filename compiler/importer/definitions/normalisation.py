"""Normalisation by statistics of the encrypted data itself: a product with a fitted power of a sum of squares.

The power, ``(s + epsilon)^-1/2`` and its like, is one function of one number for each group that is normalised; it is
repeated over the group before it is evaluated (:mod:`hecc.passes.graph.selections`).
"""

from __future__ import annotations

import math

from hecc.compiler.graph.affine import AffineMap, Reshape, Scale, SumOfMaps, compose
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.scope import Constant
from hecc.compiler.importer.definitions.arithmetic import multiply
from hecc.compiler.importer.definitions.functions import define_function
from hecc.compiler.importer.definitions.maps import average, broadcast

__all__ = ["deviations", "divided", "normalised", "over", "scaled_and_shifted", "shifted"]


def over(call: Call, value: Value, axes: tuple[int, ...], name: str, *, total: bool = False) -> Value:
    """Define the mean, or the sum, of a value over some axes, which keep extent one."""
    mean = average(value.shape, axes)
    result = Value(call.scope.fresh(f"{call.name}:{name}"), mean.out_shape)
    count = math.prod(value.shape[axis] for axis in axes)
    scaled = compose(Scale.of(mean.out_shape, call.number(count)), mean) if total and count > 1 else mean
    call.affine(result, (value, scaled))
    return result


def deviations(call: Call, value: Value, axes: tuple[int, ...]) -> Value:
    """Define the value less its mean over some axes."""
    mean = average(value.shape, axes)
    negative = compose(Scale.of(value.shape, call.number(-1.0)), broadcast(mean.out_shape, value.shape))
    result = Value(call.scope.fresh(f"{call.name}:deviations"), value.shape)
    identity: AffineMap = Reshape(value.shape, value.shape)
    call.affine(result, (value, SumOfMaps.of(identity, compose(negative, mean))))
    return result


def divided(call: Call, value: Value, divisor: Value, exponent: float, output: str | None = None) -> Value:
    """Define ``value * divisor^-exponent``, the divisor repeated along the axes where its extent is one."""
    power = define_function(call, "power", divisor, f"{call.name}:power", exponent=-exponent)
    return multiply(call, value, power, output)


def shifted(call: Call, value: Value, constant: float) -> Value:
    """Define a value plus a number."""
    result = Value(call.scope.fresh(f"{call.name}:shifted"), value.shape)
    call.affine(result, (value, Reshape(value.shape, value.shape)), bias=call.number(constant))
    return result


def normalised(
    call: Call, value: Value, axes: tuple[int, ...], epsilon: float, *, centred: bool, output: str | None = None
) -> tuple[Value, Value]:
    """Define a value, less its mean if it is to be centred, over the root of its mean square plus epsilon.

    Returns
    -------
    normal, reciprocal
        The quotient, and one over the root.
    """
    deviating = deviations(call, value, axes) if centred else value
    square = call.square(deviating, f"{call.name}:square")
    mean_square = shifted(call, over(call, square, axes, "mean square"), epsilon)
    reciprocal = define_function(call, "power", mean_square, f"{call.name}:reciprocal root", exponent=-0.5)
    return multiply(call, deviating, reciprocal, output), reciprocal


def scaled_and_shifted(
    call: Call, value: Value, scale: Constant, bias: Constant | None, shape: tuple[int, ...] | None = None
) -> None:
    """Define the output as a value times a constant, plus another; in ``shape``, if given, they broadcast to it."""

    def parameter(constant: Constant) -> str:
        array = constant.array if shape is None else constant.array.reshape(shape)
        if call.broadcast(value.shape, array.shape) != value.shape:
            raise call.fault(f"its '{constant.name}' does not broadcast to its input")
        call.parameter(constant)
        return call.parameter(constant, ":spread", array)

    shift = None if bias is None else parameter(bias)
    call.affine(Value(call.name, value.shape), (value, Scale.of(value.shape, parameter(scale))), bias=shift)
