"""The order of maxima and functions: a function of the largest number rather than the largest of many functions.

What does not decrease commutes with a maximum: the largest ReLU of the pixels in a window is the ReLU of the largest
pixel. So does batch normalization with positive factors. Behind the maximum a function is evaluated on fewer numbers;
and a ReLU there is one number more in the tournament, zero, which takes no round of its own unless the window holds a
power of two. It is the last to play, so that the result is what the last rectifier says and nothing else.

Maxima of maxima become one, whose tournament is balanced.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import Reshape, Scale, elementwise_factor
from hecc.compiler.graph.function import ARGUMENT, Primitive, is_nondecreasing
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, FunctionNode, Node, OperatorNode, Source, Term, Value
from hecc.compiler.graph.operators import (
    OPERATORS,
    Extremum,
    LogSoftmax,
    ReducedExtremum,
    Softmax,
    WindowExtremum,
)
from hecc.runtime.reading import Reading

__all__ = ["order_maxima"]

Reduced: TypeAlias = WindowExtremum | ReducedExtremum


def order_maxima(graph: Graph) -> Graph:
    """Move functions behind the maxima that read them, and ReLUs into those that they read."""
    if not any(isinstance(node, OperatorNode) for node in graph.nodes):
        return graph
    ordered = _Ordered(graph)
    for node in graph.nodes:
        if isinstance(node, OperatorNode):
            _MOVED.of(node.operator)(node, node.operator, ordered)
        elif isinstance(node, FunctionNode):
            ordered.function(node)
        else:
            ordered.define(node)
    return ordered.finish()


class _Ordered:
    """The nodes so far."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self._consumers = graph, graph.consumers()
        self._nodes: dict[str, Node] = {}
        self._parameters: dict[str, NDArray[Any]] = {}

    def define(self, node: Node) -> None:
        self._nodes[node.output.name] = node

    def function(self, node: FunctionNode) -> None:
        """Define a function: of a ReLU and the maximum that only it reads a maximum with one number more."""
        before = self.sole(node.value)
        while isinstance(before, AffineNode) and before.reshapes_only:
            before = self.sole(before.inputs[0])
        merged = None
        if isinstance(before, OperatorNode) and _is_relu(node):
            merged = _NOT_BELOW_ZERO.of(before.operator)(before.operator)
        if not isinstance(before, OperatorNode) or merged is None:
            self.define(node)
            return
        value = Value(f"{node.output.name}:extremum", before.output.shape)
        self.define(replace(before, output=value, operator=merged))
        self.define(_reshaped(value, node.output, node.source))

    def sole(self, name: str) -> Node | None:
        """The node that defines a value, if no more than one reads it."""
        read = len(self._consumers.get(name, ())) > 1 or name in self.graph.outputs
        return None if read else self._nodes[name]

    def numbers(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """A parameter, spread to a shape."""
        return np.broadcast_to(np.asarray(self.graph.parameters[name], dtype=np.float64), shape)

    def parameter(self, name: str, array: NDArray[np.float64]) -> str:
        self._parameters[name] = array
        return name

    def finish(self) -> Graph:
        """The graph, if anything has changed another one."""
        nodes = tuple(self._nodes.values())
        same = len(nodes) == len(self.graph.nodes) and all(a is b for a, b in zip(nodes, self.graph.nodes, strict=True))
        return self.graph if same else self.graph.with_nodes(nodes, self._parameters)


def _reshaped(value: Value, output: Value, source: Source) -> AffineNode:
    return AffineNode(output, source, (Term(value.name, Reshape(value.shape, output.shape)),))


def _is_relu(node: FunctionNode) -> bool:
    function = node.function
    return isinstance(function, Primitive) and function.name == "relu" and function.operand is ARGUMENT


def _with_zero(operator: Reduced) -> Reduced | None:
    """The same with zero among the numbers, if it is a maximum."""
    return replace(operator, least=0.0) if operator.largest else None


_NOT_BELOW_ZERO: Reading[Callable[[Any], Reduced | None]] = Reading(
    "operators whose ReLU is one of them",
    OPERATORS,
    {
        Extremum: lambda _: None,
        LogSoftmax: lambda _: None,
        ReducedExtremum: _with_zero,
        Softmax: lambda _: None,
        WindowExtremum: _with_zero,
    },
)


def _of_one(node: OperatorNode, operator: Reduced, ordered: _Ordered) -> None:
    """An extremum of numbers in one tensor: what is before it and does not decrease goes behind it."""
    chain: list[AffineNode | FunctionNode] = []
    value, shape = node.values[0], operator.in_shapes[0]
    while operator.least is None and (before := ordered.sole(value)) is not None:
        if isinstance(before, FunctionNode):
            moves = is_nondecreasing(before.function)
        else:
            moves = isinstance(before, AffineNode) and (
                before.reshapes_only or _reduced(before, operator, ordered) is not None
            )
        if not moves:
            break
        assert isinstance(before, AffineNode | FunctionNode)
        chain.insert(0, before)
        (value,) = before.inputs
    # An affine map is fused with the layer before as well as with the one behind.
    while chain and isinstance(chain[0], AffineNode):
        chain.pop(0)
    if not chain:
        ordered.define(node)
        return
    argument = ordered.graph.node(chain[0].inputs[0]).output
    chain = [each for each in chain if not (isinstance(each, AffineNode) and each.reshapes_only)]
    if argument.shape != shape:
        shaped = Value(f"{node.output.name}:argument", shape)
        ordered.define(_reshaped(argument, shaped, node.source))
        argument = shaped
    shape = operator.out_shape
    first = OperatorNode(Value(f"{node.output.name}:extremum", shape), node.source, (argument.name,), operator)
    ordered.define(first)
    value = first.output.name
    for number, each in enumerate(chain, start=1):
        output = node.output if number == len(chain) else Value(f"{node.output.name}:{each.output.name}", shape)
        if isinstance(each, FunctionNode):
            ordered.function(replace(each, output=output, value=value))
        else:
            factor, bias = _reduced(each, operator, ordered) or (np.ones(shape), np.zeros(shape))
            scale = Scale.of(shape, ordered.parameter(f"{output.name}:factor", factor))
            constant = ordered.parameter(f"{output.name}:constant", bias)
            ordered.define(AffineNode(output, each.source, (Term(value, scale),), constant))
        value = output.name


def _reduced(
    node: AffineNode, operator: Reduced, ordered: _Ordered
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Factor and constant behind an extremum of a map that only scales, by positive factors, and shifts.

    ``None`` of any other, and of one that does not do the same to all numbers that the extremum is of.
    """
    shape = operator.in_shapes[0]
    if len(node.terms) > 1 or node.output.shape != shape or ordered.graph.node(node.inputs[0]).output.shape != shape:
        return None
    factor = elementwise_factor(node.terms[0].map, ordered.graph.parameters)
    if factor is None or not bool((factor > 0).all()):
        return None
    constant = np.zeros(shape) if node.bias is None else ordered.numbers(node.bias, shape)
    axes = operator.axes if isinstance(operator, ReducedExtremum) else tuple(range(2, len(shape)))
    found = []
    for each in (np.broadcast_to(factor, math.prod(shape)).reshape(shape), constant):
        first = each[tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(len(shape)))]
        if not bool((each == first).all()):
            return None
        found.append(first if isinstance(operator, WindowExtremum) else first.reshape(operator.out_shape))
    return found[0], found[1]


def _of_several(node: OperatorNode, operator: Extremum, ordered: _Ordered) -> None:
    """An extremum of several tensors: of those that are extrema themselves, their tensors."""
    values: list[str] = []
    constants: list[str] = []
    shapes: list[tuple[int, ...]] = []
    given = iter(node.values)
    for constant in operator.constants:
        if constant is not None:
            constants.append(constant)
            continue
        name = next(given)
        before = ordered.sole(name)
        inner = before.operator if isinstance(before, OperatorNode) else None
        if isinstance(before, OperatorNode) and isinstance(inner, Extremum) and inner.largest == operator.largest:
            values += before.values
            shapes += inner.in_shapes
            constants += [each for each in inner.constants if each is not None]
        else:
            values.append(name)
            shapes.append(ordered.graph.node(name).output.shape)
    if len(values) == len(node.values) and len(constants) + len(values) == len(operator.constants):
        ordered.define(node)
        return
    several = (*(None for _ in values), *constants)
    flat = Extremum(tuple(shapes), operator.out_shape, several, operator.largest)
    ordered.define(replace(node, values=tuple(values), operator=flat))


def _unmoved(node: OperatorNode, _: object, ordered: _Ordered) -> None:
    ordered.define(node)


_MOVED: Reading[Callable[[OperatorNode, Any, _Ordered], None]] = Reading(
    "operators behind which functions are moved",
    OPERATORS,
    {
        Extremum: _of_several,
        LogSoftmax: _unmoved,
        ReducedExtremum: _of_one,
        Softmax: _unmoved,
        WindowExtremum: _of_one,
    },
)
