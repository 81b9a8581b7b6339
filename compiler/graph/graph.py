"""Graph: the tensor IR.

A graph is a list of nodes in topological order; each defines one value. Shapes include the batch axis, if the network
has one, with extent one: a plan evaluates one example, and many examples are many ciphertexts.

Node kinds are few because everything linear is one kind, :class:`AffineNode`. The activation pass turns products of
polynomials in one value into :class:`PolynomialNode`, so a canonical graph has a :class:`ProductNode` only where two
values really are multiplied: gates, attention, powers above two. Everything elementwise that is no polynomial is one
kind, too, :class:`FunctionNode`; once polynomials are fitted, it is a :class:`SeriesNode`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import AffineMap, Parameters, Pool, Reshape
from hecc.compiler.graph.function import Expression
from hecc.runtime.tail.epilogue import Step

__all__ = [
    "AffineNode",
    "FunctionNode",
    "Graph",
    "InputNode",
    "Node",
    "PolynomialNode",
    "ProductNode",
    "SeriesNode",
    "Source",
    "Term",
    "Value",
    "WindowSumNode",
]


@dataclass(frozen=True)
class Source:
    """The ONNX node that something came from; what every error and every report line names."""

    name: str
    operator: str
    opset: int

    def __str__(self) -> str:
        return f"{self.operator} '{self.name}'"


@dataclass(frozen=True)
class Value:
    """A tensor: its name and shape."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """Base of the node kinds; ``output`` is the value it defines."""

    output: Value
    source: Source

    @property
    def kind(self) -> str:
        """The kind's name, as printed."""
        return type(self).__name__.removesuffix("Node").lower()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""
        return ()


@dataclass(frozen=True)
class InputNode(Node):
    """An encrypted input of the network."""


@dataclass(frozen=True)
class Term:
    """One summand of an affine node: a linear map of a value."""

    value: str
    map: AffineMap


@dataclass(frozen=True)
class AffineNode(Node):
    """``output = sum of map_i(value_i) + bias``; ``bias`` names a parameter that broadcasts to the output's shape."""

    terms: tuple[Term, ...]
    bias: str | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(term.value for term in self.terms)

    @property
    def reshapes_only(self) -> bool:
        """True when the output is the input under another shape: the same ciphertexts, at no cost."""
        return self.bias is None and len(self.terms) == 1 and isinstance(self.terms[0].map, Reshape)


@dataclass(frozen=True)
class PolynomialNode(Node):
    """Elementwise polynomial; ``coefficients[k]`` names the parameter of x^k, which broadcasts to the shape."""

    value: str
    coefficients: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.value,)


@dataclass(frozen=True)
class FunctionNode(Node):
    """Elementwise function, the same for all elements; the value has as many elements, perhaps in another shape."""

    value: str
    function: Expression

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.value,)


@dataclass(frozen=True)
class SeriesNode(Node):
    """Elementwise Chebyshev series, the same for all elements, of a value within [-1, 1].

    Attributes
    ----------
    coefficients
        Names the parameter of shape (degree + 1,).
    interval
        What -1 and 1 stand for in the argument of the function that the series stands for.
    """

    value: str
    coefficients: str
    interval: tuple[float, float]

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.value,)


@dataclass(frozen=True)
class WindowSumNode(Node):
    """Sum over a window without padding: ``window`` times the number of its taps.

    It needs rotations and additions only, no product: every result stands where the first pixel of its window stood,
    and the slots between hold sums that nothing reads.
    """

    value: str
    window: Pool

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.value,)

    @property
    def taps(self) -> int:
        """Pixels in the window."""
        return math.prod(self.window.kernel)


@dataclass(frozen=True)
class ProductNode(Node):
    """Elementwise product of two encrypted tensors of the output's shape."""

    left: str
    right: str

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.left, self.right)


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order, the parameters they name, and the names of the results.

    Attributes
    ----------
    nodes
        Each value is defined once, before its uses.
    outputs
        Names of the values that the network returns.
    parameters
        Arrays by name; several nodes may share one.
    batch_axis
        True when axis 0 of inputs and outputs is the network's batch axis (of extent one here).
    epilogues
        What the client does to the outputs after decryption, by the names of those to which it does anything.
    aliases
        Where several outputs are one value: for each of the network's, in their order, which of ``outputs`` it is.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    parameters: Mapping[str, NDArray[Any]]
    batch_axis: bool = True
    epilogues: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def node(self, value: str) -> Node:
        """The node that defines a value."""
        return self.by_output()[value]

    def by_output(self) -> dict[str, Node]:
        """Nodes by the name of the value that they define."""
        return {node.output.name: node for node in self.nodes}

    def consumers(self) -> dict[str, list[Node]]:
        """For every value, the nodes that read it."""
        readers: dict[str, list[Node]] = {node.output.name: [] for node in self.nodes}
        for node in self.nodes:
            for value in dict.fromkeys(node.inputs):
                readers[value].append(node)
        return readers

    def example_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape without the batch axis, which has extent one here."""
        return shape[1:] if self.batch_axis else shape

    def inputs(self) -> Iterator[InputNode]:
        """The input nodes, in order."""
        return (node for node in self.nodes if isinstance(node, InputNode))

    def with_nodes(self, nodes: Sequence[Node], parameters: Mapping[str, NDArray[Any]] | None = None) -> Graph:
        """A copy with other nodes and more parameters; what no result depends on is left out."""
        live = set(self.outputs)
        kept = []
        for node in reversed(nodes):
            if node.output.name in live or isinstance(node, InputNode):
                kept.append(node)
                live.update(node.inputs)
        merged = {**self.parameters, **(parameters or {})}
        used = {name for node in kept for name in _parameters(node)}
        return replace(self, nodes=tuple(reversed(kept)), parameters={k: v for k, v in merged.items() if k in used})

    def digraph(self) -> nx.DiGraph[str]:
        """The data flow between values, for the analyses that want a graph; nodes carry their :class:`Node`."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        for node in self.nodes:
            graph.add_node(node.output.name, node=node)
            graph.add_edges_from((value, node.output.name) for value in node.inputs)
        return graph

    def evaluate(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
        """Every value in clear, each of shape (rows, size), from inputs of shape (rows, ...)."""
        values: dict[str, NDArray[np.float64]] = {}
        for node in self.nodes:
            if isinstance(node, InputNode):
                given = np.asarray(inputs[node.output.name], dtype=np.float64)
                values[node.output.name] = given.reshape(len(given), -1)
            else:
                # What overflows shows in the values.
                with np.errstate(over="ignore", invalid="ignore"):
                    values[node.output.name] = self.evaluate_node(node, values)
        return values

    def evaluate_node(self, node: Node, values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """The value that a node other than an input defines, from those that it reads, each of shape (rows, size)."""
        result: NDArray[np.float64] = _RULES[type(node)](node, values, self.parameters)
        return result

    def __str__(self) -> str:
        """One line per node: the debugging tool."""
        lines = []
        for node in self.nodes:
            shape = "x".join(map(str, node.output.shape))
            lines.append(f"{node.output.name}[{shape}] = {node.kind} {_operands(node)}  # {node.source}")
        return "\n".join([*lines, f"return {', '.join(self.outputs)}"])


def _operands(node: Node) -> str:
    if isinstance(node, AffineNode):
        terms = [f"{type(t.map).__name__}({t.value})" for t in node.terms]
        return " + ".join([*terms, *([node.bias] if node.bias else [])])
    if isinstance(node, PolynomialNode):
        return f"{node.value}: {', '.join(node.coefficients)}"
    if isinstance(node, FunctionNode):
        return f"{node.value}: {node.function}"
    if isinstance(node, SeriesNode):
        return f"{node.value}: {node.coefficients} on {node.interval[0]:.4g} to {node.interval[1]:.4g}"
    return ", ".join(node.inputs)


def _parameters(node: Node) -> frozenset[str]:
    if isinstance(node, AffineNode):
        names = frozenset().union(*(term.map.parameters for term in node.terms))
        return names | {node.bias} if node.bias else names
    if isinstance(node, SeriesNode):
        return frozenset({node.coefficients})
    return frozenset(node.coefficients) if isinstance(node, PolynomialNode) else frozenset()


def _affine(node: AffineNode, values: Mapping[str, NDArray[np.float64]], parameters: Parameters) -> NDArray[np.float64]:
    result = np.sum([term.map.apply(values[term.value], parameters) for term in node.terms], axis=0)
    if node.bias is not None:
        bias = np.asarray(parameters[node.bias], dtype=np.float64)
        result = result + np.broadcast_to(bias, node.output.shape).reshape(-1)
    return np.asarray(result)


def _polynomial(
    node: PolynomialNode, values: Mapping[str, NDArray[np.float64]], parameters: Parameters
) -> NDArray[np.float64]:
    x = values[node.value]
    result = np.zeros_like(x)
    for name in reversed(node.coefficients):
        coefficient = np.asarray(parameters[name], dtype=np.float64)
        result = result * x + np.broadcast_to(coefficient, node.output.shape).reshape(-1)
    return result


def _function(node: FunctionNode, values: Mapping[str, NDArray[np.float64]], _: Parameters) -> NDArray[np.float64]:
    return node.function(values[node.value])


def _series(node: SeriesNode, values: Mapping[str, NDArray[np.float64]], parameters: Parameters) -> NDArray[np.float64]:
    return np.asarray(np.polynomial.chebyshev.chebval(values[node.value], parameters[node.coefficients]))


def _product(node: ProductNode, values: Mapping[str, NDArray[np.float64]], _: Parameters) -> NDArray[np.float64]:
    return values[node.left] * values[node.right]


def _window_sum(
    node: WindowSumNode, values: Mapping[str, NDArray[np.float64]], parameters: Parameters
) -> NDArray[np.float64]:
    return node.taps * node.window.apply(values[node.value], parameters)


_RULES: Mapping[type[Node], Any] = {
    AffineNode: _affine,
    FunctionNode: _function,
    PolynomialNode: _polynomial,
    ProductNode: _product,
    SeriesNode: _series,
    WindowSumNode: _window_sum,
}
