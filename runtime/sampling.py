"""Samples of a function of one variable, dense enough to say what whole intervals of its argument become.

A polynomial of degree n in ``x = reach cos(t)`` is a trigonometric polynomial of degree n in t, whose second derivative
is at most ``n^2`` times its largest value (Bernstein's inequality). Between two samples in a row, d apart in t, it lies
within ``(n d)^2 / 8`` times that value of the straight line through them, and so beyond both by no more.
That the largest value may be between samples, too, the same inequality takes care of. So samples prove what intervals
become, and far more tightly than interval arithmetic on coefficients does, which takes the terms of a polynomial for
independent.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sampled", "chebyshev_points", "polynomial_slack"]

POINTS_PER_DEGREE = 64
ROUNDING = 2.0**-34
"""Relative error of a polynomial's samples in double precision, and more."""

Array = NDArray[np.float64]


def chebyshev_points(degree: int, reach: float) -> Array:
    """Where to sample polynomials of at most this degree on [-reach, reach], ascending."""
    return np.asarray(-reach * np.cos(np.linspace(0, np.pi, POINTS_PER_DEGREE * (degree + 1) + 1)))


def polynomial_slack(values: Array, degree: int) -> Array:
    """By how much a polynomial may exceed two neighbouring samples at :func:`chebyshev_points` between them.

    Parameters
    ----------
    values
        The samples along the last axis, of polynomials of at most this degree.
    """
    largest = np.abs(values).max(axis=-1)
    bend = (degree * np.pi / (values.shape[-1] - 1)) ** 2 / 8
    return np.asarray(largest * (bend / (1 - bend) + ROUNDING))


class Sampled:
    """A function of which samples are known, and by how much it may exceed two neighbours between them.

    Parameters
    ----------
    points
        Of the argument, ascending.
    values
        At these points.
    slack
        What is added on both sides, everywhere or at each point.
    """

    def __init__(self, points: Array, values: Array, slack: float | Array) -> None:
        self._points, self._low, self._high = points, values - slack, values + slack

    @cached_property
    def _extremes(self) -> tuple[Array, Array]:
        """The least and the largest of 2^k samples from each one on, for every k (a sparse table)."""
        least, largest = [self._low], [self._high]
        while 2 ** len(least) <= len(self._points):
            half = 2 ** (len(least) - 1)
            padding = np.full(half, np.nan)
            least.append(np.fmin(least[-1], np.append(least[-1][half:], padding)))
            largest.append(np.fmax(largest[-1], np.append(largest[-1][half:], padding)))
        return np.array(least), np.array(largest)

    def image(self, low: Array, high: Array) -> tuple[Array, Array]:
        """The least and the largest value on each of many intervals, which lie within the points."""
        last_point = len(self._points) - 1
        first = np.clip(np.searchsorted(self._points, low, "right") - 1, 0, last_point)
        last = np.clip(np.searchsorted(self._points, high, "left"), first, last_point)
        level = np.frexp((last - first + 1).astype(np.float64))[1] - 1
        second = last - (1 << level) + 1
        least, largest = self._extremes
        return (
            np.minimum(least[level, first], least[level, second]),
            np.maximum(largest[level, first], largest[level, second]),
        )
