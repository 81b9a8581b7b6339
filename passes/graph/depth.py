"""Multiplicative depth: how many products lie between an input and each value.

An affine map is one product (by plaintext), a polynomial of degree two is one product (of ciphertexts, or by plaintext,
summed before the same rescale), so is a product of two values; a Chebyshev series of degree n is ceil(log2(n + 1)), a
reshape or a window sum is none.
The depth of a value is the longest path to it.
"""

from __future__ import annotations

import networkx as nx

from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, ChebyshevNode, Node, ProductNode, QuadraticNode
from hecc.runtime.ckks.circuit.polynomials import polynomial_depth

__all__ = ["multiplicative_depth"]


def multiplicative_depth(graph: Graph) -> dict[str, int]:
    """Depth of every value, by name; the network's depth is that of its deepest output."""
    flow = graph.digraph()
    depth: dict[str, int] = {}
    for value in nx.topological_sort(flow):
        before = max((depth[p] for p in flow.predecessors(value)), default=0)
        depth[value] = before + _products(flow.nodes[value]["node"], graph)
    return depth


def _products(node: Node, graph: Graph) -> int:
    if isinstance(node, ChebyshevNode):
        return polynomial_depth(len(graph.parameters[node.coefficients]) - 1)
    if isinstance(node, AffineNode):
        return 0 if node.reshapes_only else 1
    return 1 if isinstance(node, QuadraticNode | ProductNode) else 0
