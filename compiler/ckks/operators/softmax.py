"""Softmax: exponentials over their sum, which polynomials can follow."""

from __future__ import annotations

import numpy as np

from hecc.compiler.ckks.operators.parts import Parts
from hecc.compiler.graph.affine import Reshape, Scale, SumOfMaps, compose
from hecc.compiler.graph.nodes import OperatorNode, ProductNode, Value
from hecc.compiler.graph.operators import LogSoftmax, Softmax
from hecc.compiler.importer.definitions.maps import average, broadcast

__all__ = ["log_softmax", "softmax"]


def softmax(node: OperatorNode, operator: Softmax, parts: Parts) -> None:
    """Exponentials, times the reciprocal of their sum."""
    _, shares, total = _exponentials(node, operator.axes, parts)
    power = parts.function(node.source, "power", total, f"{node.output.name}:power", exponent=-1.0)
    if power.shape != shares.shape:
        repeated = Value(parts.fresh(f"{node.output.name}:right"), shares.shape)
        power = parts.affine(node.source, repeated, (power, broadcast(power.shape, shares.shape)))
    parts.define(ProductNode(node.output, node.source, shares.name, power.name))


def log_softmax(node: OperatorNode, operator: LogSoftmax, parts: Parts) -> None:
    """The deviations, less the logarithm of the sum of their exponentials."""
    deviations, _, total = _exponentials(node, operator.axes, parts)
    shape = node.output.shape
    logarithm = parts.function(node.source, "log", total, f"{node.output.name}:log")
    negative = compose(Scale.of(shape, parts.number(-1.0)), broadcast(total.shape, shape))
    parts.affine(node.source, node.output, (deviations, Reshape(shape, shape)), (logarithm, negative))


def _exponentials(node: OperatorNode, axes: tuple[int, ...], parts: Parts) -> tuple[Value, Value, Value]:
    """The deviations from the mean, their exponentials and the sum of these.

    The shares in the sum are those of the exponentials of the value itself, and they spread less.
    """
    name, value = node.output.name, parts.value(node.values[0])
    mean = average(value.shape, axes)
    negative = compose(Scale.of(value.shape, parts.number(-1.0)), broadcast(mean.out_shape, value.shape))
    deviating = SumOfMaps.of(Reshape(value.shape, value.shape), compose(negative, mean))
    deviations = parts.affine(node.source, Value(parts.fresh(f"{name}:deviations"), value.shape), (value, deviating))
    shares = parts.function(node.source, "exp", deviations, f"{name}:exponentials")
    count = int(np.prod([value.shape[axis] for axis in axes]))
    scaled = compose(Scale.of(mean.out_shape, parts.number(count)), mean) if count > 1 else mean
    total = parts.affine(node.source, Value(parts.fresh(f"{name}:sum"), mean.out_shape), (shares, scaled))
    return deviations, shares, total
