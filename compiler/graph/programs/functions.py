"""Expressions as the steps that a program has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hecc.compiler.graph.function import (
    ARGUMENT,
    Expression,
    PolynomialOf,
    Primitive,
    Product,
    WeightedSum,
)
from hecc.runtime.network.functions import ATTRIBUTES, POLYNOMIAL, PRODUCT, SUM, FunctionStep
from hecc.runtime.reading import Reading

__all__ = ["function_steps"]


def function_steps(function: Expression) -> tuple[FunctionStep, ...]:
    """The steps of an expression; shared parts are one step."""
    steps: list[FunctionStep] = []
    places: dict[int, int] = {id(ARGUMENT): 0}

    def place(part: Expression) -> int:
        if id(part) not in places:
            operands = tuple(place(each) for each in part.parts)
            op, numbers = _STEPS.of(part)(part)
            steps.append(FunctionStep(op, operands, numbers))
            places[id(part)] = len(steps)
        return places[id(part)]

    if place(function) == 0:
        return (FunctionStep(POLYNOMIAL, (0,), (0.0, 1.0)),)
    return tuple(steps)


def _primitive(part: Primitive) -> tuple[str, tuple[float, ...]]:
    known = dict(part.attributes)
    return part.name, tuple(float(known[name]) for name in ATTRIBUTES[part.name])


def _polynomial(part: PolynomialOf) -> tuple[str, tuple[float, ...]]:
    return POLYNOMIAL, tuple(map(float, part.coefficients))


def _sum(part: WeightedSum) -> tuple[str, tuple[float, ...]]:
    return SUM, (*map(float, part.factors), float(part.constant))


def _product(_: Product) -> tuple[str, tuple[float, ...]]:
    return PRODUCT, ()


_STEPS: Reading[Callable[[Any], tuple[str, tuple[float, ...]]]] = Reading(
    "steps of an expression",
    (type(ARGUMENT), Primitive, PolynomialOf, WeightedSum, Product),
    {Primitive: _primitive, PolynomialOf: _polynomial, WeightedSum: _sum, Product: _product},
    without={type(ARGUMENT): "the argument is no step"},
)
