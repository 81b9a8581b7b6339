"""Activations: every elementwise expression of degree two becomes one monic polynomial, the rest of it affine maps.

Exporters write an activation as a small tangle of Mul, Add and Pow. Evaluated node by node each product would cost a
level. This pass finds the values that are polynomials of degree two in one earlier value, computes the coefficients
(:mod:`hecc.compiler.graph.polynomial`) and replaces the tangle by

    u = x^2 + (c1 / c2) x          one level: a square, and a plaintext product summed before the same rescale
    y = c2 u + c0                  an affine node, which affine fusion then folds into whatever linear layer follows

so ``0.125 x^2 + 0.5 x + 0.25`` costs exactly what ``x^2`` does. Only where a polynomial is nearly linear does y read x
as well, and u is a square. Products that are no such polynomial stay: those of two different values, as of a gate, and
those of a higher degree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph import polynomial
from hecc.compiler.graph.affine import Parameters, Scale, elementwise_factor
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
from hecc.compiler.graph.polynomial import Coefficients
from hecc.runtime.reading import Reading

__all__ = ["substitute_activations"]

Form = Callable[[], Coefficients | None]
"""Computes the coefficients when asked; None if the degree is above two. Few are ever asked for."""

Forms = dict[str, Form]
"""A value as a polynomial in each of several roots, the nearest root last; a value is ``x`` in itself."""

MAX_DEGREE = 2

NEAREST = 64
"""Roots that a value is looked at in. The tangle of an activation is a dozen nodes; a chain may be of thousands."""

NEARLY_LINEAR = 64.0
"""Largest ``c1 / c2`` of a monic form: values beside which the square is small would decide the scale of ``x``."""
IDENTITY: Coefficients = (np.zeros(()), np.ones(()))


def substitute_activations(graph: Graph) -> Graph:
    """Rewrite a graph so that its quadratics are monic, and its products are none."""
    forms: dict[str, Forms] = {}
    nodes: list[Node] = []
    parameters: dict[str, NDArray[np.float64]] = {}
    for node in graph.nodes:
        name = node.output.name
        kind = _KINDS.of(node)
        derived = kind.derived(node, forms, graph.parameters)
        forms[name] = {**derived, name: lambda: IDENTITY}
        candidates = reversed(derived) if kind.is_activation(node) else ()
        nearest = next(((root, p) for root in candidates if (p := derived[root]()) is not None and _is_plain(p)), None)
        if nearest is not None:
            nodes.extend(_polynomial(node, *nearest, parameters))
        else:
            nodes.append(node)
    return graph.with_nodes(nodes, parameters)


def _is_plain(coefficients: Coefficients) -> bool:
    """Whether the polynomial is linear in all elements or quadratic in all, so that one with a leading one will do."""
    return len(coefficients) < 3 or bool(np.all(coefficients[2]))


def _of_quadratic(node: QuadraticNode, forms: Mapping[str, Forms], parameters: Parameters) -> Forms:
    own = tuple(_flat(parameters[c], node.output.shape) for c in node.coefficients)
    return _combine([forms[node.value]], lambda inner: polynomial.compose(own, inner))


def _of_product(node: ProductNode, forms: Mapping[str, Forms], _: Parameters) -> Forms:
    return _combine([forms[node.left], forms[node.right]], polynomial.multiply)


def _of_affine(node: AffineNode, forms: Mapping[str, Forms], parameters: Parameters) -> Forms:
    factors = [f for term in node.terms if (f := elementwise_factor(term.map, parameters)) is not None]
    if len(factors) < len(node.terms):
        return {}
    bias = np.zeros(()) if node.bias is None else _flat(parameters[node.bias], node.output.shape)

    def weighted_sum(*inner: Coefficients) -> Coefficients:
        total: Coefficients = (bias,)
        for factor, p in zip(factors, inner, strict=True):
            total = polynomial.add(total, tuple(np.asarray(factor * c) for c in p))
        return total

    return _combine([forms[term.value] for term in node.terms], weighted_sum)


def _combine(operands: list[Forms], operation: Callable[..., Coefficients]) -> Forms:
    """Apply an operation in the nearest roots that all operands share, as long as the degree stays at two."""
    shared = [root for root in operands[0] if all(root in other for other in operands[1:])]
    return {root: _Combined([operand[root] for operand in operands], operation) for root in shared[-NEAREST:]}


@dataclass(eq=False)
class _Combined:
    """A form that is computed from others when it is first asked for."""

    operands: list[Form]
    operation: Callable[..., Coefficients]
    known: list[Coefficients | None] = field(default_factory=list)

    def __call__(self) -> Coefficients | None:
        if not self.known:
            inner = [p for operand in self.operands if (p := operand()) is not None]
            result = self.operation(*inner) if len(inner) == len(self.operands) else None
            self.known.append(result if result is not None and polynomial.degree(result) <= MAX_DEGREE else None)
        return self.known[0]


def _flat(array: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """One number per element of a tensor, or a scalar if all are the same."""
    spread = np.broadcast_to(np.asarray(array, dtype=np.float64), shape).reshape(-1)
    return np.asarray(spread[0]) if spread.size and bool(np.all(spread == spread[0])) else np.ascontiguousarray(spread)


def _polynomial(
    node: Node, root: str, coefficients: Coefficients, parameters: dict[str, NDArray[np.float64]]
) -> list[Node]:
    """Nodes for ``c2 x^2 + c1 x + c0``: a monic polynomial and, where it is not the identity, an affine node."""
    name, shape = node.output.name, node.output.shape

    def parameter(what: str, values: NDArray[np.float64]) -> str:
        parameters[f"{name}:{what}"] = values.reshape(shape) if values.size == np.prod(shape) else values
        return f"{name}:{what}"

    if len(coefficients) < 3:
        constant, *linear = coefficients
        slope = parameter("slope", linear[0] if linear else np.zeros(()))
        offset = parameter("constant", constant)
        return [AffineNode(node.output, node.source, (Term(root, Scale.of(shape, slope)),), offset)]
    constant, linear_part, leading = coefficients
    trivial = bool(np.all(leading == 1.0)) and not bool(np.any(constant))
    apart = bool(np.any(np.abs(linear_part) > NEARLY_LINEAR * np.abs(leading)))
    trivial = trivial and not apart
    monic = node.output if trivial else Value(f"{name}:monic", shape)
    names = (
        parameter("zero", np.zeros(())),
        parameter("linear", np.zeros(()) if apart else np.asarray(linear_part / leading)),
        parameter("one", np.ones(())),
    )
    square = QuadraticNode(monic, node.source, root, names)
    if trivial:
        return [square]
    terms = [Term(monic.name, Scale.of(shape, parameter("leading", leading)))]
    if apart:
        terms.append(Term(root, Scale.of(shape, parameter("slope", linear_part))))
    shift = parameter("constant", constant) if bool(np.any(constant)) else None
    return [square, AffineNode(node.output, node.source, tuple(terms), shift)]


@dataclass(frozen=True)
class _Kind:
    """What the pass has to know of a kind of node.

    Attributes
    ----------
    derived
        The node's value as a polynomial in earlier values, nearest last; empty when it is not one.
    is_activation
        Whether the node may have to become a quadratic: a product, or a sum that may have a square among its terms.
    """

    derived: Callable[[Any, Mapping[str, Forms], Parameters], Forms] = lambda node, forms, parameters: {}
    is_activation: Callable[[Any], bool] = lambda node: False


_KINDS: Reading[_Kind] = Reading(
    "nodes as polynomials in earlier values",
    NODES,
    {
        InputNode: _Kind(),
        AffineNode: _Kind(_of_affine, lambda node: len(node.terms) > 1),
        QuadraticNode: _Kind(_of_quadratic, lambda node: True),
        FunctionNode: _Kind(),
        WindowSumNode: _Kind(),
        ProductNode: _Kind(_of_product, lambda node: True),
    },
    without={
        ChebyshevNode: "polynomials are fitted to functions later",
        BootstrapNode: "bootstraps are placed later",
        OperatorNode: "operators are taken apart or refused before",
    },
)
