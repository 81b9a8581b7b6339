"""Nodes as programs: a rule for each kind, and the program of a whole graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from hecc.compiler.graph.function import ARGUMENT, PolynomialOf
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
from hecc.compiler.graph.programs.maps import apply_map
from hecc.compiler.graph.programs.operators import apply_operator
from hecc.runtime.network.program import TensorProgram
from hecc.runtime.reading import Reading

__all__ = ["Places", "graph_program", "lower_graph", "polynomial_of"]

Places = Mapping[str, int]
"""The values of a program by the names that the graph has for them."""


def lower_graph(
    build: ProgramBuilder, graph: Graph, instead: Mapping[str, Callable[[Places], int]] = MappingProxyType({})
) -> dict[str, int]:
    """Every value of a graph as one of a program, of the node's shape.

    Parameters
    ----------
    instead
        By the name of values what makes them in place of their node's rule.
    """
    places: dict[str, int] = {}
    for node in graph.nodes:
        build.source = str(node.source)
        own = instead.get(node.output.name)
        made = _NODES.of(node)(build, node, places, graph) if own is None else own(places)
        places[node.output.name] = build.reshape(made, node.output.shape)
    return places


def graph_program(graph: Graph) -> TensorProgram:
    """The program that computes a graph's outputs, each of the shape of one example."""
    build = ProgramBuilder()
    places = lower_graph(build, graph)
    for name in graph.outputs:
        build.output(build.reshape(places[name], graph.example_shape(graph.node(name).output.shape)), name)
    return build.program()


def _input(build: ProgramBuilder, node: InputNode, _: Places, graph: Graph) -> int:
    given = build.input(node.output.name, graph.example_shape(node.output.shape))
    return build.reshape(given, node.output.shape)


def _affine(build: ProgramBuilder, node: AffineNode, places: Places, graph: Graph) -> int:
    terms = [
        build.reshape(apply_map(build, term.map, places[term.value], graph.parameters), node.output.shape)
        for term in node.terms
    ]
    if node.bias is not None:
        terms.append(build.parameter(node.bias, graph.parameters[node.bias]))
    return build.add(terms)


def _quadratic(build: ProgramBuilder, node: QuadraticNode, places: Places, graph: Graph) -> int:
    x = build.reshape(places[node.value], node.output.shape)
    c0, c1, c2 = (build.parameter(name, graph.parameters[name]) for name in node.coefficients)
    inner = build.add([build.multiply(x, c2), c1])
    return build.add([build.multiply(inner, x), c0])


def _function(build: ProgramBuilder, node: FunctionNode, places: Places, _: Graph) -> int:
    return build.function(node.function, places[node.value])


def polynomial_of(node: ChebyshevNode, graph: Graph) -> PolynomialOf:
    """A polynomial in the Chebyshev basis in powers of its argument."""
    powers = np.polynomial.chebyshev.cheb2poly(np.asarray(graph.parameters[node.coefficients], dtype=np.float64))
    return PolynomialOf(tuple(map(float, powers)), ARGUMENT)


def _chebyshev(build: ProgramBuilder, node: ChebyshevNode, places: Places, graph: Graph) -> int:
    return build.function(polynomial_of(node, graph), places[node.value])


def _window_sum(build: ProgramBuilder, node: WindowSumNode, places: Places, graph: Graph) -> int:
    average = apply_map(build, node.window, places[node.value], graph.parameters)
    return build.add([average], [float(node.taps)])


def _product(build: ProgramBuilder, node: ProductNode, places: Places, _: Graph) -> int:
    return build.multiply(places[node.left], places[node.right])


def _operator(build: ProgramBuilder, node: OperatorNode, places: Places, graph: Graph) -> int:
    operands = [
        build.reshape(places[name], shape) for name, shape in zip(node.values, node.operator.in_shapes, strict=True)
    ]
    return apply_operator(build, node.operator, operands, graph.parameters)


_NODES: Reading[Callable[[ProgramBuilder, Any, Places, Graph], int]] = Reading(
    "nodes as programs",
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
