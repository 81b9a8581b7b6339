"""Units of inputs: what is encrypted in [-1, 1] becomes the network's input again, in front of the network.

Where the elements of an input have ranges of their own, the client brings each to [-1, 1]
(:mod:`hecc.runtime.inputs.ranges`). The inverse is an affine map; affine fusion makes it a part of the first linear
layer, and what a scaler there would do is done by the client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import Scale
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import (
    NODES,
    AffineNode,
    ChebyshevNode,
    FunctionNode,
    InputNode,
    Node,
    OperatorNode,
    ProductNode,
    QuadraticNode,
    Term,
    Value,
    WindowSumNode,
)
from hecc.runtime.inputs.ranges import ElementRanges
from hecc.runtime.reading import Reading

__all__ = ["with_normalised_inputs"]


def with_normalised_inputs(graph: Graph, ranges: Mapping[str, ElementRanges]) -> Graph:
    """A graph that computes the same of inputs that are brought to [-1, 1].

    Parameters
    ----------
    ranges
        Of the elements of some inputs, by name; none of them is an output as well.
    """
    if not ranges:
        return graph
    renamed = {name: f"{name}:in its units" for name in ranges}
    nodes: list[Node] = []
    parameters: dict[str, NDArray[np.float64]] = {}
    for node in graph.nodes:
        nodes.append(_READERS.of(node)(node, renamed))
        name, shape = node.output.name, node.output.shape
        if isinstance(node, InputNode) and name in ranges:
            radius, centre = f"{name}:radius", f"{name}:centre"
            parameters |= {radius: ranges[name].radius.reshape(shape), centre: ranges[name].centre.reshape(shape)}
            value = Value(renamed[name], shape)
            nodes.append(AffineNode(value, node.source, (Term(name, Scale.of(shape, radius)),), centre))
    return graph.with_nodes(nodes, parameters)


Names = Mapping[str, str]
"""For some values, those that are to be read in their place."""


def _affine(node: AffineNode, names: Names) -> Node:
    return replace(node, terms=tuple(replace(term, value=names.get(term.value, term.value)) for term in node.terms))


def _value(node: Any, names: Names) -> Node:
    changed: Node = replace(node, value=names.get(node.value, node.value))
    return changed


def _product(node: ProductNode, names: Names) -> Node:
    return replace(node, left=names.get(node.left, node.left), right=names.get(node.right, node.right))


_READERS: Reading[Callable[[Any, Names], Node]] = Reading(
    "nodes that read other values",
    NODES,
    {
        InputNode: lambda node, _: node,
        AffineNode: _affine,
        QuadraticNode: _value,
        FunctionNode: _value,
        ChebyshevNode: _value,
        WindowSumNode: _value,
        ProductNode: _product,
        OperatorNode: lambda node, names: replace(node, values=tuple(names.get(name, name) for name in node.values)),
    },
)
