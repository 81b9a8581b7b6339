"""Decrypted scores as predictions: which class, by name, and how sure the network is."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.plan.header import OutputSignature
from hecc.runtime.tail.epilogue import (
    ArgMax,
    Columns,
    Elementwise,
    Hardmax,
    Labels,
    Normalize,
    Sigmoid,
    Softmax,
    chain,
    result_shape,
)

__all__ = [
    "NO_CLASS",
    "TOP",
    "Prediction",
    "answered",
    "are_scores",
    "class_count",
    "class_names",
    "classes",
    "confidence_words",
    "confidences",
    "evidence",
    "is_choice",
    "predictions",
]

TOP = 3
"""How many classes are named."""

NO_CLASS = -1
"""Stands for the class of a row that has no result."""


class Prediction(NamedTuple):
    """One class: its name, or its number where there are no names; its number; its confidence, if it has one."""

    label: str
    number: int
    confidence: float | None


def are_scores(signature: OutputSignature) -> bool:
    """Whether an output is about classes: computed from a vector of several scores, or from one that has labels."""
    shape = result_shape(signature.shape, signature.epilogue)
    if is_choice(signature):
        return math.prod(shape) == 1
    several = len(shape) == 1 and shape[0] > 1
    return math.prod(shape) == max(shape, default=1) and (several or bool(class_names(signature)))


def is_choice(signature: OutputSignature) -> bool:
    """Whether the network itself ends in the choice of a class, so that there are no confidences."""
    return any(isinstance(step, ArgMax) for step in chain(signature.epilogue))


def class_count(signature: OutputSignature) -> int:
    """How many classes an output is about: of a single score no and yes."""
    shape = signature.shape if is_choice(signature) else result_shape(signature.shape, signature.epilogue)
    return len(class_names(signature)) or max(2, math.prod(shape))


def class_names(signature: OutputSignature) -> tuple[str, ...]:
    """The names of the classes: those that the plan was given, else the network's own; empty if there are none."""
    own = [step.labels for step in chain(signature.epilogue) if isinstance(step, Labels | Columns)]
    return signature.labels or (tuple(map(str, own[-1])) if own else ())


def confidences(signature: OutputSignature, values: NDArray[Any]) -> NDArray[np.float64]:
    """The probabilities that the network ends in; else the softmax of its scores.

    Of a single score, the logistic function stands in for the softmax, and there are two classes, "no" and "yes".

    Parameters
    ----------
    signature
        An output about classes (:func:`are_scores`) that is no choice (:func:`is_choice`).
    values
        What was decrypted, shape (rows, ...).

    Returns
    -------
    NDArray
        Shape (rows, classes).
    """
    scores = _scores(signature, values)
    if _are_probabilities(signature):
        return scores
    # The largest exponent is zero, so that nothing overflows.
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def evidence(signature: OutputSignature, values: NDArray[Any]) -> NDArray[np.float64]:
    """What orders rows by how sure the network is of a class, as their confidences do.

    It is the probabilities that the network ends in; else the logarithms of the odds of its classes. Those differ where
    confidences are all rounded to one.

    Parameters
    ----------
    signature, values
        As for :func:`confidences`.

    Returns
    -------
    NDArray
        Shape (rows, classes).
    """
    scores = _scores(signature, values)
    if _are_probabilities(signature):
        return scores
    others = [np.logaddexp.reduce(np.delete(scores, number, axis=1), axis=1) for number in range(scores.shape[1])]
    return np.asarray(scores - np.stack(others, axis=1))


def _scores(signature: OutputSignature, values: NDArray[Any]) -> NDArray[np.float64]:
    """A score for each class, shape (rows, classes)."""
    # Differences of large integers would wrap around.
    scores = values.reshape(len(values), -1).astype(np.float64)
    if scores.shape[1] > 1:
        return scores
    return np.concatenate([1 - scores if _are_probabilities(signature) else np.zeros_like(scores), scores], axis=1)


def classes(signature: OutputSignature, values: NDArray[Any]) -> NDArray[np.int64]:
    """The number of the most probable class of every row, the first one of several; or the one that was chosen.

    It is :data:`NO_CLASS` where there is none: in a row that is lost, and where a score is not a number.
    """
    known = answered(values)
    found = np.full(len(values), NO_CLASS, dtype=np.int64)
    if not known.any():
        return found
    if not is_choice(signature):
        found[known] = confidences(signature, values[known]).argmax(axis=1)
        return found
    chosen = values.reshape(len(values), -1)[known, 0]
    for step in chain(signature.epilogue):
        if isinstance(step, Labels):
            numbers = {label: number for number, label in enumerate(step.labels)}
            found[known] = [numbers[label] for label in chosen.tolist()]
            return found
    found[known] = chosen.astype(np.int64)
    return found


def answered(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows of an output have a result: all of their elements are numbers, or names that are not empty."""
    flat = values.reshape(len(values), -1)
    if values.dtype.kind == "U":
        return np.asarray((flat != "").all(axis=1))
    return np.asarray(~np.isnan(flat).any(axis=1)) if values.dtype.kind == "f" else np.ones(len(values), dtype=bool)


def predictions(signature: OutputSignature, values: NDArray[Any], top: int = TOP) -> list[list[Prediction]]:
    """The most probable classes of every row, the first one first; only the one that was chosen, if one was.

    A row without a result has no classes: its list is empty.

    Parameters
    ----------
    signature, values
        As for :func:`classes`.
    top
        How many classes per row.
    """
    names = class_names(signature) or tuple(map(str, range(class_count(signature))))
    if is_choice(signature):
        chosen = classes(signature, values).tolist()
        return [[] if number == NO_CLASS else [Prediction(names[number], number, None)] for number in chosen]
    shares = confidences(signature, values)
    # Stable, so that of equal scores the first class wins, as with argmax.
    order = np.argsort(-shares, axis=1, kind="stable")[:, :top]
    return [
        [Prediction(names[number], int(number), float(share[number])) for number in best] if known else []
        for best, share, known in zip(order, shares, answered(values), strict=True)
    ]


def confidence_words(signature: OutputSignature) -> str:
    """What function of the output the confidences are."""
    if _are_probabilities(signature):
        return "the probabilities"
    single = math.prod(result_shape(signature.shape, signature.epilogue)) == 1
    return "the logistic function" if single else "the softmax"


def _are_probabilities(signature: OutputSignature) -> bool:
    # A network that writes a softmax or a logistic function out has an exponential, and something behind it.
    exponential = any(isinstance(step, Elementwise) and step.operator == "exp" for step in signature.epilogue)
    named = any(isinstance(step, Softmax | Sigmoid | Hardmax | Normalize) for step in signature.epilogue)
    return named or (exponential and len(signature.epilogue) > 2)
