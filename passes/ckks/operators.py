"""Operators: those that CKKS can evaluate are taken apart, and all others of a network are refused at once.

CKKS adds and multiplies. A softmax is exponentials over their sum, which polynomials can follow; of two tensors the
larger one is ``b + relu(a - b)``, which they follow as far as they follow a rectifier. The maximum of a window would
take as many rectifiers in a row as a tree over its pixels is deep, and none of them is precise enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.ckks.limits import LIMITS, MAXIMUM
from hecc.compiler.graph.affine import AffineMap, Reshape, Scale, SumOfMaps, compose
from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import (
    AffineNode,
    FunctionNode,
    Node,
    OperatorNode,
    ProductNode,
    Source,
    Term,
    Value,
)
from hecc.compiler.graph.operators import (
    OPERATORS,
    Extremum,
    LogSoftmax,
    ReducedExtremum,
    Softmax,
    WindowExtremum,
)
from hecc.compiler.importer.building.refusals import RefusedNodeError, describe
from hecc.compiler.importer.definitions.maps import average, broadcast
from hecc.runtime.errors import UnsupportedError
from hecc.runtime.reading import Reading

__all__ = ["take_operators_apart"]


def take_operators_apart(graph: Graph) -> Graph:
    """Replace operators by affine maps, functions and products.

    Raises
    ------
    UnsupportedError
        There are some that CKKS cannot evaluate; the message names them all.
    """
    found = [node for node in graph.nodes if isinstance(node, OperatorNode)]
    if not found:
        return graph
    refused = [node.source for node in found if type(node.operator) not in _PARTS]
    if refused:
        raise UnsupportedError(describe(_refusals(refused)))
    parts = _Parts(graph)
    for node in graph.nodes:
        if isinstance(node, OperatorNode):
            _PARTS.of(node.operator)(node, node.operator, parts)
        else:
            parts.nodes.append(node)
    return graph.with_nodes(parts.nodes, parts.parameters)


def _refusals(sources: Sequence[Source]) -> list[RefusedNodeError]:
    return [RefusedNodeError(source, *LIMITS.refused.get(source.operator, MAXIMUM)) for source in sources]


class _Parts:
    """The nodes that operators are taken apart into."""

    def __init__(self, graph: Graph) -> None:
        self.nodes: list[Node] = []
        self.parameters: dict[str, NDArray[Any]] = dict(graph.parameters)
        self._shapes = {node.output.name: node.output.shape for node in graph.nodes}

    def value(self, name: str) -> Value:
        return Value(name, self._shapes[name])

    def fresh(self, name: str) -> str:
        """A name for a value that there is not yet: the one given, if it is free."""
        number, unique = 1, name
        while unique in self._shapes:
            number += 1
            unique = f"{name}#{number}"
        return unique

    def define(self, node: Node) -> Value:
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
        return self.parameter(f"constant:{value:g}", np.array(value, dtype=np.float64))

    def affine(self, source: Source, output: Value, *terms: tuple[Value, AffineMap], bias: str | None = None) -> Value:
        return self.define(AffineNode(output, source, tuple(Term(v.name, m) for v, m in terms), bias))

    def function(self, source: Source, name: str, value: Value, output: str, **attributes: float) -> Value:
        function = Primitive(name, tuple(attributes.items()), ARGUMENT)
        return self.define(FunctionNode(Value(self.fresh(output), value.shape), source, value.name, function))

    def combine(self, source: Source, summands: Sequence[tuple[Value | str, float]], output: str) -> Value:
        """Define a sum of values and of parameters, at most one of these, each with a factor; they broadcast."""
        shapes = [each.shape if isinstance(each, Value) else self.parameters[each].shape for each, _ in summands]
        shape = np.broadcast_shapes(*shapes)
        terms: list[tuple[Value, AffineMap]] = []
        bias: str | None = None
        for operand, factor in summands:
            if isinstance(operand, Value):
                spread = broadcast(operand.shape, shape)
                scaled = spread if factor == 1.0 else compose(Scale.of(shape, self.number(factor)), spread)
                terms.append((operand, scaled))
            elif factor == 1.0:
                bias = operand
            else:
                array = self.parameters[operand]
                suffix = ":negated" if factor == -1.0 else f":times {factor:g}"
                bias = self.parameter(operand + suffix, (array * factor).astype(array.dtype))
        return self.affine(source, Value(output, shape), *terms, bias=bias)


def _extremum(node: OperatorNode, operator: Extremum, parts: _Parts) -> None:
    """Two at a time, the other one plus or minus how far the one is beyond it."""
    source, last, sign = node.source, node.output.name, 1.0 if operator.largest else -1.0
    values = iter(node.values)
    operands = [parts.value(next(values)) if name is None else name for name in operator.constants]
    first, *others = operands
    for number, other in enumerate(others):
        name = last if number == len(others) - 1 else parts.fresh(f"{last}:{number}")
        gap = parts.combine(source, [(first, sign), (other, -sign)], parts.fresh(f"{name}:difference"))
        beyond = parts.function(source, "relu", gap, f"{name}:beyond")
        first = parts.combine(source, [(other, 1.0), (beyond, sign)], name)


def _exponentials(
    node: OperatorNode, axes: tuple[int, ...], parts: _Parts, mask: str | None = None
) -> tuple[Value, Value, Value]:
    """The deviations from the mean, their exponentials and the sum of these.

    The shares in the sum are those of the exponentials of the value itself, and they spread less. What a mask hides
    is left out of the mean, deviates by nothing, and has an exponential of zero.
    """
    name, value = node.output.name, parts.value(node.values[0])
    mean = average(value.shape, axes)
    count = int(np.prod([value.shape[axis] for axis in axes]))
    if mask is None:
        negative = compose(Scale.of(value.shape, parts.number(-1.0)), broadcast(mean.out_shape, value.shape))
        deviating = SumOfMaps.of(Reshape(value.shape, value.shape), compose(negative, mean))
    else:
        kept = np.asarray(parts.parameters[mask], dtype=np.float64)
        # Minus the mean of what is kept: the mean of all, with zeros in place of the rest, times all over the kept.
        share = parts.parameter(f"{mask}:mean", -count / kept.sum(axis=axes, keepdims=True))
        mean_kept = compose(Scale.of(mean.out_shape, share), compose(mean, Scale.of(value.shape, mask)))
        spread = compose(Scale.of(value.shape, mask), compose(broadcast(mean.out_shape, value.shape), mean_kept))
        deviating = SumOfMaps.of(Scale.of(value.shape, mask), spread)
    deviations = parts.affine(node.source, Value(parts.fresh(f"{name}:deviations"), value.shape), (value, deviating))
    shares = parts.function(node.source, "exp", deviations, f"{name}:exponentials")
    if mask is not None:
        shown = Value(parts.fresh(f"{name}:shown"), value.shape)
        shares = parts.affine(node.source, shown, (shares, Scale.of(value.shape, mask)))
    scaled = compose(Scale.of(mean.out_shape, parts.number(count)), mean) if count > 1 else mean
    total = parts.affine(node.source, Value(parts.fresh(f"{name}:sum"), mean.out_shape), (shares, scaled))
    return deviations, shares, total


def _softmax(node: OperatorNode, operator: Softmax, parts: _Parts) -> None:
    _, shares, total = _exponentials(node, operator.axes, parts, operator.mask)
    power = parts.function(node.source, "power", total, f"{node.output.name}:power", exponent=-1.0)
    if power.shape != shares.shape:
        repeated = Value(parts.fresh(f"{node.output.name}:right"), shares.shape)
        power = parts.affine(node.source, repeated, (power, broadcast(power.shape, shares.shape)))
    parts.define(ProductNode(node.output, node.source, shares.name, power.name))


def _log_softmax(node: OperatorNode, operator: LogSoftmax, parts: _Parts) -> None:
    deviations, _, total = _exponentials(node, operator.axes, parts)
    shape = node.output.shape
    logarithm = parts.function(node.source, "log", total, f"{node.output.name}:log")
    negative = compose(Scale.of(shape, parts.number(-1.0)), broadcast(total.shape, shape))
    parts.affine(node.source, node.output, (deviations, Reshape(shape, shape)), (logarithm, negative))


_PARTS: Reading[Callable[[OperatorNode, Any, _Parts], None]] = Reading(
    "parts of operators under CKKS",
    OPERATORS,
    {Extremum: _extremum, Softmax: _softmax, LogSoftmax: _log_softmax},
    without={
        WindowExtremum: "the maximum of a window is not a polynomial",
        ReducedExtremum: "the maximum along axes is not a polynomial",
    },
)
