"""Opened values in larger rings: which of them the sum with the mask wraps around is known but for a bit of the mask.

Both parties know U = u - t modulo 2^k, and u is wanted modulo 2^ring. As integers, u = U + t - 2^k [the sum wraps].
Where the top bit of u is known to be zero, the sum wraps if U or t has it (the extension with known sign of SIRNN:
Rathee et al., IEEE S&P 2021). So

    u = alpha + tau,   alpha = U - 2^k q,   tau = t - 2^k (1 - q) t_top,   q the top bit of U,

where alpha is public, and for each q the dealer knows tau. Signed numbers below 2^(k-2) are raised by that much first.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hecc.runtime.sharing.arithmetic.rings import Elements, element, reduced

__all__ = ["Opened", "extended", "slack_of"]


class Opened(NamedTuple):
    """What both parties know of an opened value in a larger ring.

    Attributes
    ----------
    alpha
        The public part.
    q
        One where the sum is known to wrap, whatever the mask is.
    """

    alpha: Elements
    q: Elements


def slack_of(bits: int) -> int:
    """What makes signed numbers of ``bits`` bits, of which one is to spare, non-negative."""
    return 1 << (bits - 2)


def extended(u: Elements, bits: int, ring: int, slack: int | None) -> Opened:
    """Bring an opened value into another ring.

    Parameters
    ----------
    u
        The value less its mask, modulo 2^bits.
    slack
        What is added so that the top bit is zero; ``None`` if the ring does not grow.
    """
    if slack is None:
        return Opened(reduced(u, ring), np.zeros_like(u))
    raised = reduced(u + element(slack, bits), bits)
    q = raised >> element(bits - 1, 64)
    return Opened(reduced(raised - element(slack, 64) - (q << element(bits, 64)), ring), q)
