"""The kinds of nodes of a graph.

They are few because everything linear is one kind, :class:`AffineNode`. The activation pass turns products of
polynomials in one value into :class:`QuadraticNode`, so a canonical graph has a :class:`ProductNode` only where two
values really are multiplied: gates, attention, powers above two. Everything elementwise that is no polynomial is one
kind, too, :class:`FunctionNode`; once a polynomial is fitted to it, it is a :class:`ChebyshevNode`. What is neither,
such as the maximum of a window, is an :class:`OperatorNode`, until a pass of some scheme takes it apart.

What a kind means in one respect (its value in clear, its interval, its depth) is said in a table of its own for all
kinds, a :class:`hecc.runtime.reading.Reading`. Which kinds a graph may hold, and what must be true of them, is
:mod:`hecc.compiler.graph.stages`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import AffineMap, Pool, Reshape, picked_elements
from hecc.compiler.graph.function import Expression
from hecc.compiler.graph.operators import Operator

__all__ = [
    "NODES",
    "AffineNode",
    "BootstrapNode",
    "ChebyshevNode",
    "FunctionNode",
    "InputNode",
    "Node",
    "OperatorNode",
    "ProductNode",
    "QuadraticNode",
    "Source",
    "Term",
    "Value",
    "WindowSumNode",
    "image_shape",
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

    @property
    def size(self) -> int:
        """Its elements."""
        return math.prod(self.shape)


def image_shape(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """A tensor's shape as (batch, channels, height, width); a signal is an image of one row. ``None`` for others."""
    if len(shape) == 3:
        return (*shape[:2], 1, shape[2])
    return shape if len(shape) == 4 else None


@dataclass(frozen=True)
class Node(ABC):
    """Base of the node kinds; ``output`` is the value it defines."""

    output: Value
    source: Source

    @property
    def kind(self) -> str:
        """The kind's name, as printed."""
        return type(self).__name__.removesuffix("Node").lower()

    @property
    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""

    @abstractmethod
    def reading(self, names: Mapping[str, str]) -> Node:
        """The same node reading other values in the place of those that ``names`` has."""

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the parameters read."""
        return frozenset()

    @property
    def maps(self) -> tuple[AffineMap, ...]:
        """The linear maps that the node applies."""
        return ()

    @property
    def constant(self) -> str | None:
        """Name of the parameter that is added at the end, if one is."""
        return None

    @property
    def shown(self) -> str:
        """What is printed behind the kind: the operands."""
        return ", ".join(self.inputs)

    def __str__(self) -> str:
        shape = "x".join(map(str, self.output.shape))
        return f"{self.output.name}[{shape}] = {self.kind} {self.shown}  # {self.source}"


@dataclass(frozen=True)
class InputNode(Node):
    """An encrypted input of the network."""

    @property
    def inputs(self) -> tuple[str, ...]:
        return ()

    def reading(self, names: Mapping[str, str]) -> Node:
        return self


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

    def reading(self, names: Mapping[str, str]) -> Node:
        return replace(self, terms=tuple(Term(names.get(term.value, term.value), term.map) for term in self.terms))

    @property
    def parameters(self) -> frozenset[str]:
        names = frozenset().union(*(term.map.parameters for term in self.terms))
        return names | {self.bias} if self.bias is not None else names

    @property
    def maps(self) -> tuple[AffineMap, ...]:
        return tuple(term.map for term in self.terms)

    @property
    def constant(self) -> str | None:
        return self.bias

    @property
    def shown(self) -> str:
        terms = [f"{type(term.map).__name__}({term.value})" for term in self.terms]
        return " + ".join([*terms, *([self.bias] if self.bias is not None else [])])

    @property
    def reshapes_only(self) -> bool:
        """True when the output is the input under another shape: the same ciphertexts, at no cost."""
        return self.bias is None and len(self.terms) == 1 and isinstance(self.terms[0].map, Reshape)

    @property
    def picked(self) -> NDArray[np.int64] | None:
        """For each element of the result the one of the argument that it is, if it is nothing else; else ``None``."""
        return picked_elements(self.terms[0].map) if self.bias is None and len(self.terms) == 1 else None


@dataclass(frozen=True)
class QuadraticNode(Node):
    """``c2 x^2 + c1 x + c0``, element by element.

    Attributes
    ----------
    coefficients
        Name the parameters ``c0``, ``c1``, ``c2``, each of which broadcasts to the shape.
    """

    value: str
    coefficients: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.value,)

    def reading(self, names: Mapping[str, str]) -> Node:
        return replace(self, value=names.get(self.value, self.value))

    @property
    def parameters(self) -> frozenset[str]:
        return frozenset(self.coefficients)

    @property
    def constant(self) -> str | None:
        return self.coefficients[0]

    @property
    def shown(self) -> str:
        return f"{self.value}: {', '.join(self.coefficients)}"


@dataclass(frozen=True)
class FunctionNode(Node):
    """Elementwise function, the same for all elements; the value has as many elements, perhaps in another shape."""

    value: str
    function: Expression

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.value,)

    def reading(self, names: Mapping[str, str]) -> Node:
        return replace(self, value=names.get(self.value, self.value))

    @property
    def shown(self) -> str:
        return f"{self.value}: {self.function}"


@dataclass(frozen=True)
class ChebyshevNode(Node):
    """Elementwise polynomial in the Chebyshev basis, the same for all elements, of a value within [-1, 1].

    Attributes
    ----------
    coefficients
        Names the parameter of shape (degree + 1,).
    interval
        What -1 and 1 stand for in the argument of the function that the polynomial stands for.
    """

    value: str
    coefficients: str
    interval: tuple[float, float]

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.value,)

    def reading(self, names: Mapping[str, str]) -> Node:
        return replace(self, value=names.get(self.value, self.value))

    @property
    def parameters(self) -> frozenset[str]:
        return frozenset({self.coefficients})

    @property
    def shown(self) -> str:
        return f"{self.value}: {self.coefficients} on {self.interval[0]:.4g} to {self.interval[1]:.4g}"


@dataclass(frozen=True)
class BootstrapNode(Node):
    """Elementwise ``sin(2 pi phase x)`` of a value within [-1, 1], which has all its levels again.

    It is what bootstrapping makes of a value whose message fills so large a part of the lowest prime that the sine is
    no identity there; the function behind it is fitted in the sine (:mod:`hecc.compiler.approximation.sine`).

    Attributes
    ----------
    phase
        The part of the lowest prime that one stands for, more than 0 and at most 1/4.
    interval
        What -1 and 1 stand for in the argument of the function behind it.
    """

    value: str
    phase: float
    interval: tuple[float, float]

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.value,)

    def reading(self, names: Mapping[str, str]) -> Node:
        return replace(self, value=names.get(self.value, self.value))

    @property
    def shown(self) -> str:
        return f"{self.value}: sine of phase {self.phase:g}"


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

    def reading(self, names: Mapping[str, str]) -> Node:
        return replace(self, value=names.get(self.value, self.value))

    @property
    def maps(self) -> tuple[AffineMap, ...]:
        return (self.window,)

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

    def reading(self, names: Mapping[str, str]) -> Node:
        return replace(self, left=names.get(self.left, self.left), right=names.get(self.right, self.right))


@dataclass(frozen=True)
class OperatorNode(Node):
    """An operator that is neither affine nor elementwise, as it was imported.

    Attributes
    ----------
    values
        The encrypted tensors it reads.
    operator
        What it computes of them.
    """

    values: tuple[str, ...]
    operator: Operator

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.values

    def reading(self, names: Mapping[str, str]) -> Node:
        return replace(self, values=tuple(names.get(name, name) for name in self.values))

    @property
    def parameters(self) -> frozenset[str]:
        return self.operator.parameters

    @property
    def shown(self) -> str:
        return f"{type(self.operator).__name__}({', '.join(self.values)})"


NODES: tuple[type[Node], ...] = (
    InputNode,
    AffineNode,
    QuadraticNode,
    FunctionNode,
    ChebyshevNode,
    BootstrapNode,
    WindowSumNode,
    ProductNode,
    OperatorNode,
)
"""All kinds of nodes; a table that reads graphs has an entry for each, or a reason for having none."""
