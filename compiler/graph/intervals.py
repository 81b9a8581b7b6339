"""Interval arithmetic: what the values of a network can become, for all inputs in the declared range.

Intervals are kept as centre and radius of each element. They are exact for an affine map or a product of independent
values and for a quadratic; of a function and a Chebyshev polynomial the interval is that of all its elements together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from hecc.compiler.graph.affine import Parameters
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import (
    NODES,
    AffineNode,
    BootstrapNode,
    ChebyshevNode,
    FunctionNode,
    InputNode,
    Node,
    OperatorNode,
    ProductNode,
    QuadraticNode,
    WindowSumNode,
)
from hecc.runtime.reading import Reading

__all__ = ["HUGE", "INTERVALS", "POINTS", "RULES", "WITHOUT", "Declared", "Interval", "Rule", "value_intervals"]

Interval: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Centre and radius, each of shape (size,)."""

Declared: TypeAlias = Mapping[str, tuple[float, float]]
"""Smallest and largest value of each input's elements."""

Rule: TypeAlias = Callable[[Any, Mapping[str, Interval], Parameters, Declared], Interval]
"""What a node makes of the intervals of the values that it reads."""

POINTS = 1 << 12
"""At which a function of one variable is looked at; between two it is taken to stray by what lies between them."""


HUGE = 1e30
"""What stands for a function's infinite values."""


def value_intervals(graph: Graph, declared: Declared, rules: Reading[Rule] | None = None) -> dict[str, Interval]:
    """The interval of every value, by name; of infinities and NaN where numbers overflow and nothing is known.

    Parameters
    ----------
    declared
        Smallest and largest value of each input's elements.
    rules
        By default :data:`INTERVALS`.
    """
    rules = INTERVALS if rules is None else rules
    intervals: dict[str, Interval] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for node in graph.nodes:
            intervals[node.output.name] = rules.of(node)(node, intervals, graph.parameters, declared)
    return intervals


def _input(node: InputNode, _: Mapping[str, Interval], __: Parameters, declared: Declared) -> Interval:
    low, high = declared[node.output.name]
    return np.full(node.output.size, (low + high) / 2), np.full(node.output.size, (high - low) / 2)


def _window_sum(
    node: WindowSumNode, intervals: Mapping[str, Interval], parameters: Parameters, _: Declared
) -> Interval:
    centre, radius = (node.taps * node.window.apply(part[np.newaxis], parameters)[0] for part in intervals[node.value])
    return centre, radius


def _function(node: FunctionNode, intervals: Mapping[str, Interval], _: Parameters, __: Declared) -> Interval:
    """Of all elements together, from samples."""
    centre, radius = intervals[node.value]
    low, high = float((centre - radius).min()), float((centre + radius).max())
    return _image(node.function, np.linspace(low, high, POINTS), len(centre))


def _chebyshev(node: ChebyshevNode, intervals: Mapping[str, Interval], parameters: Parameters, _: Declared) -> Interval:
    """Of all elements together, from samples on [-1, 1]: what it is outside nobody knows, and nothing may go there."""
    points = np.cos(np.linspace(0, np.pi, POINTS))
    return _image(partial(_series, parameters[node.coefficients]), points, len(intervals[node.value][0]))


def _bootstrap(node: BootstrapNode, intervals: Mapping[str, Interval], _: Parameters, __: Declared) -> Interval:
    """A sine is bounded whatever comes, and of any element it may be all that."""
    size = len(intervals[node.value][0])
    return np.zeros(size), np.ones(size)


def _series(coefficients: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(chebyshev.chebval(x, coefficients))


def _image(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], points: NDArray[np.float64], size: int
) -> Interval:
    values = np.nan_to_num(function(points), nan=HUGE, posinf=HUGE, neginf=-HUGE)
    slack = float(np.abs(np.diff(values)).max())
    low, high = float(values.min()) - slack, float(values.max()) + slack
    return np.full(size, (low + high) / 2), np.full(size, (high - low) / 2)


def _affine(node: AffineNode, intervals: Mapping[str, Interval], parameters: Parameters, _: Declared) -> Interval:
    """Interval arithmetic in centre and radius: the radius goes through the map's absolute values."""
    size = node.output.size
    centre, radius = np.zeros(size), np.zeros(size)
    if node.bias is not None:
        centre += np.broadcast_to(np.asarray(parameters[node.bias], dtype=np.float64), node.output.shape).reshape(-1)
    for term in node.terms:
        term_centre, term_radius = intervals[term.value]
        for rows, columns, values in term.map.entries(parameters):
            centre += np.bincount(rows, values * term_centre[columns], minlength=size)
            radius += np.bincount(rows, np.abs(values) * term_radius[columns], minlength=size)
    return centre, radius


def _quadratic(node: QuadraticNode, intervals: Mapping[str, Interval], parameters: Parameters, _: Declared) -> Interval:
    """Exact: ends of the interval and the vertex."""
    centre, radius = intervals[node.value]
    low, high = centre - radius, centre + radius
    constant, linear, leading = (
        np.broadcast_to(np.asarray(parameters[c], dtype=np.float64), node.output.shape).reshape(-1)
        for c in node.coefficients
    )
    vertex = np.clip(-linear / (2 * leading), low, high)
    candidates = [constant + x * (linear + x * leading) for x in (low, high, vertex)]
    smallest, largest = np.min(candidates, axis=0), np.max(candidates, axis=0)
    return (smallest + largest) / 2, (largest - smallest) / 2


def _product(node: ProductNode, intervals: Mapping[str, Interval], _: Parameters, __: Declared) -> Interval:
    """The extremes are products of ends."""
    ends = [(centre - radius, centre + radius) for centre, radius in (intervals[node.left], intervals[node.right])]
    corners = [x * y for x in ends[0] for y in ends[1]]
    smallest, largest = np.min(corners, axis=0), np.max(corners, axis=0)
    return (smallest + largest) / 2, (largest - smallest) / 2


RULES: Mapping[type[Node], Rule] = MappingProxyType(
    {
        InputNode: _input,
        AffineNode: _affine,
        ChebyshevNode: _chebyshev,
        BootstrapNode: _bootstrap,
        FunctionNode: _function,
        ProductNode: _product,
        QuadraticNode: _quadratic,
        WindowSumNode: _window_sum,
    }
)
"""For tables that differ from this one in some."""

WITHOUT: Mapping[type[Node], str] = MappingProxyType({OperatorNode: "operators are taken apart or refused before"})

INTERVALS: Reading[Rule] = Reading("intervals of nodes", NODES, RULES, WITHOUT)
"""All elements of a function or a Chebyshev polynomial have one interval together."""
