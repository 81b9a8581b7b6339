"""Polynomials that approximate a function on [-1, 1], as Chebyshev series, by three methods.

* *Interpolation* at Chebyshev points: simple, stable, and within a factor of about ``2 / pi log(degree)`` of the best.
* *Minimax* (Remez' exchange algorithm; Trefethen, "Approximation Theory and Approximation Practice", SIAM 2013,
  chapter 10): the least possible largest error over the whole interval.
* *Weighted least squares* on a histogram: the least mean square error over the values that do occur.

Depth is what polynomials cost under encryption, then products, so a function's symmetry is used: of ``tanh`` only odd
coefficients are not zero, of the sigmoid one constant besides, of GELU and SiLU only the even ones and ``x / 2``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

__all__ = [
    "Structure",
    "composition",
    "histogram",
    "interpolate",
    "least_squares",
    "minimax",
    "structure_of",
    "trimmed",
]

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

NEGLIGIBLE = 2.0**-42
"""Coefficients below this part of the largest are rounding of others, and left out."""

EXCHANGES = 40
"""Of Remez' algorithm, at the most; it needs about ten."""

CONVERGED = 1e-3
"""The largest error and that at the points of the reference differ by less than this part."""

POINTS_PER_DEGREE = 32
"""Of the grid that stands for the interval in the exchange algorithm."""

PIECES = 1024
"""Of a histogram."""

FLOOR = 0.02
"""Part of the weight that least squares spreads evenly over the pieces, so that none is left to itself."""

COMPOSED_PIECES = 2
"""Points per piece of a histogram at which a composition is fitted: few of them are where the function is steep."""

STRETCHES = tuple(2.0 ** (-k / 2) for k in range(9))
"""Parts of the interval that the inner polynomial of a composition may stretch over all of it."""

REACH = 1.02
"""By how much [-1, 1] is wider than what an inner polynomial fills."""

STRUCTURE_DEGREE = 256
STRUCTURE_TOLERANCE = 2.0**-36
"""Part of the function's size by which a symmetric function may miss its symmetry."""


@dataclass(frozen=True)
class Structure:
    """Which Chebyshev coefficients of a function are not zero.

    Attributes
    ----------
    parity
        1 when only odd ones are free, 0 when only even ones are, ``None`` when all are.
    fixed
        Of the other parity the only coefficient that is not zero, by its degree: its value.
    """

    parity: int | None = None
    fixed: tuple[tuple[int, float], ...] = ()

    def free(self, degree: int) -> NDArray[np.int64]:
        """Degrees of the coefficients to be found."""
        first, step = (0, 1) if self.parity is None else (self.parity, 2)
        return np.arange(first, degree + 1, step)

    def complete(self, free: Array, degree: int) -> Array:
        """All coefficients, from those that were found."""
        coefficients = np.zeros(max(degree, max((k for k, _ in self.fixed), default=0)) + 1)
        coefficients[self.free(degree)] = free
        for k, value in self.fixed:
            coefficients[k] = value
        return coefficients

    def residual(self, function: Function, x: Array) -> Array:
        """The function without the coefficients that are known."""
        return function(x) - self.complete(np.zeros(len(self.free(1))), 1) @ chebyshev.chebvander(x, 1).T


def structure_of(function: Function) -> Structure:
    """Find the symmetry of a function on [-1, 1] about 0, but for a constant or a linear part.

    An odd function has only odd coefficients; one that is odd but for a constant has the constant besides; an even one,
    and one that is even but for a multiple of the argument, likewise.
    """
    x = np.cos(np.pi * (np.arange(STRUCTURE_DEGREE) + 0.5) / STRUCTURE_DEGREE)
    right, left = function(x), function(-x)
    even, odd = (right + left) / 2, (right - left) / 2
    allowed = STRUCTURE_TOLERANCE * max(float(np.abs(right).max()), 1e-300)
    constant, slope = float(even.mean()), float((odd @ x) / (x @ x))
    if float(np.abs(even - constant).max()) <= allowed:
        return Structure(1, ((0, constant),) if abs(constant) > allowed else ())
    if float(np.abs(odd - slope * x).max()) <= allowed:
        return Structure(0, ((1, slope),) if abs(slope) > allowed else ())
    return Structure()


def interpolate(function: Function, degree: int) -> Array:
    """Coefficients of the polynomial that agrees with a function at the zeros of T_(degree + 1)."""
    x = chebyshev.chebpts1(degree + 1)
    coefficients = 2 / (degree + 1) * chebyshev.chebvander(x, degree).T @ function(x)
    coefficients[0] /= 2
    return np.asarray(coefficients)


def histogram(values: Array, pieces: int = PIECES) -> Array:
    """How many values fall in each of the pieces of [-1, 1] between the extrema of T_pieces, from 1 down to -1.

    The pieces are narrow at the ends, where polynomials turn fastest.
    """
    angles = np.arccos(np.clip(values.reshape(-1), -1, 1))
    return np.histogram(angles, pieces, (0, np.pi))[0].astype(np.float64)


def least_squares(
    function: Function, degree: int, weights: Array, structure: Structure | None = None, floor: float = FLOOR
) -> Array:
    """Coefficients of the polynomial with the least weighted mean square error.

    Parameters
    ----------
    weights
        How often values fall in each piece of [-1, 1], as :func:`histogram` counts them; more pieces than coefficients.
    structure
        Of the function; by default all coefficients are free.
    floor
        Part of the weight that is spread evenly: with more of it polynomials err less where few values fall.
    """
    structure = structure or Structure()
    pieces = len(weights)
    x = np.cos(np.pi * (np.arange(pieces) + 0.5) / pieces)
    share = weights / weights.sum() if weights.sum() else np.zeros(pieces)
    total = (1 - floor) * share + floor / pieces
    basis = chebyshev.chebvander(x, degree)[:, structure.free(degree)]
    # With even weights the basis is orthogonal on these points, so that the normal equations are in good condition:
    # the floor bounds how far other weights are from even.
    weighted = basis * total[:, np.newaxis]
    found = np.linalg.solve(weighted.T @ basis, weighted.T @ structure.residual(function, x))
    return structure.complete(np.asarray(found, dtype=np.float64), degree)


def minimax(function: Function, degree: int, structure: Structure | None = None) -> Array:
    """Coefficients of the polynomial with the least largest error, by Remez' exchange algorithm.

    With a symmetry half of the interval is enough. Where the exchange breaks down, because the error is rounding
    already, the best polynomial so far is returned.
    """
    structure = structure or Structure()
    free = structure.free(degree)
    size = len(free)
    points = POINTS_PER_DEGREE * (degree + 2)
    angles = np.linspace(0, np.pi if structure.parity is None else np.pi / 2, points)
    # With a symmetry the reference is inside the half, as odd polynomials are zero at its end.
    x = np.cos(angles)
    target = structure.residual(function, x)
    basis = chebyshev.chebvander(x, degree)[:, free]
    reference = np.round(np.linspace(0, points - 1 - (structure.parity == 1), size + 1)).astype(np.int64)
    signs = (-1.0) ** np.arange(size + 1)
    best = interpolate(function, degree)[free]
    least = float(np.abs(target - basis @ best).max())
    for _ in range(EXCHANGES):
        system = np.column_stack([basis[reference], signs])
        try:
            solution = np.linalg.solve(system, target[reference])
        except np.linalg.LinAlgError:
            break
        error = target - basis @ solution[:-1]
        largest = float(np.abs(error).max())
        if largest < least:
            best, least = solution[:-1], largest
        if largest <= (1 + CONVERGED) * abs(solution[-1]):
            break
        exchanged = _alternation(error, size + 1)
        if exchanged is None:
            break
        reference = exchanged
    return structure.complete(best, degree)


def _alternation(error: Array, number: int) -> NDArray[np.int64] | None:
    """So many points at which the error alternates, as large as it can be; None where there are fewer."""
    signs = np.sign(error)
    signs[signs == 0] = 1
    starts = np.flatnonzero(np.diff(signs, prepend=0))
    ends = np.append(starts[1:], len(error))
    peaks = [int(start + np.argmax(np.abs(error[start:end]))) for start, end in zip(starts, ends, strict=True)]
    if len(peaks) < number:
        return None
    # Neighbours alternate, so points go in pairs, or one at an end: always where the error is least.
    while len(peaks) > number:
        sizes = np.abs(error[peaks])
        if len(peaks) == number + 1:
            peaks = peaks[1:] if sizes[0] < sizes[-1] else peaks[:-1]
        else:
            weakest = int(np.argmin(np.maximum(sizes[:-1], sizes[1:])))
            del peaks[weakest : weakest + 2]
    return np.array(peaks, dtype=np.int64)


def composition(
    function: Function, degrees: tuple[int, int], weights: Array, structure: Structure | None = None
) -> tuple[Array, Array]:
    """Coefficients of two polynomials, one of the other, for a function that is steep in one place and flat elsewhere.

    A sigmoid over a wide interval needs a degree as large as its steepness, which two polynomials in a row have as the
    product of theirs, with far fewer products. The inner one is a less steep function of the same kind, which its
    degree allows: the function on a smaller part of the interval, stretched. The outer one is a least squares fit in
    the inner one's values. How much less steep is tried out, and what leaves the least error is kept. Minimax
    compositions of the sign function rest on the same gain (Lee, Lee, No and Kim, "Minimax approximation of sign
    function by composite polynomial for homomorphic comparison", IEEE TDSC 19, 2022).

    Parameters
    ----------
    degrees
        Of the inner and the outer polynomial.
    weights, structure
        As for :func:`least_squares`.

    Returns
    -------
    inner, outer
        The inner one fills [-1, 1] but for a little, so that noise does not push it out.
    """
    structure = structure or Structure()
    odd = structure.parity == 1
    pieces = COMPOSED_PIECES * len(weights)
    x = np.cos(np.pi * (np.arange(pieces) + 0.5) / pieces)
    share = np.repeat(weights, COMPOSED_PIECES) / (COMPOSED_PIECES * max(float(weights.sum()), 1.0))
    root = np.sqrt((1 - FLOOR) * share + FLOOR / pieces)
    # An odd function of an odd function is odd.
    kept = Structure(1) if odd else Structure()
    constant = dict(structure.fixed).get(0, 0.0) if odd else 0.0
    target = function(x) - constant
    best: tuple[float, Array, Array] | None = None
    for part in STRETCHES:
        inner = minimax(partial(_stretched, function, part), degrees[0], structure)
        values = chebyshev.chebval(x, inner)
        middle = constant if odd else float(values.max() + values.min()) / 2
        inner[0] -= middle
        inner /= REACH * max(float(np.abs(values - middle).max()), 1e-300)
        basis = chebyshev.chebvander(chebyshev.chebval(x, inner), degrees[1])[:, kept.free(degrees[1])]
        orthogonal, triangular = np.linalg.qr(basis * root[:, np.newaxis])
        if float(np.abs(np.diag(triangular)).min()) <= 1e-12:
            # The inner values are few: no more can be told apart than lower degrees do.
            continue
        found = np.linalg.solve(triangular, orthogonal.T @ (target * root))
        error = float(np.linalg.norm((basis @ found - target) * root))
        if best is None or error < best[0]:
            outer = kept.complete(np.asarray(found, dtype=np.float64), degrees[1])
            outer[0] += constant
            best = error, inner, outer
    if best is None:
        return np.array([0.0, 1.0]), least_squares(function, degrees[1], weights, structure)
    return best[1], best[2]


def _stretched(function: Function, part: float, x: Array) -> Array:
    return function(part * x)


def trimmed(coefficients: Array) -> Array:
    """The series with negligible coefficients zero, and without those at its end; one at least is left."""
    kept = np.where(np.abs(coefficients) > NEGLIGIBLE * np.abs(coefficients).max(), coefficients, 0.0)
    last = int(np.flatnonzero(kept)[-1]) if kept.any() else 0
    return np.ascontiguousarray(kept[: last + 1])
