"""How much rescaling inside the sine's polynomial costs: measured, as a table of the polynomials that are known.

Every rescale of the polynomial and of the double angles rounds by about as much. What all of them together make of the
result depends on how errors of powers grow, for which no formula is close: it is drawn, by adding independent Gaussian
errors behind each rescale of the expansion (``tests/runtime/ckks/bootstrapping/test_gains.py`` draws it again).
"""

from __future__ import annotations

import math
from fractions import Fraction

from hecc.runtime.ckks.bootstrapping.sine import SineReduction
from hecc.runtime.errors import CircuitError

__all__ = ["KNOWN", "rescaling_gain"]

PHASE = Fraction(9, 40)
"""At which the table was measured."""

KNOWN: dict[tuple[int, int, int], float] = {
    # largest multiple, double angles, degree
    (12, 2, 31): 9.02,
    (13, 2, 31): 9.24,
    (13, 2, 39): 6.19,
    (12, 3, 19): 9.08,
    (12, 3, 31): 9.08,
    (13, 3, 31): 9.30,
}
"""log2 of the result's standard deviation over that of one rescale, both relative to the value, at a weight of 32."""


def rescaling_gain(reduction: SineReduction) -> float:
    """The standard deviation of a result's error, over that of one rescale's.

    The result is normalised by the sine of the phase: a smaller phase shows as a larger error.

    Raises
    ------
    CircuitError
        Nobody has measured this polynomial.
    """
    key = (reduction.largest, reduction.double_angles, reduction.degree)
    if key not in KNOWN:
        known = "; ".join(f"{k}, {r}, {d}" for k, r, d in KNOWN)
        raise CircuitError(
            f"unknown bootstrap: of multiples up to {key[0]}, {key[1]} double angles and degree {key[2]} the noise was "
            f"never measured; known are {known}; compile again with this hecc"
        )
    ratio = math.sin(2 * math.pi * PHASE) / math.sin(2 * math.pi * reduction.phase)
    return float(2 ** KNOWN[key]) * ratio
