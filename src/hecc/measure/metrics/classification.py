"""Metrics of classes: accuracy, sensitivity, specificity, and the area under the ROC curve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.measure.metrics.intervals import area_interval, proportion_interval
from hecc.measure.metrics.metric import Metric
from hecc.runtime.extras import require
from hecc.runtime.tail.predictions import NO_CLASS

__all__ = ["classification_metrics"]


def classification_metrics(
    truth: NDArray[np.int64],
    predictions: NDArray[np.int64],
    evidence: NDArray[Any] | None,
    classes: Sequence[str],
) -> tuple[Metric, ...]:
    """The accuracy; and of two classes for the second one, of several for each against the others, the rest.

    A row without a result is wrong: it counts against the accuracy, against the sensitivity for its class, and against
    the specificity for the others. It has no place on a ROC curve, and is left out there.

    Parameters
    ----------
    truth, predictions
        The classes of every row; :data:`~hecc.runtime.tail.predictions.NO_CLASS` for one without a result.
    evidence
        What orders rows by how sure the network is of each class, shape (rows, classes); ``None`` where it gives no
        scores.
    classes
        Their names.
    """
    right = int((predictions == truth).sum())
    metrics = [Metric("accuracy", "", right / len(truth), *proportion_interval(right, len(truth)), len(truth))]
    binary = len(classes) == 2
    for number, name in enumerate(classes):
        if not (binary and number == 0):
            of = "" if binary else name
            metrics += _against_the_others(number, name, of, truth, predictions, evidence)
    return tuple(metrics)


def _against_the_others(
    number: int,
    name: str,
    of: str,
    truth: NDArray[np.int64],
    predictions: NDArray[np.int64],
    evidence: NDArray[Any] | None,
) -> Iterator[Metric]:
    positive, known = truth == number, predictions != NO_CLASS
    yield _proportion("sensitivity", of, (predictions == number)[positive], f"no row is {name!r}")
    rejected = known & (predictions != number)
    yield _proportion("specificity", of, rejected[~positive], f"every row is {name!r}")
    yield _area(name, of, positive[known], None if evidence is None else evidence[known, number])


def _proportion(name: str, of: str, right: NDArray[np.bool_], missing: str) -> Metric:
    rows, count = len(right), int(right.sum())
    if not rows:
        return Metric(name, of, None, None, None, 0, missing)
    return Metric(name, of, count / rows, *proportion_interval(count, rows), rows)


def _area(name: str, of: str, positive: NDArray[np.bool_], scores: NDArray[Any] | None) -> Metric:
    require("sklearn")
    from sklearn.metrics import roc_auc_score

    rows, positives = len(positive), int(positive.sum())
    why = ""
    if scores is None:
        why = "the network gives a choice and no scores"
    elif not rows:
        why = "no row has a result"
    elif positives in (0, rows):
        why = f"{'every' if positives else 'no'} row is {name!r}"
    if why or scores is None:
        return Metric("AUC", of, None, None, None, rows, why)
    area = float(roc_auc_score(positive, scores))
    return Metric("AUC", of, area, *area_interval(area, positives, rows - positives), rows)
