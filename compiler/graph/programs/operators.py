"""Operators as programs.

A softmax subtracts the mean of its arguments, not the largest of them: that is linear, and changes as little. The
larger of two numbers is half of their sum and of the absolute value of their difference, and that of many is found as
in a tournament.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import Parameters
from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.operators import (
    OPERATORS,
    Extremum,
    LogSoftmax,
    ReducedExtremum,
    Softmax,
    WindowExtremum,
)
from hecc.compiler.graph.programs.builder import ProgramBuilder
from hecc.runtime.reading import Reading

__all__ = [
    "EXP",
    "LOG",
    "Round",
    "Shares",
    "apply_operator",
    "extremum_rounds",
    "reduced_rounds",
    "shares",
    "window_rounds",
]

EXP = Primitive("exp", (), ARGUMENT)
LOG = Primitive("log", (), ARGUMENT)
RECIPROCAL = Primitive("reciprocal", (), ARGUMENT)
ABSOLUTE = Primitive("abs", (), ARGUMENT)


def apply_operator(build: ProgramBuilder, operator: Any, operands: Sequence[int], parameters: Parameters) -> int:
    """The operator of values of its shapes."""
    return _OPERATORS.of(operator)(build, operator, operands, parameters)


class Shares:
    """The parts of a softmax: the arguments less their mean, the sum of the exponentials, and each one's share."""

    def __init__(self, build: ProgramBuilder, x: int, axes: Sequence[int], mask: int | None = None) -> None:
        shape = build.shape(x)
        self.reduced = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
        size = math.prod(shape[axis] for axis in axes)
        mean = build.add([build.total(x, self.reduced)], [1 / size])
        self.below = build.add([x, mean], [1.0, -1.0])
        exponentials = build.function(EXP, self.below)
        if mask is not None:
            exponentials = build.multiply(exponentials, mask)
        self.sum = build.total(exponentials, self.reduced)
        self.shares = build.multiply(exponentials, build.function(RECIPROCAL, self.sum))


def shares(build: ProgramBuilder, operator: Softmax, x: int, parameters: Parameters) -> Shares:
    """The parts of a softmax operator."""
    mask = None
    if operator.mask is not None:
        mask = build.constant((np.asarray(parameters[operator.mask]) != 0).astype(np.float64))
    return Shares(build, x, operator.axes, mask)


def _softmax(build: ProgramBuilder, operator: Softmax, operands: Sequence[int], parameters: Parameters) -> int:
    return build.reshape(shares(build, operator, operands[0], parameters).shares, operator.out_shape)


def _log_softmax(build: ProgramBuilder, operator: LogSoftmax, operands: Sequence[int], _: Parameters) -> int:
    parts = Shares(build, operands[0], operator.axes)
    logarithm = build.function(LOG, parts.sum)
    return build.reshape(build.add([parts.below, logarithm], [1.0, -1.0]), operator.out_shape)


@dataclass(frozen=True)
class Round:
    """Two tensors of one shape that are compared, and how the gradients of both go back.

    Attributes
    ----------
    back
        Takes the gradients of ``first`` and ``second``; returns first that of what the round before makes, or of the
        first operand, and then those of further operands.
    """

    first: int
    second: int
    back: Callable[[ProgramBuilder, int, int], list[int]]


def _larger(build: ProgramBuilder, a: int, b: int, *, largest: bool) -> int:
    distance = build.function(ABSOLUTE, build.add([a, b], [1.0, -1.0]))
    return build.add([a, b, distance], [0.5, 0.5, 0.5 if largest else -0.5])


def _against_constant(
    build: ProgramBuilder, rounds: list[Round], x: int, constant: NDArray[np.float64], *, largest: bool
) -> int:
    """One more round, against numbers."""
    other = build.constant(np.broadcast_to(constant, build.shape(x)).copy())
    rounds.append(Round(x, other, lambda _, one, __: [one]))
    return _larger(build, x, other, largest=largest)


def _tournament(
    build: ProgramBuilder, x: int, places: NDArray[np.int64], *, largest: bool, least: float | None
) -> tuple[list[Round], int]:
    """The extremum of the elements in each row of an array of places, shape (results, candidates)."""
    rounds: list[Round] = []
    shape = build.shape(x)
    values, candidates, found = x, places.shape[1], shape
    columns = places
    while candidates > 1:
        half = (candidates + 1) // 2
        pair = columns[:, :half], columns[:, np.minimum(np.arange(half) + half, candidates - 1)]
        first, second = (build.pick(values, each, each.shape) for each in pair)
        rounds.append(Round(first, second, _gathered(pair, found)))
        values = _larger(build, first, second, largest=largest)
        found = pair[0].shape
        columns = np.arange(found[0] * half).reshape(found[0], half)
        candidates = half
    if not rounds:
        # A window of one pixel: the element that is compared with itself.
        first = build.pick(x, places, places.shape)
        rounds.append(Round(first, first, _gathered((places, places), shape)))
        values = first
    if least is not None:
        values = _against_constant(build, rounds, values, np.array(least), largest=largest)
    return rounds, values


def _gathered(
    pair: tuple[NDArray[np.int64], NDArray[np.int64]], shape: tuple[int, ...]
) -> Callable[[ProgramBuilder, int, int], list[int]]:
    def back(build: ProgramBuilder, one: int, two: int) -> list[int]:
        return [build.add([build.scatter(each, at, shape) for each, at in zip((one, two), pair, strict=True)])]

    return back


def extremum_rounds(
    build: ProgramBuilder, operator: Extremum, operands: Sequence[int], parameters: Parameters
) -> tuple[list[Round], int]:
    """The comparisons of tensors, one after the other, and the result."""
    rank = len(operator.out_shape)
    spread = []
    for x in operands:
        shape = build.shape(x)
        spread.append(build.spread(build.reshape(x, (*(1,) * (rank - len(shape)), *shape)), operator.out_shape))
    rounds: list[Round] = []
    found = spread[0]
    for other in spread[1:]:
        rounds.append(Round(found, other, lambda _, one, two: [one, two]))
        found = _larger(build, found, other, largest=operator.largest)
    for name in operator.constants:
        if name is not None:
            constant = np.asarray(parameters[name], dtype=np.float64)
            found = _against_constant(build, rounds, found, constant, largest=operator.largest)
    return rounds, found


def window_rounds(build: ProgramBuilder, operator: WindowExtremum, x: int) -> tuple[list[Round], int]:
    """The comparisons in windows, and the result."""
    shape = operator.in_shapes[0]
    places = np.arange(math.prod(shape)).reshape(shape)
    padded = np.pad(places, [(0, 0)] * 2 + [*operator.reach], constant_values=-1)
    windows = operator.windows(padded).reshape(math.prod(operator.out_shape), -1)
    # The padding never is the extremum: another pixel of the window stands for it.
    windows = np.where(windows < 0, windows.max(axis=1, keepdims=True), windows)
    return _tournament(build, x, windows, largest=operator.largest, least=operator.least)


def reduced_rounds(build: ProgramBuilder, operator: ReducedExtremum, x: int) -> tuple[list[Round], int]:
    """The comparisons along axes, and the result."""
    shape = operator.in_shapes[0]
    places = np.arange(math.prod(shape)).reshape(shape)
    kept = [axis for axis in range(len(shape)) if axis not in operator.axes]
    rows = places.transpose(*kept, *operator.axes).reshape(math.prod(operator.out_shape), -1)
    return _tournament(build, x, rows, largest=operator.largest, least=operator.least)


def _extremum(build: ProgramBuilder, operator: Extremum, operands: Sequence[int], parameters: Parameters) -> int:
    return extremum_rounds(build, operator, operands, parameters)[1]


def _window_extremum(build: ProgramBuilder, operator: WindowExtremum, operands: Sequence[int], _: Parameters) -> int:
    return build.reshape(window_rounds(build, operator, operands[0])[1], operator.out_shape)


def _reduced_extremum(build: ProgramBuilder, operator: ReducedExtremum, operands: Sequence[int], _: Parameters) -> int:
    return build.reshape(reduced_rounds(build, operator, operands[0])[1], operator.out_shape)


_OPERATORS: Reading[Callable[[ProgramBuilder, Any, Sequence[int], Parameters], int]] = Reading(
    "operators as programs",
    OPERATORS,
    {
        Extremum: _extremum,
        LogSoftmax: _log_softmax,
        ReducedExtremum: _reduced_extremum,
        Softmax: _softmax,
        WindowExtremum: _window_extremum,
    },
)
