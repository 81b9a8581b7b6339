"""Functions as polynomials between knots: few pieces, each as long as the tolerance allows.

A piece is the polynomial through the function at Chebyshev's nodes, which is nearly the best there is; its error is
looked at in between. Pieces are found from the left, by bisection of where they end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import NDArray

__all__ = ["MOST_PIECES", "Pieces", "fit_pieces"]

POINTS = 129
"""At which the error of a piece is looked at."""

BISECTIONS = 24

MOST_PIECES = 64
"""Of a function: each costs two bits online for every digit that is compared, and the dealer some hundred."""


@dataclass(frozen=True)
class Pieces:
    """A function between two ends.

    Attributes
    ----------
    knots
        Where pieces begin, but the first.
    polynomials
        Coefficients of each, from the constant on.
    """

    knots: tuple[float, ...]
    polynomials: tuple[tuple[float, ...], ...]


def fit_pieces(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    low: float,
    high: float,
    degree: int,
    tolerance: float,
) -> Pieces | None:
    """Fit polynomials of one degree; ``None`` if more pieces are needed than there may be."""
    knots: list[float] = []
    polynomials: list[tuple[float, ...]] = []
    start = low
    while start < high:
        if len(polynomials) == MOST_PIECES:
            return None
        end, near = high, start
        best = _piece(function, start, end, degree, tolerance)
        if best is None:
            for _ in range(BISECTIONS):
                middle = (near + end) / 2
                found = _piece(function, start, middle, degree, tolerance)
                if found is None:
                    end = middle
                else:
                    near, best = middle, found
            end = near
        if best is None:
            return None
        polynomials.append(best)
        if end < high:
            knots.append(end)
        start = end
    return Pieces(tuple(knots), tuple(polynomials))


def _piece(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    low: float,
    high: float,
    degree: int,
    tolerance: float,
) -> tuple[float, ...] | None:
    """The coefficients of a polynomial that misses the function by no more than the tolerance."""
    fitted = Chebyshev.interpolate(function, degree, domain=[low, high])
    x = np.linspace(low, high, POINTS)
    if not float(np.abs(fitted(x) - function(x)).max()) <= tolerance:
        return None
    coefficients = fitted.convert(kind=Polynomial).coef
    padded = np.zeros(degree + 1)
    padded[: len(coefficients)] = coefficients
    return tuple(map(float, padded))
