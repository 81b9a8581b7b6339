"""Kinks that no input reaches: a function that is a polynomial on all that its argument can be becomes that polynomial.

A ReLU of what is never negative is the identity, and of what is never positive zero: behind an average of ReLUs,
behind a square, ahead of a maximum that holds a zero already. So are absolute values, clipping within the ends of what
is clipped, the rectifiers of a tournament between numbers of which one is always the larger, and comparisons that are
always true. A polynomial for such a function would take levels, and would be worst where the kink is that nothing
reaches.

What counts is what is proved for the declared range of the inputs, which no encrypted input leaves
(:mod:`hecc.compiler.graph.enclosures`), and never what calibration inputs show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import Scale
from hecc.compiler.graph.enclosures.expressions import enclosed
from hecc.compiler.graph.enclosures.primitives import PIECES, Ends
from hecc.compiler.graph.enclosures.values import ANY, enclosures
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, FunctionNode, Node, ProductNode, QuadraticNode, Term

__all__ = ["ANY", "drop_proved_kinks"]


def drop_proved_kinks(graph: Graph, declared: Mapping[str, tuple[float, float]] = ANY) -> Graph:
    """Let functions be polynomials, and factors constants, where that is what they are for every input.

    Parameters
    ----------
    graph
        Without operators.
    declared
        Smallest and largest value of each input's elements; of inputs that it lacks nothing is known.

    Returns
    -------
    Graph
        One that computes the same for every input in the declared range; the same one, if nothing is proved.
    """
    if not any(isinstance(node, FunctionNode) and node.function.primitives() & PIECES.keys() for node in graph.nodes):
        return graph
    ends = enclosures(graph, declared)
    changed: dict[str, tuple[Node, ...]] = {}
    parameters: dict[str, NDArray[Any]] = {}
    for node in graph.nodes:
        simpler: Node = node
        if isinstance(node, FunctionNode):
            simpler = _function(node, ends[node.value], parameters)
        elif isinstance(node, ProductNode):
            simpler = _product(node, ends, parameters)
        if simpler is not node:
            changed[node.output.name] = (simpler,)
    return graph.with_changed(changed, parameters) if changed else graph


def _function(node: FunctionNode, ends: Ends, parameters: dict[str, NDArray[Any]]) -> Node:
    if not node.function.primitives() & PIECES.keys():
        return node
    found = enclosed(node.function, ends)
    coefficients = found.coefficients
    if coefficients is None or len(coefficients) > 3:
        return node if found.expression is node.function else replace(node, function=found.expression)
    names = [f"{node.output.name}:proved {power}" for power in range(3)]
    for name, coefficient in zip(names, (*coefficients, 0.0, 0.0), strict=False):
        parameters[name] = np.array(coefficient)
    if len(coefficients) == 3:
        return QuadraticNode(node.output, node.source, node.value, tuple(names))
    scaled = Term(node.value, Scale.of(node.output.shape, names[1]))
    return AffineNode(node.output, node.source, (scaled,), names[0] if coefficients[0] else None)


def _product(node: ProductNode, ends: Mapping[str, Ends], parameters: dict[str, NDArray[Any]]) -> Node:
    """With a constant factor it is no product; nor is anything else read where that is zero."""
    for constant, other in ((node.left, node.right), (node.right, node.left)):
        low, high = ends[constant]
        if bool((low == high).all()):
            name = f"{node.output.name}:proved factor"
            parameters[name] = low.reshape(node.output.shape)
            value = other if low.any() else constant
            return AffineNode(node.output, node.source, (Term(value, Scale.of(node.output.shape, name)),))
    return node
