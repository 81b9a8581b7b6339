"""Layers: affine maps that only scale, shift or add what other affine maps make become one with these.

A convolution with its batch normalization is one product with weights, and so is the sum of two branches that end in
convolutions. What picks or averages elements stays a map of its own: that is public, and costs nothing where it is.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import AffineMap, SumOfMaps, compose, elementwise_factor
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, Node, Term

__all__ = ["join_layers"]


def join_layers(graph: Graph) -> Graph:
    """Put elementwise affine maps behind the affine maps that nothing else reads."""
    consumers = graph.consumers()
    done: dict[str, Node] = {}
    parameters: dict[str, NDArray[np.float64]] = {}
    known = ChainMap(parameters, dict(graph.parameters))
    for node in graph.nodes:
        if isinstance(node, AffineNode):
            alone = {
                term.value for term in node.terms if len(consumers[term.value]) == 1 and term.value not in graph.outputs
            }
            node = _joined(node, done, alone, known, parameters)
        done[node.output.name] = node
    return graph.with_nodes(list(done.values()), parameters)


def _joined(
    node: AffineNode,
    done: Mapping[str, Node],
    alone: set[str],
    known: Mapping[str, NDArray[np.float64]],
    parameters: dict[str, NDArray[np.float64]],
) -> AffineNode:
    merged: dict[str, list[AffineMap]] = {}
    shape = node.output.shape
    biases = [] if node.bias is None else [np.broadcast_to(np.asarray(known[node.bias], dtype=np.float64), shape)]
    changed = False
    for term in node.terms:
        producer = done[term.value]
        factor = elementwise_factor(term.map, known)
        if factor is None or not isinstance(producer, AffineNode) or term.value not in alone:
            merged.setdefault(term.value, []).append(term.map)
            continue
        changed = True
        for inner in producer.terms:
            merged.setdefault(inner.value, []).append(compose(term.map, inner.map))
        if producer.bias is not None:
            inner_bias = np.asarray(known[producer.bias], dtype=np.float64)
            spread = np.broadcast_to(inner_bias, producer.output.shape).reshape(-1)
            biases.append((spread * factor).reshape(shape))
    if not changed:
        return node
    name = node.bias
    if len(biases) > (node.bias is not None):
        name = f"{node.output.name}:bias"
        parameters[name] = np.sum(biases, axis=0)
    terms = tuple(Term(value, SumOfMaps.of(*maps)) for value, maps in merged.items())
    return AffineNode(node.output, node.source, terms, name)
