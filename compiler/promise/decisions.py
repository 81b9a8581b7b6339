"""Decisions: what a user does with a network's outputs, and how many of them other outputs leave as they are.

Of scores the largest is the decision, of a single one whether it is above one half; of other numbers it is the number
itself, as far as one looks: a row agrees if none of them is off by more than a part of its range. Where right answers
are known what counts is how many of them are lost.

Rows that are looked at say little of others: they may be few, and the network may have been trained on them. So a row
counts only if it would be decided as before were its errors larger than they are, by a factor that grows as the
decisions become fewer that may be lost among the rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.graph import Graph
from hecc.runtime.plan.header import OutputSignature
from hecc.runtime.tail.epilogue import apply_steps
from hecc.runtime.tail.predictions import are_scores, classes
from hecc.runtime.tail.steps import Step
from hecc.runtime.tail.units import element_units

__all__ = ["Decisions", "score_outputs"]

Array: TypeAlias = NDArray[np.float64]

CLOSE = 2.0**-5
"""Part of its range by which a number may be off and still be read as the same."""

FEW = 3.0
"""How many times larger the errors of few rows are taken, for one decision that may be lost among all rows or less; it
falls with the square root of that number, as the uncertainty of a part does."""

SURER = 1.5
"""How many times larger they are taken at the least: a network is surer of the inputs that it was trained on, and often
those are what it is calibrated with. Of a network that lost 0.5% of the decisions on them 1.2% were lost on others."""

LOOKED_AT = 1024
"""Rows on which polynomials are tried, at the most."""

CERTAIN = 3.0
"""Standard deviations by which a few rows may be worse than all."""


class _Output(OutputSignature, frozen=True, kw_only=True):
    """One output of the network, as the client reads it."""

    name: str
    shape: tuple[int, ...]
    epilogue: tuple[Step, ...] = ()
    labels: tuple[str, ...] = ()


def score_outputs(graph: Graph) -> list[OutputSignature]:
    """The outputs of a network that are scores of classes."""
    return [output for output, _ in _outputs(graph) if are_scores(output)]


def _outputs(graph: Graph) -> list[tuple[_Output, str]]:
    """The outputs, and the encrypted one that each is made of."""
    return [
        (
            _Output(
                name=name,
                shape=graph.example_shape(graph.node(source).output.shape),
                epilogue=graph.epilogues.get(name, ()),
            ),
            source,
        )
        for name, source in (graph.aliases or {name: name for name in graph.outputs}).items()
    ]


@dataclass(frozen=True, eq=False)
class _Judged:
    """An output that is looked at.

    Attributes
    ----------
    output, source
        The output, and the encrypted one that it is made of.
    expected
        Of scores the classes, shape (rows,); else the numbers, shape (rows, size).
    unit
        Of each number; ``None`` of scores.
    """

    output: _Output
    source: str
    expected: NDArray[np.int64] | Array
    unit: Array | None

    def behind(self, encrypted: Array) -> NDArray[np.generic]:
        """What the client makes of what it decrypts, shape (rows, size); what has overflowed is not a number."""
        encrypted = np.where(np.isfinite(encrypted), encrypted, np.nan)
        found = apply_steps(encrypted.reshape(-1, *self.output.shape), self.output.epilogue)
        return found.reshape(len(encrypted), -1)

    def right(self, encrypted: Array, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which rows are decided as expected."""
        found = self.behind(encrypted)
        if self.unit is None:
            return np.asarray(classes(self.output, found) == self.expected[rows])
        with np.errstate(over="ignore", invalid="ignore"):
            off = np.abs(found.astype(np.float64) - self.expected[rows]) / self.unit
        return np.asarray((off <= CLOSE).all(axis=1))


@dataclass(frozen=True, eq=False)
class Decisions:
    """What a network decides on some inputs.

    Attributes
    ----------
    inputs
        By name, shape (rows, ...).
    encrypted
        What the network in clear computes where something is decrypted, by encrypted output, shape (rows, size).
    lost
        The part of decisions that may be lost.
    missed
        Which rows the network in clear gets wrong, shape (rows,); none where right answers are not known.
    """

    judged: tuple[_Judged, ...]
    inputs: Mapping[str, Array]
    encrypted: Mapping[str, Array]
    lost: float
    missed: NDArray[np.bool_]

    @classmethod
    def of(
        cls, graph: Graph, inputs: Mapping[str, Array], lost: float, truth: NDArray[np.int64] | None = None
    ) -> Decisions:
        """For a network whose functions are the true ones.

        Parameters
        ----------
        graph
            The network, with the client's steps.
        inputs
            By name, shape (rows, ...).
        lost
            The part of decisions that may be lost.
        truth
            The right class of each row, for a network with one output of scores; by default the network's own.
        """
        values = graph.evaluate(inputs)
        encrypted = {name: values[name] for name in graph.outputs}
        found = []
        for output, source in _outputs(graph):
            exact = apply_steps(encrypted[source].reshape(-1, *output.shape), output.epilogue)
            exact = exact.reshape(len(exact), -1)
            if are_scores(output):
                found.append(_Judged(output, source, classes(output, exact), None))
            elif exact.dtype.kind == "f":
                numbers = exact.astype(np.float64)
                found.append(_Judged(output, source, numbers, element_units(numbers, len(numbers))))
        # Where a network has scores, they are what it is for.
        scores = tuple(judged for judged in found if judged.unit is None)
        missed = np.zeros(len(next(iter(inputs.values()))), dtype=bool)
        if truth is not None and len(scores) == 1:
            missed = np.asarray(scores[0].expected != truth)
            scores = (replace(scores[0], expected=truth),)
        return cls(scores or tuple(found), inputs, encrypted, lost, missed)

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(next(iter(self.inputs.values())))

    @property
    def looked_at(self) -> int:
        """Rows that polynomials are tried on, at the most."""
        return LOOKED_AT

    @property
    def words(self) -> str:
        """What is decided, as a clause."""
        names = " and ".join(repr(judged.output.name) for judged in self.judged)
        if self.judged and self.judged[0].unit is None:
            return f"the class by {names}"
        return f"{names} to a {round(1 / CLOSE)}nd of {'its' if len(self.judged) == 1 else 'their'} range"

    def same(self, values: Mapping[str, Array], rows: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
        """Which rows are decided as by the network in clear, or rightly where the right answers are known.

        Parameters
        ----------
        values
            What is decrypted, by encrypted output, shape (rows, size).
        rows
            Which of the rows these are; by default all.
        """
        rows = np.arange(self.rows) if rows is None else rows
        right = [judged.right(values[judged.source], rows) for judged in self.judged]
        return np.asarray(np.logical_and.reduce(right))

    def error(self, values: Mapping[str, Array], rows: NDArray[np.int64]) -> float:
        """The part of decisions that would be lost if errors were somewhat larger."""
        factor = max(SURER, FEW / math.sqrt(1 + self.rows * self.lost))
        with np.errstate(over="ignore", invalid="ignore"):
            values = {
                name: exact[rows] + factor * (values[name] - exact[rows]) for name, exact in self.encrypted.items()
            }
        return max(0.0, float((~self.same(values, rows)).mean()) - float(self.missed[rows].mean()))

    def at_least(self, error: float, number: int) -> float:
        """What the error of all rows is at the least, if so many of them have this one."""
        return max(0.0, error - CERTAIN * math.sqrt(max(error * (1 - error), 1 / number) / number))
