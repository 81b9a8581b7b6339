"""Derivatives of functions of one variable, as expressions again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from hecc.compiler.graph.function import (
    ARGUMENT,
    PRIMITIVES,
    Expression,
    PolynomialOf,
    Primitive,
    Product,
    WeightedSum,
)
from hecc.runtime.reading import Reading

__all__ = ["PRIMITIVE_DERIVATIVES", "derivative"]

ZERO: Expression = PolynomialOf((0.0,), ARGUMENT)
ONE: Expression = PolynomialOf((1.0,), ARGUMENT)

E = Expression


def derivative(function: Expression) -> Expression:
    """The derivative; at a kink or a jump that from one side, as PyTorch has it."""
    known: dict[int, Expression] = {}

    def of(part: Expression) -> Expression:
        if id(part) not in known:
            known[id(part)] = _DERIVATIVES.of(part)(part, of)
        return known[id(part)]

    return of(function)


def _call(name: str, x: E, **attributes: float) -> E:
    return Primitive(name, tuple(attributes.items()), x)


def _poly(x: E, *coefficients: float) -> E:
    return PolynomialOf(coefficients, x)


def _times(*factors: E) -> E:
    kept = [factor for factor in factors if factor is not ONE]
    if any(factor is ZERO for factor in kept):
        return ZERO
    if not kept:
        return ONE
    product = kept[0]
    for factor in kept[1:]:
        product = Product(product, factor)
    return product


def _sum(*terms: tuple[float, E], constant: float = 0.0) -> E:
    return WeightedSum(tuple(factor for factor, _ in terms), tuple(term for _, term in terms), constant)


def _sigmoid_slope(x: E) -> E:
    return _poly(_call("sigmoid", x), 0, 1, -1)


def _gelu(x: E) -> E:
    share = _sum((0.5, _call("erf", _poly(x, 0, 1 / math.sqrt(2)))), constant=0.5)
    bell = _call("exp", _poly(x, 0, 0, -0.5))
    return _sum((1.0, share), (1 / math.sqrt(2 * math.pi), Product(x, bell)))


def _gelu_tanh(x: E) -> E:
    scale = math.sqrt(2 / math.pi)
    height = _call("tanh", _poly(x, 0, scale, 0, scale * 0.044715))
    slope = Product(_poly(height, 1, 0, -1), _poly(x, scale, 0, 3 * scale * 0.044715))
    return _sum((0.5, height), (0.5, Product(x, slope)), constant=0.5)


def _mish(x: E) -> E:
    height = _call("tanh", _call("softplus", x))
    return _sum((1.0, height), (1.0, _times(x, _poly(height, 1, 0, -1), _call("sigmoid", x))))


def _swish(x: E, alpha: float) -> E:
    share = _call("sigmoid", _poly(x, 0, alpha))
    return _sum((1.0, share), (alpha, Product(x, _poly(share, 0, 1, -1))))


def _between(x: E, low: float, high: float) -> E:
    """One between two numbers, and zero outside."""
    return Product(_call("positive", _poly(x, -low, 1)), _call("positive", _poly(x, high, -1)))


def _elu(x: E, alpha: float, gamma: float = 1.0) -> E:
    above = _call("positive", x)
    below = _call("exp", _sum((0.5, x), (-0.5, _call("abs", x))))
    return _sum((gamma, above), (gamma * alpha, Product(below, _poly(above, 1, -1))))


def _celu(x: E, alpha: float) -> E:
    above = _call("positive", x)
    below = _call("exp", _sum((0.5 / alpha, x), (-0.5 / abs(alpha), _call("abs", x))))
    return _sum((1.0, above), (1.0, Product(below, _poly(above, 1, -1))))


def _hard_swish(x: E) -> E:
    inside = _between(x, -3, 3)
    return _sum((1.0, _call("nonnegative", _poly(x, -3, 1))), (1.0, Product(inside, _poly(x, 0.5, 1 / 3))))


def _inverse(x: E) -> E:
    return _call("reciprocal", x)


def _power(x: E, exponent: float) -> E:
    return _poly(_call("power", x, exponent=exponent - 1), 0, exponent)


PRIMITIVE_DERIVATIVES: Mapping[str, Callable[..., Expression]] = MappingProxyType(
    {
        "abs": lambda x: _call("sign", x),
        "acos": lambda x: _poly(_call("power", _poly(x, 1, 0, -1), exponent=-0.5), 0, -1),
        "acosh": lambda x: _call("power", _poly(x, -1, 0, 1), exponent=-0.5),
        "asin": lambda x: _call("power", _poly(x, 1, 0, -1), exponent=-0.5),
        "asinh": lambda x: _call("power", _poly(x, 1, 0, 1), exponent=-0.5),
        "atan": lambda x: _inverse(_poly(x, 1, 0, 1)),
        "atanh": lambda x: _inverse(_poly(x, 1, 0, -1)),
        "celu": _celu,
        "clip": _between,
        "cos": lambda x: _poly(_call("sin", x), 0, -1),
        "cosh": lambda x: _call("sinh", x),
        "elu": _elu,
        "erf": lambda x: _poly(_call("exp", _poly(x, 0, 0, -1)), 0, 2 / math.sqrt(math.pi)),
        "erfc": lambda x: _poly(_call("exp", _poly(x, 0, 0, -1)), 0, -2 / math.sqrt(math.pi)),
        "exp": lambda x: _call("exp", x),
        "gelu": _gelu,
        "gelu_tanh": _gelu_tanh,
        "hardsigmoid": lambda x, alpha, beta: _poly(_between(_poly(x, beta, alpha), 0, 1), 0, alpha),
        "hardswish": _hard_swish,
        "leakyrelu": lambda x, alpha: _poly(_call("positive", x), alpha, 1 - alpha),
        "log": _inverse,
        "mish": _mish,
        "nonnegative": lambda x: ZERO,
        "positive": lambda x: ZERO,
        "power": _power,
        "reciprocal": lambda x: _poly(_inverse(x), 0, 0, -1),
        "relu": lambda x: _call("positive", x),
        "selu": lambda x, alpha, gamma: _elu(x, alpha, gamma),
        "shrink": lambda x, lambd, bias: _sum(
            (1.0, _call("positive", _poly(x, -lambd, 1))), (1.0, _call("positive", _poly(x, -lambd, -1)))
        ),
        "sigmoid": _sigmoid_slope,
        "sign": lambda x: ZERO,
        "sin": lambda x: _call("cos", x),
        "sinh": lambda x: _call("cosh", x),
        "softplus": lambda x: _call("sigmoid", x),
        "softsign": lambda x: _poly(_inverse(_poly(_call("abs", x), 1, 1)), 0, 0, 1),
        "sqrt": lambda x: _poly(_inverse(_call("sqrt", x)), 0, 0.5),
        "swish": _swish,
        "tan": lambda x: _poly(_call("tan", x), 1, 0, 1),
        "tanh": lambda x: _poly(_call("tanh", x), 1, 0, -1),
        "thresholdedrelu": lambda x, alpha: _call("positive", _poly(x, -alpha, 1)),
    }
)
"""The derivative of each primitive at its operand; its attributes by name."""

if missing := PRIMITIVES.keys() ^ PRIMITIVE_DERIVATIVES.keys():
    raise TypeError(f"derivatives: no rule for {', '.join(sorted(missing))}")


def _primitive(part: Primitive, of: Callable[[Expression], Expression]) -> Expression:
    own = PRIMITIVE_DERIVATIVES[part.name](part.operand, **dict(part.attributes))
    return _times(own, of(part.operand))


def _polynomial(part: PolynomialOf, of: Callable[[Expression], Expression]) -> Expression:
    slopes = tuple(power * coefficient for power, coefficient in enumerate(part.coefficients))[1:]
    return _times(PolynomialOf(slopes, part.operand), of(part.operand)) if slopes else ZERO


def _weighted_sum(part: WeightedSum, of: Callable[[Expression], Expression]) -> Expression:
    return WeightedSum(part.factors, tuple(map(of, part.terms)), 0.0)


def _product(part: Product, of: Callable[[Expression], Expression]) -> Expression:
    return _sum((1.0, _times(of(part.left), part.right)), (1.0, _times(part.left, of(part.right))))


_DERIVATIVES: Reading[Callable[[Any, Callable[[Expression], Expression]], Expression]] = Reading(
    "derivatives of expressions",
    (type(ARGUMENT), Primitive, PolynomialOf, WeightedSum, Product),
    {
        type(ARGUMENT): lambda part, of: ONE,
        Primitive: _primitive,
        PolynomialOf: _polynomial,
        WeightedSum: _weighted_sum,
        Product: _product,
    },
)
