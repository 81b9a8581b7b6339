"""Trials: what becomes of a network's outputs with polynomials in place of some functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.approximation.layers import Fit
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import FunctionNode, InputNode
from hecc.compiler.promise.promise import Promise

__all__ = ["Trial", "TrialNetwork"]

Array = NDArray[np.float64]

SAMPLES = 1 << 24
"""Values that the search computes at a time, at the most, and with them the rows that it looks at."""

MAX_ROWS = 128
"""That a trial looks at, at the most."""

PART = 16
"""One row of so many is looked at first: most polynomials that are not close enough show it there."""

ROUNDING = 1e-9
"""By which part the error of a few rows may seem larger than that of the same rows among others."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What became of the outputs with some polynomials.

    Attributes
    ----------
    error
        The largest of an element of an output over its unit; where there are no values, it is at least that.
    values
        All values on the rows of a trial; ``None`` where the error of some rows was too large already.
    """

    error: float
    values: Mapping[str, Array] | None


class TrialNetwork:
    """The network in clear, with the true functions or with polynomials."""

    def __init__(self, graph: Graph, promise: Promise) -> None:
        self.graph, self._promise = graph, promise
        self.exact = graph.evaluate(promise.inputs)
        rows = len(next(iter(self.exact.values())))
        size = sum(math.prod(node.output.shape) for node in graph.nodes)
        few = max(1, min(rows, MAX_ROWS, SAMPLES // size))
        self._rows = np.arange(0, rows, -(-rows // few))
        self._few = {name: values[self._rows] for name, values in self.exact.items()}

    def error(self, choice: Mapping[str, Fit]) -> float:
        """The largest error of an element of an output over its unit, on all rows."""
        values = self._run(choice, self.exact, dict.fromkeys(choice))
        return self._promise.error(values, np.arange(len(values[self.graph.outputs[0]])))

    def trial(
        self, choice: Mapping[str, Fit], known: Mapping[str, Array], changed: Sequence[str], allowed: float = math.inf
    ) -> Trial:
        """Try polynomials on some rows, where all but what follows the changed functions is known.

        Rows are looked at until an error is larger than ``allowed``.
        """
        known = {**self._few, **known}
        if allowed < math.inf and len(self._rows) > PART:
            values = self._run(choice, {name: rows[::PART] for name, rows in known.items()}, dict.fromkeys(changed))
            error = self._promise.error(values, self._rows[::PART])
            if error > allowed * (1 + ROUNDING):
                return Trial(error * (1 - ROUNDING), None)
        values = self._run(choice, known, dict.fromkeys(changed))
        return Trial(self._promise.error(values, self._rows), values)

    def _run(
        self, choice: Mapping[str, Fit], known: Mapping[str, Array], changed: Mapping[str, None]
    ) -> dict[str, Array]:
        values = dict(known)
        stale: set[str] = set()
        for node in self.graph.nodes:
            name = node.output.name
            if isinstance(node, InputNode) or not (name in changed or stale.intersection(node.inputs)):
                continue
            stale.add(name)
            if isinstance(node, FunctionNode) and name in choice:
                values[name] = choice[name](values[node.value])
            else:
                values[name] = self.graph.evaluate_node(node, values)
        return values
