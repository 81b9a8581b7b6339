"""Ranges of inputs: one for all elements, or one for each, by which the client brings them to one size.

The columns of a table are of different sizes: a fraction beside a count of platelets. Encrypted as they are, the noise,
which is the same for all slots, would drown the small ones. So where elements have ranges of their own, the client maps
each to [-1, 1] before it encrypts, and the compiler puts the inverse in front of the network, where it becomes a part
of the first linear layer. The client has to know the ranges anyway, as it refuses what is outside: nothing more is
disclosed to it, unlike the mean and the deviation of a scaler that the network begins with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import InputError

__all__ = ["MAX_ELEMENTS", "ElementRanges"]

Array = NDArray[np.float64]

MAX_ELEMENTS = 1 << 16
"""Elements of an input that may have ranges of their own."""


class ElementRanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A range for each element of an input.

    Attributes
    ----------
    lows, highs
        Lowest and highest values, of the elements in C order; the client refuses others.
    """

    lows: tuple[float, ...]
    highs: tuple[float, ...]

    @classmethod
    def of(cls, lows: Sequence[float] | Array, highs: Sequence[float] | Array) -> ElementRanges:
        """Ranges of any two sequences of numbers."""
        return cls(lows=tuple(map(float, np.ravel(lows))), highs=tuple(map(float, np.ravel(highs))))

    def check(self, size: int) -> None:
        """Refuse ranges that are not one for each of so many elements, or have no width.

        Raises
        ------
        InputError
            Naming the first that is wrong.
        """
        if not len(self.lows) == len(self.highs) == size:
            raise InputError(
                f"{len(self.lows)} lowest and {len(self.highs)} highest values for {size} elements; give one of each "
                "for every element"
            )
        if size > MAX_ELEMENTS:
            raise InputError(f"ranges for {size} elements; more than {MAX_ELEMENTS} have one range in common")
        for number, (low, high) in enumerate(zip(self.lows, self.highs, strict=True)):
            if not (low < high and math.isfinite(high - low)):
                raise InputError(f"the range of column {number}, {low:g} to {high:g}, is empty or has no end")

    @property
    def centre(self) -> Array:
        """Of each range, shape (size,)."""
        return np.array(self.lows) / 2 + np.array(self.highs) / 2

    @property
    def radius(self) -> Array:
        """Half the width of each range, shape (size,)."""
        return np.array(self.highs) / 2 - np.array(self.lows) / 2

    def normalised(self, values: Array) -> Array:
        """Values within the ranges, of shape (rows, ...), brought to [-1, 1]."""
        flat = values.reshape(len(values), -1)
        # Rounding must not take an end of a range out of [-1, 1].
        return np.clip((flat - self.centre) / self.radius, -1.0, 1.0).reshape(values.shape)
