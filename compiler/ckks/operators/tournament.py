"""Knock-out tournaments: n numbers meet in ceil(log2 n) rounds, those of all pairs at once.

What is left of a pair is a sum: of the second number, and of what a function of the difference makes of the first one's
lead. With a rectifier that is the larger number, with a softplus the logarithm of the sum of their exponentials. The
differences of all pairs lie in one tensor, behind one another along the channels, so that a round is one affine map and
one function. What is left is no value of its own: the differences of the next round are taken of the sums, which saves
a level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.ckks.operators.parts import Parts
from hecc.compiler.graph.affine import AffineMap, Scale, SumOfMaps, compose
from hecc.compiler.graph.nodes import Source, Value
from hecc.compiler.importer.definitions.maps import select

__all__ = ["ABSENT", "Ids", "Round", "Sums", "define"]

Ids = NDArray[np.int64]
"""Positions in a vector; :data:`ABSENT` where there is nothing."""

ABSENT = -1


class Sums:
    """A vector of numbers, each the sum of a constant and of one element at the most of each of several values."""

    def __init__(self, picks: dict[str, Ids], signs: dict[str, float], constant: NDArray[np.float64]) -> None:
        self.picks, self.signs, self.constant = picks, signs, constant

    @classmethod
    def of(cls, values: Sequence[Value], constant: NDArray[np.float64] | None) -> Sums:
        """The elements of values, one behind the other, and those of a constant."""
        sizes = [value.size for value in values] + ([] if constant is None else [constant.size])
        total, start = sum(sizes), 0
        picks: dict[str, Ids] = {}
        for value in values:
            picks[value.name] = np.full(total, ABSENT)
            picks[value.name][start : start + value.size] = np.arange(value.size)
            start += value.size
        known = np.zeros(total)
        if constant is not None:
            known[start:] = constant.reshape(-1)
        return cls(picks, dict.fromkeys(picks, 1.0), known)

    def at(self, ids: Ids) -> Sums:
        """Those at some positions; where there is none, nothing is added up."""
        there = ids >= 0
        picks = {name: np.where(there, each[ids], ABSENT) for name, each in self.picks.items()}
        return Sums(picks, self.signs, np.where(there, self.constant[ids], 0.0))

    def plus(self, name: str, picked: Ids, sign: float) -> Sums:
        """The same, with an element of one value more."""
        return Sums({**self.picks, name: picked}, {**self.signs, name: sign}, self.constant)


@dataclass(frozen=True)
class Round:
    """Who meets whom, and who is left.

    Attributes
    ----------
    first, second
        Positions of the numbers that are compared, of all pairs behind one another; of both or of none.
    through
        Of each number that is left the position: of a pair the second, to which comes what the first exceeds it by.
    gains
        Where among the pairs that is.
    winners
        The columns of the next round: positions in ``through``.
    """

    first: Ids
    second: Ids
    through: Ids
    gains: Ids
    winners: Ids

    @classmethod
    def of(cls, columns: Ids) -> Round:
        """Neighbouring columns meet; the last one of an odd number goes through."""
        number, shape = len(columns) // 2, columns.shape[1:]
        first, second = _stacked(columns[: 2 * number : 2]), _stacked(columns[1 : 2 * number : 2])
        met = (first >= 0) & (second >= 0)
        left, alone = np.where(second >= 0, second, first), columns[2 * number :].reshape(-1)
        through = np.concatenate([left.reshape(-1), alone])
        gains = np.where(met.reshape(-1), np.arange(met.size), ABSENT)
        gains = np.concatenate([gains, np.full(alone.size, ABSENT)])
        order = np.where(through >= 0, np.arange(through.size), ABSENT)
        pairs = _unstacked(order[: met.size].reshape(met.shape), number, shape)
        winners = np.concatenate([pairs, order[met.size :].reshape(-1, *shape)])
        return cls(np.where(met, first, ABSENT), np.where(met, second, ABSENT), through, gains, winners)


def _stacked(columns: Ids) -> Ids:
    """Columns behind one another along the channels, axis 1, if the result has such an axis."""
    if columns.ndim == 1:
        return columns
    return np.concatenate(list(columns), axis=_channels(columns.shape[1:]))


def _unstacked(stacked: Ids, number: int, shape: tuple[int, ...]) -> Ids:
    """The columns, each of one shape, that were stacked."""
    if not shape:
        return stacked
    return np.stack(np.split(stacked, number, axis=_channels(shape)))


def _channels(shape: tuple[int, ...]) -> int:
    return min(1, len(shape) - 1)


def define(source: Source, output: Value, summands: Sequence[tuple[Sums, float]], parts: Parts) -> None:
    """Define a weighted sum of sums of elements as one affine map of each value."""
    shape = output.shape
    maps: dict[str, list[AffineMap]] = {}
    for sums, sign in summands:
        for name, picked in sums.picks.items():
            if bool((picked >= 0).any()):
                selection = select(parts.value(name).shape, picked.reshape(shape))
                factor = sign * sums.signs[name]
                scaled = selection if factor == 1 else compose(Scale.of(shape, parts.number(factor)), selection)
                maps.setdefault(name, []).append(scaled)
    constant = np.sum([sign * sums.constant.reshape(shape) for sums, sign in summands], axis=0)
    bias = parts.parameter(f"{output.name}:constant", constant) if constant.any() else None
    parts.affine(source, output, *((parts.value(name), SumOfMaps.of(*each)) for name, each in maps.items()), bias=bias)
