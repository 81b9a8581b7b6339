"""Nodes in clear: the value that each kind of node defines, from the values that it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.approximation.sine import sine
from hecc.compiler.graph.affine import Parameters
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
from hecc.runtime.native.series import chebyshev_series
from hecc.runtime.reading import Reading

__all__ = ["CLEAR"]

Array: TypeAlias = NDArray[np.float64]
Values: TypeAlias = Mapping[str, Array]


def _affine(node: AffineNode, values: Values, parameters: Parameters) -> Array:
    first, *others = (term.map.apply(values[term.value], parameters) for term in node.terms)
    result = first
    for other in others:
        result = result + other
    if node.bias is not None:
        bias = np.asarray(parameters[node.bias], dtype=np.float64)
        result = result + np.broadcast_to(bias, node.output.shape).reshape(-1)
    return result


def _quadratic(node: QuadraticNode, values: Values, parameters: Parameters) -> Array:
    x = values[node.value]
    result = np.zeros_like(x)
    for name in reversed(node.coefficients):
        coefficient = np.asarray(parameters[name], dtype=np.float64)
        result = result * x + np.broadcast_to(coefficient, node.output.shape).reshape(-1)
    return result


def _function(node: FunctionNode, values: Values, _: Parameters) -> Array:
    return node.function(values[node.value])


def _chebyshev(node: ChebyshevNode, values: Values, parameters: Parameters) -> Array:
    return chebyshev_series(values[node.value], np.asarray(parameters[node.coefficients], dtype=np.float64))


def _bootstrap(node: BootstrapNode, values: Values, _: Parameters) -> Array:
    return sine(node.phase, values[node.value])


def _window_sum(node: WindowSumNode, values: Values, parameters: Parameters) -> Array:
    return node.taps * node.window.apply(values[node.value], parameters)


def _product(node: ProductNode, values: Values, _: Parameters) -> Array:
    return values[node.left] * values[node.right]


def _operator(node: OperatorNode, values: Values, parameters: Parameters) -> Array:
    return node.operator.apply([values[name] for name in node.values], parameters)


CLEAR: Reading[Callable[[Any, Values, Parameters], Array]] = Reading(
    "nodes in clear",
    NODES,
    {
        AffineNode: _affine,
        ChebyshevNode: _chebyshev,
        BootstrapNode: _bootstrap,
        FunctionNode: _function,
        OperatorNode: _operator,
        ProductNode: _product,
        QuadraticNode: _quadratic,
        WindowSumNode: _window_sum,
    },
    without={InputNode: "an input's value is given"},
)
"""Each rule takes a node, the values it reads, of shape (rows, size), and the parameters."""
