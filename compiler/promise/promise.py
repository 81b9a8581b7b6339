"""The promise: how far off what a user reads may be, and how to tell of simulated results how far off they are.

A user reads numbers one by one, behind whatever the client computes from them. So every element of every output has a
*unit*, its own range over the calibration inputs, and an error is a part of that: a target of a millionth beside one of
a million, and a probability behind a softmax, are as precise as all others. Where an output ends in something that
jumps, such as the choice of a class, what it is chosen from counts; so it does ahead of a pole, such as a root of what
may be zero.

Inputs far from the calibration inputs have larger results, and errors in proportion. What counts of those is the error
relative to a range that is as many times larger as the results are.

The largest of some hundred errors that were drawn is smaller than the largest of a million: what is missing is added.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from hecc.compiler.graph.graph import Graph
from hecc.runtime.tail.epilogue import apply_steps, follow_step
from hecc.runtime.tail.step_kinds import Values
from hecc.runtime.tail.steps import (
    ArgMax,
    Columns,
    Constant,
    Couple,
    Elementwise,
    Hardmax,
    Labels,
    LogSoftmax,
    Normalize,
    Operator,
    Pick,
    Real,
    Recall,
    Reduce,
    Reshape,
    Sigmoid,
    Softmax,
    Sort,
    Step,
    Truncate,
    operands,
)
from hecc.runtime.tail.units import VANISHING, element_units, known_rows

__all__ = ["Measured", "Promise"]

Array: TypeAlias = NDArray[np.float64]

CANCELLED = 2.0**-50
"""An element behind the client's steps that is no more than this part of the largest is zero: it may be what double
precision leaves of a difference."""

TAIL = 4.0
"""Standard deviations by which the largest of a million errors exceeds the largest of some hundred.

Of Gaussian errors it is half of that; but they are larger on some inputs than on others."""

PROBE = 2.0**-16
"""Of the smallest unit: how large errors are that show what the client's steps make of them."""

PROBES = 256
"""Rows that errors are probed on."""

DELICATE = 8
"""Rows on which the client's steps make most of an error."""

LOOKED_AT = 128
"""Rows on which polynomials are tried, at the most."""

ROUNDING = 1e-9
"""By which part the error of a few rows may seem larger than that of the same rows among others."""

DRAWS = 8
"""Errors that are drawn for a row, to tell whether it is delicate."""


@dataclass(frozen=True, eq=False)
class Measured:
    """How precise simulated results are.

    Attributes
    ----------
    bits
        ``-log2`` of the largest error of an element over its unit; minus infinity where errors are beyond all numbers.
    worst
        The element, as ``name[index]``.
    far_bits
        The same on inputs far from the calibration inputs, relative to the ranges on the calibration inputs as well.
    spread_bits
        By how much the worst element is less precise than the typical one of its output.
    """

    bits: float
    worst: str
    far_bits: float
    spread_bits: float


@dataclass(frozen=True, eq=False)
class _Reading:
    """One output as the user reads it.

    Attributes
    ----------
    name, source
        The output, and the encrypted one that it is made of.
    shape
        Of one example, where it is measured.
    steps
        Of the client, up to where it is measured.
    expected
        Shape (rows, size).
    unit
        Of each element, shape (size,).
    reach
        How many times larger than on the calibration inputs the results of each row are, or this element of it, at
        least one; shape (rows, size).
    """

    name: str
    source: str
    shape: tuple[int, ...]
    steps: tuple[Step, ...]
    expected: Array
    unit: Array
    reach: Array

    def element(self, number: int) -> str:
        """An element's name, as a user would write it."""
        index = [str(i) for i in np.unravel_index(number, self.shape)] if math.prod(self.shape) > 1 else []
        return f"{self.name}[{', '.join(index)}]" if index else self.name


@dataclass(frozen=True, eq=False)
class Promise:
    """What the outputs of a network are on some inputs, and in what units errors count.

    Attributes
    ----------
    inputs
        By name, shape (rows, ...).
    near
        How many of the rows are calibration inputs; those behind them are far from them.
    encrypted
        What is decrypted, by the name of the encrypted output, shape (rows, size).
    shapes
        Of one example of each encrypted output.
    restored
        Steps that make an output of the network of what is encrypted in its place, by name.
    """

    readings: tuple[_Reading, ...]
    inputs: Mapping[str, Array]
    near: int
    encrypted: Mapping[str, Array]
    shapes: Mapping[str, tuple[int, ...]]
    restored: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph, calibration: Mapping[str, Array], far: Mapping[str, Array] | None = None) -> Promise:
        """For a network whose functions are the true ones.

        Parameters
        ----------
        graph
            The network, with the client's steps.
        calibration
            Inputs by name, shape (rows, ...).
        far
            Inputs that are far from these.
        """
        near = len(next(iter(calibration.values())))
        inputs = {name: np.concatenate([rows, far[name]]) if far else rows for name, rows in calibration.items()}
        values = graph.evaluate(inputs)
        shapes = {name: graph.example_shape(graph.node(name).output.shape) for name in graph.outputs}
        encrypted = {name: values[name] for name in graph.outputs}
        units = {name: element_units(values, near) for name, values in encrypted.items()}
        reach = np.max([_reach(values, units[name], near) for name, values in encrypted.items()], axis=0)
        readings = []
        for name, source in (graph.aliases or {name: name for name in graph.outputs}).items():
            steps = graph.epilogues.get(name, ())
            shape = _measurable(shapes[source], steps)
            if shape is None or not _steady(encrypted[source], shapes[source], steps):
                shape, steps = shapes[source], ()
            expected = _behind(encrypted[source], shapes[source], steps)
            unit = element_units(expected, near, CANCELLED if steps else VANISHING)
            farther = np.maximum(reach[:, np.newaxis], _farther(expected, unit, near))
            readings.append(_Reading(name, source, shape, steps, expected, unit, farther))
        return cls(tuple(readings), inputs, near, encrypted, shapes)

    def behind(self, restored: Mapping[str, tuple[Step, ...]], encrypted: Mapping[str, Array]) -> Promise:
        """The same where other values are encrypted, of which steps make the outputs."""
        return replace(self, restored=restored, encrypted={**self.encrypted, **encrypted})

    @cached_property
    def sensitivity(self) -> dict[str, float]:
        """For each encrypted output, the largest error of an element over its unit for a standard deviation of one.

        Small errors are drawn in its place and followed through the client's steps.
        """
        generator = np.random.default_rng(1)
        number = min(self.near, PROBES // 2)
        rows = np.arange(number).repeat(-(-PROBES // number))
        exact = {name: values[rows] for name, values in self.encrypted.items()}
        found = {}
        for name, values in exact.items():
            deviation = self._probe(name)
            noisy = values + generator.normal(0.0, deviation, values.shape)
            found[name] = 2.0 ** -self.measure({**exact, name: noisy}, rows).bits / deviation
        return found

    @cached_property
    def delicate_rows(self) -> NDArray[np.int64]:
        """The few calibration inputs on which the client's steps make most of an error; none where there are no steps.

        A softmax of large scores takes an error away from most rows, and multiplies it in the few where two scores are
        close together: those decide how precise it is.
        """
        readings = [reading for reading in self.readings if reading.steps]
        rows = np.arange(self.near if readings else 0)
        if len(rows) <= DELICATE:
            return rows
        generator = np.random.default_rng(2)
        largest = np.zeros(self.near)
        for _ in range(DRAWS):
            noisy = {
                name: values[rows] + generator.normal(0.0, self._probe(name), values[rows].shape)
                for name, values in self.encrypted.items()
            }
            for reading in readings:
                errors = self._errors(reading, noisy, rows) / reading.reach[rows]
                largest = np.maximum(largest, np.abs(errors).max(axis=1))
        return np.sort(np.argsort(-largest, kind="stable")[:DELICATE])

    def _probe(self, name: str) -> float:
        """The deviation of small errors of an encrypted output, to be followed through the client's steps."""
        return PROBE * float(element_units(self.encrypted[name], self.near).min())

    def error(self, values: Mapping[str, Array], rows: NDArray[np.int64]) -> float:
        """The largest error of an element over its unit.

        Parameters
        ----------
        values
            What is decrypted, by encrypted output, of shape (rows, size).
        rows
            Which of the promise's rows these are.
        """
        worst = 0.0
        for reading in self.readings:
            errors = self._errors(reading, values, rows) / reading.reach[rows]
            worst = max(worst, float(np.abs(errors).max()))
        return worst

    @property
    def looked_at(self) -> int:
        """Rows that polynomials are tried on, at the most."""
        return LOOKED_AT

    def at_least(self, error: float, number: int) -> float:
        """What the error of all rows is at the least, if it is that on so many of them."""
        return error * (1 - ROUNDING)

    def measure(self, values: Mapping[str, Array], rows: NDArray[np.int64]) -> Measured:
        """How precise results are that were computed with random errors.

        Parameters
        ----------
        values
            What is decrypted, by encrypted output, shape (rows, size).
        rows
            Which of the promise's rows these are, each at least twice.
        """
        far_rows = rows >= self.near
        error, worst, spread, far = -1.0, "", 0.0, 0.0
        for reading in self.readings:
            errors = self._errors(reading, values, rows)
            if not np.isfinite(errors).all():
                number = int(np.argmin(np.isfinite(errors).all(axis=0)))
                return Measured(-math.inf, reading.element(number), -math.inf, 0.0)
            largest = _largest(errors / reading.reach[rows], rows, self.near)
            number = int(np.argmax(largest))
            if largest[number] > error:
                error, worst = float(largest[number]), reading.element(number)
                spread = _bits(float(np.median(largest))) - _bits(error)
            if far_rows.any():
                far = max(far, float(_largest(errors[far_rows], rows[far_rows], self.near).max()))
        return Measured(_bits(error), worst, min(_bits(error), _bits(far)), spread)

    def _errors(self, reading: _Reading, values: Mapping[str, Array], rows: NDArray[np.int64]) -> Array:
        """Errors over units, shape (rows, size); where nothing finite is expected there is none."""
        source = reading.source
        restored = _behind(values[source], self.shapes[source], self.restored.get(source, ()))
        expected = reading.expected[rows]
        found = _behind(restored, self.shapes[source], reading.steps)
        with np.errstate(over="ignore", invalid="ignore"):
            errors = np.where(np.isfinite(expected), (found - expected) / reading.unit, 0.0)
        return np.where(np.isnan(errors), math.inf, errors)


def _largest(errors: Array, rows: NDArray[np.int64], near: int) -> Array:
    """The largest error of each element that is to be expected, shape (size,), from those that were drawn.

    The same row has the same error but for what is random: that tells how large this is, near and far.
    """
    deviations = np.zeros(errors.shape[1])
    for group in (rows < near, rows >= near):
        _, place, number = np.unique(rows[group], return_inverse=True, return_counts=True)
        if len(number):
            same = scipy.sparse.csr_array((1.0 / number[place], (place, np.arange(len(place)))))
            random = errors[group] - (same @ errors[group])[place]
            freedom = max(1, len(place) - len(number))
            deviations = np.maximum(deviations, np.sqrt(np.square(random).sum(axis=0) / freedom))
    return np.asarray(np.abs(errors).max(axis=0) + TAIL * deviations)


def _bits(error: float) -> float:
    return -math.log2(max(error, SMALLEST))


def _reach(values: Array, unit: Array, near: int) -> Array:
    """By how much farther from the middles of their ranges the elements of each row are, shape (rows,)."""
    away = np.median(_away(values, near) / unit, axis=1)
    return np.asarray(np.maximum(1.0, away / (float(away[: known_rows(near)].max()) or 1.0)))


def _farther(values: Array, unit: Array, near: int) -> Array:
    """By how much farther from the middle of its range each element is, shape (rows, size)."""
    away = _away(values, near)
    return np.asarray(np.maximum(1.0, away / np.maximum(away[: known_rows(near)].max(axis=0), unit / 2)))


def _away(values: Array, near: int) -> Array:
    """How far from the middle of its range each element is; what is not finite is nowhere."""
    values = np.where(np.isfinite(values), values, 0.0)
    known = values[: known_rows(near)]
    return np.asarray(np.abs(values - (known.max(axis=0) + known.min(axis=0)) / 2))


def _steady(values: Array, shape: tuple[int, ...], steps: Sequence[Step]) -> bool:
    """Whether small errors leave finite what is finite behind the steps: a root of zero does not."""
    unit = element_units(values, len(values)).min()
    off = np.random.default_rng(1).normal(0.0, PROBE * unit, (PROBES // 16, *values.shape))
    exact = np.isfinite(_behind(values, shape, steps))
    return all(bool((np.isfinite(_behind(values + each, shape, steps)) | ~exact).all()) for each in off)


def _behind(values: Array, shape: tuple[int, ...], steps: Sequence[Step]) -> Array:
    """Values behind the client's steps, shape (rows, size)."""
    if not steps:
        return values
    return np.asarray(apply_steps(values.reshape(-1, *shape), steps), dtype=np.float64).reshape(len(values), -1)


def _measurable(shape: tuple[int, ...], steps: Sequence[Step]) -> tuple[int, ...] | None:
    """The shape of what the steps make, if it is real numbers and small errors stay small; otherwise ``None``."""
    made, smooth = [Values(shape)], [True]
    for position, step in enumerate(steps):
        numbers = operands(step, position)
        made.append(follow_step(step, [made[number] for number in numbers]))
        jumps = step.operator in JUMPING if isinstance(step, Elementwise) else _JUMPS[type(step)]
        smooth.append(all(smooth[number] for number in numbers) and not jumps)
    return made[-1].shape if smooth[-1] and made[-1].kind == "real" else None


SMALLEST = 2.0**-1000
"""Stands for errors of zero in logarithms."""

JUMPING: frozenset[Operator] = frozenset(
    {
        "and",
        "ceil",
        "equal",
        "floor",
        "greater",
        "greater_equal",
        "less",
        "less_equal",
        "nonzero",
        "not",
        "or",
        "round",
        "sign",
        "xor",
    }
)
"""Operators that make large differences of small ones."""

_JUMPS: Mapping[type[Any], bool] = {
    Softmax: False,
    LogSoftmax: False,
    Sigmoid: False,
    Hardmax: True,
    Normalize: False,
    ArgMax: True,
    Sort: False,
    Couple: True,
    Truncate: True,
    Real: False,
    Reshape: False,
    Labels: True,
    Columns: False,
    Recall: False,
    Constant: False,
    Elementwise: False,
    Reduce: False,
    Pick: False,
}
"""The same of whole steps; of the elementwise ones the operator tells."""
