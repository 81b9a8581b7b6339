"""Outputs that are one encrypted value: computed, sent and decrypted once.

A classifier returns a label and probabilities, which are the client's steps from the same scores.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode

__all__ = ["merge_outputs"]


def merge_outputs(graph: Graph) -> Graph:
    """The first of several outputs with one value stands for all of them."""
    first: dict[Hashable, str] = {}
    aliases = {name: first.setdefault(_value(graph, name), name) for name in graph.outputs}
    if len(first) == len(aliases):
        return graph
    merged = replace(graph, outputs=tuple(first.values()), aliases=aliases)
    return merged.with_nodes(graph.nodes)


def _value(graph: Graph, name: str) -> Hashable:
    """What an output is, under its name before it was an output, or as what it is made of."""
    node = graph.node(name)
    while isinstance(node, AffineNode) and node.reshapes_only:
        source = graph.node(node.terms[0].value)
        if source.output.shape != node.output.shape:
            break
        node = source
    return (node.terms, node.bias, node.output.shape) if isinstance(node, AffineNode) else node.output.name
