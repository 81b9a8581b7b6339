"""Polynomials in the Chebyshev basis whose coefficients are trained, as fine-tuning activations for CKKS does.

Where they are not, a polynomial is a function of one variable with numbers in it; here its coefficients are read as
parameters. Values of the basis come from its recurrence, which is exact to the last digits at any degree.
"""

from __future__ import annotations

import numpy as np

from hecc.compiler.graph.gradients.slopes import Slopes
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import ChebyshevNode
from hecc.compiler.graph.programs.builder import ProgramBuilder

__all__ = ["trained_polynomial", "trained_polynomial_slopes"]


def trained_polynomial(build: ProgramBuilder, node: ChebyshevNode, x: int, graph: Graph) -> int:
    """The value at each element of ``x``."""
    value = _combined(build, node, graph, _basis(build, x, _count(node, graph), 1.0))
    # A constant is one for each element, too.
    return value if build.shape(value) == build.shape(x) else build.add([value, x], [1.0, 0.0])


def trained_polynomial_slopes(slopes: Slopes, node: ChebyshevNode, x: int, slope: int, graph: Graph) -> None:
    """The gradients of the argument and of the coefficients from that of the value."""
    build, count = slopes.build, _count(node, graph)
    slope = build.reshape(slope, build.shape(x))
    for k, value in enumerate(_basis(build, x, count, 1.0)):
        along = slope if value is None else build.multiply(slope, value)
        summed = build.mean_rows(build.total(along, (1,) * len(build.shape(x))))
        own = build.reshape(summed, (1,))
        slopes.add_parameter(node.coefficients, build.scatter(own, np.array([k], dtype=np.int64), (count,)))
    if count == 1:
        return
    # The derivative of T_k is k U_(k-1), of the second kind.
    second = _basis(build, x, count - 1, 2.0)
    steep = _combined(build, node, graph, second, first=1)
    slopes.add(node.value, build.multiply(slope, steep))


def _count(node: ChebyshevNode, graph: Graph) -> int:
    return int(np.size(graph.parameters[node.coefficients]))


def _basis(build: ProgramBuilder, x: int, count: int, first: float) -> list[int | None]:
    """Chebyshev polynomials of the first kind, or of the second with ``first`` 2; ``None`` for the constant one."""
    values: list[int | None] = [None, build.add([x], [first])][:count]
    while len(values) < count:
        before, last = values[-2:]
        assert last is not None, "only the first of them is constant"
        product = build.multiply(x, last)
        values.append(
            build.add([product], [2.0], -1.0) if before is None else build.add([product, before], [2.0, -1.0])
        )
    return values


def _combined(build: ProgramBuilder, node: ChebyshevNode, graph: Graph, basis: list[int | None], first: int = 0) -> int:
    """The sum of basis values with the coefficients from a place on, each times its place where that is not 0."""
    coefficients = build.parameter(node.coefficients, graph.parameters[node.coefficients])
    terms, factors = [], []
    for k, value in enumerate(basis, first):
        own = build.pick(coefficients, np.array([k], dtype=np.int64), (1,))
        terms.append(own if value is None else build.multiply(value, own))
        factors.append(float(k) if first else 1.0)
    return build.add(terms, factors)
