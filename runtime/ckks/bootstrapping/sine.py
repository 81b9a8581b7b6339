"""The sine that takes multiples of the smallest prime away, as a polynomial of few levels.

After coefficients to slots a slot holds ``x = I + rho u``, I an integer and u the message, within [-1, 1]; what is
wanted is u. ``sin(2 pi x) = sin(2 pi rho u)`` forgets I. It is evaluated as a cosine of a fraction of the angle, in the
Chebyshev basis over ``t = x / (K + 1/2)``, and doubled r times by ``cos 2a = 2 cos(a)^2 - 1`` (Han and Ki, "Better
bootstrapping for approximate homomorphic encryption", CT-RSA 2020, section 4). Two things differ from there:

* *The fit is weighted.* It is by least squares on the intervals ``[I - rho, I + rho]``, each with the weight that the
  distribution of I gives it: most of the degree is spent where almost all slots are. Between intervals nothing is
  asked of it.
* *Doubling is a square and a constant.* With ``y_k = a_k cos`` and ``a_(k-1)^2 = 2 a_k``, ``y_k = y_(k-1)^2 - a_k``,
  and no product with a number. ``a_r = 1``, and the polynomial has a_0 in its coefficients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from hecc.runtime.ckks.bootstrapping.overflow import spread
from hecc.runtime.depth import polynomial_depth

__all__ = ["SineReduction"]

FLOOR = 1e-8
"""Smallest weight of an interval, relative to the largest: what is rare still has to be approximated."""

POINTS = 201
"""Points of an interval; Chebyshev points, which are denser at its ends."""


@dataclass(frozen=True)
class SineReduction:
    """How the multiples are taken away.

    Attributes
    ----------
    largest
        K: multiples from -K to K are approximated.
    double_angles
        r.
    degree
        Of the polynomial.
    phase
        Largest part of the smallest prime that a message takes, rho, below 1/4.
    weight
        Signs of the secret under which the modulus is raised: the distribution of I.
    """

    largest: int
    double_angles: int
    degree: int
    phase: Fraction
    weight: int

    @property
    def reach(self) -> Fraction:
        """What 1 stands for in the polynomial's argument: K + 1/2."""
        return self.largest + Fraction(1, 2)

    @property
    def levels(self) -> int:
        """Of the polynomial and the double angles."""
        return polynomial_depth(self.degree) + self.double_angles

    @property
    def amplitudes(self) -> tuple[float, ...]:
        """``a_0`` to ``a_r``: what the cosine is multiplied by in the polynomial and behind each double angle."""
        found = [1.0]
        for _ in range(self.double_angles):
            found.append(math.sqrt(2 * found[-1]))
        return tuple(reversed(found))

    def coefficients(self) -> NDArray[np.float64]:
        """Of the polynomial in the Chebyshev basis, shape (degree + 1,); read-only, and made once."""
        return _coefficients(self)

    def exact(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is approximated: ``sin(2 pi rho u)``."""
        return np.asarray(np.sin(2 * math.pi * float(self.phase) * u))

    def approximate(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is computed of ``x = I + rho u``, without noise."""
        y = chebyshev.chebval(x / float(self.reach), self.coefficients())
        for amplitude in self.amplitudes[1:]:
            y = y * y - amplitude
        return np.asarray(y, dtype=np.float64)

    def errors(self) -> NDArray[np.float64]:
        """Largest error of the approximation at multiples of magnitude 0 to K, relative to the result's range."""
        u = np.linspace(-1, 1, POINTS)
        wanted = self.exact(u)
        found = []
        for i in range(self.largest + 1):
            x = np.stack([i + float(self.phase) * u, -i + float(self.phase) * u])
            found.append(np.abs(self.approximate(x) - wanted).max())
        return np.array(found)


@lru_cache(maxsize=16)
def _coefficients(reduction: SineReduction) -> NDArray[np.float64]:
    """By weighted least squares in double precision: the same on one machine, and nothing depends on the last bits."""
    reach, phase = float(reduction.reach), float(reduction.phase)
    multiples = np.arange(-reduction.largest, reduction.largest + 1)
    weights = np.maximum(np.exp(-(multiples**2) / (2 * spread(reduction.weight) ** 2)), FLOOR)
    points = multiples[:, np.newaxis] + phase * np.cos(np.linspace(0, np.pi, POINTS))
    x = (points / reach).reshape(-1)
    roots = np.sqrt(np.repeat(weights, POINTS))
    wanted = np.cos(2 * np.pi * (reach * x - 0.25) / 2**reduction.double_angles)
    matrix = chebyshev.chebvander(x, reduction.degree) * roots[:, np.newaxis]
    fitted = np.linalg.lstsq(matrix, wanted * roots, rcond=None)[0]
    coefficients = np.ascontiguousarray(fitted * reduction.amplitudes[0], dtype=np.float64)
    coefficients.flags.writeable = False
    return coefficients
