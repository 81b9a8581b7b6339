"""The parts that operators are taken apart into: nodes and parameters, as they are collected."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import AffineMap
from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, FunctionNode, Node, Source, Term, Value

__all__ = ["Parts"]


class Parts:
    """Collects the nodes of a graph whose operators are taken apart, one after the other."""

    def __init__(self, graph: Graph) -> None:
        self.nodes: list[Node] = []
        self.parameters: dict[str, NDArray[Any]] = dict(graph.parameters)
        self._shapes = {node.output.name: node.output.shape for node in graph.nodes}

    def value(self, name: str) -> Value:
        """A value that there is."""
        return Value(name, self._shapes[name])

    def fresh(self, name: str) -> str:
        """A name for a value that there is not yet: the one given, if it is free."""
        number, unique = 1, name
        while unique in self._shapes:
            number += 1
            unique = f"{name}#{number}"
        return unique

    def define(self, node: Node) -> Value:
        """Append a node; returns its value."""
        self.nodes.append(node)
        self._shapes[node.output.name] = node.output.shape
        return node.output

    def parameter(self, name: str, array: NDArray[Any]) -> str:
        """Store a parameter and return its name: the one given, unless another array has it already."""
        number, unique = 1, name
        while unique in self.parameters:
            known = self.parameters[unique]
            if known.dtype == array.dtype and np.array_equal(known, array):
                return unique
            number += 1
            unique = f"{name}#{number}"
        self.parameters[unique] = array
        return unique

    def number(self, value: float) -> str:
        """Store a number as a parameter; returns its name."""
        return self.parameter(f"constant:{value:g}", np.array(value, dtype=np.float64))

    def affine(self, source: Source, output: Value, *terms: tuple[Value, AffineMap], bias: str | None = None) -> Value:
        """Append a sum of maps of values."""
        return self.define(AffineNode(output, source, tuple(Term(v.name, m) for v, m in terms), bias))

    def function(self, source: Source, name: str, value: Value, output: str, **attributes: float) -> Value:
        """Append a primitive function of a value; the result is called ``output``, or similarly."""
        function = Primitive(name, tuple(attributes.items()), ARGUMENT)
        return self.define(FunctionNode(Value(self.fresh(output), value.shape), source, value.name, function))
