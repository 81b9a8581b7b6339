"""Capacity: how many levels of multiplications the largest ring has room for, before anything is searched.

A level takes a prime of the scale's size. How large a scale has to be depends on the network; these are bounds and
rules for networks of many levels, whose precision is that of decisions. The search for parameters has the last word.
"""

from __future__ import annotations

from hecc.compiler.ckks.options import RING_DEGREES, Options
from hecc.runtime.ckks.circuit.security import limit
from hecc.runtime.errors import SecurityError

__all__ = ["most_levels", "usual_levels"]

LEAST_SCALE_BITS = 24
"""No smaller scale is enough in the largest ring: the rounding of a rescale alone leaves too little precision."""

USUAL_SCALE_BITS = 30
"""What networks of more than forty levels take."""

BESIDE_BITS = 64
"""Of the modulus, that levels have not: the last prime, which holds the results, and one special prime."""


def most_levels(options: Options) -> int:
    """Deeper networks fit no ring at the security asked for, whatever they are like."""
    return _levels(options, LEAST_SCALE_BITS)


def usual_levels(options: Options) -> int:
    """About how many levels there is room for; a network that loses precision on the way has fewer."""
    return _levels(options, USUAL_SCALE_BITS)


def _levels(options: Options, scale_bits: int) -> int:
    try:
        allowed = limit(RING_DEGREES[-1], options.security, options.adversary)
    except SecurityError:
        return 0
    return max(0, (allowed - BESIDE_BITS) // scale_bits)
