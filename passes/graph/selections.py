"""Selections: elements are picked and repeated before an activation rather than behind it.

A gate such as ``x * Sigmoid(W g)`` often has one number per channel, which is repeated over all pixels for the product.
Behind the sigmoid that is an affine map, which takes a level and about as many diagonals as the result has elements. A
function of every element does not care when the elements are repeated: before it, the repetition is fused with the
linear layer, which has as many diagonals then as it has inputs, and the function is evaluated in slots that would
otherwise be empty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import Select
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
    Term,
    Value,
    WindowSumNode,
)
from hecc.runtime.reading import Reading

__all__ = ["move_selections"]


def move_selections(graph: Graph) -> Graph:
    """Where only products read a selection of an activation's result, let the activation read the selection."""
    consumers = graph.consumers()
    nodes: list[Node] = []
    parameters: dict[str, NDArray[np.float64]] = {}
    for node in graph.nodes:
        picked = _picked(node) if all(isinstance(user, ProductNode) for user in consumers[node.output.name]) else None
        moved: list[Node] = []
        value = node.inputs[0] if picked is not None else ""
        while picked is not None and len(consumers[value]) == 1 and value not in graph.outputs:
            before = graph.node(value)
            if type(before) not in _SELECTED:
                break
            moved.append(before)
            (value,) = before.inputs
        if picked is None or not moved:
            nodes.append(node)
            continue
        source, shape = graph.node(value), node.output.shape
        argument = Value(f"{node.output.name}:selected", shape)
        selection = Select.of(source.output.shape, shape, picked)
        nodes.append(AffineNode(argument, node.source, (Term(value, selection),)))
        for k, activation in enumerate(reversed(moved), start=1):
            last = k == len(moved)
            output = node.output if last else Value(f"{activation.output.name}:selected", shape)
            nodes.append(_SELECTED.of(activation)(activation, argument, output, picked, graph, parameters))
            argument = output
    return graph.with_nodes(nodes, parameters)


def _picked(node: Node) -> NDArray[np.int64] | None:
    """Which elements of its argument a node's result has, if that is all it is, and not only another shape."""
    return node.picked if isinstance(node, AffineNode) and not node.reshapes_only else None


def _selected_function(
    node: FunctionNode,
    argument: Value,
    output: Value,
    _: NDArray[np.int64],
    __: Graph,
    ___: dict[str, NDArray[np.float64]],
) -> Node:
    return replace(node, output=output, value=argument.name)


def _selected_quadratic(
    node: QuadraticNode,
    argument: Value,
    output: Value,
    picked: NDArray[np.int64],
    graph: Graph,
    parameters: dict[str, NDArray[np.float64]],
) -> Node:
    names = []
    for name in node.coefficients:
        coefficient = np.asarray(graph.parameters[name], dtype=np.float64)
        if coefficient.size > 1:
            spread = np.broadcast_to(coefficient, node.output.shape).reshape(-1)
            name = f"{name}:{output.name}"
            parameters[name] = spread[picked].reshape(output.shape)
        names.append(name)
    return QuadraticNode(output, node.source, argument.name, tuple(names))


_SELECTED: Reading[Callable[[Any, Value, Value, NDArray[np.int64], Graph, dict[str, NDArray[np.float64]]], Node]] = (
    Reading(
        "activations of selected elements",
        NODES,
        {FunctionNode: _selected_function, QuadraticNode: _selected_quadratic},
        without={
            InputNode: "it is no activation",
            AffineNode: "fusion composes it with the selection",
            ChebyshevNode: "polynomials are fitted to functions later",
            BootstrapNode: "bootstraps are placed later",
            WindowSumNode: "it is no activation",
            ProductNode: "it has two operands",
            OperatorNode: "operators are taken apart or refused before",
        },
    )
)
"""The activation of selected elements: of an argument that has them already, with the output that it defines."""
