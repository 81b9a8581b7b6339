"""Expressions on an interval: between which numbers their values lie, and what they simplify to there.

A ReLU of what is never negative is what it is of, and a comparison that is always true is one. What is left of a
function is found from its innermost part outwards, so that ``Clip(Sigmoid(x), 0, 1)`` is a sigmoid wherever x lies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray

from hecc.compiler.graph.enclosures.primitives import Ends, piece_of, primitive_image
from hecc.compiler.graph.function import (
    ARGUMENT,
    EXPRESSIONS,
    Argument,
    Expression,
    PolynomialOf,
    Primitive,
    Product,
    WeightedSum,
)
from hecc.runtime.reading import Reading

__all__ = ["Enclosed", "enclosed", "product_ends"]

Coefficients = tuple[float, ...]

MAX_DEGREE = 8
"""Of polynomials whose coefficients are worked out."""


@dataclass(frozen=True, eq=False)
class Enclosed:
    """An expression on an interval of its argument.

    Attributes
    ----------
    expression
        Computes the same there as the one that was given; that itself, if nothing can be left out.
    ends
        Between which numbers its values lie.
    coefficients
        Of the polynomial in the argument that it is there, the constant first; ``None`` where it is none, or one of a
        high degree.
    """

    expression: Expression
    ends: Ends
    coefficients: Coefficients | None


def enclosed(function: Expression, ends: Ends) -> Enclosed:
    """A function on an interval.

    Parameters
    ----------
    ends
        Between which numbers each element of the argument lies.
    """
    known: dict[int, Enclosed] = {}

    def of(expression: Expression) -> Enclosed:
        if id(expression) not in known:
            parts = tuple(map(of, expression.parts))
            found: Enclosed = _RULES.of(expression)(expression, parts, ends)
            known[id(expression)] = _simplified(found, ends)
        return known[id(expression)]

    # Infinite ends make what is not a number of zero, which proves nothing.
    with np.errstate(over="ignore", invalid="ignore"):
        return of(function)


def _simplified(found: Enclosed, ends: Ends) -> Enclosed:
    """With the polynomial for the expression where that does without a primitive, and with the narrower ends."""
    if found.coefficients is None:
        return found
    expression = found.expression
    if expression.primitives():
        expression = PolynomialOf(found.coefficients, ARGUMENT)
    low, high = _polynomial_ends(found.coefficients, ends)
    return Enclosed(expression, (np.fmax(found.ends[0], low), np.fmin(found.ends[1], high)), found.coefficients)


def _argument(expression: Argument, _: tuple[Enclosed, ...], ends: Ends) -> Enclosed:
    return Enclosed(expression, ends, (0.0, 1.0))


def _primitive(expression: Primitive, parts: tuple[Enclosed, ...], _: Ends) -> Enclosed:
    (operand,) = parts
    attributes: Mapping[str, float] = dict(expression.attributes)
    image = primitive_image(expression.name, attributes, operand.ends)
    piece = piece_of(expression.name, attributes, operand.ends)
    if piece is None:
        return Enclosed(_rebuilt(expression, parts), image, None)
    inner = operand.coefficients if len(piece.coefficients) > 1 else (0.0,)
    return Enclosed(PolynomialOf(piece.coefficients, operand.expression), image, _composed(piece.coefficients, inner))


def _polynomial(expression: PolynomialOf, parts: tuple[Enclosed, ...], _: Ends) -> Enclosed:
    (operand,) = parts
    coefficients = _composed(expression.coefficients, operand.coefficients)
    return Enclosed(_rebuilt(expression, parts), _polynomial_ends(expression.coefficients, operand.ends), coefficients)


def _weighted_sum(expression: WeightedSum, parts: tuple[Enclosed, ...], _: Ends) -> Enclosed:
    low = high = np.full(np.shape(parts[0].ends[0]), expression.constant)
    total: Coefficients | None = (expression.constant,)
    for factor, part in zip(expression.factors, parts, strict=True):
        if factor:
            ends = (factor * part.ends[0], factor * part.ends[1])
            low, high = low + np.minimum(*ends), high + np.maximum(*ends)
            total = None if total is None or part.coefficients is None else _sum(total, factor, part.coefficients)
    return Enclosed(_rebuilt(expression, parts), (low, high), total)


def _product(expression: Product, parts: tuple[Enclosed, ...], _: Ends) -> Enclosed:
    left, right = parts
    if left.coefficients == (0.0,) or right.coefficients == (0.0,):
        return Enclosed(PolynomialOf((0.0,), ARGUMENT), (np.zeros_like(left.ends[0]),) * 2, (0.0,))
    ends = product_ends(left.ends, right.ends, same=expression.left is expression.right)
    coefficients = None
    if left.coefficients is not None and right.coefficients is not None:
        coefficients = _kept(polynomial.polymul(left.coefficients, right.coefficients))
    return Enclosed(_rebuilt(expression, parts), ends, coefficients)


_RULES: Reading[Callable[[Any, tuple[Enclosed, ...], Ends], Enclosed]] = Reading(
    "expressions on an interval",
    EXPRESSIONS,
    {
        Argument: _argument,
        Primitive: _primitive,
        PolynomialOf: _polynomial,
        WeightedSum: _weighted_sum,
        Product: _product,
    },
)


def product_ends(left: Ends, right: Ends, *, same: bool = False) -> Ends:
    """Between which numbers products lie: of independent factors, or of one with itself."""
    # Zero times a number without bounds is zero.
    corners = [np.where((x == 0) | (y == 0), 0.0, x * y) for x in left for y in right]
    low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
    return (np.maximum(low, 0.0), high) if same else (low, high)


def _rebuilt(expression: Expression, parts: tuple[Enclosed, ...]) -> Expression:
    """The expression of simpler parts; itself, if they are what they were."""
    simpler = tuple(part.expression for part in parts)
    same = all(one is other for one, other in zip(simpler, expression.parts, strict=True))
    return expression if same else expression.with_parts(simpler)


def _polynomial_ends(coefficients: Coefficients, ends: Ends) -> Ends:
    """Of a polynomial up to degree two exactly; above that each power counts by itself."""
    low, high = ends
    if len(coefficients) == 3 and coefficients[2]:
        constant, linear, leading = coefficients
        vertex = np.clip(-linear / (2 * leading), low, high)
        values = [constant + x * (linear + x * leading) for x in (low, high, vertex)]
        return np.minimum.reduce(values), np.maximum.reduce(values)
    least = largest = np.full(np.shape(low), coefficients[0])
    for exponent, coefficient in enumerate(coefficients[1:], start=1):
        if coefficient:
            powers = [low**exponent, high**exponent]
            smallest, biggest = np.minimum(*powers), np.maximum(*powers)
            if exponent % 2 == 0:
                smallest = np.where((low < 0) & (high > 0), 0.0, smallest)
            terms = (coefficient * smallest, coefficient * biggest)
            least, largest = least + np.minimum(*terms), largest + np.maximum(*terms)
    return least, largest


def _composed(outer: Coefficients, inner: Coefficients | None) -> Coefficients | None:
    """The coefficients of ``outer(inner(x))``."""
    if len(outer) == 1:
        return outer
    if inner is None or (len(outer) - 1) * (len(inner) - 1) > MAX_DEGREE:
        return None
    total: NDArray[Any] = np.zeros(1)
    for coefficient in reversed(outer):
        total = polynomial.polyadd(polynomial.polymul(total, inner), [coefficient])
    return _kept(total)


def _sum(total: Coefficients, factor: float, part: Coefficients) -> Coefficients | None:
    return _kept(polynomial.polyadd(total, factor * np.asarray(part)))


def _kept(coefficients: NDArray[Any]) -> Coefficients | None:
    trimmed = tuple(float(c) for c in polynomial.polytrim(coefficients))
    return trimmed if len(trimmed) <= MAX_DEGREE + 1 else None
