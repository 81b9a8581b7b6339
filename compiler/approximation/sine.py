"""The sine that bootstrapping makes of a value, and the way back.

Bootstrapping takes multiples of the lowest prime away from a message by a sine. Where the message is small beside the
prime, the sine is nearly the message. It may as well fill much of the prime: then what comes out is
``sin(2 pi phase x)``, and within a quarter of a turn a function of ``x`` is one of the sine, too. Farther out the sine
turns back and stays bounded, as no polynomial does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["argument", "reach", "sine"]

Array = NDArray[np.float64]


def sine(phase: float, x: Array) -> Array:
    """``sin(2 pi phase x)``, of any shape; of what is not finite it is not a number."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sin(2 * np.pi * phase * x))


def argument(phase: float, s: Array) -> Array:
    """The argument within :func:`reach` with that sine, for s within [-1, 1]."""
    return np.asarray(np.arcsin(s) / (2 * np.pi * phase))


def reach(phase: float) -> float:
    """The largest argument before the sine turns back; 1 for a phase of 1/4."""
    return 1 / (4 * phase)
