"""Corners: the inputs within the declared range at which a network's values are largest, and so are its errors.

What encryption adds to a value grows with the values that it is multiplied with, so the calibration inputs say little
about inputs far from all of them. Corners are of two kinds. Some are drawn: every element is at one end of its range.
Others are found by the conditional gradient method (Frank and Wolfe, "An algorithm for quadratic programming", Naval
Research Logistics Quarterly 3, 1956, section 2): whichever end makes an element of a result larger, by the gradient of
the network, again and again from there.

A plan does not evaluate all inputs within the declared range: the modulus has room for values that are some times as
large as those observed, and the argument of a function must stay where its polynomial was fitted. So each corner is
drawn towards a calibration input until all values stay within their limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import AffineMap, Parameters
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
from hecc.compiler.promise.calibration import synthetic_corners
from hecc.runtime.reading import Reading

__all__ = ["corner_inputs"]

Array: TypeAlias = NDArray[np.float64]
Products: TypeAlias = Callable[[AffineMap, Array], Array]
"""What the transpose of a map makes of gradients of shape (rows, out_size)."""

DIRECTED = 32
"""Corners that are searched for, at the most: for each of so many elements of results, upwards and downwards."""

STEPS = 4
"""Of the search; more find little."""

MAX_NONZEROS = 1 << 24
"""Of all maps of a network together, up to which gradients are computed."""

HALVINGS = 6
"""By which it is found how far from a calibration input towards a corner all values stay within their limits."""

STEP = 2.0**-20
"""For derivatives of functions, as a part of the span of the argument."""


def corner_inputs(
    graph: Graph,
    calibration: Mapping[str, Array],
    declared: Mapping[str, tuple[float, float]],
    margin: float,
) -> dict[str, Array]:
    """Inputs near the corners of the declared range.

    Parameters
    ----------
    graph
        Canonical, perhaps with functions.
    calibration
        Inputs by name, shape (rows, ...).
    declared
        Smallest and largest value of each input's elements.
    margin
        How many times as large as on the calibration inputs values may become.

    Returns
    -------
    dict
        By input, shape (rows, ...); no rows where nothing but the calibration inputs keeps to the limits.
    """
    names = list(calibration)
    number = len(calibration[names[0]])
    seen = graph.evaluate(calibration)
    drawn = {name: synthetic_corners(calibration[name].shape[1:], *declared[name]) for name in names}
    corners = {name: values.reshape(len(values), -1) for name, values in drawn.items()}
    found = _directed(graph, calibration, declared, seen)
    corners = {name: np.concatenate([corners[name], found[name]]) for name in names}
    rows = len(corners[names[0]])
    limits = _limits(graph, seen, margin)
    from_row = np.arange(rows) % number
    start = {name: calibration[name].reshape(number, -1)[from_row] for name in names}

    def at(share: Array) -> dict[str, Array]:
        return {name: start[name] + share[:, np.newaxis] * (corners[name] - start[name]) for name in names}

    share = _within(graph, at(np.ones(rows)), limits).astype(np.float64)
    step = np.where(share < 1, 0.5, 0.0)
    for _ in range(HALVINGS):
        tried = share + step
        share = np.where(_within(graph, at(tried), limits), tried, share)
        step /= 2
    kept = share > 0
    return {name: values[kept].reshape(-1, *calibration[name].shape[1:]) for name, values in at(share).items()}


def _limits(graph: Graph, seen: Mapping[str, Array], margin: float) -> dict[str, tuple[float, float]]:
    """Between which numbers each value has to stay; an input within the declared range does, whatever was seen."""
    nodes, limits = graph.by_output(), {}
    for name, values in seen.items():
        largest = np.inf if isinstance(nodes[name], InputNode) else margin * float(np.abs(values).max())
        limits[name] = -largest, largest
    for node in graph.nodes:
        if isinstance(node, FunctionNode):
            limits[node.value] = float(seen[node.value].min()), float(seen[node.value].max())
    return limits


def _within(graph: Graph, inputs: Mapping[str, Array], limits: Mapping[str, tuple[float, float]]) -> NDArray[np.bool_]:
    """Which rows keep all values within their limits."""
    within = np.ones(len(next(iter(inputs.values()))), dtype=np.bool_)
    for name, values in graph.evaluate(inputs).items():
        low, high = limits[name]
        within &= (values.min(axis=1) >= low) & (values.max(axis=1) <= high)
    return within


def _directed(
    graph: Graph,
    calibration: Mapping[str, Array],
    declared: Mapping[str, tuple[float, float]],
    seen: Mapping[str, Array],
) -> dict[str, Array]:
    """Corners at which elements of results are large, or small, shape (rows, size) by input."""
    empty = {name: np.empty((0, int(np.prod(values.shape[1:])))) for name, values in calibration.items()}
    maps = [m for node in graph.nodes for m in node.maps]
    if sum(m.nonzeros() for m in maps) > MAX_NONZEROS:
        return empty
    aims = [(name, element) for name in graph.outputs for element in range(seen[name].shape[1])]
    aims = aims[:: -(-len(aims) // (DIRECTED // 2))]
    signs = np.repeat([1.0, -1.0], len(aims))
    aims = 2 * aims
    number = len(next(iter(calibration.values())))
    rows = np.arange(len(aims)) % number
    inputs = {name: values.reshape(number, -1)[rows].copy() for name, values in calibration.items()}
    matrices = {id(m): m.matrix(graph.parameters).T.tocsr() for m in maps}

    def transposed(m: AffineMap, gradient: Array) -> Array:
        return np.ascontiguousarray((matrices[id(m)] @ gradient.T).T)

    for _ in range(STEPS):
        values = graph.evaluate(inputs)
        gradients = {name: np.zeros_like(found) for name, found in values.items()}
        for row, ((name, element), sign) in enumerate(zip(aims, signs, strict=True)):
            gradients[name][row, element] = sign
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for node in reversed(graph.nodes):
                for name, part in _PULLBACKS.of(node)(node, gradients[node.output.name], values, graph, transposed):
                    gradients[name] += part
        for name, x in inputs.items():
            low, high = declared[name]
            gradient = gradients[name]
            inputs[name] = np.where(gradient > 0, high, np.where(gradient < 0, low, x))
    return inputs


Parts: TypeAlias = list[tuple[str, Array]]
"""For each value that a node reads, what the gradient of its result adds to that of the value."""


def _affine(node: Any, gradient: Array, _: Mapping[str, Array], __: Graph, transposed: Products) -> Parts:
    return [(term.value, transposed(term.map, gradient)) for term in node.terms]


def _window_sum(node: Any, gradient: Array, _: Mapping[str, Array], __: Graph, transposed: Products) -> Parts:
    return [(node.value, node.taps * transposed(node.window, gradient))]


def _polynomial(node: Any, gradient: Array, values: Mapping[str, Array], graph: Graph, _: Products) -> Parts:
    x = values[node.value]
    slope = np.zeros_like(x)
    for power, name in reversed(list(enumerate(node.coefficients))[1:]):
        slope = slope * x + power * _spread(graph.parameters, name, node)
    return [(node.value, slope * gradient)]


def _spread(parameters: Parameters, name: str, node: QuadraticNode) -> Array:
    return np.broadcast_to(np.asarray(parameters[name], dtype=np.float64), node.output.shape).reshape(-1)


def _product(node: Any, gradient: Array, values: Mapping[str, Array], _: Graph, __: Products) -> Parts:
    return [(node.left, gradient * values[node.right]), (node.right, gradient * values[node.left])]


def _function(node: Any, gradient: Array, values: Mapping[str, Array], graph: Graph, _: Products) -> Parts:
    x = values[node.value]
    step = STEP * (float(np.ptp(x)) or 1.0)
    ahead, behind = (graph.evaluate_node(node, {node.value: x + sign * step}) for sign in (1, -1))
    return [(node.value, np.nan_to_num((ahead - behind) / (2 * step)) * gradient)]


_PULLBACKS: Reading[Callable[[Any, Array, Mapping[str, Array], Graph, Products], Parts]] = Reading(
    "gradients through nodes",
    NODES,
    {
        InputNode: lambda *_: [],
        AffineNode: _affine,
        FunctionNode: _function,
        QuadraticNode: _polynomial,
        ProductNode: _product,
        ChebyshevNode: _function,
        BootstrapNode: _function,
        WindowSumNode: _window_sum,
    },
    without={OperatorNode: "operators are taken apart or refused before"},
)
