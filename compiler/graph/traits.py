"""What the nodes of an arithmetic graph multiply, for all that counts products: levels, primes, slots, layouts."""

from __future__ import annotations

from enum import Enum

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
from hecc.runtime.reading import Reading

__all__ = ["PRODUCTS", "Products", "multiplies_values"]


class Products(Enum):
    """The products that a node needs."""

    NONE = "none"
    BY_PARAMETERS = "of values by parameters"
    OF_VALUES = "one of values, element by element"
    IN_A_ROW = "several of values in a row, element by element"


PRODUCTS: Reading[Products] = Reading(
    "products of a node",
    NODES,
    {
        InputNode: Products.NONE,
        AffineNode: Products.BY_PARAMETERS,
        QuadraticNode: Products.OF_VALUES,
        ChebyshevNode: Products.IN_A_ROW,
        BootstrapNode: Products.IN_A_ROW,
        WindowSumNode: Products.NONE,
        ProductNode: Products.OF_VALUES,
    },
    without={
        FunctionNode: "functions are polynomials in an arithmetic graph",
        OperatorNode: "operators are taken apart or refused before",
    },
)


def multiplies_values(node: Node) -> bool:
    """Whether a node multiplies values with one another, element by element: in slots that are empty it leaves none."""
    return PRODUCTS.of(node) in (Products.OF_VALUES, Products.IN_A_ROW)
