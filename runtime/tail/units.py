"""Units: how large an error of a result is, element by element.

What counts of an error is its part of the range that an element has, whatever its size, and whatever the other elements
are like.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEW_ROWS", "VANISHING", "element_units", "known_rows"]

Array: TypeAlias = NDArray[np.float64]

FEW_ROWS = 16
"""With fewer calibration inputs their own range says little, and that of all inputs counts."""

SINGLE = 2.0**-23
"""Precision of float32: an element that varies by no more than this part of its size is constant to the network."""

VANISHING = 2.0**-100
"""An element that is no more than this part of the largest is zero."""


def element_units(values: Array, near: int, vanishing: float = VANISHING) -> Array:
    """The unit of each element: its range over the calibration inputs.

    An element that is constant there counts with its size, and one that is zero like the largest of the others.

    Parameters
    ----------
    values
        Shape (rows, size); infinities and NaN do not count.
    near
        How many of the rows are calibration inputs.
    vanishing
        The part of the largest element that counts as zero.

    Returns
    -------
    ndarray
        Shape (size,), positive.
    """
    known = values[: known_rows(near)]
    finite = np.isfinite(known)
    high, low = np.where(finite, known, -np.inf).max(axis=0), np.where(finite, known, np.inf).min(axis=0)
    some = finite.any(axis=0)
    high, low = np.where(some, high, 0.0), np.where(some, low, 0.0)
    size, span = np.maximum(np.abs(high), np.abs(low)), high - low
    varies = span > SINGLE * size
    units = np.where(varies, span, size)
    largest = float(units[varies].max(initial=0.0)) or float(units.max())
    return np.asarray(np.where(units > vanishing * largest, units, largest or 1.0))


def known_rows(near: int) -> int | None:
    """How many rows the ranges are those of; ``None`` for all."""
    return None if near < FEW_ROWS else near
