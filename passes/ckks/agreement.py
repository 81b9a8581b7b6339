"""Agreement: polynomials for functions are chosen by decisions, on some inputs, and judged on others.

Of the calibration inputs a part is held back. The polynomials are fitted, and their degrees chosen, on the rest; what a
plan promises is what those did on the inputs held back. Where they do less than was asked for, the search is repeated
with a narrower aim, a few times at the most. Only the pipeline calls this; it is no pass itself.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.approximation.search import INTERRUPTED
from hecc.compiler.approximation.sine import reach
from hecc.compiler.ckks.imprecise import UndecidedError
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import (
    NODES,
    AffineNode,
    BootstrapNode,
    ChebyshevNode,
    FunctionNode,
    InputNode,
    OperatorNode,
    ProductNode,
    QuadraticNode,
    WindowSumNode,
)
from hecc.compiler.promise.decisions import Decisions
from hecc.passes.ckks.approximate import Approximated, Approximation
from hecc.runtime.ckks.plan.header import Agreement as AgreementFacts
from hecc.runtime.errors import CompileError
from hecc.runtime.figures import count_words
from hecc.runtime.reading import Reading

__all__ = ["METHODS", "Agreement", "rows_outside"]

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

FEWEST, LEAST_LOST = 40, 0.4
"""Calibration inputs at the least, and decisions that may be lost among them: with fewer there is no telling."""

ENOUGH = 100
"""With fewer none is held back: a few rows say nothing of one decision in a hundred."""

HELD_BACK = 0.3
"""Part of the calibration inputs."""

MOST_ROWS = 2000
"""That polynomials are fitted on; more are held back."""

SHARE = 0.5
"""Of the decisions that may be lost, what the polynomials may change on the inputs that they are chosen on: on others
it is more."""

AIMS = 3
"""Searches with a narrower aim, each half of the one before."""

METHODS = ("bounded",)
"""Of fits: the least largest error over an interval is no help where what counts is most of the rows."""

SEED = 14


class Agreement:
    """The decisions of a network on its calibration inputs, and what polynomials keep of them.

    Parameters
    ----------
    graph
        Canonical.
    calibration
        Inputs by name, shape (rows, ...).
    lost
        Part of the decisions that may be lost.
    truth
        The right class of each row; ``None`` where agreement with the network in clear counts.
    begun
        Degrees that another search found for each function, by its result, to go on from.

    Raises
    ------
    CompileError
        There are too few inputs to tell.
    """

    def __init__(
        self,
        graph: Graph,
        calibration: Mapping[str, Array],
        lost: float,
        truth: NDArray[np.int64] | None = None,
        begun: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        number = len(next(iter(calibration.values())))
        fewest = max(FEWEST, math.ceil(LEAST_LOST / lost))
        if number < fewest:
            raise CompileError(
                f"{count_words(number, 'calibration input')} do not tell whether {100 * (1 - lost):g} of 100 decisions "
                f"stay as they are; give at least {fewest} real inputs, better several times as many, allow a larger "
                "loss, or ask for a precision"
            )
        self._lost, self._begun = lost, begun
        chosen, held = _split(number)
        self.chosen = _decisions(graph, calibration, lost, truth, chosen)
        self._held = _decisions(graph, calibration, lost, truth, held) if len(held) else self.chosen
        self._labelled = truth is not None
        self._reached: AgreementFacts | None = None

    @property
    def facts(self) -> AgreementFacts:
        """What was reached, for the plan."""
        assert self._reached is not None, "polynomials are chosen before"
        return self._reached

    def polynomials(self, approximation: Approximation, levels: int, *, each: bool = True) -> Approximated:
        """The polynomials of the least depth that keep enough decisions.

        Parameters
        ----------
        approximation
            The functions of the graph, on the inputs :attr:`chosen`.
        levels
            That each polynomial may take, at the most.
        each
            Whether each may take fewer levels than others.

        Raises
        ------
        UndecidedError
            There are none.
        """
        alike = next(filter(self._surely, approximation.uniform(self._lost, levels)), None)
        if not each:
            if alike is None:
                raise self._undecided(approximation, levels)
            self._reached = self.kept(alike)
            return alike
        try:
            found = self._lowered(approximation, levels)
            if alike is None or found.levels < alike.levels:
                return found
        except UndecidedError:
            if alike is None:
                raise
        except KeyboardInterrupt:
            if alike is None:
                raise
            log.warning(INTERRUPTED)
        self._reached = self.kept(alike)
        return alike

    def _undecided(self, approximation: Approximation, levels: int) -> UndecidedError:
        """How near polynomials of as many levels each come."""
        deepest = approximation.alike(levels)
        return UndecidedError(1.0 if deepest is None else 1 - self.kept(deepest).kept, levels)

    def _lowered(self, approximation: Approximation, levels: int) -> Approximated:
        """Polynomials that were lowered one by one, the last of many that were just enough: so the aim is narrower."""
        aim, best, begun = SHARE * self._lost, 0.0, self._begun
        for _ in range(AIMS):
            found = approximation.deciding(aim, levels, begun)
            if self.accepts(found):
                return found
            best = max(best, self.facts.kept)
            aim, begun = aim / 2, None
        raise UndecidedError(1 - best, levels)

    def _surely(self, approximated: Approximated) -> bool:
        """Whether polynomials keep enough decisions on the inputs held back, where errors count as more than they are.

        Of polynomials that are all alike there are few to choose from: what they keep on the others is no accident.
        """
        held = self._held
        values = approximated.graph.evaluate(held.inputs)
        return held.error(values, np.arange(held.rows)) <= self._lost

    def accepts(self, approximated: Approximated) -> bool:
        """Whether polynomials keep enough decisions on the inputs held back; what they keep is what was reached."""
        self._reached = self.kept(approximated)
        return self._reached.kept >= 1 - self._lost

    def kept(self, approximated: Approximated) -> AgreementFacts:
        """What a network with polynomials does on the inputs held back."""
        held, graph = self._held, approximated.graph
        values = graph.evaluate(held.inputs)
        lost = float((~held.same(values)).mean()) - float(held.missed.mean())
        return AgreementFacts(
            kept=1 - lost,
            asked=1 - self._lost,
            rows=held.rows,
            held_back=held is not self.chosen,
            labelled=self._labelled,
            outside=int(rows_outside(graph, values).sum()),
            decided=held.words,
        )


def rows_outside(graph: Graph, values: Mapping[str, Array]) -> NDArray[np.bool_]:
    """Which rows leave the interval of a polynomial, or go so far that the sine of a bootstrap turns back.

    Parameters
    ----------
    values
        Of the graph, by name, shape (rows, size).
    """
    left = np.zeros(len(next(iter(values.values()))), dtype=bool)
    for node in graph.nodes:
        limit = _LIMITS.of(node)(node)
        if limit is not None:
            (value,) = node.inputs
            left |= ~(np.abs(values[value]) <= limit).all(axis=1)
    return left


_LIMITS: Reading[Callable[[Any], float | None]] = Reading(
    "how large the argument of a node may be",
    NODES,
    {
        **dict.fromkeys((InputNode, AffineNode, QuadraticNode, WindowSumNode, ProductNode), lambda node: None),
        ChebyshevNode: lambda node: 1.0,
        BootstrapNode: lambda node: reach(node.phase),
    },
    without={
        FunctionNode: "functions are polynomials by then",
        OperatorNode: "operators are taken apart or refused before",
    },
)
"""Where there is a limit it is one of the only argument; otherwise ``None``."""


def _split(number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows that polynomials are chosen on, and those that are held back."""
    order = np.random.default_rng(SEED).permutation(number)
    back = 0 if number < ENOUGH else max(int(HELD_BACK * number), number - MOST_ROWS)
    return np.sort(order[back:]), np.sort(order[:back])


def _decisions(
    graph: Graph,
    calibration: Mapping[str, Array],
    lost: float,
    truth: NDArray[np.int64] | None,
    rows: NDArray[np.int64],
) -> Decisions:
    right = None if truth is None else truth[rows]
    return Decisions.of(graph, {name: values[rows] for name, values in calibration.items()}, lost, right)
