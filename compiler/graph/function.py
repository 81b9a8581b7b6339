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
from typing import Any, TypeVar

import numpy as np
import scipy.special
from numpy.typing import NDArray

from hecc.runtime.network import functions

__all__ = [
    "ARGUMENT",
    "EXPRESSIONS",
    "KINKED",
    "PRIMITIVES",
    "SINGULAR",
    "Argument",
    "Expression",
    "PolynomialOf",
    "Primitive",
    "Product",
    "WeightedSum",
    "apply",
    "degree",
    "is_homogeneous",
    "is_kinked",
    "is_nondecreasing",
]

Array = NDArray[np.float64]
Folded = TypeVar("Folded")

SHOWN = 4
"""Nesting that is printed."""


def _gelu(x: Array) -> Array:
    return np.asarray(x / 2 * (1 + scipy.special.erf(x / math.sqrt(2))))


PRIMITIVES: Mapping[str, Callable[..., Array]] = MappingProxyType(
    {
        **functions.PRIMITIVES,
        # Those that a server, which has no SciPy, computes more slowly or to a bit less.
        "erf": scipy.special.erf,
        "erfc": scipy.special.erfc,
        "gelu": _gelu,
        "sigmoid": scipy.special.expit,
        "swish": lambda x, alpha: x * scipy.special.expit(alpha * x),
    }
)
"""By name; what they take besides the argument are ONNX's attributes, without defaults. Comparisons are one or zero."""

POLES: Mapping[str, Callable[..., Array]] = MappingProxyType(
    {
        "power": lambda x, exponent: x if exponent < 0 else np.ones_like(x),
        "reciprocal": lambda x: x,
        "tan": np.cos,
    }
)
"""Of the primitives that have poles, what changes its sign or vanishes there."""

KINKED = frozenset({"abs", "clip", "hardsigmoid", "leakyrelu", "relu", "shrink", "sign", "thresholdedrelu"})
"""Functions that no polynomial follows closely on any interval around their kinks and jumps.

Comparisons are none of them: of what exporters write with one :func:`is_kinked` finds whether it bends as a whole."""

COMPARISONS = frozenset({"nonnegative", "positive"})

REACH, CELLS = 10.0, 4001
"""Where comparisons are looked for: between the hyperbolic sines of both ends, in so many places."""

BISECTIONS = 80
"""After which two numbers are neighbours in double precision."""

BENT = 1e-2
"""Difference of the slopes, or of the values, on both sides of a place, relative to them, that makes it a kink."""

HOMOGENEOUS = frozenset({"abs", "leakyrelu", "relu"})
"""Functions with ``f(s x) = s f(x)`` for every positive ``s``."""

NONDECREASING: Mapping[str, Callable[..., bool]] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "asinh",
                "atan",
                "clip",
                "erf",
                "exp",
                "nonnegative",
                "positive",
                "relu",
                "sigmoid",
                "sign",
                "sinh",
                "softplus",
                "softsign",
                "tanh",
            ),
            lambda **attributes: True,
        ),
        "celu": lambda alpha: alpha > 0,
        "elu": lambda alpha: alpha >= 0,
        "hardsigmoid": lambda alpha, beta: alpha >= 0,
        "leakyrelu": lambda alpha: alpha >= 0,
        "selu": lambda alpha, gamma: alpha >= 0 and gamma >= 0,
        "thresholdedrelu": lambda alpha: alpha >= 0,
    }
)
"""Functions that nowhere decrease: whether they do so with their attributes."""

SINGULAR = frozenset({"log", "power", "reciprocal", "sqrt"})
"""Functions that are steep where they end, at zero."""

POINTS = 257
"""At which a function is looked at to find out whether it is defined between two numbers."""


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

    @abstractmethod
    def degree(self, parts: tuple[float, ...]) -> float:
        """Of the polynomial, from those of the parts; infinite of what is none."""

    @abstractmethod
    def is_homogeneous(self, parts: tuple[bool, ...]) -> bool:
        """Whether ``f(s x) = s f(x)`` for every positive ``s``, from whether the parts are."""

    @abstractmethod
    def is_nondecreasing(self, parts: tuple[bool, ...]) -> bool:
        """Whether it is certain that it nowhere decreases, from whether it is certain of the parts."""

    @abstractmethod
    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        """The same of other parts."""

    def __call__(self, x: Array) -> Array:
        """Evaluate at every element; what overflows is infinite, and what has no value is not a number."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return self._evaluate(np.asarray(x, dtype=np.float64), {})

    def _evaluate(self, x: Array, known: dict[int, Array]) -> Array:
        if isinstance(self, Argument):
            return x
        if id(self) not in known:
            known[id(self)] = self.combine(tuple(part._evaluate(x, known) for part in self.parts))
        return known[id(self)]

    def primitives(self) -> frozenset[str]:
        """Names of the primitives in it; a polynomial has none."""
        return frozenset(part.name for part in self._all_parts() if isinstance(part, Primitive))

    def is_defined(self, low: float, high: float) -> bool:
        """Whether it has finite values between two numbers, and no pole."""
        x = (low + high) / 2 + (high - low) / 2 * np.cos(np.linspace(0, np.pi, POINTS))
        known: dict[int, Array] = {}
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if not bool(np.isfinite(self._evaluate(x, known)).all()):
                return False
            for part in self._all_parts():
                if isinstance(part, Primitive) and part.name in POLES:
                    operand = part.operand._evaluate(x, known)
                    signs = POLES[part.name](operand, **dict(part.attributes))
                    if float(signs.min()) <= 0 <= float(signs.max()):
                        return False
        return True

    def _all_parts(self) -> list[Expression]:
        """The expression and everything that it is computed from, each once."""
        found: dict[int, Expression] = {}
        waiting: list[Expression] = [self]
        while waiting:
            expression = waiting.pop()
            if id(expression) not in found:
                found[id(expression)] = expression
                waiting += expression.parts
        return list(found.values())

    def __str__(self) -> str:
        return self._text(SHOWN)

    def _text(self, depth: int) -> str:
        if depth == 0 and self.parts:
            return "..."
        return self.show(tuple(part._text(depth - 1) for part in self.parts))


@dataclass(frozen=True, eq=False)
class Argument(Expression):
    """The argument itself."""

    def combine(self, parts: tuple[Array, ...]) -> Array:
        raise TypeError("the argument has a value of its own")

    def show(self, parts: tuple[str, ...]) -> str:
        return "x"

    def degree(self, parts: tuple[float, ...]) -> float:
        return 1.0

    def is_homogeneous(self, parts: tuple[bool, ...]) -> bool:
        return True

    def is_nondecreasing(self, parts: tuple[bool, ...]) -> bool:
        return True

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        return self


ARGUMENT: Expression = Argument()


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

    def degree(self, parts: tuple[float, ...]) -> float:
        return math.inf

    def is_homogeneous(self, parts: tuple[bool, ...]) -> bool:
        return self.name in HOMOGENEOUS and parts[0]

    def is_nondecreasing(self, parts: tuple[bool, ...]) -> bool:
        rises = NONDECREASING.get(self.name)
        return parts[0] and rises is not None and rises(**dict(self.attributes))

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        return Primitive(self.name, self.attributes, parts[0])


@dataclass(frozen=True, eq=False)
class PolynomialOf(Expression):
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

    def degree(self, parts: tuple[float, ...]) -> float:
        return parts[0] * (len(self.coefficients) - 1) if len(self.coefficients) > 1 else 0.0

    def is_homogeneous(self, parts: tuple[bool, ...]) -> bool:
        return parts[0] and not any((*self.coefficients[:1], *self.coefficients[2:]))

    def is_nondecreasing(self, parts: tuple[bool, ...]) -> bool:
        return parts[0] and len(self.coefficients) <= 2 and all(slope >= 0 for slope in self.coefficients[1:])

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        return PolynomialOf(self.coefficients, parts[0])


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

    def degree(self, parts: tuple[float, ...]) -> float:
        return max(parts)

    def is_homogeneous(self, parts: tuple[bool, ...]) -> bool:
        return self.constant == 0 and all(parts)

    def is_nondecreasing(self, parts: tuple[bool, ...]) -> bool:
        return all(parts) and all(factor >= 0 for factor in self.factors)

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        return WeightedSum(self.factors, parts, self.constant)


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

    def degree(self, parts: tuple[float, ...]) -> float:
        return sum(parts)

    def is_homogeneous(self, parts: tuple[bool, ...]) -> bool:
        return False

    def is_nondecreasing(self, parts: tuple[bool, ...]) -> bool:
        return False

    def with_parts(self, parts: tuple[Expression, ...]) -> Expression:
        return Product(parts[0], parts[1])


EXPRESSIONS: tuple[type[Expression], ...] = (Argument, Primitive, PolynomialOf, WeightedSum, Product)
"""All kinds of expressions; a table that reads them has an entry for each."""


def apply(function: Expression, argument: Expression) -> Expression:
    """``function(argument)``, with what ``function`` shares still shared."""
    if argument is ARGUMENT:
        return function
    done: dict[int, Expression] = {id(ARGUMENT): argument}

    def rebuilt(expression: Expression) -> Expression:
        if id(expression) not in done:
            done[id(expression)] = expression.with_parts(tuple(map(rebuilt, expression.parts)))
        return done[id(expression)]

    return rebuilt(function)


def degree(function: Expression) -> float:
    """Of a polynomial, as it is written; infinite where there is a primitive in it."""
    return _folded(function, lambda expression, parts: expression.degree(parts))


def is_homogeneous(function: Expression) -> bool:
    """Whether ``f(s x) = s f(x)`` for every positive ``s``, as it is written: as of ReLU, and of sums of such."""
    return _folded(function, lambda expression, parts: expression.is_homogeneous(parts))


def is_nondecreasing(function: Expression) -> bool:
    """Whether it is certain that a function nowhere decreases, as it is written."""
    return _folded(function, lambda expression, parts: expression.is_nondecreasing(parts))


def is_kinked(function: Expression) -> bool:
    """Whether no polynomial follows a function closely: it has a kink or a jump, by itself or where it compares.

    What exporters write with a comparison, such as softplus, may be smooth as a whole.
    """
    if function.primitives() & KINKED:
        return True
    comparisons = [part for part in function._all_parts() if isinstance(part, Primitive) and part.name in COMPARISONS]
    return any(_bends(function, comparison) for comparison in comparisons)


def _bends(function: Expression, comparison: Primitive) -> bool:
    """Whether values or slopes differ on both sides of where a comparison changes."""
    points = np.sinh(np.linspace(-REACH, REACH, CELLS))
    side = comparison(points)
    changes = np.flatnonzero(side[1:] != side[:-1])
    low, high, before = points[changes], points[changes + 1], side[changes]
    for _ in range(BISECTIONS):
        middle = low + (high - low) / 2
        same = comparison(middle) == before
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    step = 1e-4 * np.maximum(1.0, np.abs(low))
    left, right = function(low), function(high)
    slopes = (left - function(low - step)) / step, (function(high + step) - right) / step
    jump = np.abs(right - left) > BENT * np.maximum(1.0, np.maximum(np.abs(left), np.abs(right)))
    bend = np.abs(slopes[1] - slopes[0]) > BENT * np.maximum(1.0, np.maximum(*map(np.abs, slopes)))
    return bool((jump | bend).any())


def _folded(function: Expression, combine: Callable[[Expression, tuple[Any, ...]], Folded]) -> Folded:
    """What an expression is in some respect, from what its parts are."""
    known: dict[int, Folded] = {}

    def of(expression: Expression) -> Folded:
        if id(expression) not in known:
            known[id(expression)] = combine(expression, tuple(map(of, expression.parts)))
        return known[id(expression)]

    return of(function)
