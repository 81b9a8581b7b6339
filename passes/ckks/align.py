"""Alignment: the factors of a product in the same slots, should layout selection not get them there.

The layers before a product are asked for one layout (:mod:`hecc.passes.ckks.layouts`). Where none of them can give it,
as between an input and a window sum of itself, one factor is moved by an affine map of its own, the identity, which
takes a level: the shallower factor, which has levels to spare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hecc.compiler.graph.affine import Select
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, Node, ProductNode, Term, Value

__all__ = ["align_factors"]


def align_factors(graph: Graph, product: str, depth: Mapping[str, int]) -> Graph:
    """Move one factor of a product.

    Parameters
    ----------
    product
        The value that the product defines.
    depth
        Multiplicative depth of every value.
    """
    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node, ProductNode) and node.output.name == product:
            moved = min(node.left, node.right, key=depth.__getitem__)
            shape = graph.node(moved).output.shape
            aligned = Value(f"{product}:aligned", shape)
            # A reshape would be nothing at all.
            identity = Select.of(shape, shape, np.arange(np.prod(shape)))
            nodes.append(AffineNode(aligned, node.source, (Term(moved, identity),)))
            left, right = (aligned.name if value == moved else value for value in (node.left, node.right))
            node = replace(node, left=left, right=right)
        nodes.append(node)
    return graph.with_nodes(nodes)
