"""Sibling products: products of elements of the same two values become one product.

A network that multiplies columns of a table with one another, as scikit-learn's ``PolynomialFeatures`` does, has a
product for each pair. Evaluated one by one, each takes a multiplication, two selections, and a third map to its place
among the others. Here one linear map gathers all left factors, another all right factors, and one multiplication does
the rest; what read a product reads some elements of the result. Fusion takes these maps into the linear layers around.

This is the vectorisation of straight-line code (Larsen and Amarasinghe, "Exploiting superword level parallelism with
multimedia instruction sets", 2000, section 3), with the slots of a ciphertext as the superword.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import Parameters, Reshape, Select
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

__all__ = ["merge_products"]

MOST_GATHERED = 1 << 12
"""Elements of a merged product: what a ciphertext of the ring N = 8192 has slots for. Larger tensors, as those of
attention, have layouts that a selection would tear apart."""

Indices = NDArray[np.int64]
Roots = tuple[str, str]


@dataclass
class _Family:
    """Products of elements of the same two values.

    Attributes
    ----------
    pairs
        Which element of the one root is multiplied with which of the other, and where in the merged product.
    members
        For each product the places of its elements in the merged one.
    """

    pairs: dict[tuple[int, int], int] = field(default_factory=dict)
    members: dict[str, Indices] = field(default_factory=dict)

    def add(self, product: str, left: Indices, right: Indices) -> Indices:
        """Take a product in: where its elements stand. What is a product of the same elements stands there once."""
        pairs = zip(left.tolist(), right.tolist(), strict=True)
        self.members[product] = np.array([self.pairs.setdefault(pair, len(self.pairs)) for pair in pairs])
        return self.members[product]


def merge_products(graph: Graph) -> Graph:
    """One product in the place of each family of siblings, between selections of its elements."""
    apart: set[str] = set()
    while True:
        families = _families(graph, apart)
        unsuited = _unsuited(graph, families)
        if not unsuited:
            return _merged(graph, families) if families else graph
        apart |= unsuited


def _families(graph: Graph, apart: set[str]) -> dict[Roots, _Family]:
    """The families of all products but those that stay apart.

    A product of products has its family, too: elements of a product are then elements of its family, a value that is
    called by the output of its first member.
    """
    families: dict[Roots, _Family] = {}
    picks: dict[str, tuple[str, Indices]] = {}
    for node in graph.nodes:
        name = node.output.name
        picks[name] = (name, np.arange(node.output.size))
        index = node.picked if isinstance(node, AffineNode) else None
        if index is not None:
            root, inner = picks[node.inputs[0]]
            picks[name] = (root, inner[index])
            continue
        factors = _FACTORS.of(node)(node, graph.parameters) if type(node) in _FACTORS and name not in apart else None
        if factors is None:
            continue
        (left_root, left), (right_root, right) = sorted((picks[factor] for factor in factors), key=lambda pick: pick[0])
        if left_root == right_root:
            left, right = np.minimum(left, right), np.maximum(left, right)
        family = families.setdefault((left_root, right_root), _Family())
        places = family.add(name, left, right)
        picks[name] = (next(iter(family.members)), places)
    return families


def _unsuited(graph: Graph, families: Mapping[Roots, _Family]) -> set[str]:
    """Products that are better left apart: alone, too large together, or read as they are by what is not linear.

    To select the elements of a product that an activation reads would take a level.
    """
    merged = {name for family in families.values() for name in family.members}
    consumers = graph.consumers()

    def as_it_is(value: str) -> bool:
        return value in graph.outputs or any(
            as_it_is(user.output.name)
            if isinstance(user, AffineNode) and user.reshapes_only
            else not isinstance(user, AffineNode) and user.output.name not in merged
            for user in consumers[value]
        )

    unsuited = {name for name in merged if as_it_is(name)}
    for family in families.values():
        if len(family.members) == 1 or len(family.pairs) > MOST_GATHERED:
            unsuited |= family.members.keys()
    return unsuited


def _merged(graph: Graph, families: Mapping[Roots, _Family]) -> Graph:
    """The graph with one product for each family."""
    of_member = {name: (roots, family) for roots, family in families.items() for name in family.members}
    values = graph.by_output()
    nodes: list[Node] = []
    parameters: dict[str, NDArray[np.float64]] = {}
    merged: dict[str, Value] = {}
    for node in graph.nodes:
        name = node.output.name
        if name not in of_member:
            nodes.append(node)
            continue
        roots, family = of_member[name]
        first = next(iter(family.members))
        if name == first:
            size = len(family.pairs)
            merged[first] = Value(f"{first}:siblings", (1, size) if graph.batch_axis else (size,))
            sources = [merged[root] if root in of_member else values[root].output for root in roots]
            nodes.extend(_product(node, merged[first], sources, family, parameters))
        nodes.append(_selection(node.output, node, merged[first], family.members[name]))
    return graph.with_nodes(nodes, parameters)


def _product(
    node: Node, output: Value, roots: Sequence[Value], family: _Family, parameters: dict[str, NDArray[np.float64]]
) -> list[Node]:
    """The merged product of a family, and the selections of its factors."""
    picked = np.array(list(family.pairs)).T
    left, right = (
        _selection(Value(f"{output.name}:{side}", output.shape), node, root, index)
        for side, root, index in zip(("left", "right"), roots, picked, strict=True)
    )
    if roots[0] == roots[1] and np.array_equal(*picked):
        names = (f"{output.name}:zero", f"{output.name}:zero", f"{output.name}:one")
        parameters |= {names[0]: np.zeros(()), names[2]: np.ones(())}
        return [left, QuadraticNode(output, node.source, left.output.name, names)]
    return [left, right, ProductNode(output, node.source, left.output.name, right.output.name)]


def _selection(output: Value, node: Node, value: Value, index: Indices) -> AffineNode:
    """Some elements of a value."""
    same = value.size == len(index) and np.array_equal(index, np.arange(value.size))
    picks = Reshape(value.shape, output.shape) if same else Select.of(value.shape, output.shape, index)
    return AffineNode(output, node.source, (Term(value.name, picks),))


def _of_quadratic(node: QuadraticNode, parameters: Parameters) -> tuple[str, str] | None:
    """A square is a product of a value with itself; another quadratic is none."""
    square = all(np.all(parameters[name] == c) for name, c in zip(node.coefficients, (0.0, 0.0, 1.0), strict=True))
    return (node.value, node.value) if square else None


_FACTORS: Reading[Callable[[Any, Parameters], tuple[str, str] | None]] = Reading(
    "the two factors of a product",
    NODES,
    {ProductNode: lambda node, _: (node.left, node.right), QuadraticNode: _of_quadratic},
    without={
        InputNode: "it is no product",
        AffineNode: "it is linear",
        FunctionNode: "it is no product",
        ChebyshevNode: "polynomials are fitted to functions later",
        BootstrapNode: "bootstraps are placed later",
        WindowSumNode: "it is linear",
        OperatorNode: "operators are taken apart or refused before",
    },
)
"""The values that a node multiplies, element by element, if it does only that."""
