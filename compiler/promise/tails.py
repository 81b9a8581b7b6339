"""Tails: how far beyond what was seen the next rows may reach, and how many of them.

Rows are what is drawn independently, so of each row its extreme counts. Above a high threshold the excesses of such
extremes are distributed nearly exponentially, unless the tail is heavier than that of a Gaussian or an exponential
distribution (Pickands, "Statistical inference using extreme order statistics", Annals of Statistics 3, 1975; Coles, "An
Introduction to Statistical Modeling of Extreme Values", Springer 2001, chapter 4). The scale of that distribution is
estimated from a few excesses only, which makes the next one less certain than an exponential with that scale says. For
exponential variables this is known exactly: of k of them with the sum S, the next exceeds y with the probability
``(1 + y / S)^-k``, over all that the k may have been, whatever the scale is (Hahn and Meeker, "Statistical Intervals",
Wiley 1991, chapter 4, on the prediction of exponential observations).

Where there are too few rows for a threshold, nothing is said: of n rows any next one is the most extreme with the
probability ``1 / (n + 1)``, and how far it goes is not in the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tail"]

PART = 0.2
"""Of the rows, those with the most extreme values, that are above the threshold. With a tenth, ends follow the few
largest rows more closely: of networks measured for one row in a thousand, 1.9 in a thousand were beyond them at worst,
with a fifth 0.7."""

MIN_ROWS = 50
"""Below so many rows there are fewer than ten excesses."""


@dataclass(frozen=True)
class Tail:
    """The upper tail of rows' extremes.

    Attributes
    ----------
    threshold
        Above which excesses are looked at.
    rows, number, total
        How many rows there were; of how many the extreme is above the threshold; the sum of their excesses.
    """

    threshold: float
    rows: int
    number: int
    total: float

    @classmethod
    def of(cls, extremes: NDArray[np.float64]) -> Self | None:
        """The tail of the largest value of each row, shape (rows,); ``None`` of too few rows."""
        rows = len(extremes)
        if rows < MIN_ROWS:
            return None
        number = math.ceil(PART * rows)
        *largest, threshold = np.sort(extremes)[::-1][: number + 1].tolist()
        return cls(threshold, rows, number, sum(largest) - number * threshold)

    def beyond(self, end: float) -> float:
        """The probability that the next row's extreme is beyond an end at or above the threshold."""
        if not self.total > 0:
            return 0.0
        excess = max(0.0, end - self.threshold)
        return self.number / self.rows * math.exp(-self.number * math.log1p(excess / self.total))

    def end(self, probability: float) -> float:
        """Beyond which the next row's extreme is with a probability; at least the threshold."""
        surplus = math.log(self.number / (self.rows * probability)) / self.number
        return self.threshold + max(0.0, self.total * math.expm1(surplus))
