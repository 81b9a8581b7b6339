"""Writing nodes in place of another: names that nothing else has, and constants."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from hecc.compiler.importer.building.scope import Scope
from hecc.compiler.importer.reading.prepare import opset_of

__all__ = ["Writer", "inner_graphs", "renamed"]

LONGEST = 128
"""Characters that a name begins with, of the node that is written out; the names within add to them."""


@dataclass
class Writer:
    """The nodes so far that stand for one node.

    Attributes
    ----------
    scope
        The import that they are for.
    node
        The node in whose place they stand.
    nodes
        In order; their names begin with that of its first output.
    """

    scope: Scope
    node: onnx.NodeProto
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def prefix(self, part: str = "") -> str:
        """What the names of a part of the nodes begin with."""
        return f"{next(name for name in self.node.output if name)[:LONGEST]}:{part}"

    def name(self, what: str) -> str:
        """A name that no tensor has."""
        taken = self.scope.taken
        while True:
            name = self.prefix(f"{what}.{next(self._numbers)}")
            if name not in taken:
                return name

    def constant(self, array: NDArray[Any], what: str = "constant", output: str = "") -> str:
        """A tensor that is known, by its name."""
        name = output or self.name(what)
        self._append("Constant", [], [name], value=numpy_helper.from_array(np.asarray(array), name))
        return name

    def integers(self, *numbers: int) -> str:
        """A list of integers, such as a shape, by its name."""
        return self.constant(np.asarray(numbers, dtype=np.int64), "integers")

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """The first output, by its name, of one more node of the standard domain."""
        name = output or self.name(operator)
        self._append(operator, inputs, [name], **attributes)
        return name

    def picked(self, name: str, index: int, axis: int) -> str:
        """One slice of a tensor, without the axis."""
        return self.add("Gather", name, self.constant(np.asarray(index, dtype=np.int64), "index"), axis=axis)

    def unsqueezed(self, name: str, *axes: int) -> str:
        """A tensor with further axes of extent one, which were an attribute before opset 13."""
        if opset_of(self.scope.model) < 13:
            return self.add("Unsqueeze", name, axes=axes)
        return self.add("Unsqueeze", name, self.integers(*axes))

    def clipped(self, name: str, low: float, high: float) -> str:
        """A tensor kept between two numbers, which were attributes before opset 11."""
        if opset_of(self.scope.model) < 11:
            return self.add("Clip", name, min=float(low), max=float(high))
        ends = (self.constant(np.asarray(end, np.float32), "bound") for end in (low, high))
        return self.add("Clip", name, *ends)

    def body(self, nodes: Iterable[onnx.NodeProto], names: Mapping[str, str], part: str = "") -> dict[str, str]:
        """Nodes of a function or of a graph, as :func:`renamed`; returns what its tensors are called now."""
        prefix = self.prefix(part)
        while any(f"{prefix}{name}" in self.scope.taken for node in nodes for name in node.output if name):
            prefix = self.prefix(f"{part}{next(self._numbers)}:")
        made, called = renamed(nodes, names, prefix)
        self.nodes.extend(made)
        return called

    def _append(self, operator: str, inputs: Iterable[str], outputs: Iterable[str], **attributes: Any) -> None:
        self.nodes.append(helper.make_node(operator, list(inputs), list(outputs), self.node.name, **attributes))


def renamed(
    nodes: Iterable[onnx.NodeProto], names: Mapping[str, str], prefix: str
) -> tuple[list[onnx.NodeProto], dict[str, str]]:
    """Copies of nodes that read and make tensors of other names.

    Parameters
    ----------
    names
        What tensors are called that the nodes read, or make for others; those that are not listed and that the nodes
        do not make themselves are of the graph around, and keep their names.
    prefix
        What the names of all other tensors that they make are to begin with.

    Returns
    -------
    nodes, names
        The copies, and what all tensors are called.
    """
    called, copies = dict(names), []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if copy.name:
            copy.name = f"{prefix}{copy.name}"
        copy.input[:] = [called.get(name, name) for name in node.input]
        for graph in inner_graphs(copy):
            _rename_graph(graph, called, prefix)
        for name in filter(None, node.output):
            called.setdefault(name, f"{prefix}{name}")
        copy.output[:] = [called.get(name, "") for name in node.output]
        copies.append(copy)
    return copies, called


def _rename_graph(graph: onnx.GraphProto, names: Mapping[str, str], prefix: str) -> None:
    own = [item.name for item in [*graph.input, *graph.initializer]]
    copies, called = renamed(graph.node, {**names, **{name: f"{prefix}{name}" for name in own}}, prefix)
    del graph.node[:]
    graph.node.extend(copies)
    for item in [*graph.input, *graph.initializer, *graph.output]:
        item.name = called.get(item.name, item.name)


def inner_graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that a node has among its attributes."""
    for attribute in node.attribute:
        yield from [attribute.g] if attribute.HasField("g") else []
        yield from attribute.graphs
