"""Intervals of functions' arguments: what calibration values, their tails and proofs let expect, with a margin."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.promise.tails import Tail

__all__ = ["ArgumentInterval", "argument_interval", "ratio_interval"]

Array = NDArray[np.float64]

TAIL = 0.01
"""Part of the calibration inputs, those with the most extreme values, that the margin is not measured from."""

FRINGE = 0.1
"""Part of its radius by which an interval is wider than what is expected."""

SLACK = 0.05
"""Part of its radius by which an interval reaches beyond all that was seen, at the least."""


@dataclass(frozen=True)
class ArgumentInterval:
    """What a layer's argument is expected to be.

    Attributes
    ----------
    low, high
        Its ends, with the fringe.
    strays
        How many of the rows are outside the interval, fringe included, that the others let expect: as many as would
        have been lost, had they not been among the calibration inputs.
    expected
        The ends of that interval.
    tails
        Of the rows' least and largest values, each with its end, where that is not proved; ``None`` of too few rows.
    logarithmic
        Whether the tails are those of logarithms.
    """

    low: float
    high: float
    strays: int
    expected: tuple[float, float]
    tails: tuple[Tail | None, Tail | None] | None
    logarithmic: bool = False

    def outside(self, low: float, high: float) -> float | None:
        """Part of the rows that is expected outside such an interval, which holds this one."""
        if self.tails is None:
            return None
        if self.logarithmic:
            low, high = (math.log(end) if end > 0 else -math.inf for end in (low, high))
        return sum(tail.beyond(end) for tail, end in zip(self.tails, (-low, high), strict=True) if tail is not None)


def argument_interval(values: Array, proved: tuple[float, float], margin: float, beyond: float) -> ArgumentInterval:
    """The interval of a layer; so many of the rows may be beyond it without its fringe, half of them at each end."""
    low, high = float(values.min()), float(values.max())
    # Rows are what is drawn independently; of each its own extremes.
    least, largest = values.min(axis=1), values.max(axis=1)
    tail_low, tail_high = float(np.quantile(least, TAIL)), float(np.quantile(largest, 1 - TAIL))
    reserve = margin * (tail_high - tail_low) / 2
    slack = SLACK * (high - low) / 2
    left, right = tail_low - reserve, tail_high + reserve
    tails = Tail.of(-least), Tail.of(largest)
    if tails[0] is not None and tails[1] is not None:
        left, right = min(left, -tails[0].end(beyond / 2)), max(right, tails[1].end(beyond / 2))
    fringe = FRINGE * (right - left) / 2
    expected = max(left - fringe, proved[0]), min(right + fringe, proved[1])
    strays = int(((least < expected[0]) | (largest > expected[1])).sum())
    left, right = min(left, low - slack), max(right, high + slack)
    fringe = FRINGE * (right - left) / 2
    left, right = left - fringe, right + fringe
    closed = left <= proved[0], right >= proved[1]
    left, right = max(left, min(proved[0], low)), min(right, max(proved[1], high))
    if not left < right:
        left, right = left - 1.0, right + 1.0
    few = tails[0] is None and not all(closed)
    ends = tuple(None if end else tail for tail, end in zip(tails, closed, strict=True))
    return ArgumentInterval(left, right, strays, expected, None if few else (ends[0], ends[1]))


def ratio_interval(values: Array, proved: tuple[float, float], margin: float, beyond: float) -> ArgumentInterval:
    """The same for positive values whose ratios count: what has a pole at zero changes as much from 0.1 to 0.2."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = (float(np.log(max(proved[0], 0.0))), float(np.log(max(proved[1], 0.0))))
    found = argument_interval(np.log(values), ends, margin, beyond)
    expected = math.exp(found.expected[0]), math.exp(found.expected[1])
    return replace(found, low=math.exp(found.low), high=math.exp(found.high), expected=expected, logarithmic=True)
