"""Trials: what becomes of a network's outputs with polynomials in place of some functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.approximation.layers import Fit
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, FunctionNode, InputNode

__all__ = ["Judge", "Trial", "TrialNetwork"]

Array = NDArray[np.float64]

SAMPLES = 1 << 24
"""Values that the search computes at a time, at the most, and with them the rows that it looks at."""

PART = 16
"""One row of so many is looked at first: most polynomials that are not close enough show it there."""


class Judge(Protocol):
    """What tells how bad outputs are.

    By their errors (:class:`hecc.compiler.promise.promise.Promise`), or by the decisions that are lost
    (:class:`hecc.compiler.promise.decisions.Decisions`).
    """

    @property
    def inputs(self) -> Mapping[str, Array]:
        """By name, shape (rows, ...)."""

    @property
    def looked_at(self) -> int:
        """Rows that are enough to tell, at the most."""

    def error(self, values: Mapping[str, Array], rows: NDArray[np.int64]) -> float:
        """How bad the outputs are on some of the rows, by their numbers."""

    def at_least(self, error: float, number: int) -> float:
        """How bad they are on more rows at the least, if on so many of them they are that bad."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What became of the outputs with some polynomials.

    Attributes
    ----------
    error
        As the judge says; where there are no values, it is at least that.
    values
        All values on the rows of a trial; ``None`` where the error of some rows was too large already.
    """

    error: float
    values: Mapping[str, Array] | None


class TrialNetwork:
    """The network in clear, with the true functions or with polynomials."""

    def __init__(self, graph: Graph, judge: Judge) -> None:
        self.graph, self._judge = graph, judge
        self.exact = graph.evaluate(judge.inputs)
        rows = len(next(iter(self.exact.values())))
        size = sum(math.prod(node.output.shape) for node in graph.nodes)
        few = max(1, min(rows, judge.looked_at, SAMPLES // size))
        self._rows = np.arange(0, rows, -(-rows // few))
        self._few = {name: values[self._rows] for name, values in self.exact.items()}

    def error(self, choice: Mapping[str, Fit]) -> float:
        """How bad the outputs are, on all rows."""
        values = self._run(choice, self.exact, choice)
        return self._judge.error(values, np.arange(len(values[self.graph.outputs[0]])))

    def trial(
        self, choice: Mapping[str, Fit], known: Mapping[str, Array], changed: Sequence[str], allowed: float = math.inf
    ) -> Trial:
        """Try polynomials on some rows, where all but what follows the changed functions is known.

        Rows are looked at until an error is larger than ``allowed``.
        """
        known = {**self._few, **known}
        if allowed < math.inf and len(self._rows) > PART:
            values = self._run(choice, {name: rows[::PART] for name, rows in known.items()}, changed)
            least = self._judge.at_least(self._judge.error(values, self._rows[::PART]), len(self._rows[::PART]))
            if least > allowed:
                return Trial(least, None)
        values = self._run(choice, known, changed)
        return Trial(self._judge.error(values, self._rows), values)

    def _run(self, choice: Mapping[str, Fit], known: Mapping[str, Array], changed: Iterable[str]) -> dict[str, Array]:
        """All values on some rows, where all but what follows the changed functions is known."""
        changed = frozenset(changed)
        values = dict(known)
        stale: set[str] = set()
        for node in self.graph.nodes:
            name = node.output.name
            if isinstance(node, InputNode) or not (name in changed or stale.intersection(node.inputs)):
                continue
            stale.add(name)
            # What a polynomial that is not close enough makes overflow shows in the values.
            with np.errstate(over="ignore", invalid="ignore"):
                if isinstance(node, FunctionNode) and name in choice:
                    values[name] = choice[name](values[node.value])
                elif isinstance(node, AffineNode) and name in known and not stale.issuperset(node.inputs):
                    values[name] = known[name] + self._change(node, known, values, stale)
                else:
                    values[name] = self.graph.evaluate_node(node, values)
        return values

    def _change(
        self, node: AffineNode, known: Mapping[str, Array], values: Mapping[str, Array], stale: set[str]
    ) -> Array:
        """By how much a sum changes where some of its terms do; the others, often the most work, are not computed."""
        terms = tuple(term for term in node.terms if term.value in stale)
        changes = {term.value: values[term.value] - known[term.value] for term in terms}
        return self.graph.evaluate_node(replace(node, terms=terms, bias=None), changes)
