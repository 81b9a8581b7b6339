"""Interval arithmetic: what the values of a network can become, for all inputs in the declared range.

Intervals are kept as centre and radius of each element. They are exact for an affine map or a product of independent
values and for a polynomial of degree two; of a function and a series the interval is that of all its elements together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from hecc.compiler.graph.affine import Parameters
from hecc.compiler.graph.graph import (
    AffineNode,
    FunctionNode,
    Graph,
    InputNode,
    PolynomialNode,
    ProductNode,
    SeriesNode,
    WindowSumNode,
)

__all__ = ["HUGE", "POINTS", "Activation", "Interval", "value_intervals"]

Interval: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Centre and radius, each of shape (size,)."""

Activation: TypeAlias = Callable[[FunctionNode | SeriesNode, Interval, Parameters], Interval]
"""What a function or a series makes of an interval."""

POINTS = 1 << 12
"""At which a function of one variable is looked at; between two it is taken to stray by what lies between them."""


HUGE = 1e30
"""What stands for a function's infinite values."""


def value_intervals(
    graph: Graph, declared: Mapping[str, tuple[float, float]], activation: Activation | None = None
) -> dict[str, Interval]:
    """The interval of every value, by name; of infinities and NaN where numbers overflow and nothing is known.

    Parameters
    ----------
    declared
        Smallest and largest value of each input's elements.
    activation
        By default all elements of a function or a series together.
    """
    activation = activation or _together
    intervals: dict[str, Interval] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for node in graph.nodes:
            name = node.output.name
            if isinstance(node, InputNode):
                low, high = declared[name]
                size = int(np.prod(node.output.shape))
                intervals[name] = (np.full(size, (low + high) / 2), np.full(size, (high - low) / 2))
            elif isinstance(node, AffineNode):
                intervals[name] = _affine(node, intervals, graph.parameters)
            elif isinstance(node, WindowSumNode):
                centre, radius = intervals[node.value]
                sums = (
                    node.taps * node.window.apply(part[np.newaxis], graph.parameters)[0] for part in (centre, radius)
                )
                intervals[name] = (next(sums), next(sums))
            elif isinstance(node, PolynomialNode):
                intervals[name] = _polynomial(node, intervals[node.value], graph.parameters)
            elif isinstance(node, ProductNode):
                intervals[name] = _product(intervals[node.left], intervals[node.right])
            elif isinstance(node, FunctionNode | SeriesNode):
                intervals[name] = activation(node, intervals[node.value], graph.parameters)
    return intervals


def _together(node: FunctionNode | SeriesNode, interval: Interval, parameters: Parameters) -> Interval:
    """Of all elements together, from samples."""
    centre, radius = interval
    if isinstance(node, FunctionNode):
        low, high = float((centre - radius).min()), float((centre + radius).max())
        return _image(node.function, np.linspace(low, high, POINTS), len(centre))
    # What its argument is outside [-1, 1] nobody knows: it must not be.
    points = np.cos(np.linspace(0, np.pi, POINTS))
    return _image(partial(_series, parameters[node.coefficients]), points, len(centre))


def _series(coefficients: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(chebyshev.chebval(x, coefficients))


def _image(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], points: NDArray[np.float64], size: int
) -> Interval:
    values = np.nan_to_num(function(points), nan=HUGE, posinf=HUGE, neginf=-HUGE)
    slack = float(np.abs(np.diff(values)).max())
    low, high = float(values.min()) - slack, float(values.max()) + slack
    return np.full(size, (low + high) / 2), np.full(size, (high - low) / 2)


def _affine(node: AffineNode, intervals: Mapping[str, Interval], parameters: Parameters) -> Interval:
    """Interval arithmetic in centre and radius: the radius goes through the map's absolute values."""
    size = int(np.prod(node.output.shape))
    centre, radius = np.zeros(size), np.zeros(size)
    if node.bias is not None:
        centre += np.broadcast_to(np.asarray(parameters[node.bias], dtype=np.float64), node.output.shape).reshape(-1)
    for term in node.terms:
        term_centre, term_radius = intervals[term.value]
        for rows, columns, values in term.map.entries(parameters):
            centre += np.bincount(rows, values * term_centre[columns], minlength=size)
            radius += np.bincount(rows, np.abs(values) * term_radius[columns], minlength=size)
    return centre, radius


def _polynomial(node: PolynomialNode, interval: Interval, parameters: Parameters) -> Interval:
    """Exact for the monic polynomials of degree two of a canonical graph: ends of the interval and the vertex."""
    low, high = interval[0] - interval[1], interval[0] + interval[1]
    constant, linear, leading = (
        np.broadcast_to(np.asarray(parameters[c], dtype=np.float64), node.output.shape).reshape(-1)
        for c in node.coefficients
    )
    vertex = np.clip(-linear / (2 * leading), low, high)
    candidates = [constant + x * (linear + x * leading) for x in (low, high, vertex)]
    smallest, largest = np.min(candidates, axis=0), np.max(candidates, axis=0)
    return (smallest + largest) / 2, (largest - smallest) / 2


def _product(left: Interval, right: Interval) -> Interval:
    """The extremes are products of ends."""
    ends = [(centre - radius, centre + radius) for centre, radius in (left, right)]
    corners = [x * y for x in ends[0] for y in ends[1]]
    smallest, largest = np.min(corners, axis=0), np.max(corners, axis=0)
    return (smallest + largest) / 2, (largest - smallest) / 2
