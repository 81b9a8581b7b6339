"""Variants: the networks that somebody might have trained instead, as canonical graphs, for what they would cost.

A variant has the weights of the original as far as they fit, so that its layers are as full and its values about as
large. It computes something else, and has to be trained before it is of use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import AffineMap, Reshape, Select, SumOfMaps, compose
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import (
    AffineNode,
    FunctionNode,
    Node,
    QuadraticNode,
    Term,
    Value,
    WindowSumNode,
)

__all__ = ["strided", "with_features", "without_activation", "without_pooling"]


def without_activation(graph: Graph, value: str) -> Graph:
    """The network without the activation that defines a value; what is linear before and after it may then be fused."""
    node = graph.node(value)
    assert isinstance(node, QuadraticNode | FunctionNode)
    same = Reshape(graph.node(node.value).output.shape, node.output.shape)
    return _replaced(graph, {value: AffineNode(node.output, node.source, (Term(node.value, same),))})


def with_features(graph: Graph, value: str, number: int) -> Graph | None:
    """The network with another number of features (axis 1) in an affine node's result; None if it cannot be told.

    More features are the first ones again, so that the layers around have as many more weights.
    """
    shape = graph.node(value).output.shape
    index = np.arange(math.prod(shape)).reshape(shape).take(np.arange(number) % shape[1], axis=1)
    return _selected(graph, value, index)


def strided(graph: Graph, value: str) -> Graph | None:
    """The network with every second pixel only of an affine node's result; None if it cannot be told."""
    shape = graph.node(value).output.shape
    return _selected(graph, value, np.arange(math.prod(shape)).reshape(shape)[:, :, ::2, ::2])


def without_pooling(graph: Graph, value: str) -> Graph | None:
    """The network with a stride in the affine node before instead of the window sum that defines a value."""
    pooling = graph.node(value)
    assert isinstance(pooling, WindowSumNode)
    before = graph.node(pooling.value)
    while isinstance(before, QuadraticNode | FunctionNode):
        before = graph.node(before.value)
    if not isinstance(before, AffineNode):
        return None
    shape = before.output.shape
    rows, columns = (
        np.arange(out) * stride for out, stride in zip(pooling.output.shape[2:], pooling.window.strides, strict=True)
    )
    index = np.arange(math.prod(shape)).reshape(shape)[:, :, rows[:, np.newaxis], columns]
    return _selected(graph, before.output.name, index, pooling)


@dataclass(frozen=True)
class _Selection:
    """Elements of a tensor, by their flat positions; some may occur again."""

    shape: tuple[int, ...]
    index: NDArray[np.int64]

    @property
    def take(self) -> AffineMap:
        """From the tensor to the elements."""
        return Select.of(self.shape, self.index.shape, self.index)

    @property
    def put(self) -> AffineMap:
        """From the elements to the tensor, zero where none is; those that occur again are added."""
        maps = []
        rest = self.index.reshape(-1)
        places = np.arange(rest.size)
        while places.size:
            found, first = np.unique(rest[places], return_index=True)
            source = np.full(math.prod(self.shape), -1, dtype=np.int64)
            source[found] = places[first]
            maps.append(Select.of(self.index.shape, self.shape, source))
            places = np.delete(places, first)
        return SumOfMaps.of(*maps)


def _selected(graph: Graph, value: str, index: NDArray[np.int64], pooling: WindowSumNode | None = None) -> Graph | None:
    """The network with some elements only of an affine node's result, through the activations that follow it.

    ``pooling`` is left out, as what it would sum is selected already.
    """
    selection = _Selection(graph.node(value).output.shape, index)
    changed: dict[str, Node] = {}
    parameters: dict[str, NDArray[np.float64]] = {}
    narrow = {value}
    for node in graph.nodes:
        name, reads = node.output.name, narrow.intersection(node.inputs)
        if isinstance(node, FunctionNode) and reads and node.output.shape != selection.shape:
            return None
        if name in narrow or (isinstance(node, QuadraticNode | FunctionNode) and reads):
            narrow.add(name)
            changed[name] = _narrowed(node, selection, graph, parameters)
        elif pooling is not None and node is pooling:
            same = Reshape(node.output.shape, node.output.shape)
            changed[name] = AffineNode(node.output, node.source, (Term(pooling.value, same),))
        elif isinstance(node, AffineNode) and reads and pooling is None:
            terms = tuple(Term(t.value, compose(t.map, selection.put)) if t.value in narrow else t for t in node.terms)
            changed[name] = replace(node, terms=terms)
        elif reads:
            return None
    if narrow.intersection(graph.outputs):
        return None
    return _replaced(graph, changed, parameters)


def _narrowed(node: Node, selection: _Selection, graph: Graph, parameters: dict[str, NDArray[np.float64]]) -> Node:
    """A node that computes the selected elements only."""

    def narrowed(name: str) -> str:
        whole = np.asarray(graph.parameters[name], dtype=np.float64)
        if whole.ndim == 0:
            return name
        spread = np.broadcast_to(whole, selection.shape).reshape(-1)
        parameters[f"{name}:{node.output.name}:selected"] = spread[selection.index]
        return f"{name}:{node.output.name}:selected"

    output = Value(node.output.name, selection.index.shape)
    if isinstance(node, QuadraticNode):
        return replace(node, output=output, coefficients=tuple(narrowed(name) for name in node.coefficients))
    if isinstance(node, FunctionNode):
        return replace(node, output=output)
    assert isinstance(node, AffineNode)
    terms = tuple(Term(t.value, compose(selection.take, t.map)) for t in node.terms)
    return replace(node, output=output, terms=terms, bias=None if node.bias is None else narrowed(node.bias))


def _replaced(
    graph: Graph, changed: dict[str, Node], parameters: dict[str, NDArray[np.float64]] | None = None
) -> Graph:
    return graph.with_nodes([changed.get(node.output.name, node) for node in graph.nodes], parameters)
