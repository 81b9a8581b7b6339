"""Substitutes: networks that can be evaluated in place of those that cannot, as somebody might have trained them.

A substitute has the weights of the original. It computes something else, and has to be trained before it is of use; its
layers are as large and as many, which is what it costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import AffineMap, Pool, Reshape, Scale, compose
from hecc.compiler.graph.function import ARGUMENT, Primitive, is_kinked
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import (
    AffineNode,
    FunctionNode,
    Node,
    OperatorNode,
    ProductNode,
    QuadraticNode,
    Term,
    Value,
)
from hecc.compiler.graph.operators import ReducedExtremum, WindowExtremum
from hecc.compiler.importer.definitions.maps import average

__all__ = ["averaged", "kinked", "rescaled", "smoothed", "squared"]

Array = NDArray[np.float64]

SILU = Primitive("swish", (("alpha", 1.0),), ARGUMENT)

ROWS = 32
"""On which values are measured."""


def kinked(graph: Graph) -> list[FunctionNode]:
    """Functions that no polynomial follows closely, such as ReLU."""
    return [n for n in graph.nodes if isinstance(n, FunctionNode) and is_kinked(n.function)]


def averaged(graph: Graph) -> Graph | None:
    """The imported network with averages in place of maxima over windows and axes; ``None`` if it has none."""
    found = [n for n in graph.nodes if isinstance(n, OperatorNode)]
    maxima = {n.output.name: n for n in found if isinstance(n.operator, WindowExtremum | ReducedExtremum)}
    return graph.with_changed({name: (_average(node),) for name, node in maxima.items()}) if maxima else None


def _average(node: OperatorNode) -> Node:
    (shape,) = node.operator.in_shapes
    pooling: AffineMap
    if isinstance(node.operator, WindowExtremum):
        window = node.operator
        pooling = Pool(shape, window.out_shape, window.kernel, window.strides, window.pads, window.dilations)
    else:
        assert isinstance(node.operator, ReducedExtremum)
        mean = average(shape, node.operator.axes)
        pooling = compose(Reshape(mean.out_shape, node.output.shape), mean)
    return AffineNode(node.output, node.source, (Term(node.values[0], pooling),))


def smoothed(graph: Graph) -> Graph:
    """The network with SiLU in place of functions that have a kink."""
    return graph.with_changed({n.output.name: (replace(n, function=SILU),) for n in kinked(graph)})


def squared(graph: Graph, inputs: Mapping[str, Array]) -> Graph:
    """The imported network with squares in place of functions that have a kink, of about their size.

    Parameters
    ----------
    inputs
        By name, shape (rows, ...); on them values are measured, as the size of a square depends on its argument's.
    """
    for node in kinked(graph):
        size = _size(graph, inputs, node.value)
        shape, name = node.output.shape, f"{node.output.name}:root"
        argument = Value(name, shape)
        root = compose(Scale.of(shape, name), Reshape(graph.node(node.value).output.shape, shape))
        before = AffineNode(argument, node.source, (Term(node.value, root),))
        square = ProductNode(node.output, node.source, name, name)
        graph = graph.with_changed({node.output.name: (before, square)}, {name: np.array(size**-0.5)})
    return graph


def rescaled(graph: Graph, inputs: Mapping[str, Array]) -> tuple[Graph, str, float] | None:
    """The canonical network with arguments of squares and products of about one, and where they are largest now.

    Returns
    -------
    graph, source, size
        ``None`` where there is no square or product.
    """
    worst, largest = "", 0.0
    sizes = {}
    for node in [n for n in graph.nodes if isinstance(n, QuadraticNode | ProductNode)]:
        for value in dict.fromkeys(node.inputs):
            if value in sizes:
                continue
            sizes[value] = _size(graph, inputs, value)
            if sizes[value] > largest:
                worst, largest = str(graph.node(value).source), sizes[value]
    if not sizes:
        return None
    for node in [n for n in graph.nodes if isinstance(n, QuadraticNode | ProductNode)]:
        for value in dict.fromkeys(node.inputs):
            name = f"{value}:{node.output.name}:rescaled"
            before = graph.node(value)
            shape = before.output.shape
            scale = AffineNode(Value(name, shape), before.source, (Term(value, Scale.of(shape, name)),))
            closer = graph.node(node.output.name).reading({value: name})
            factor = np.array(1.0 / _size(graph, inputs, value))
            graph = graph.with_changed({node.output.name: (scale, closer)}, {name: factor})
    return graph, worst, largest


def _size(graph: Graph, inputs: Mapping[str, Array], value: str) -> float:
    """The largest magnitude of a value on some inputs; one where it is zero or infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        size = float(np.abs(graph.evaluate({name: rows[:ROWS] for name, rows in inputs.items()})[value]).max())
    return size if 0 < size < math.inf else 1.0
