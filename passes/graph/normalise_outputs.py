"""Outputs that are encrypted at one size: what is elementwise and constant at their end is left to the client.

The error of a result is alike in all of its elements, and as large a part of the largest number in it. So an element
that is small beside the others, or that varies little beside its size, would be lost in it: a mask of -1e9 ahead of a
softmax, a bias of 1e7 beside a signal of 2, a rate beside a price. Where an affine map makes the result, its rows are
scaled, which costs nothing, and the client scales them back and adds what was taken off.

The numbers that the client gets are powers of two and multiples of them, which say no more than the results themselves.

A scaling at the very end, behind a square or a polynomial, is the client's as a whole, and saves a level. These numbers
are weights, the network's own last ones, which tell the client what it could work out of a few results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import Scale, compose, elementwise_factor
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
from hecc.compiler.graph.traits import multiplies_values
from hecc.runtime.reading import Reading
from hecc.runtime.tail.epilogue import MAX_STEPS
from hecc.runtime.tail.steps import Constant, Elementwise, Operator, Step, shifted
from hecc.runtime.tail.units import element_units

__all__ = ["Normalised", "normalise_outputs"]

Array: TypeAlias = NDArray[np.float64]

MOST = 1 << 12
"""Elements of an output up to which numbers for each of them are put into a plan."""

MADE = 4
"""Steps that this adds to the client's."""

WORTH = 1.0
"""Bits of precision that make a normalisation worth its steps."""


@dataclass(frozen=True)
class Normalised:
    """A graph with outputs of one size.

    Attributes
    ----------
    restored
        The client's steps that make an output of the network of what is computed in its place, by name; they are the
        first of its epilogue, too.
    values
        What is computed in its place, by name, shape (rows, size).
    """

    graph: Graph
    restored: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    values: Mapping[str, Array] = field(default_factory=dict)


def normalise_outputs(graph: Graph, outputs: Mapping[str, Array], near: int) -> Normalised:
    """Scale and shift outputs so that all of their elements are about as large as they vary.

    Parameters
    ----------
    graph
        Whose functions are polynomials.
    outputs
        What the outputs should be, by name, shape (rows, size).
    near
        How many of the rows are calibration inputs.
    """
    aliases = graph.aliases or {name: name for name in graph.outputs}
    longest = {
        name: max(len(graph.epilogues.get(alias, ())) for alias, source in aliases.items() if source == name)
        for name in graph.outputs
    }
    restored: dict[str, tuple[Step, ...]] = {}
    values: dict[str, Array] = {}
    for name in graph.outputs:
        taken = _taken(graph, name, outputs[name], near) if longest[name] + MADE <= MAX_STEPS else None
        if taken is None:
            continue
        graph, factor, constant = taken
        shape = graph.example_shape(graph.node(name).output.shape)
        restored[name] = _steps(factor, constant, shape)
        values[name] = (outputs[name] - constant) / factor
    if not restored:
        return Normalised(graph)
    epilogues = {
        name: (*restored.get(source, ()), *shifted(graph.epilogues.get(name, ()), len(restored.get(source, ()))))
        for name, source in aliases.items()
    }
    kept = {name: steps for name, steps in epilogues.items() if steps}
    return Normalised(replace(graph, epilogues=kept), restored, values)


Taken: TypeAlias = tuple[Graph, Array, Array]
"""A graph with another value in an output's place, and the factor and the constant that make the output of it."""


def _taken(graph: Graph, name: str, values: Array, near: int) -> Taken | None:
    """What the client can take over of an output, if it is worth it."""
    node = graph.node(name)
    alone = not graph.consumers()[name]
    taken = _TAKEN.of(node)(graph, node, values, near) if alone else None
    if taken is None:
        return None
    _, factor, constant = taken
    number = max(len(np.unique(factor)), len(np.unique(constant)))
    return taken if number == 1 or factor.size <= MOST else None


def _affine(graph: Graph, node: Any, values: Array, near: int) -> Taken | None:
    if node.reshapes_only:
        return None
    return _whole(graph, node) or _rows(graph, node, values, near)


def _whole(graph: Graph, node: AffineNode) -> Taken | None:
    """An affine map that is elementwise, behind something that is not: the client takes all of it."""
    before = graph.node(node.terms[0].value)
    name = before.output.name
    if len(node.terms) > 1 or not multiplies_values(before) or before.output.shape != node.output.shape:
        return None
    factor = elementwise_factor(node.terms[0].map, graph.parameters)
    if factor is None or not factor.all() or graph.consumers()[name] != [node] or name in graph.outputs:
        return None
    shape = node.output.shape
    bias = np.zeros(()) if node.bias is None else np.asarray(graph.parameters[node.bias], dtype=np.float64)
    nodes = [
        replace(other, output=Value(node.output.name, shape)) if other is before else other
        for other in graph.nodes
        if other is not node
    ]
    flat = np.broadcast_to(factor.reshape(-1) if factor.size > 1 else factor, (int(np.prod(shape)),))
    return graph.with_nodes(nodes), flat, np.broadcast_to(bias, shape).reshape(-1)


def _rows(graph: Graph, node: AffineNode, values: Array, near: int) -> Taken | None:
    """The rows of an affine map, scaled and shifted."""
    factor, constant = _sizes(values, near)
    if _gain(values, factor, constant, near) < WORTH:
        return None
    name, shape = node.output.name, node.output.shape
    bias = np.zeros(()) if node.bias is None else np.asarray(graph.parameters[node.bias], dtype=np.float64)
    rows, shift = f"{name}:rows", f"{name}:normalised bias"
    parameters = {
        rows: (1.0 / factor).reshape(shape),
        shift: (np.broadcast_to(bias, shape) - constant.reshape(shape)) / factor.reshape(shape),
    }
    terms = tuple(Term(term.value, compose(Scale.of(shape, rows), term.map)) for term in node.terms)
    scaled = replace(node, terms=terms, bias=shift)
    return _replaced(graph, node, scaled, parameters), factor, constant


def _polynomial(graph: Graph, node: Any, values: Array, near: int) -> Taken | None:
    """The constant of a polynomial."""
    _, constant = _sizes(values, near)
    factor = np.ones_like(constant)
    if _gain(values, factor, constant, near) < WORTH:
        return None
    name, shape = node.output.name, node.output.shape
    first = np.broadcast_to(np.asarray(graph.parameters[node.coefficients[0]], dtype=np.float64), shape)
    parameters = {f"{name}:normalised constant": first - constant.reshape(shape)}
    shifted_node = replace(node, coefficients=(f"{name}:normalised constant", *node.coefficients[1:]))
    return _replaced(graph, node, shifted_node, parameters), factor, constant


def _replaced(graph: Graph, node: Node, other: Node, parameters: Mapping[str, Array]) -> Graph:
    return graph.with_nodes([other if each is node else each for each in graph.nodes], parameters)


def _sizes(values: Array, near: int) -> tuple[Array, Array]:
    """Of each element a power of two near its unit, and a multiple of it where the element is far from zero."""
    units = element_units(values, near)
    factor = np.exp2(np.round(np.log2(units)))
    middle = (values[:near].max(axis=0) + values[:near].min(axis=0)) / 2
    return factor, np.where(np.abs(middle) > units, np.round(middle / factor) * factor, 0.0)


def _gain(values: Array, factor: Array, constant: Array, near: int) -> float:
    """Bits of precision that the least precise element gains."""
    units = element_units(values, near)
    before = float(np.abs(values[:near]).max() / units.min())
    after = float(np.abs((values[:near] - constant) / factor).max() / (units / factor).min())
    return float(np.log2(before / after)) if before and after else 0.0


def _steps(factor: Array, constant: Array, shape: tuple[int, ...]) -> tuple[Step, ...]:
    """The client's: times the factor, plus the constant."""
    steps: list[Step] = []
    given: tuple[tuple[Operator, float, Array], ...] = (("multiply", 1.0, factor), ("add", 0.0, constant))
    for operator, neutral, numbers in given:
        if (numbers == neutral).all():
            continue
        alike = bool((numbers == numbers[0]).all())
        kept = numbers[:1] if alike else numbers
        value = len(steps)
        steps.append(Constant(numbers=tuple(map(float, kept)), shape=() if alike else shape, kind="real"))
        steps.append(Elementwise(operator=operator, values=(value, value + 1)))
    return tuple(steps)


_TAKEN: Reading[Callable[[Graph, Any, Array, int], Taken | None]] = Reading(
    "what the client takes over of an output",
    NODES,
    {
        InputNode: lambda graph, node, values, near: None,
        AffineNode: _affine,
        QuadraticNode: _polynomial,
        # Its constant is one of its coefficients, for all elements alike.
        ChebyshevNode: lambda graph, node, values, near: None,
        BootstrapNode: lambda graph, node, values, near: None,
        WindowSumNode: lambda graph, node, values, near: None,
        ProductNode: lambda graph, node, values, near: None,
    },
    without={
        FunctionNode: "functions are polynomials in an arithmetic graph",
        OperatorNode: "operators are taken apart or refused before",
    },
)
"""Of the node that defines it; nothing where its end is not elementwise and constant."""
