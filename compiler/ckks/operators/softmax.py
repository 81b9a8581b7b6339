"""Softmax: exponentials over their sum, or shares that are won in a tournament.

The reciprocal of a sum of exponentials is followed by polynomials only as long as the sum does not change much: one of
degree d on an interval whose ends have the ratio r errs by about ``exp(-2 d / sqrt(r))``. Where the numbers lie apart
by more than some units, the sum of one row is a thousand times that of another, and no polynomial does.

Then the numbers meet in pairs. Of two numbers the first one's share is ``sigmoid(a - b)``, and the logarithm of the sum
of their exponentials is ``b + softplus(a - b)``, with which the pair goes on to the next round; a share of all is the
product of the shares in every round. Both functions are bounded or nearly linear, and polynomials for them take a level
more when the interval is twice as wide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.ckks.operators.parts import Parts
from hecc.compiler.ckks.operators.tournament import ABSENT, Round, Sums, define
from hecc.compiler.graph.affine import Reshape, Scale, SumOfMaps, compose
from hecc.compiler.graph.nodes import OperatorNode, ProductNode, Source, Value
from hecc.compiler.graph.operators import LogSoftmax, Softmax
from hecc.compiler.importer.definitions.maps import average, broadcast

__all__ = ["Spread", "log_softmax", "softmax"]


BITS = 8
"""Of precision that levels are compared for."""

MARGIN = 1.4
"""By how much intervals are wider than what calibration inputs show, about."""

MOST = 255
"""The degree of the largest polynomial; two in a row, which do for degrees of a few thousand, take :data:`DEEPEST`."""

LARGEST, DEEPEST = 4000, 12


@dataclass(frozen=True)
class Spread:
    """How far apart the numbers of a softmax lie on the calibration inputs.

    Attributes
    ----------
    numbers
        Largest difference between two of them.
    sums
        Logarithm of the largest sum of their exponentials less that of the smallest, where each is taken relative to
        the mean of the numbers.
    """

    numbers: float
    sums: float

    @classmethod
    def of(cls, values: NDArray[np.float64], axes: tuple[int, ...]) -> Spread:
        """Of values of shape (rows, *shape), along some axes of the shape."""
        along = tuple(axis + 1 for axis in axes)
        largest = values.max(axis=along, keepdims=True)
        total = np.log(np.exp(values - largest).sum(axis=along, keepdims=True)) + largest
        relative = total - values.mean(axis=along, keepdims=True)
        return cls(float(np.ptp(values, axis=along).max()), float(np.ptp(relative)))

    def plays(self, count: int) -> bool:
        """Whether a tournament of so many numbers takes fewer levels than the reciprocal of a sum."""
        return count > 1 and self._tournament(count) < self._reciprocal()

    def _tournament(self, count: int) -> int:
        # A sigmoid has its nearest poles at i pi above and below zero.
        degree = BITS * math.log(2) / math.log1p(math.pi / max(MARGIN * self.numbers, 1e-9))
        return (count - 1).bit_length() * (1 + _levels(degree)) + 1

    def _reciprocal(self) -> float:
        degree = BITS * math.log(2) / 2 * math.exp(min(MARGIN * self.sums, 100.0) / 2)
        if degree > LARGEST:
            return math.inf
        return _levels(MARGIN * self.numbers) + 1 + (_levels(degree) if degree <= MOST else DEEPEST) + 1


def _levels(degree: float) -> int:
    return max(1, math.ceil(math.log2(degree + 1)))


def softmax(node: OperatorNode, operator: Softmax, parts: Parts, spread: Spread | None = None) -> None:
    """Exponentials, times the reciprocal of their sum; or a tournament, where ``spread`` says that it is shallower."""
    count = math.prod(operator.in_shapes[0][axis] for axis in operator.axes)
    if spread is not None and operator.mask is None and spread.plays(count):
        _shares(node, operator.axes, parts)
        return
    _, shares, total = _exponentials(node, operator.axes, parts, operator.mask)
    power = parts.function(node.source, "power", total, f"{node.output.name}:power", exponent=-1.0)
    if power.shape != shares.shape:
        repeated = Value(parts.fresh(f"{node.output.name}:right"), shares.shape)
        power = parts.affine(node.source, repeated, (power, broadcast(power.shape, shares.shape)))
    parts.define(ProductNode(node.output, node.source, shares.name, power.name))


def _shares(node: OperatorNode, axes: tuple[int, ...], parts: Parts) -> None:
    """The products of the shares that each number wins in the rounds of a tournament."""
    source, name, value = node.source, node.output.name, parts.value(node.values[0])
    shape = value.shape
    count = math.prod(shape[axis] for axis in axes)
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    # Each number's column, and where in the column it is.
    order = np.arange(value.size).reshape(shape).transpose(*axes, *kept).reshape(count, -1)
    column, place = np.empty(value.size, dtype=np.int64), np.empty(value.size, dtype=np.int64)
    column[order] = np.arange(count)[:, np.newaxis]
    place[order] = np.arange(order.shape[1])[np.newaxis]
    rest = tuple(shape[axis] for axis in kept)
    sums, columns, number = Sums.of([value], None), order.reshape(count, *rest), 1
    shares: Value | None = None
    while len(columns) > 1:
        own, flat = column >> (number - 1), columns.reshape(len(columns), -1)
        met = (own ^ 1) < len(columns)
        lead = Value(parts.fresh(f"{name}:lead {number}"), shape)
        mine = sums.at(np.where(met, flat[own, place], ABSENT))
        other = sums.at(np.where(met, flat[np.where(met, own ^ 1, own), place], ABSENT))
        define(source, lead, [(mine, 1.0), (other, -1.0)], parts)
        won = parts.function(source, "sigmoid", lead, f"{name}:won {number}")
        if not met.all():
            won = _alone(source, won, met.reshape(shape), parts)
        last = len(columns) == 2
        if shares is None:
            shares = won
        else:
            product = node.output if last else Value(parts.fresh(f"{name}:shares {number}"), shape)
            shares = parts.define(ProductNode(product, source, shares.name, won.name))
        if not last:
            drawn = Round.of(columns)
            difference = Value(parts.fresh(f"{name}:difference {number}"), drawn.first.shape)
            define(source, difference, [(sums.at(drawn.first), 1.0), (sums.at(drawn.second), -1.0)], parts)
            beyond = parts.function(source, "softplus", difference, f"{name}:beyond {number}")
            sums = sums.at(drawn.through).plus(beyond.name, drawn.gains, 1.0)
            columns = drawn.winners
        else:
            columns = columns[:1]
        number += 1
    assert shares is not None, "there are two numbers at least"
    if shares.name != node.output.name:
        parts.affine(source, node.output, (shares, Reshape(shape, shape)))


def _alone(source: Source, won: Value, met: NDArray[np.bool_], parts: Parts) -> Value:
    """Shares in a round in which those without an opponent win all there is."""
    taking = parts.parameter(f"{won.name}:met", met.astype(np.float64))
    alone = parts.parameter(f"{won.name}:alone", (~met).astype(np.float64))
    output = Value(parts.fresh(f"{won.name}:all"), won.shape)
    return parts.affine(source, output, (won, Scale.of(won.shape, taking)), bias=alone)


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
