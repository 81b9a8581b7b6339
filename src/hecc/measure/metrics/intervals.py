"""Confidence intervals: of a proportion, of an area under the ROC curve, and of any mean over rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.measure.metrics.metric import CONFIDENCE
from hecc.runtime.extras import require

__all__ = ["RESAMPLES", "SEED", "area_interval", "bootstrap_interval", "proportion_interval"]

Interval: TypeAlias = tuple[float, float]

RESAMPLES, SEED = 2000, 0
"""Of the bootstrap: how often rows are drawn, and what decides which."""

TINY = 1e-12
"""How near to the ends of its range an area is looked for."""

BATCH = 1 << 22
"""Rows that are drawn at a time, so that memory stays small."""


def proportion_interval(count: int, rows: int) -> Interval:
    """Wilson's score interval of a proportion [1]_, of ``count`` out of at least one row.

    References
    ----------
    .. [1] Edwin B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
       American Statistical Association 22 (1927).
    """
    require("scipy")
    from scipy.stats import binomtest

    interval = binomtest(count, rows).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def area_interval(area: float, positives: int, negatives: int) -> Interval:
    """The score interval of an area under the ROC curve: method 5 of [1]_.

    It holds the areas that the one found is not too far from, by the standard error that Hanley and McNeil give for
    each of them. So an area of 1 has an interval, too. DeLong's method and the bootstrap give that one no width: they
    only know what was seen.

    Parameters
    ----------
    area
        From 0 to 1.
    positives, negatives
        Rows of either kind, at least one.

    References
    ----------
    .. [1] Robert G. Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic.
       Part 2: asymptotic methods and evaluation", Statistics in Medicine 25 (2006).
    """
    require("scipy")
    from scipy.optimize import brentq
    from scipy.stats import norm

    z = float(norm.ppf(0.5 + CONFIDENCE / 2))
    others = (positives + negatives) / 2 - 1

    def deviations(true: float) -> float:
        """How far the area found is from a true one, in units of what is still believed."""
        spread = true * (1 - true) * (1 + others * ((1 - true) / (2 - true) + true / (1 + true)))
        return abs(area - true) - z * math.sqrt(spread / (positives * negatives))

    # At the ends of the range themselves the standard error is zero, whatever was seen.
    low = brentq(deviations, 0.0, min(area, 1 - TINY)) if area > 0 else 0.0
    high = brentq(deviations, max(area, TINY), 1.0) if area < 1 else 1.0
    return float(low), float(high)


def bootstrap_interval(statistic: Callable[[NDArray[np.intp]], NDArray[np.float64]], rows: int) -> Interval:
    """The percentile bootstrap's interval, by rows that are drawn with replacement.

    Parameters
    ----------
    statistic
        Of the rows whose numbers are given, shape (..., rows), for each of the leading axes.
    rows
        How many there are, at least two.
    """
    require("scipy")
    from scipy.stats import bootstrap

    found = bootstrap(
        (np.arange(rows),),
        lambda drawn, axis: statistic(np.moveaxis(drawn, axis, -1)),
        n_resamples=RESAMPLES,
        batch=max(1, BATCH // rows),
        vectorized=True,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)
