"""Functions: a chain of elementwise operators on one value becomes one function of that value.

Exporters write an activation as they like: SiLU as ``x * Sigmoid(x)``, GELU as ``x * (1 + Erf(x / 1.414)) / 2``, Mish
as ``x * Tanh(Softplus(x))``. Polynomials fitted operator by operator would cost levels for each, and multiply two
approximations. What has to be approximated is one function of one variable, whatever it was written as, so this pass
finds the farthest value that an activation is a function of, and composes everything between.

It knows no patterns: weighted sums, products, polynomials and primitives compose, as long as their constants are the
same for all elements. A polynomial has no primitive in it, and needs no approximation; it becomes a function where
that saves levels, as with Horner's rule, or where the layer behind would read several of its powers. What is left is
for :mod:`hecc.passes.graph.activations`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hecc.compiler.graph.affine import Parameters, elementwise_factor
from hecc.compiler.graph.function import ARGUMENT, Expression, PolynomialOf, Product, WeightedSum, apply, degree
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
    WindowSumNode,
)
from hecc.runtime.depth import polynomial_depth
from hecc.runtime.reading import Reading

__all__ = ["compose_functions"]

Forms = dict[str, Expression]
"""A value as a function of each of several roots, the farthest first."""

Levels = dict[str, tuple[int, bool]]
"""By root, the levels from there to a value as it is written, and whether an affine map at the end comes on top."""

MAX_STEPS = 64
"""Operators between a root and a value."""

MAX_DEGREE = 255
"""Of one polynomial."""


def compose_functions(graph: Graph) -> Graph:
    """Let every function read the farthest value that it is a function of."""
    if not any(isinstance(node, FunctionNode | ProductNode) for node in graph.nodes):
        return graph
    forms: dict[str, Forms] = {}
    levels: dict[str, Levels] = {}
    steps: dict[str, int] = {}
    nodes: list[Node] = []
    before = graph.by_output()
    for node in graph.nodes:
        name = node.output.name
        steps[name] = 1 + max((steps[value] for value in node.inputs), default=0)
        derived = _DERIVED.of(node)(node, forms, graph.parameters)
        if not derived or steps[name] > MAX_STEPS:
            derived, steps[name] = {}, 0
        root = next(iter(derived), None)
        levels[name] = {**_levels(node, derived, levels), name: (0, False)}
        if root is not None and derived[root].primitives():
            if not isinstance(node, AffineNode):
                node = FunctionNode(node.output, node.source, root, derived[root])
        elif root is not None and _worth_it(node, derived[root], levels[name][root][0], before[root]):
            node = FunctionNode(node.output, node.source, root, derived[root])
        nodes.append(node)
        forms[name] = {**derived, name: ARGUMENT}
    return graph.with_nodes(nodes)


def _of_function(node: FunctionNode, forms: dict[str, Forms], _: Parameters) -> Forms:
    return {root: apply(node.function, inner) for root, inner in forms[node.value].items()}


def _of_quadratic(node: QuadraticNode, forms: dict[str, Forms], parameters: Parameters) -> Forms:
    coefficients = [_uniform(np.asarray(parameters[c], dtype=np.float64)) for c in node.coefficients]
    known = tuple(c for c in coefficients if c is not None)
    if len(known) < len(coefficients):
        return {}
    return {root: PolynomialOf(known, inner) for root, inner in forms[node.value].items()}


def _of_product(node: ProductNode, forms: dict[str, Forms], _: Parameters) -> Forms:
    left, right = forms[node.left], forms[node.right]
    return {root: Product(left[root], right[root]) for root in left if root in right}


def _of_affine(node: AffineNode, forms: dict[str, Forms], parameters: Parameters) -> Forms:
    factors = []
    for term in node.terms:
        spread = elementwise_factor(term.map, parameters)
        factor = None if spread is None else _uniform(spread)
        if factor is None:
            return {}
        factors.append(factor)
    constant = 0.0 if node.bias is None else _uniform(np.asarray(parameters[node.bias], dtype=np.float64))
    if constant is None:
        return {}
    first, *others = (forms[term.value] for term in node.terms)
    return {
        root: WeightedSum(tuple(factors), tuple(form[root] for form in (first, *others)), constant)
        for root in first
        if all(root in other for other in others)
    }


_DERIVED: Reading[Callable[[Any, dict[str, Forms], Parameters], Forms]] = Reading(
    "nodes as functions of earlier values",
    NODES,
    {
        InputNode: lambda node, forms, parameters: {},
        AffineNode: _of_affine,
        QuadraticNode: _of_quadratic,
        FunctionNode: _of_function,
        WindowSumNode: lambda node, forms, parameters: {},
        ProductNode: _of_product,
    },
    without={
        ChebyshevNode: "polynomials are fitted to what functions are composed to",
        BootstrapNode: "bootstraps are placed later",
        OperatorNode: "operators are taken apart or refused before",
    },
)
"""The node's value as a function of earlier values; empty when it is not one."""


def _levels(node: Node, derived: Forms, levels: dict[str, Levels]) -> Levels:
    """The levels between each root and a node's value."""
    if not derived:
        return {}
    affine = isinstance(node, AffineNode)
    square = node.inputs[0] == node.inputs[-1]
    found: Levels = {}
    for root in derived:
        # What is of degree two in a nearer value is one product there, and an affine map if more than a square.
        nearer = next((r for r in reversed(derived) if degree(derived[r]) <= 2 and root in levels.get(r, ())), None)
        if nearer is not None:
            products, open_affine = levels[nearer][root]
            quadratic = degree(derived[nearer]) == 2
            found[root] = products + quadratic, affine or (open_affine if not quadratic else not square)
        else:
            operands = [levels[value][root] for value in node.inputs]
            if affine:
                found[root] = max(products for products, _ in operands), True
            else:
                found[root] = max(products + open_affine for products, open_affine in operands) + 1, False
    return found


def _worth_it(node: Node, polynomial: Expression, levels: int, before: Node) -> bool:
    """Whether a polynomial is better evaluated as one than as it is written."""
    highest = degree(polynomial)
    if not 3 <= highest <= MAX_DEGREE:
        return False
    # The argument is normalised, by the layer before if there is one.
    needed = polynomial_depth(int(highest)) + (not isinstance(before, AffineNode))
    if isinstance(node, AffineNode):
        return len(node.terms) > 1 and needed <= levels
    return needed < levels


def _uniform(array: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    """The number that all elements are, or None."""
    first = float(array.flat[0])
    return first if bool((array == first).all()) else None
