"""Metrics of a regression: the mean absolute error, and the coefficient of determination."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hecc.measure.metrics.intervals import bootstrap_interval
from hecc.measure.metrics.metric import Metric
from hecc.runtime.extras import require

__all__ = ["regression_metrics"]


def regression_metrics(truth: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[Metric, ...]:
    """The mean absolute error and R2, each the mean over the output's elements.

    Parameters
    ----------
    truth, values
        The right answers and those found, shape (rows, elements). Rows without a result are not a number, and are left
        out.
    """
    require("sklearn")
    from sklearn.metrics import mean_absolute_error, r2_score

    known = ~np.isnan(values).any(axis=1)
    truth, values = truth[known], values[known]
    rows = len(truth)
    if not rows:
        return tuple(
            Metric(name, "", None, None, None, 0, "no row has a result") for name in ("mean absolute error", "R2")
        )
    errors = np.abs(values - truth).mean(axis=1)
    few = "" if rows > 1 else "one row has no interval"
    low, high = (None, None) if few else bootstrap_interval(lambda drawn: errors[drawn].mean(axis=-1), rows)
    mean = Metric("mean absolute error", "", float(mean_absolute_error(truth, values)), low, high, rows, few)
    if np.ptp(truth, axis=0).min() == 0:
        why = "the right answers are all the same"
        return mean, Metric("R2", "", None, None, None, rows, why)

    def determination(drawn: NDArray[np.intp]) -> NDArray[np.float64]:
        right, found = truth[drawn], values[drawn]
        residual = ((found - right) ** 2).sum(axis=-2)
        total = ((right - right.mean(axis=-2, keepdims=True)) ** 2).sum(axis=-2)
        # Where the same row was drawn again and again there is nothing to explain.
        share = np.divide(residual, total, out=(residual > 0).astype(np.float64), where=total > 0)
        return np.asarray((1 - share).mean(axis=-1))

    low, high = bootstrap_interval(determination, rows)
    return mean, Metric("R2", "", float(r2_score(truth, values)), low, high, rows)
