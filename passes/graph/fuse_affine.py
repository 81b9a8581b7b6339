"""Affine fusion: neighbouring affine nodes become one; folding batch normalisation is one case of many.

A chain such as convolution, batch normalisation, average pooling, flatten, Gemm without an activation in between is one
affine map. Fusing it saves a level for every node that disappears, and never changes the result. It is not done where
the product of the matrices has so many more non-zeros than its factors that the level is not worth it (a bottleneck).
What only repeats elements for an activation or a product is no bottleneck: rows that are equal have equal diagonals.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import AffineMap, SumOfMaps, compose, picked_elements
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, Node, Term

__all__ = ["fuse_affine"]

LEVEL_WORTH = 2.0
"""A fused map may have this many times the non-zeros of the maps it replaces: what a level is worth.

One level more makes every ciphertext of the layers before it a limb longer, which costs between a third and all of
their time again in networks of the depths seen here."""

MOST_REPEATED = 1 << 22
"""Non-zeros that a map may have for the sake of repeated rows: a weight is kept for each."""


def fuse_affine(graph: Graph) -> Graph:
    """Compose affine nodes with the affine nodes they read wherever that is cheaper."""
    consumers = graph.consumers()
    fused: dict[str, Node] = {}
    parameters: dict[str, NDArray[np.float64]] = {}
    known = ChainMap(parameters, dict(graph.parameters))
    for node in graph.nodes:
        if isinstance(node, AffineNode):
            # A linear layer behind would take the repetition in without any more non-zeros.
            last = not any(isinstance(user, AffineNode) for user in consumers[node.output.name])
            node = _fuse(node, fused, known, parameters, may_repeat=last)
        fused[node.output.name] = node
    return graph.with_nodes([_skip_reshapes(node, fused) for node in fused.values()], parameters)


def _fuse(
    node: AffineNode,
    done: dict[str, Node],
    known: Mapping[str, NDArray[np.float64]],
    parameters: dict[str, NDArray[np.float64]],
    *,
    may_repeat: bool,
) -> AffineNode:
    """One node with the affine nodes that it reads composed into it; new biases go to ``parameters``."""
    merged: dict[str, list[AffineMap]] = {}
    bias = np.zeros(node.output.shape)
    biased = node.bias is not None
    if node.bias is not None:
        bias = bias + np.asarray(known[node.bias], dtype=np.float64)
    composed_bias = False
    for term in node.terms:
        producer = done[term.value]
        if isinstance(producer, AffineNode) and _worth_it(term.map, producer, may_repeat=may_repeat):
            for inner in producer.terms:
                merged.setdefault(inner.value, []).append(compose(term.map, inner.map))
            if producer.bias is not None:
                inner_bias = np.broadcast_to(known[producer.bias], producer.output.shape).reshape(1, -1)
                bias = bias + term.map.apply(inner_bias.astype(np.float64), known).reshape(node.output.shape)
                biased = composed_bias = True
        else:
            merged.setdefault(term.value, []).append(term.map)
    terms = tuple(Term(value, SumOfMaps.of(*maps)) for value, maps in merged.items())
    name = node.bias
    if composed_bias:
        name = f"{node.output.name}:bias"
        parameters[name] = bias
    return AffineNode(node.output, node.source, terms, name if biased else None)


def _worth_it(outer: AffineMap, producer: AffineNode, *, may_repeat: bool) -> bool:
    apart = outer.nonzeros() + sum(term.map.nonzeros() for term in producer.terms)
    together = sum(compose(outer, term.map).nonzeros() for term in producer.terms)
    if together <= LEVEL_WORTH * apart:
        return True
    return may_repeat and together <= MOST_REPEATED and picked_elements(outer) is not None


def _skip_reshapes(node: Node, done: dict[str, Node]) -> Node:
    """Let an affine node read past nodes that only reshape, which cost nothing and need no node of their own."""
    if not isinstance(node, AffineNode):
        return node
    terms = []
    for term in node.terms:
        value, m = term.value, term.map
        while isinstance(producer := done[value], AffineNode) and producer.reshapes_only:
            value, m = producer.terms[0].value, compose(m, producer.terms[0].map)
        terms.append(Term(value, m))
    return AffineNode(node.output, node.source, tuple(terms), node.bias)
