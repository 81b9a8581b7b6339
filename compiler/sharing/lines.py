"""Functions that are lines between knots: ReLU and everything like it, exactly as they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from hecc.compiler.graph.function import ARGUMENT, Expression, Primitive, WeightedSum

__all__ = ["Bend", "Lines", "lines_of"]


@dataclass(frozen=True)
class Bend:
    """From ``at`` on, or only beyond it, a function has so much more slope and constant."""

    at: float
    slope: float
    constant: float
    beyond: bool = False


@dataclass(frozen=True)
class Lines:
    """A function that is a line on the left, with bends from there on."""

    slope: float
    constant: float
    bends: tuple[Bend, ...]

    def scaled(self, factor: float) -> Lines:
        """The function times a number."""
        return Lines(
            self.slope * factor,
            self.constant * factor,
            tuple(replace(bend, slope=bend.slope * factor, constant=bend.constant * factor) for bend in self.bends),
        )

    def of_line(self, slope: float, constant: float) -> Lines:
        """The function of a line that rises."""
        return Lines(
            self.slope * slope,
            self.slope * constant + self.constant,
            tuple(
                replace(
                    bend,
                    at=(bend.at - constant) / slope,
                    slope=bend.slope * slope,
                    constant=bend.slope * constant + bend.constant,
                )
                for bend in self.bends
            ),
        )


IDENTITY = Lines(1.0, 0.0, ())


def _clip(low: float, high: float) -> Lines:
    bends = []
    left = IDENTITY
    if low > -math.inf:
        left = Lines(0.0, low, ())
        bends.append(Bend(low, 1.0, -low))
    if high < math.inf:
        bends.append(Bend(high, -1.0, high))
    return Lines(left.slope, left.constant, tuple(bends))


def _relu() -> Lines:
    return _clip(0.0, math.inf)


def _leaky(alpha: float) -> Lines:
    return Lines(alpha, 0.0, (Bend(0.0, 1.0 - alpha, 0.0),))


def _hard_sigmoid(alpha: float, beta: float) -> Lines:
    return _clip(0.0, 1.0).of_line(alpha, beta)


def _thresholded(alpha: float) -> Lines:
    return Lines(0.0, 0.0, (Bend(alpha, 1.0, 0.0, beyond=True),))


def _shrink(lambd: float, bias: float) -> Lines:
    return Lines(1.0, bias, (Bend(-lambd, -1.0, -bias), Bend(lambd, 1.0, -bias, beyond=True)))


def _nonnegative() -> Lines:
    return Lines(0.0, 0.0, (Bend(0.0, 0.0, 1.0),))


def _positive() -> Lines:
    return Lines(0.0, 0.0, (Bend(0.0, 0.0, 1.0, beyond=True),))


def _sign() -> Lines:
    return Lines(0.0, -1.0, (Bend(0.0, 0.0, 1.0), Bend(0.0, 0.0, 1.0, beyond=True)))


_LINES: Mapping[str, Callable[..., Lines | None]] = MappingProxyType(
    {
        "abs": lambda: _leaky(-1.0),
        "clip": _clip,
        "hardsigmoid": lambda alpha, beta: _hard_sigmoid(alpha, beta) if alpha > 0 else None,
        "leakyrelu": _leaky,
        "nonnegative": _nonnegative,
        "positive": _positive,
        "relu": _relu,
        "shrink": _shrink,
        "sign": _sign,
        "thresholdedrelu": _thresholded,
    }
)
"""By the names of primitives; their attributes are ONNX's."""


def lines_of(function: Expression) -> Lines | None:
    """A function as lines, if it is of that kind as it is written."""
    if function is ARGUMENT:
        return IDENTITY
    if isinstance(function, Primitive) and function.name in _LINES:
        inner = lines_of(function.operand)
        outer = _LINES[function.name](**dict(function.attributes))
        if inner is None or outer is None or inner.bends or inner.slope <= 0:
            return None
        return outer.of_line(inner.slope, inner.constant)
    if isinstance(function, WeightedSum):
        parts = [lines_of(term) for term in function.terms]
        known = [part.scaled(factor) for part, factor in zip(parts, function.factors, strict=True) if part is not None]
        if len(known) < len(parts):
            return None
        return Lines(
            sum(part.slope for part in known),
            sum(part.constant for part in known) + function.constant,
            tuple(bend for part in known for bend in part.bends),
        )
    return None
