"""Enclosures of all values of a graph, for every input in its declared range.

Each element has ends of its own. Those of an affine map are the sums of the ends that its signs pick, so that an end
stays exact where the other one is infinite: the least a ReLU can be is zero, however large its argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import AffineMap, Parameters
from hecc.compiler.graph.enclosures.expressions import enclosed, product_ends
from hecc.compiler.graph.enclosures.primitives import NEVER, Ends
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
from hecc.runtime.reading import Reading

__all__ = ["ANY", "enclosures"]

Declared = Mapping[str, tuple[float, float]]
Rule = Callable[[Any, Mapping[str, Ends], Parameters, Declared], Ends]

ANY: Declared = MappingProxyType({})
"""Ranges of no input."""


def enclosures(graph: Graph, declared: Declared = ANY) -> dict[str, Ends]:
    """The least and the largest number that each element of each value can be.

    Parameters
    ----------
    graph
        Without operators.
    declared
        Smallest and largest value of each input's elements; of inputs that it lacks nothing is known.

    Returns
    -------
    dict
        By name of the value two arrays of shape (size,).
    """
    found: dict[str, Ends] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for node in graph.nodes:
            found[node.output.name] = _RULES.of(node)(node, found, graph.parameters, declared)
    return found


def _input(node: InputNode, _: Mapping[str, Ends], __: Parameters, declared: Declared) -> Ends:
    low, high = declared.get(node.output.name, NEVER)
    return np.full(node.output.size, low), np.full(node.output.size, high)


def _affine(node: AffineNode, known: Mapping[str, Ends], parameters: Parameters, _: Declared) -> Ends:
    low = _flat(parameters[node.bias], node.output.shape) if node.bias is not None else np.zeros(node.output.size)
    high = low
    for term in node.terms:
        least, largest = _mapped(term.map, known[term.value], parameters)
        low, high = low + least, high + largest
    return low, high


def _mapped(linear: AffineMap, ends: Ends, parameters: Parameters) -> Ends:
    size = linear.out_size
    low, high = np.zeros(size), np.zeros(size)
    for rows, columns, values in linear.entries(parameters):
        weighted = [np.where(values == 0, 0.0, values * end[columns]) for end in ends]
        low += np.bincount(rows, np.minimum(*weighted), minlength=size)
        high += np.bincount(rows, np.maximum(*weighted), minlength=size)
    return low, high


def _window_sum(node: WindowSumNode, known: Mapping[str, Ends], parameters: Parameters, _: Declared) -> Ends:
    low, high = _mapped(node.window, known[node.value], parameters)
    return node.taps * low, node.taps * high


def _function(node: FunctionNode, known: Mapping[str, Ends], _: Parameters, __: Declared) -> Ends:
    low, high = enclosed(node.function, known[node.value]).ends
    return np.broadcast_to(low, node.output.size), np.broadcast_to(high, node.output.size)


def _quadratic(node: QuadraticNode, known: Mapping[str, Ends], parameters: Parameters, _: Declared) -> Ends:
    """Exact: at the ends and at the vertex."""
    low, high = known[node.value]
    constant, linear, leading = (_flat(parameters[name], node.output.shape) for name in node.coefficients)
    vertex = np.clip(-linear / (2 * leading), low, high)
    values = [constant + x * (linear + x * leading) for x in (low, high, vertex)]
    return np.minimum.reduce(values), np.maximum.reduce(values)


def _product(node: ProductNode, known: Mapping[str, Ends], _: Parameters, __: Declared) -> Ends:
    return product_ends(known[node.left], known[node.right], same=node.left == node.right)


_RULES: Reading[Rule] = Reading(
    "enclosures of values",
    NODES,
    {
        InputNode: _input,
        AffineNode: _affine,
        FunctionNode: _function,
        ProductNode: _product,
        QuadraticNode: _quadratic,
        WindowSumNode: _window_sum,
    },
    without={
        ChebyshevNode: "polynomials are fitted later, and are not what they stand for",
        BootstrapNode: "bootstraps are placed later, and are not what they stand for",
        OperatorNode: "operators are taken apart or refused before",
    },
)


def _flat(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.broadcast_to(np.asarray(array, dtype=np.float64), shape).reshape(-1)
