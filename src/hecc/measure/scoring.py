"""Outputs held against the right answers: which output is looked at, what is measured, and how good it is."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.inputs.labels import Truth, class_numbers, load_truth
from hecc.measure.metrics.classification import classification_metrics
from hecc.measure.metrics.metric import Metric
from hecc.measure.metrics.regression import regression_metrics
from hecc.runtime.errors import InputError
from hecc.runtime.extras import require
from hecc.runtime.plan.header import OutputSignature
from hecc.runtime.tail.epilogue import result_shape
from hecc.runtime.tail.predictions import (
    answered,
    are_scores,
    class_count,
    class_names,
    classes,
    evidence,
    is_choice,
)

__all__ = ["Scoring", "TaskKind", "scoring"]

TaskKind: TypeAlias = Literal["classification", "regression"]

LARGEST = 2.0**53
"""Floating-point numbers below this may be numbers of classes."""


@dataclass(frozen=True)
class Scoring:
    """What is measured.

    Attributes
    ----------
    signature
        The output that is looked at.
    task
        "classification", whose score is the accuracy, or "regression", whose score is the mean absolute error.
    truth
        The right answers: numbers of classes, or values of shape (rows, ...); ``None`` if they are not known.
    """

    signature: OutputSignature
    task: TaskKind
    truth: NDArray[np.generic] | None

    def predictions(self, values: NDArray[Any]) -> NDArray[np.int64] | None:
        """The class of each row of the output; ``None`` for a regression."""
        return classes(self.signature, values) if self.task == "classification" else None

    def score(self, values: NDArray[Any]) -> float | None:
        """The accuracy of the first rows of the output, or their mean absolute error; ``None`` without answers.

        Rows without a result have no right class, and no error.
        """
        if self.truth is None:
            return None
        truth, predictions = self.truth[: len(values)], self.predictions(values)
        if predictions is not None:
            return float((predictions == truth).mean())
        errors = np.abs(values - truth.astype(np.float64))[answered(values)]
        return float(errors.mean()) if errors.size else math.nan

    def without(self, rows: Collection[int]) -> Scoring:
        """The same, of inputs from which these rows were left out."""
        if self.truth is None or not rows:
            return self
        return replace(self, truth=np.delete(self.truth, sorted(rows), axis=0))

    def metrics(self, values: NDArray[Any]) -> tuple[Metric, ...]:
        """The metrics of the first rows of the output, with confidence intervals.

        Those that these rows are not enough for say why.
        """
        assert self.truth is not None, "check_metrics"
        truth, predictions = self.truth[: len(values)], self.predictions(values)
        if predictions is None:
            flat = values.reshape(len(values), -1).astype(np.float64)
            return regression_metrics(truth.reshape(flat.shape).astype(np.float64), flat)
        sure = None if is_choice(self.signature) else evidence(self.signature, values)
        return classification_metrics(truth.astype(np.int64), predictions, sure, self.class_names)

    def check_metrics(self) -> None:
        """Refuse to compute metrics where there is nothing to compute them from.

        Raises
        ------
        InputError
            No right answers, or right answers of one class.
        MissingExtraError
            What computes metrics is not installed.
        """
        require("sklearn", "scipy")
        if self.truth is None:
            raise InputError("metrics compare with the right answers; give labels")
        if self.task == "classification" and len(only := np.unique(self.truth)) == 1:
            name = self.class_names[int(only[0])]
            raise InputError(
                f"every label is {name!r}, and sensitivity, specificity and AUC compare at least two classes; add rows "
                "of another class, or leave metrics out"
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, or their numbers; empty for a regression."""
        if self.task == "regression":
            return ()
        return class_names(self.signature) or tuple(map(str, range(class_count(self.signature))))


def scoring(outputs: Sequence[OutputSignature], labels: Truth | None, folders: Sequence[str], rows: int) -> Scoring:
    """What is to be measured of a plan's outputs.

    Parameters
    ----------
    outputs
        The plan's.
    labels
        The right answers, as for :func:`hecc.evaluate`; ``None`` for the names of folders.
    folders
        The folder of every row's image; empty if there are none.
    rows
        How many there are.

    Raises
    ------
    InputError, FileFormatError
        Labels that do not fit the rows or the outputs, or a file that cannot be read.
    """
    signature = _output(outputs)
    task, truth = _task(signature, _answers(labels, folders, rows))
    return Scoring(signature, task, truth)


def _output(outputs: Sequence[OutputSignature]) -> OutputSignature:
    """The one output to look at: the only one, or the only one of scores."""
    candidates = list(outputs) if len(outputs) == 1 else [signature for signature in outputs if are_scores(signature)]
    if len(candidates) > 1:
        # Scores say more than the choice that the network makes of them.
        candidates = [signature for signature in candidates if not is_choice(signature)] or candidates
    if len(candidates) != 1:
        names = ", ".join(repr(signature.name) for signature in outputs)
        raise InputError(f"of the plan's outputs ({names}) {len(candidates)} look like scores of classes, not one")
    return candidates[0]


def _answers(labels: Truth | None, folders: Sequence[str], count: int) -> NDArray[np.generic] | None:
    if labels is None:
        return np.array(folders) if folders else None
    answers = load_truth(labels)
    if answers.ndim == 0 or len(answers) != count:
        raise InputError(f"labels of shape {answers.shape} for {count} rows; give one for each row, and no header")
    # A column is as good as a list.
    return answers[:, 0] if answers.ndim == 2 and answers.shape[1] == 1 else answers


def _task(
    signature: OutputSignature, answers: NDArray[np.generic] | None
) -> tuple[TaskKind, NDArray[np.generic] | None]:
    """What is measured, and the right answers for it: numbers of classes, or values of shape (rows, ...)."""
    if answers is None:
        return ("classification" if are_scores(signature) else "regression"), None
    if answers.dtype.kind == "f" and not np.isfinite(answers).all():
        raise InputError("labels: a value is not a number or infinite; fill it in, or leave the row out")
    integral = answers.dtype.kind in "iub" or (answers.dtype.kind == "f" and not (answers % 1).any())
    if integral and answers.dtype.kind == "f" and np.abs(answers).max(initial=0) < LARGEST:
        answers = answers.astype(np.int64)
    binary = answers.dtype.kind in "US" or (integral and set(np.unique(answers).tolist()) <= {0, 1})
    single = math.prod(result_shape(signature.shape, signature.epilogue)) == 1
    if answers.ndim == 1 and (are_scores(signature) or (single and binary)):
        return "classification", class_numbers(answers, class_names(signature), class_count(signature))
    shape = result_shape(signature.shape, signature.epilogue)
    if answers.dtype.kind not in "fiub" or answers.size != len(answers) * math.prod(shape):
        raise InputError(
            f"labels of shape {answers.shape} and dtype {answers.dtype} for an output of shape {shape}; give "
            "a class, or the values of a regression, for each row"
        )
    return "regression", answers.reshape(-1, *shape)
