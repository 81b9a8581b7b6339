"""Functions of one real variable: what a chain of elementwise operators computes, as an expression.

An expression is built of primitives (the activations of ONNX, by their definitions there), polynomials, weighted sums
and products, all of the same argument. It evaluates itself on arrays, which is all that fitting a polynomial to it
needs: a SiLU is the same whether an exporter writes ``Swish(x)``, ``x * Sigmoid(x)`` or ``x * (1 + Tanh(x / 2)) / 2``.

Parts may be shared: a part is evaluated once, however many others read it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import scipy.special
from numpy.typing import NDArray

__all__ = ["ARGUMENT", "PRIMITIVES", "Expression", "Polynomial", "Primitive", "Product", "WeightedSum", "apply"]

Array = NDArray[np.float64]

SHOWN = 4
"""Nesting that is printed."""


def _elu(x: Array, alpha: float) -> Array:
    return np.asarray(np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))))


def _gelu(x: Array) -> Array:
    return np.asarray(x / 2 * (1 + scipy.special.erf(x / math.sqrt(2))))


def _gelu_tanh(x: Array) -> Array:
    return np.asarray(x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


def _hard_sigmoid(x: Array, alpha: float, beta: float) -> Array:
    return np.asarray(np.clip(alpha * x + beta, 0, 1))


PRIMITIVES: Mapping[str, Callable[..., Array]] = MappingProxyType(
    {
        "abs": np.abs,
        "celu": lambda x, alpha: np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(np.minimum(x / alpha, 0))),
        "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
        "elu": _elu,
        "erf": scipy.special.erf,
        "erfc": scipy.special.erfc,
        "exp": np.exp,
        "gelu": _gelu,
        "gelu_tanh": _gelu_tanh,
        "hardsigmoid": _hard_sigmoid,
        "hardswish": lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5),
        "leakyrelu": lambda x, alpha: np.where(x > 0, x, alpha * x),
        "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
        "nonnegative": lambda x: np.where(x >= 0, 1.0, 0.0),
        "positive": lambda x: np.where(x > 0, 1.0, 0.0),
        "relu": lambda x: np.maximum(x, 0),
        "selu": lambda x, alpha, gamma: gamma * _elu(x, alpha),
        "sigmoid": scipy.special.expit,
        "sign": np.sign,
        "softplus": lambda x: np.logaddexp(0, x),
        "softsign": lambda x: x / (1 + np.abs(x)),
        "swish": lambda x, alpha: x * scipy.special.expit(alpha * x),
        "tanh": np.tanh,
    }
)
"""By name; what they take besides the argument are ONNX's attributes, without defaults. Comparisons are one or zero."""


@dataclass(frozen=True, eq=False)
class Expression(ABC):
    """Base of the kinds of expressions."""

    @property
    def parts(self) -> tuple[Expression, ...]:
        """Expressions that this one is computed from."""
        return ()

    @abstractmethod
    def combine(self, parts: tuple[Array, ...]) -> Array:
        """The value, from those of the parts."""

    @abstractmethod
    def show(self, parts: tuple[str, ...]) -> str:
        """The text, from those of the parts."""

    def __call__(self, x: Array) -> Array:
        """Evaluate at every element; what overflows is infinite."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._evaluate(np.asarray(x, dtype=np.float64), {})

    def _evaluate(self, x: Array, known: dict[int, Array]) -> Array:
        if isinstance(self, _Argument):
            return x
        if id(self) not in known:
            known[id(self)] = self.combine(tuple(part._evaluate(x, known) for part in self.parts))
        return known[id(self)]

    def primitives(self) -> frozenset[str]:
        """Names of the primitives in it; a polynomial has none."""
        names: set[str] = set()
        seen: set[int] = set()
        waiting: list[Expression] = [self]
        while waiting:
            expression = waiting.pop()
            if id(expression) not in seen:
                seen.add(id(expression))
                waiting += expression.parts
                names.update({expression.name} if isinstance(expression, Primitive) else ())
        return frozenset(names)

    def __str__(self) -> str:
        return self._text(SHOWN)

    def _text(self, depth: int) -> str:
        if depth == 0 and self.parts:
            return "..."
        return self.show(tuple(part._text(depth - 1) for part in self.parts))


@dataclass(frozen=True, eq=False)
class _Argument(Expression):
    """The argument itself."""

    def combine(self, parts: tuple[Array, ...]) -> Array:
        raise TypeError("the argument has a value of its own")

    def show(self, parts: tuple[str, ...]) -> str:
        return "x"


ARGUMENT: Expression = _Argument()


@dataclass(frozen=True, eq=False)
class Primitive(Expression):
    """A function of :data:`PRIMITIVES` with its attributes."""

    name: str
    attributes: tuple[tuple[str, float], ...]
    operand: Expression

    @property
    def parts(self) -> tuple[Expression, ...]:
        return (self.operand,)

    def combine(self, parts: tuple[Array, ...]) -> Array:
        return np.asarray(PRIMITIVES[self.name](parts[0], **dict(self.attributes)), dtype=np.float64)

    def show(self, parts: tuple[str, ...]) -> str:
        return f"{self.name}({', '.join([parts[0], *(f'{name}={value:g}' for name, value in self.attributes)])})"


@dataclass(frozen=True, eq=False)
class Polynomial(Expression):
    """``sum of coefficients[k] * operand^k``."""

    coefficients: tuple[float, ...]
    operand: Expression

    @property
    def parts(self) -> tuple[Expression, ...]:
        return (self.operand,)

    def combine(self, parts: tuple[Array, ...]) -> Array:
        return np.asarray(np.polynomial.polynomial.polyval(parts[0], self.coefficients))

    def show(self, parts: tuple[str, ...]) -> str:
        return f"polynomial({parts[0]}; {', '.join(f'{c:g}' for c in self.coefficients)})"


@dataclass(frozen=True, eq=False)
class WeightedSum(Expression):
    """``sum of factor * term, plus constant``."""

    factors: tuple[float, ...]
    terms: tuple[Expression, ...]
    constant: float

    @property
    def parts(self) -> tuple[Expression, ...]:
        return self.terms

    def combine(self, parts: tuple[Array, ...]) -> Array:
        total = np.full_like(parts[0], self.constant)
        for factor, part in zip(self.factors, parts, strict=True):
            total += factor * part
        return total

    def show(self, parts: tuple[str, ...]) -> str:
        shown = [part if f == 1 else f"{f:g} {part}" for f, part in zip(self.factors, parts, strict=True)]
        return f"({' + '.join([*shown, *([f'{self.constant:g}'] if self.constant else [])])})"


@dataclass(frozen=True, eq=False)
class Product(Expression):
    """``left * right``."""

    left: Expression
    right: Expression

    @property
    def parts(self) -> tuple[Expression, ...]:
        return self.left, self.right

    def combine(self, parts: tuple[Array, ...]) -> Array:
        return parts[0] * parts[1]

    def show(self, parts: tuple[str, ...]) -> str:
        return f"{parts[0]} * {parts[1]}"


def apply(function: Expression, argument: Expression) -> Expression:
    """``function(argument)``, with what ``function`` shares still shared."""
    if argument is ARGUMENT:
        return function
    done: dict[int, Expression] = {id(ARGUMENT): argument}

    def rebuilt(expression: Expression) -> Expression:
        if id(expression) not in done:
            done[id(expression)] = _with_parts(expression, tuple(map(rebuilt, expression.parts)))
        return done[id(expression)]

    return rebuilt(function)


def _with_parts(expression: Expression, parts: tuple[Expression, ...]) -> Expression:
    if isinstance(expression, Primitive):
        return Primitive(expression.name, expression.attributes, parts[0])
    if isinstance(expression, Polynomial):
        return Polynomial(expression.coefficients, parts[0])
    if isinstance(expression, WeightedSum):
        return WeightedSum(expression.factors, parts, expression.constant)
    return Product(parts[0], parts[1])
