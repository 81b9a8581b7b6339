"""One metric with its confidence interval."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CONFIDENCE", "Metric"]

CONFIDENCE = 0.95
"""Of all intervals."""


@dataclass(frozen=True)
class Metric:
    """A number that says how good answers are.

    Attributes
    ----------
    name
        "accuracy", "AUC", "sensitivity", "specificity", "mean absolute error" or "R2".
    of
        The class that it is about, of several; otherwise empty.
    value
        The number; ``None`` where it cannot be computed.
    low, high
        The ends of its 95% confidence interval; ``None`` where there is none.
    rows
        How many rows it is computed from.
    why
        Why there is no value, or no interval, in a sentence without a full stop; otherwise empty.
    """

    name: str
    of: str
    value: float | None
    low: float | None
    high: float | None
    rows: int
    why: str = ""
