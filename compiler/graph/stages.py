"""Stages: what a graph may hold on its way from the importer to the lowering, stated once and checked after each pass.

A graph is of one class all the way, but not of one kind. An *imported* graph says what the network computes, whatever
scheme will evaluate it. A *canonical* one has few affine maps, monic squares, products, window sums and functions. In
an *arithmetic* one the functions are polynomials: nothing is left that is not addition or multiplication.

Each stage names the kinds of nodes that it holds, with the conditions on each, and says of the other kinds why it has
none. Conditions on the graph as a whole hold in all stages. A pass that breaks one is found where it is, not at the far
end of the pipeline, as the verifier of circuits finds faults in those (:mod:`hecc.runtime.ckks.readings.types`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from hecc.compiler.graph.affine import Parameters
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
    Value,
    WindowSumNode,
)
from hecc.runtime.errors import GraphError
from hecc.runtime.reading import Reading

__all__ = ["ARITHMETIC", "CANONICAL", "IMPORTED", "Condition", "Stage", "check_graph"]

EXCERPT = 5
"""Nodes shown before and after a fault."""

Fault: TypeAlias = Iterator[str]
"""What is wrong, in words; nothing where nothing is."""

Condition: TypeAlias = Callable[[Any, Mapping[str, Value], Parameters], Fault]
"""On one kind of node: given the values that are defined so far, and the parameters."""


@dataclass(frozen=True)
class Stage:
    """What a graph may hold.

    Attributes
    ----------
    name
        As printed: "canonical".
    conditions
        For each kind of node that it may hold, what has to be true; for the others, why it holds none.
    """

    name: str
    conditions: Reading[tuple[Condition, ...]]


def check_graph(graph: Graph, stage: Stage, after: str = "") -> None:
    """See that a graph is of a stage.

    Parameters
    ----------
    after
        The pass that made it, for the message.

    Raises
    ------
    GraphError
        With the first condition broken, the node with its ONNX source, and the nodes around it.
    """
    values: dict[str, Value] = {}
    for index, node in enumerate(graph.nodes):
        for fault in _faults(node, values, graph.parameters, stage):
            raise GraphError(_report(graph, index, fault, stage, after))
        values[node.output.name] = node.output
    for fault in _graph_faults(graph, values):
        raise GraphError(_report(graph, None, fault, stage, after))


def _faults(node: Node, values: Mapping[str, Value], parameters: Parameters, stage: Stage) -> Fault:
    if type(node) not in stage.conditions:
        reason = stage.conditions.without.get(type(node), "it is not a kind of node")
        yield f"there is {_article(node.kind)} {node.kind} node, though {reason}"
        return
    if node.output.name in values:
        yield f"value '{node.output.name}' is defined twice"
    for name in node.inputs:
        if name not in values:
            yield f"it reads '{name}', which is not an earlier value"
    for name in sorted(node.parameters):
        if name not in parameters:
            yield f"its parameter '{name}' is missing"
    for condition in stage.conditions.of(node):
        yield from condition(node, values, parameters)


def _graph_faults(graph: Graph, values: Mapping[str, Value]) -> Fault:
    """What is wrong with the graph as a whole."""
    if not graph.outputs:
        yield "there is no output"
    if len(set(graph.outputs)) < len(graph.outputs):
        yield f"outputs {', '.join(graph.outputs)} are not distinct"
    for name in graph.outputs:
        if name not in values:
            yield f"output '{name}' is not a value"
    read = {name for node in graph.nodes for name in node.inputs}.union(graph.outputs)
    inputs = {node.output.name for node in graph.inputs()}
    for name in values:
        if name not in read and name not in inputs:
            yield f"nothing reads '{name}'"
    named = frozenset[str]().union(*(node.parameters for node in graph.nodes))
    for name in graph.parameters:
        if name not in named:
            yield f"no node reads parameter '{name}'"
    for alias, name in graph.aliases.items():
        if name not in graph.outputs:
            yield f"'{alias}' stands for '{name}', which is not an output"
    for name in graph.epilogues:
        if name not in graph.outputs and name not in graph.aliases:
            yield f"there are steps for '{name}', which is not an output"


def _report(graph: Graph, index: int | None, fault: str, stage: Stage, after: str) -> str:
    """The fault, where it is, and the nodes around it."""
    told = f"{stage.name} graph{f' after {after}' if after else ''}: {fault}"
    if index is None:
        return told
    node = graph.nodes[index]
    around = range(max(0, index - EXCERPT), min(len(graph.nodes), index + EXCERPT + 1))
    lines = [("> " if i == index else "  ") + str(graph.nodes[i]) for i in around]
    return "\n".join([f"{told}; at '{node.output.name}' ({node.source}):", *lines])


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


# Conditions on single kinds of nodes ---------------------------------------------------------------------------------


def _of_one_size(node: Any, values: Mapping[str, Value], _: Parameters) -> Fault:
    """Elementwise: as many elements come out as go in, perhaps under another shape."""
    for name in node.inputs:
        if values[name].size != node.output.size:
            yield f"'{name}' has {values[name].size} elements, and the result {node.output.size}"


def _of_one_shape(node: Any, values: Mapping[str, Value], _: Parameters) -> Fault:
    for name in node.inputs:
        if values[name].shape != node.output.shape:
            yield f"'{name}' has shape {values[name].shape}, and the result {node.output.shape}"


def _maps_fit(node: AffineNode, values: Mapping[str, Value], _: Parameters) -> Fault:
    if not node.terms:
        yield "it has no terms"
    for term in node.terms:
        kind = type(term.map).__name__
        if term.map.in_size != values[term.value].size:
            yield f"{kind} takes {term.map.in_size} elements, and '{term.value}' has {values[term.value].size}"
        if term.map.out_size != node.output.size:
            yield f"{kind} of '{term.value}' makes {term.map.out_size} elements, and the result has {node.output.size}"


def _bias_fits(node: AffineNode, _: Mapping[str, Value], parameters: Parameters) -> Fault:
    if node.bias is not None and not _spreads(parameters, node.bias, node.output.shape):
        yield f"its bias '{node.bias}' of shape {np.shape(parameters[node.bias])} does not fit {node.output.shape}"


def _has_three_coefficients(node: QuadraticNode, _: Mapping[str, Value], parameters: Parameters) -> Fault:
    if len(node.coefficients) != 3:
        yield f"it has {len(node.coefficients)} coefficients, not three"
    for name in node.coefficients:
        if not _spreads(parameters, name, node.output.shape):
            yield f"its coefficient '{name}' of shape {np.shape(parameters[name])} does not fit {node.output.shape}"


def _is_quadratic_everywhere(node: QuadraticNode, _: Mapping[str, Value], parameters: Parameters) -> Fault:
    if not bool(np.all(parameters[node.coefficients[2]])):
        yield f"its leading coefficient '{node.coefficients[2]}' is zero for some elements"


def _is_monic(node: QuadraticNode, _: Mapping[str, Value], parameters: Parameters) -> Fault:
    if not bool(np.all(np.asarray(parameters[node.coefficients[2]]) == 1)):
        yield f"it is not monic: its leading coefficient '{node.coefficients[2]}' is not one"


def _is_a_polynomial_on_an_interval(node: ChebyshevNode, _: Mapping[str, Value], parameters: Parameters) -> Fault:
    coefficients = np.asarray(parameters[node.coefficients])
    if coefficients.ndim != 1 or coefficients.size < 2 or not bool(np.isfinite(coefficients).all()):
        yield f"'{node.coefficients}' does not hold two or more finite coefficients"
    low, high = node.interval
    if not -math.inf < low < high < math.inf:
        yield f"its interval, {low:g} to {high:g}, is empty"


def _has_a_phase(node: BootstrapNode, _: Mapping[str, Value], __: Parameters) -> Fault:
    if not 0 < node.phase <= 1 / 4:
        yield f"its phase, {node.phase:g}, is not more than 0 and at most 1/4"


def _window_fits(node: WindowSumNode, values: Mapping[str, Value], _: Parameters) -> Fault:
    window = node.window
    if window.in_size != values[node.value].size or window.out_size != node.output.size:
        yield f"its window makes {window.out_size} elements of {window.in_size}"
    if len(window.in_shape) != 4:
        yield f"its window slides over a tensor of rank {len(window.in_shape)}, not over images"
        return
    for size, out, kernel, stride, dilation, pads in zip(
        window.in_shape[2:],
        window.out_shape[2:],
        window.kernel,
        window.strides,
        window.dilations,
        window.pads,
        strict=True,
    ):
        if any(pads) or (out - 1) * stride + (kernel - 1) * dilation >= size:
            yield "its window reaches over the edge of the image"


def _operands_fit(node: OperatorNode, values: Mapping[str, Value], _: Parameters) -> Fault:
    shapes = tuple(values[name].shape for name in node.values)
    if shapes != node.operator.in_shapes:
        yield f"it takes tensors of shapes {node.operator.in_shapes}, not {shapes}"
    if node.operator.out_shape != node.output.shape:
        yield f"it makes a tensor of shape {node.operator.out_shape}, not {node.output.shape}"


def _spreads(parameters: Parameters, name: str, shape: Sequence[int]) -> bool:
    """Whether a parameter broadcasts to a shape."""
    own = np.shape(parameters[name])
    rest = tuple(shape)[len(shape) - len(own) :] if len(own) <= len(shape) else None
    return rest is not None and all(one in (1, other) for one, other in zip(own, rest, strict=True))


# The stages ----------------------------------------------------------------------------------------------------------

_INPUT: tuple[Condition, ...] = ()
_AFFINE: tuple[Condition, ...] = (_maps_fit, _bias_fits)
_PRODUCT: tuple[Condition, ...] = (_of_one_shape,)
_FUNCTION: tuple[Condition, ...] = (_of_one_size,)
_QUADRATIC: tuple[Condition, ...] = (_of_one_size, _has_three_coefficients)
_CHEBYSHEV: tuple[Condition, ...] = (_of_one_size, _is_a_polynomial_on_an_interval)
_BOOTSTRAP: tuple[Condition, ...] = (_of_one_size, _has_a_phase)
_WINDOW_SUM: tuple[Condition, ...] = (_window_fits,)
_OPERATOR: tuple[Condition, ...] = (_operands_fit,)
_TAKEN_APART = "a scheme takes operators apart, or refuses them, ahead of all other passes"

IMPORTED = Stage(
    "imported",
    Reading(
        "conditions on nodes of an imported graph",
        NODES,
        {
            InputNode: _INPUT,
            AffineNode: _AFFINE,
            QuadraticNode: (*_QUADRATIC, _is_quadratic_everywhere),
            FunctionNode: _FUNCTION,
            WindowSumNode: _WINDOW_SUM,
            ProductNode: _PRODUCT,
            OperatorNode: _OPERATOR,
        },
        without={
            ChebyshevNode: "polynomials are fitted to functions of a canonical graph",
            BootstrapNode: "bootstraps are placed with the polynomials",
        },
    ),
)
"""What the importer makes: the network as it is, with its parameters separate, for any scheme.

A canonical graph is one, too: variants of it are compiled like any network, for advice."""

CANONICAL = Stage(
    "canonical",
    Reading(
        "conditions on nodes of a canonical graph",
        NODES,
        {
            InputNode: _INPUT,
            AffineNode: _AFFINE,
            QuadraticNode: (*_QUADRATIC, _is_monic),
            FunctionNode: _FUNCTION,
            WindowSumNode: _WINDOW_SUM,
            ProductNode: _PRODUCT,
        },
        without={
            ChebyshevNode: "polynomials are fitted to functions later",
            BootstrapNode: "bootstraps are placed with the polynomials",
            OperatorNode: _TAKEN_APART,
        },
    ),
)
"""Few affine maps, and between them monic squares, products, window sums and functions."""

ARITHMETIC = Stage(
    "arithmetic",
    Reading(
        "conditions on nodes of an arithmetic graph",
        NODES,
        {
            InputNode: _INPUT,
            AffineNode: _AFFINE,
            QuadraticNode: (*_QUADRATIC, _is_monic),
            ChebyshevNode: _CHEBYSHEV,
            BootstrapNode: _BOOTSTRAP,
            WindowSumNode: _WINDOW_SUM,
            ProductNode: _PRODUCT,
        },
        without={
            FunctionNode: "functions are polynomials by then",
            OperatorNode: _TAKEN_APART,
        },
    ),
)
"""The same with polynomials for functions: what is lowered to a scheme's instructions."""
