"""Nodes backwards: for each kind, the gradients of what it reads from that of what it makes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from hecc.compiler.graph.gradients.batch_normalisation import BatchNormalisation
from hecc.compiler.graph.gradients.derivatives import derivative
from hecc.compiler.graph.gradients.maps import pull_back
from hecc.compiler.graph.gradients.operators import operator_slopes
from hecc.compiler.graph.gradients.polynomials import trained_polynomial_slopes
from hecc.compiler.graph.gradients.slopes import Slopes
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
from hecc.compiler.graph.programs.builder import ProgramBuilder
from hecc.compiler.graph.programs.nodes import Places, polynomial_of
from hecc.runtime.reading import Reading

__all__ = ["GRADIENTS", "gradients"]


def gradients(
    build: ProgramBuilder,
    graph: Graph,
    places: Places,
    seeds: Mapping[str, int],
    wanted: Collection[str],
    normalised: Mapping[str, BatchNormalisation] = MappingProxyType({}),
) -> dict[str, int]:
    """The gradients of parameters, as values of the program that computes a graph; reverse accumulation.

    Parameters
    ----------
    places
        The graph's values in the program.
    seeds
        By the name of values the gradient of what is differentiated in them, a tensor for each row.
    wanted
        Names of parameters.
    normalised
        By the name of values what makes them of statistics of the batch.

    Returns
    -------
    dict
        For each of them the mean over rows of its gradient; without those that nothing depends on.
    """
    slopes = Slopes(build, wanted)
    for name, seed in seeds.items():
        slopes.add(name, seed)
    for node in reversed(graph.nodes):
        slope = slopes.of(node.output.name)
        if slope is None:
            continue
        build.source = f"gradient of {node.source}"
        slope = build.reshape(slope, node.output.shape)
        by_batch = normalised.get(node.output.name)
        if by_batch is not None:
            by_batch.backward(slopes, places[by_batch.value], build.reshape(slope, by_batch.shape))
        else:
            GRADIENTS.of(node)(slopes, node, places, graph, slope)
    found = {name: slopes.parameter(name) for name in wanted}
    return {name: value for name, value in found.items() if value is not None}


def _input(slopes: Slopes, node: InputNode, places: Places, graph: Graph, slope: int) -> None:
    """Nobody asks for the gradient of an input."""


def _affine(slopes: Slopes, node: AffineNode, places: Places, graph: Graph, slope: int) -> None:
    if node.bias in slopes.wanted and node.bias is not None:
        slopes.add_rows(node.bias, slope, graph.parameters[node.bias].shape)
    for term in node.terms:
        back = pull_back(slopes, term.map, places[term.value], slope, graph.parameters)
        slopes.add(term.value, slopes.build.reshape(back, slopes.build.shape(places[term.value])))


def _quadratic(slopes: Slopes, node: QuadraticNode, places: Places, graph: Graph, slope: int) -> None:
    build = slopes.build
    x = build.reshape(places[node.value], node.output.shape)
    _, c1, c2 = (build.parameter(name, graph.parameters[name]) for name in node.coefficients)
    powers = (slope, build.multiply(slope, x), build.multiply(build.multiply(slope, x), x))
    for name, power in zip(node.coefficients, powers, strict=True):
        if name in slopes.wanted:
            slopes.add_rows(name, power, graph.parameters[name].shape)
    steep = build.add([build.multiply(x, c2), c1], [2.0, 1.0])
    back = build.multiply(slope, steep)
    slopes.add(node.value, build.reshape(back, build.shape(places[node.value])))


def _function(slopes: Slopes, node: FunctionNode, places: Places, graph: Graph, slope: int) -> None:
    build, x = slopes.build, places[node.value]
    steep = build.function(derivative(node.function), x)
    slopes.add(node.value, build.multiply(build.reshape(slope, build.shape(x)), steep))


def _chebyshev(slopes: Slopes, node: ChebyshevNode, places: Places, graph: Graph, slope: int) -> None:
    build, x = slopes.build, places[node.value]
    if node.coefficients in slopes.wanted:
        trained_polynomial_slopes(slopes, node, x, slope, graph)
        return
    steep = build.function(derivative(polynomial_of(node, graph)), x)
    slopes.add(node.value, build.multiply(build.reshape(slope, build.shape(x)), steep))


def _window_sum(slopes: Slopes, node: WindowSumNode, places: Places, graph: Graph, slope: int) -> None:
    build, x = slopes.build, places[node.value]
    back = pull_back(slopes, node.window, x, slope, graph.parameters)
    slopes.add(node.value, build.reshape(build.add([back], [float(node.taps)]), build.shape(x)))


def _product(slopes: Slopes, node: ProductNode, places: Places, graph: Graph, slope: int) -> None:
    for own, other in ((node.left, node.right), (node.right, node.left)):
        slopes.add(own, slopes.build.multiply(slope, places[other]))


def _operator(slopes: Slopes, node: OperatorNode, places: Places, graph: Graph, slope: int) -> None:
    build = slopes.build
    operands = [
        build.reshape(places[name], shape) for name, shape in zip(node.values, node.operator.in_shapes, strict=True)
    ]
    found = operator_slopes(
        build, node.operator, operands, build.reshape(slope, node.operator.out_shape), graph.parameters
    )
    for name, back in zip(node.values, found, strict=True):
        slopes.add(name, build.reshape(back, build.shape(places[name])))


GRADIENTS: Reading[Callable[[Slopes, Any, Places, Graph, int], None]] = Reading(
    "gradients of nodes",
    NODES,
    {
        InputNode: _input,
        AffineNode: _affine,
        QuadraticNode: _quadratic,
        FunctionNode: _function,
        ChebyshevNode: _chebyshev,
        WindowSumNode: _window_sum,
        ProductNode: _product,
        OperatorNode: _operator,
    },
    without={BootstrapNode: "no bootstraps are placed for the schemes that make programs"},
)
"""Each rule takes what gradients are added up in, the node, the graph's values in the program, the graph, and the
gradient of the node's value."""
