"""What functions of one variable make of an interval, and the pieces of those that are polynomials piece by piece.

Between the points where it turns, jumps or has a pole a function is monotone. So its values on an interval lie between
the least and the largest of those at the ends and at the points inside: no samples are needed, and nothing is left to
what happens between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.function import PRIMITIVES

__all__ = ["CONTINUOUS", "FAR", "NEVER", "PIECES", "TURNS", "Ends", "Piece", "piece_of", "primitive_image"]

Array = NDArray[np.float64]

Ends = tuple[Array, Array]
"""Least and largest value of each element, which may be infinite."""

FAR = 1e300
"""What stands for an infinite end where a function is not a number at infinity itself."""

ROUNDING = 2.0**-40
"""Part of the end of a piece by which an interval may exceed it, after sums of many products in double precision. An
end at zero is exact: no rounding makes a sum of what is not negative so."""

NEVER = (-math.inf, math.inf)


def _none(**_: float) -> tuple[float, ...]:
    return ()


def _zero(**_: float) -> tuple[float, ...]:
    return (0.0,)


def _above(point: float) -> float:
    return math.nextafter(point, math.inf)


def _below(point: float) -> float:
    return math.nextafter(point, -math.inf)


def _swish(alpha: float) -> tuple[float, ...]:
    return (-1.2784645427610738 / alpha,) if alpha else ()


TURNS: Mapping[str, Callable[..., tuple[float, ...] | None]] = MappingProxyType(
    {
        **dict.fromkeys(("asinh", "acos", "acosh", "asin", "atan", "atanh", "erf", "erfc", "exp", "sigmoid"), _none),
        **dict.fromkeys(("log", "relu", "sinh", "softplus", "softsign", "sqrt", "tanh", "clip", "hardsigmoid"), _none),
        **dict.fromkeys(("nonnegative", "positive", "sign"), _none),
        **dict.fromkeys(("abs", "celu", "cosh", "elu", "leakyrelu", "power", "reciprocal", "selu"), _zero),
        # Minima, which are known to sixteen digits.
        "gelu": lambda: (-0.7517915245971932,),
        "gelu_tanh": lambda: (-0.7524614220710162,),
        "hardswish": lambda: (-1.5,),
        "mish": lambda: (-1.1924312145154797,),
        "swish": _swish,
        "shrink": lambda lambd, bias: (-lambd, _below(-lambd), _above(-lambd), lambd, _above(lambd)),
        "thresholdedrelu": lambda alpha: (alpha, _above(alpha)),
        # Periodic.
        "cos": lambda: None,
        "sin": lambda: None,
        "tan": lambda: None,
    }
)
"""Of every primitive the points where it turns, jumps or has a pole; ``None`` of what does so again and again."""

BOUNDED: Mapping[str, tuple[float, float]] = MappingProxyType({"cos": (-1.0, 1.0), "sin": (-1.0, 1.0), "tan": NEVER})
"""What periodic functions lie between."""


def primitive_image(name: str, attributes: Mapping[str, float], ends: Ends) -> Ends:
    """Between which numbers a primitive's values lie, element by element.

    Parameters
    ----------
    ends
        Of the argument. Where it comes to a pole, or to where the function is not defined, nothing is known.
    """
    turns = TURNS[name](**attributes)
    low, high = (np.asarray(end, dtype=np.float64) for end in ends)
    if turns is None:
        bounds = BOUNDED[name]
        return np.full_like(low, bounds[0]), np.full_like(high, bounds[1])

    def at(points: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return np.asarray(PRIMITIVES[name](points, **attributes), dtype=np.float64)

    values = []
    for end in (low, high):
        limit = at(end)
        values.append(np.where(np.isnan(limit) & np.isinf(end), at(np.clip(end, -FAR, FAR)), limit))
    # Too large a number at an end that is infinite is no pole.
    unknown = np.logical_or.reduce(
        [np.isnan(value) | (np.isinf(value) & np.isfinite(end)) for value, end in zip(values, (low, high), strict=True)]
    )
    least, largest = np.minimum(*values), np.maximum(*values)
    for turn in turns:
        inside = (low < turn) & (turn < high)
        value = float(at(np.array(turn)))
        if math.isfinite(value):
            least = np.where(inside, np.minimum(least, value), least)
            largest = np.where(inside, np.maximum(largest, value), largest)
        else:
            unknown = unknown | inside
    return np.where(unknown, -math.inf, least), np.where(unknown, math.inf, largest)


@dataclass(frozen=True)
class Piece:
    """An interval, its ends included, on which a function is a polynomial.

    Attributes
    ----------
    coefficients
        The constant first.
    """

    low: float
    high: float
    coefficients: tuple[float, ...]


IDENTITY = (0.0, 1.0)


def _two(point: float, below: tuple[float, ...], above: tuple[float, ...]) -> tuple[Piece, ...]:
    return Piece(-math.inf, point, below), Piece(point, math.inf, above)


def _clip(low: float, high: float) -> tuple[Piece, ...]:
    if low >= high:
        return (Piece(-math.inf, math.inf, (high,)),)
    return Piece(-math.inf, low, (low,)), Piece(low, high, IDENTITY), Piece(high, math.inf, (high,))


def _hard_sigmoid(alpha: float, beta: float) -> tuple[Piece, ...]:
    if alpha == 0:
        return (Piece(-math.inf, math.inf, (min(max(beta, 0.0), 1.0),)),)
    zero, one = -beta / alpha, (1 - beta) / alpha
    before, behind = ((0.0,), (1.0,)) if alpha > 0 else ((1.0,), (0.0,))
    first, second = min(zero, one), max(zero, one)
    return Piece(-math.inf, first, before), Piece(first, second, (beta, alpha)), Piece(second, math.inf, behind)


def _shrink(lambd: float, bias: float) -> tuple[Piece, ...]:
    below = Piece(-math.inf, _below(-lambd), (bias, 1.0))
    if lambd < 0:
        return below, Piece(-lambd, math.inf, (-bias, 1.0))
    return below, Piece(-lambd, lambd, (0.0,)), Piece(_above(lambd), math.inf, (-bias, 1.0))


PIECES: Mapping[str, Callable[..., tuple[Piece, ...]]] = MappingProxyType(
    {
        "abs": lambda: _two(0.0, (0.0, -1.0), IDENTITY),
        "celu": lambda alpha: (Piece(0.0, math.inf, IDENTITY),),
        "clip": _clip,
        "elu": lambda alpha: (Piece(0.0, math.inf, IDENTITY),),
        "hardsigmoid": _hard_sigmoid,
        "hardswish": lambda: (
            Piece(-math.inf, -3.0, (0.0,)),
            Piece(-3.0, 3.0, (0.0, 0.5, 1 / 6)),
            Piece(3.0, math.inf, IDENTITY),
        ),
        "leakyrelu": lambda alpha: _two(0.0, (0.0, alpha), IDENTITY),
        "nonnegative": lambda: (Piece(-math.inf, _below(0.0), (0.0,)), Piece(0.0, math.inf, (1.0,))),
        "positive": lambda: (Piece(-math.inf, 0.0, (0.0,)), Piece(_above(0.0), math.inf, (1.0,))),
        "relu": lambda: _two(0.0, (0.0,), IDENTITY),
        "selu": lambda alpha, gamma: (Piece(0.0, math.inf, (0.0, gamma)),),
        "shrink": _shrink,
        "sign": lambda: (Piece(-math.inf, _below(0.0), (-1.0,)), Piece(_above(0.0), math.inf, (1.0,))),
        "thresholdedrelu": lambda alpha: (
            Piece(-math.inf, alpha, (0.0,)),
            Piece(_above(alpha), math.inf, IDENTITY),
        ),
    }
)
"""The pieces of primitives that are polynomials on some."""

CONTINUOUS = PIECES.keys() - {"nonnegative", "positive", "shrink", "sign", "thresholdedrelu"}
"""Those without jumps: what rounding brings across the end of a piece changes nothing by more than rounding does."""


def piece_of(name: str, attributes: Mapping[str, float], ends: Ends) -> Piece | None:
    """The piece of a primitive on which all elements of its argument lie, if there is one."""
    if name not in PIECES:
        return None
    low, high = ends
    rounding = ROUNDING if name in CONTINUOUS else 0.0
    for piece in PIECES[name](**attributes):
        least = piece.low if math.isinf(piece.low) else piece.low - rounding * abs(piece.low)
        largest = piece.high if math.isinf(piece.high) else piece.high + rounding * abs(piece.high)
        if bool(((least <= low) & (high <= largest)).all()):
            return piece
    return None
