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
    _, shares, total = _exponentials(node, operator.axes, parts, operator.mask)
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


def _exponentials(
    node: OperatorNode, axes: tuple[int, ...], parts: Parts, mask: str | None = None
) -> tuple[Value, Value, Value]:
    """The deviations from the mean, their exponentials and the sum of these.

    The shares in the sum are those of the exponentials of the value itself, and they spread less. What a mask hides
    is left out of the mean, deviates by nothing, and has an exponential of zero.
    """
    name, value = node.output.name, parts.value(node.values[0])
    mean = average(value.shape, axes)
    count = int(np.prod([value.shape[axis] for axis in axes]))
    if mask is None:
        negative = compose(Scale.of(value.shape, parts.number(-1.0)), broadcast(mean.out_shape, value.shape))
        deviating = SumOfMaps.of(Reshape(value.shape, value.shape), compose(negative, mean))
    else:
        kept = np.asarray(parts.parameters[mask], dtype=np.float64)
        # Minus the mean of what is kept: the mean of all, with zeros in place of the rest, times all over the kept.
        share = parts.parameter(f"{mask}:mean", -count / kept.sum(axis=axes, keepdims=True))
        mean_kept = compose(Scale.of(mean.out_shape, share), compose(mean, Scale.of(value.shape, mask)))
        spread = compose(Scale.of(value.shape, mask), compose(broadcast(mean.out_shape, value.shape), mean_kept))
        deviating = SumOfMaps.of(Scale.of(value.shape, mask), spread)
    deviations = parts.affine(node.source, Value(parts.fresh(f"{name}:deviations"), value.shape), (value, deviating))
    shares = parts.function(node.source, "exp", deviations, f"{name}:exponentials")
    if mask is not None:
        shown = Value(parts.fresh(f"{name}:shown"), value.shape)
        shares = parts.affine(node.source, shown, (shares, Scale.of(value.shape, mask)))
    scaled = compose(Scale.of(mean.out_shape, parts.number(count)), mean) if count > 1 else mean
    total = parts.affine(node.source, Value(parts.fresh(f"{name}:sum"), mean.out_shape), (shares, scaled))
    return deviations, shares, total
