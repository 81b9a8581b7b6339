"""Proofs: what the values of a network with functions become for every input, whichever polynomials are fitted.

Results may be disclosed only where no input at all in the declared range can drive a value out of its interval
(:mod:`hecc.runtime.ckks.readings.noise_bound`). What goes into a layer depends on the polynomials of the layers before
it, and those are still to be chosen. So a tolerance is agreed beforehand: on the whole interval of its argument a
polynomial may differ from its function by a part of what the function spans, and no more. With it the interval of every
layer follows from those before it, once and for all; and a bounded function stays bounded, whatever the coefficients
say: a sigmoid lies between -1/16 and 17/16 under any number of dense layers.

Every element has an interval of its own: what a function makes of it is looked up in samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from hecc.compiler.graph.affine import Parameters
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.intervals import HUGE, POINTS, RULES, WITHOUT, Declared, Interval, Rule, value_intervals
from hecc.compiler.graph.nodes import NODES, ChebyshevNode, FunctionNode
from hecc.runtime.reading import Reading
from hecc.runtime.sampling import Sampled, chebyshev_points, polynomial_slack

__all__ = ["Demanded", "demanded", "narrower_range", "proved_intervals"]

TOLERANCE = 1 / 8
"""By how much a polynomial may miss its function anywhere, as a part of half of what the function spans there."""

SLACK = 2.0**-16
"""Part of its size by which an interval is wider than what is proved: plans hold their weights in single precision."""

NARROWER = 0.9
"""Part of the declared range at which a narrower one is worth mentioning."""

Array = NDArray[np.float64]


def proved_intervals(graph: Graph, declared: Mapping[str, tuple[float, float]]) -> dict[str, Interval]:
    """The interval of every value, element by element; functions are polynomials within their tolerance.

    Parameters
    ----------
    declared
        Smallest and largest value of each input's elements.
    """
    return value_intervals(graph, declared, PROVED)


@dataclass(frozen=True)
class Demanded:
    """What the polynomial for a function has to do, so that the proof holds.

    Attributes
    ----------
    low, high
        Ends of the interval on which it stands for the function.
    tolerance
        By how much it may miss the function there.
    """

    low: float
    high: float
    tolerance: float

    def against(self, seen: tuple[float, float]) -> str:
        """A clause for messages: what is proved, and what the calibration inputs show of it."""
        return (
            f"for inputs in the declared range its argument may be anything from {self.low:.4g} to {self.high:.4g} "
            f"(the calibration inputs take it from {seen[0]:.4g} to {seen[1]:.4g})"
        )

    def met(self, polynomial: Callable[[Array], Array], function: Callable[[Array], Array]) -> bool:
        """Whether a polynomial does that, at samples; what is disclosed is proved on the plan itself."""
        points = (self.low + self.high) / 2 + (self.high - self.low) / 2 * np.cos(np.linspace(0, np.pi, POINTS))
        return bool((np.abs(polynomial(points) - function(points)) <= self.tolerance).all())


def demanded(node: FunctionNode, interval: Interval) -> Demanded:
    """What the polynomial for a function has to do, from the interval of its argument."""
    low, high = float((interval[0] - interval[1]).min()), float((interval[0] + interval[1]).max())
    tolerance = _tolerance(_values(node, np.linspace(low, high, POINTS)))
    slack = SLACK * max(abs(low), abs(high)) or 1.0
    return Demanded(low - slack, high + slack, tolerance)


def narrower_range(declared: Mapping[str, tuple[float, float]], calibration: Mapping[str, Array]) -> str:
    """A piece of advice, where calibration inputs keep within a narrower range than was declared; empty otherwise."""
    for name, (low, high) in declared.items():
        least, largest = float(calibration[name].min()), float(calibration[name].max())
        if largest - least < NARROWER * (high - low):
            return (
                f"declare a narrower input range (that of '{name}' is {low:g} to {high:g}, and its calibration inputs "
                f"lie between {least:.4g} and {largest:.4g}), "
            )
    return ""


def _function(node: FunctionNode, intervals: Mapping[str, Interval], _: Parameters, __: Declared) -> Interval:
    """Of a polynomial within its tolerance of the function, element by element."""
    low, high = _ends(intervals[node.value])
    points = np.linspace(float(low.min()), float(high.max()), POINTS)
    values = _values(node, points)
    least, largest = Sampled(points, values, _beyond(values)).image(low, high)
    return (least + largest) / 2, (largest - least) / 2 + _tolerance(values)


def _chebyshev(node: ChebyshevNode, intervals: Mapping[str, Interval], parameters: Parameters, _: Declared) -> Interval:
    """The same of a polynomial that is known."""
    low, high = _ends(intervals[node.value])
    coefficients = parameters[node.coefficients]
    degree = len(coefficients) - 1
    points = chebyshev_points(degree, max(1.0, float(np.abs(low).max()), float(np.abs(high).max())))
    values: Array = np.asarray(chebyshev.chebval(points, coefficients), dtype=np.float64)
    least, largest = Sampled(points, values, float(polynomial_slack(values, degree))).image(low, high)
    return (least + largest) / 2, (largest - least) / 2


def _ends(interval: Interval) -> tuple[Array, Array]:
    centre, radius = interval
    return centre - radius, centre + radius


def _values(node: FunctionNode, points: Array) -> Array:
    return np.nan_to_num(node.function(points), nan=HUGE, posinf=HUGE, neginf=-HUGE)


def _tolerance(values: Array) -> float:
    return TOLERANCE * float(values.max() - values.min()) / 2


def _beyond(values: Array) -> Array:
    """By how much a function may exceed each of its samples: where it turns, by as much as it changes around it."""
    steps = np.diff(values, prepend=values[0], append=values[-1])
    turns = steps[:-1] * steps[1:] < 0
    return np.where(turns, np.maximum(np.abs(steps[:-1]), np.abs(steps[1:])), 0.0)


PROVED: Reading[Rule] = Reading(
    "proved intervals of nodes", NODES, {**RULES, FunctionNode: _function, ChebyshevNode: _chebyshev}, WITHOUT
)
