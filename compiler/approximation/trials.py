"""Trials: what becomes of a network's outputs with polynomials in place of some functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.approximation.layers import Fit
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import FunctionNode, InputNode
from hecc.compiler.promise.promise import Promise

__all__ = ["TrialNetwork"]

Array = NDArray[np.float64]

SAMPLES = 1 << 24
"""Values that the search computes at a time, at the most, and with them the rows that it looks at."""

MAX_ROWS = 128
"""That a trial looks at, at the most."""


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

    def trial(self, choice: Mapping[str, Fit], known: Mapping[str, Array], changed: Sequence[str]) -> dict[str, Array]:
        """Values on some rows, where all but what follows the changed functions is known."""
        return self._run(choice, {**self._few, **known}, dict.fromkeys(changed))

    def trial_error(self, values: Mapping[str, Array]) -> float:
        """The same as :meth:`error`, of the values of a trial."""
        return self._promise.error(values, self._rows)

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
