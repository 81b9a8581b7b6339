"""Variants: the networks that somebody might have trained instead, as canonical graphs, for what they would cost.

A variant has the weights of the original as far as they fit, so that its layers are as full and its values about as
large. It computes something else, and has to be trained before it is of use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import AffineMap, Reshape, Scale, Select, SumOfMaps, compose
from hecc.compiler.graph.function import KINKED, SINGULAR
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
from hecc.runtime.figures import count_words
from hecc.runtime.reading import Reading

__all__ = [
    "is_activation",
    "smaller_arguments",
    "standardised",
    "steep",
    "strided",
    "with_features",
    "without_activation",
    "without_pooling",
]

Array = NDArray[np.float64]


def is_activation(node: Node) -> bool:
    """Whether a node is elementwise in one value, and not linear."""
    return isinstance(node, QuadraticNode | FunctionNode)


def without_activation(graph: Graph, value: str) -> Graph:
    """The network without the activation that defines a value; what is linear before and after it may then be fused."""
    node = graph.node(value)
    assert is_activation(node)
    (argument,) = node.inputs
    same = Reshape(graph.node(argument).output.shape, node.output.shape)
    return graph.with_changed({value: (AffineNode(node.output, node.source, (Term(argument, same),)),)})


def steep(graph: Graph, inputs: Mapping[str, Array], wide: float) -> dict[str, float]:
    """Smooth functions whose polynomials are deep because of the size of their arguments, by the names of their values.

    Their arguments come to ``wide`` or farther on some inputs, shape (rows, ...), and how far is the value. A function
    with a kink at zero, or an end there, looks the same at any size.
    """
    values = graph.evaluate(inputs)
    found = {}
    for node in graph.nodes:
        if isinstance(node, FunctionNode) and not node.function.primitives() & (KINKED | SINGULAR):
            reach = float(np.abs(values[node.value]).max())
            if wide <= reach < math.inf:
                found[node.output.name] = reach
    return found


def standardised(graph: Graph, names: Collection[str], inputs: Mapping[str, Array], deviation: float) -> Graph:
    """The network with a batch normalization before some functions, as training with it would begin.

    Parameters
    ----------
    names
        Of the functions' values.
    inputs
        By name, shape (rows, ...): what means and deviations are measured on.
    deviation
        Of the arguments then, channel by channel (axis 1); their mean is zero.
    """
    for name in names:
        node = graph.node(name)
        assert isinstance(node, FunctionNode)
        shape, rows = graph.node(node.value).output.shape, graph.evaluate(inputs)[node.value]
        each = rows.reshape(len(rows), *shape)
        # Axis 0 is that of the rows, and the example's own first axis, of length one, is behind it.
        axes = tuple(axis for axis in range(each.ndim) if axis != 2)
        spread = each.std(axis=axes, keepdims=True)[0]
        factor = np.broadcast_to(deviation / np.where(spread > 0, spread, 1.0), shape)
        constant = -factor * each.mean(axis=axes, keepdims=True)[0]
        closer, parameters = f"{name}:standardised", {f"{name}:factor": factor, f"{name}:constant": constant}
        term = Term(node.value, Scale.of(shape, f"{name}:factor"))
        before = AffineNode(Value(closer, shape), graph.node(node.value).source, (term,), f"{name}:constant")
        graph = graph.with_changed({name: (before, node.reading({node.value: closer}))}, parameters)
    return graph


def smaller_arguments(graph: Graph, reaches: Mapping[str, float], deviation: float) -> str:
    """What :func:`standardised` asks of whoever trains the network, as a clause.

    Parameters
    ----------
    reaches
        How far arguments of functions come, by the names of their values, as :func:`steep` finds them.
    """
    largest = max(reaches, key=lambda name: reaches[name])
    others = len(reaches) - 1
    more = f" and of {count_words(others, 'other')}," if others else ""
    scaled = "" if deviation == 1 else f" (with scales of about {deviation:g})"
    return (
        f"keep the arguments of {graph.node(largest).source}, which reach {reaches[largest]:.3g},{more} near one, with "
        f"a BatchNormalization before {'each' if others else 'it'}{scaled}"
    )


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
    while is_activation(before):
        before = graph.node(before.inputs[0])
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
    narrowing = _Narrowing(_Selection(graph.node(value).output.shape, index), graph, pooling)
    changed = {value: narrowing.begun(value)}
    for node in graph.nodes:
        if narrowing.reads(node):
            reader = _READERS.of(node)(node, narrowing) if type(node) in _READERS else None
            if reader is None:
                return None
            changed[node.output.name] = reader
    if narrowing.narrow.intersection(graph.outputs):
        return None
    return graph.with_changed({name: (node,) for name, node in changed.items()}, narrowing.parameters)


class _Narrowing:
    """Nodes that compute some elements only, and the parameters that they read.

    Attributes
    ----------
    narrow
        Values of which there are only these elements.
    """

    def __init__(self, selection: _Selection, graph: Graph, pooling: WindowSumNode | None) -> None:
        self.selection, self.graph, self.pooling = selection, graph, pooling
        self.narrow: set[str] = set()
        self.parameters: dict[str, NDArray[np.float64]] = {}

    def begun(self, value: str) -> Node:
        """The affine node whose result is selected from."""
        node = self.graph.node(value)
        assert isinstance(node, AffineNode)
        terms = tuple(Term(t.value, compose(self.selection.take, t.map)) for t in node.terms)
        bias = None if node.bias is None else self.parameter(node, node.bias)
        return replace(node, output=self.output(node), terms=terms, bias=bias)

    def reads(self, node: Node) -> bool:
        """Whether a node reads a value of which there are only some elements."""
        return not self.narrow.isdisjoint(node.inputs)

    def output(self, node: Node) -> Value:
        self.narrow.add(node.output.name)
        return Value(node.output.name, self.selection.index.shape)

    def parameter(self, node: Node, name: str) -> str:
        whole = np.asarray(self.graph.parameters[name], dtype=np.float64)
        if whole.ndim == 0:
            return name
        spread = np.broadcast_to(whole, self.selection.shape).reshape(-1)
        narrow = f"{name}:{node.output.name}:selected"
        self.parameters[narrow] = spread[self.selection.index]
        return narrow


def _affine_reader(node: AffineNode, narrowing: _Narrowing) -> Node | None:
    """A layer behind the selected elements computes all of its result of them; a pooling has to come before it."""
    if narrowing.pooling is not None:
        return None
    put = narrowing.selection.put
    terms = tuple(Term(t.value, compose(t.map, put)) if t.value in narrowing.narrow else t for t in node.terms)
    return replace(node, terms=terms)


def _quadratic_reader(node: QuadraticNode, narrowing: _Narrowing) -> Node:
    coefficients = tuple(narrowing.parameter(node, name) for name in node.coefficients)
    return replace(node, output=narrowing.output(node), coefficients=coefficients)


def _function_reader(node: FunctionNode, narrowing: _Narrowing) -> Node | None:
    if node.output.shape != narrowing.selection.shape:
        return None
    return replace(node, output=narrowing.output(node))


def _pooling_reader(node: WindowSumNode, narrowing: _Narrowing) -> Node | None:
    if node is not narrowing.pooling:
        return None
    same = Reshape(node.output.shape, node.output.shape)
    return AffineNode(node.output, node.source, (Term(node.value, same),))


_READERS: Reading[Callable[[Any, _Narrowing], Node | None]] = Reading(
    "nodes that read some elements only",
    NODES,
    {
        AffineNode: _affine_reader,
        QuadraticNode: _quadratic_reader,
        FunctionNode: _function_reader,
        WindowSumNode: _pooling_reader,
    },
    without={
        InputNode: "it reads nothing",
        ChebyshevNode: "polynomials are fitted to functions later",
        BootstrapNode: "bootstraps are placed later",
        ProductNode: "its factors would have to be narrowed both",
        OperatorNode: "operators are taken apart or refused before",
    },
)
"""What becomes of each; ``None`` where it cannot be told."""
