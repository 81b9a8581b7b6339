"""Ranges: how large every value can get, proved where possible and observed otherwise.

Two numbers per value matter. ``observed``, the largest magnitude over the calibration inputs, sets the scale: a value
is stored so that its observed magnitude is about one, which keeps the precision of all layers alike without touching a
weight. ``bound``, the largest magnitude that must not overflow, sets the modulus. Interval arithmetic over the declared
input range proves a bound; through a few squares it becomes absurdly large, so ``bound`` is the smaller of it and the
observed magnitude with a margin. The argument of a Chebyshev series is bounded by one: its interval was chosen so; and
so is that of a bootstrap, which folds back what is larger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.intervals import value_intervals
from hecc.compiler.graph.nodes import BootstrapNode, ChebyshevNode
from hecc.compiler.graph.proofs import proved_intervals
from hecc.runtime.errors import CompileError

__all__ = ["Range", "value_ranges"]

QUANTILES = np.linspace(0, 1, 65)

SMALLEST, LARGEST = 1e-100, 1e100
"""Values beyond these are no network's that was trained, and their squares are zero or infinite."""


@dataclass(frozen=True)
class Range:
    """Magnitudes of one value.

    Attributes
    ----------
    observed
        Largest magnitude over the calibration inputs.
    rms
        Root of the mean square over the calibration inputs and the elements.
    proved
        Largest magnitude that any input within the declared range can cause.
    bound
        What the modulus has room for.
    quantiles
        Of the argument of a Chebyshev series or a bootstrap, over the calibration inputs and the elements, from the
        smallest to the largest in equal steps; of other values none.
    """

    observed: float
    rms: float
    proved: float
    bound: float
    quantiles: tuple[float, ...] = ()


def value_ranges(
    graph: Graph,
    calibration: Mapping[str, NDArray[np.float64]],
    declared: Mapping[str, tuple[float, float]],
    margin: float,
    *,
    edges: Mapping[str, NDArray[np.float64]] | None = None,
    proved: bool = False,
) -> dict[str, Range]:
    """Ranges of all values.

    Parameters
    ----------
    calibration
        Inputs by name, shape (rows, ...).
    declared
        Smallest and largest value of each input's elements.
    margin
        How many times the observed magnitude ``bound`` allows, where less is not proved.
    edges
        More inputs, which ``bound`` allows as well.
    proved
        ``bound`` is what is proved, and that is proved element by element.

    Raises
    ------
    CompileError
        Values grow beyond all bounds, or vanish.
    """
    intervals = proved_intervals(graph, declared) if proved else value_intervals(graph, declared)
    arguments = {node.value for node in graph.nodes if isinstance(node, (ChebyshevNode, BootstrapNode))}
    inputs = {node.output.name for node in graph.inputs()}
    allowed = {} if edges is None else graph.evaluate(edges)
    ranges: dict[str, Range] = {}
    for name, values in graph.evaluate(calibration).items():
        seen = float(np.abs(values).max())
        if not (seen == 0 or SMALLEST < seen < LARGEST):
            fate = "vanish" if seen <= SMALLEST else "grow beyond all bounds"
            raise CompileError(
                f"{graph.node(name).source}: the calibration inputs make values {fate} here; scale the inputs as in "
                "training, or check the weights"
            )
        centre, radius = intervals[name]
        with np.errstate(over="ignore", invalid="ignore"):
            largest = float((np.abs(centre) + radius).max())
        if proved and not largest < LARGEST:
            raise CompileError(
                f"{graph.node(name).source}: inputs in the declared range can make values grow beyond all bounds here, "
                "and results to be disclosed need room for them; declare a narrower input range, or compile "
                "without --disclose"
            )
        # A value that is zero on all calibration inputs still needs a scale.
        observed = seen or largest or 1.0
        rms = float(np.sqrt(np.mean(values**2)))
        # The client takes every input in the declared range.
        certain = proved or name in inputs
        wanted = margin * observed
        if name in allowed:
            wanted = max(wanted, float(np.abs(allowed[name]).max()))
        bound = max(observed, largest if certain else min(largest, wanted))
        quantiles: tuple[float, ...] = ()
        if name in arguments:
            # Its interval has the margin already.
            observed, bound = min(observed, 1.0), 1.0
            quantiles = tuple(map(float, np.quantile(values, QUANTILES)))
        ranges[name] = Range(observed, rms, largest, bound, quantiles)
    return ranges
