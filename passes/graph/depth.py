"""Multiplicative depth: how many products lie between an input and each value.

An affine map is one product (by plaintext), a quadratic is one product (of ciphertexts, or by plaintext, summed before
the same rescale), so is a product of two values; a Chebyshev polynomial of degree n is ceil(log2(n + 1)), a reshape or
a window sum is none. The depth of a value is the longest path to it, from the inputs or from a bootstrap, behind which
values have levels again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    Source,
    WindowSumNode,
)
from hecc.runtime.depth import polynomial_depth
from hecc.runtime.reading import Reading

__all__ = ["bootstrapped_depth", "levels_between", "levels_spent", "multiplicative_depth"]


def multiplicative_depth(graph: Graph, *, functions: int = 0, start: int = 0, refreshed: int = 0) -> dict[str, int]:
    """Depth of every value of a graph, by name; the network's depth is that of its deepest output.

    Parameters
    ----------
    functions
        Levels that a function counts as, which is no products yet.
    start
        Depth of the inputs.
    refreshed
        Depth of what a bootstrap makes.
    """
    depth: dict[str, int] = {}
    for node in graph.nodes:
        before = max((depth[value] for value in node.inputs), default=start)
        levels = _levels(graph, node, functions)
        depth[node.output.name] = refreshed if levels is None else before + levels
    return depth


def bootstrapped_depth(graph: Graph, behind: int) -> dict[str, int]:
    """Depth of every value of a graph with bootstraps, behind which it is ``behind``.

    Inputs are as deep as nothing becomes deeper for it: they are encrypted with no more limbs than they need.
    """
    deepest = max(multiplicative_depth(graph).values())
    start = next(n for n in range(deepest, -1, -1) if max(multiplicative_depth(graph, start=n).values()) == deepest)
    return {name: behind + depth for name, depth in multiplicative_depth(graph, start=start).items()}


def levels_between(graph: Graph) -> int:
    """The most products in a row from a function, or an input, to the next function or an output."""
    depth: dict[str, int] = {}
    for node in graph.nodes:
        before = max((depth[value] for value in node.inputs), default=0)
        depth[node.output.name] = 0 if isinstance(node, FunctionNode) else before + (_levels(graph, node, 0) or 0)
    return max(depth.values())


def levels_spent(graph: Graph, *, functions: int = 0) -> dict[Source, int]:
    """Levels that each ONNX node spends on the longest path of products, from its end to its beginning.

    The path begins at an input or behind a bootstrap.
    """
    depth = multiplicative_depth(graph, functions=functions)
    spent: dict[Source, int] = {}
    inputs: tuple[str, ...] = graph.outputs
    while inputs:
        node = graph.node(max(inputs, key=depth.__getitem__))
        levels = _levels(graph, node, functions)
        if levels is None:
            break
        if levels:
            spent[node.source] = spent.get(node.source, 0) + levels
        inputs = tuple(node.inputs)
    return spent


def _levels(graph: Graph, node: Node, functions: int) -> int | None:
    found: int | None = _PRODUCTS.of(node)(node, graph.parameters, functions)
    return found


_PRODUCTS: Reading[Callable[[Any, Parameters, int], int | None]] = Reading(
    "products in a row in a node",
    NODES,
    {
        InputNode: lambda node, *_: 0,
        AffineNode: lambda node, *_: 0 if node.reshapes_only else 1,
        QuadraticNode: lambda node, *_: 1,
        FunctionNode: lambda node, _, functions: functions,
        ChebyshevNode: lambda node, parameters, _: polynomial_depth(len(parameters[node.coefficients]) - 1),
        BootstrapNode: lambda node, *_: None,
        WindowSumNode: lambda node, *_: 0,
        ProductNode: lambda node, *_: 1,
    },
    without={OperatorNode: "operators are taken apart or refused before"},
)
"""``None`` where levels are there again."""
