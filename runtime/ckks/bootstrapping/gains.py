"""How much rescaling inside the sine's polynomial costs: measured, as a table of the polynomials that are known.

Every rescale of the polynomial and of the double angles rounds by about as much. What all of them together make of the
result depends on how errors of powers grow, for which no formula is close: it is drawn, by adding independent Gaussian
errors behind each rescale of the expansion (``tests/runtime/ckks/bootstrapping/test_gains.py`` draws it again).
"""

from __future__ import annotations

from hecc.runtime.ckks.bootstrapping.sine import SineReduction
from hecc.runtime.errors import CircuitError

__all__ = ["KNOWN", "rescaling_gain"]

KNOWN: dict[tuple[int, int, int], float] = {
    # largest multiple, double angles, degree
    (12, 2, 31): 9.00,
    (13, 2, 31): 9.22,
    (13, 2, 39): 6.17,
    (12, 3, 19): 9.06,
    (12, 3, 31): 9.06,
    (13, 3, 31): 9.28,
}
"""log2 of the result's standard deviation over that of one rescale, both relative to the value, at a weight of 32."""


def rescaling_gain(reduction: SineReduction) -> float:
    """The standard deviation of a result's error, over that of one rescale's.

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
    return float(2 ** KNOWN[key])
