"""Decrypted scores as predictions: which class, by name, and how sure the network is."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.epilogue import (
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
from hecc.runtime.header import OutputSignature

__all__ = [
    "TOP",
    "Prediction",
    "are_scores",
    "class_count",
    "class_names",
    "classes",
    "confidence_words",
    "confidences",
    "is_choice",
    "predictions",
]

TOP = 3
"""How many classes are named."""


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
    scores = values.reshape(len(values), -1)
    single = scores.shape[1] == 1
    if _are_probabilities(signature):
        return np.concatenate([1 - scores, scores], axis=1) if single else scores
    if single:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    # The largest exponent is zero, so that nothing overflows.
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def classes(signature: OutputSignature, values: NDArray[Any]) -> NDArray[np.int64]:
    """The number of the most probable class of every row, the first one of several; or the one that was chosen."""
    if not is_choice(signature):
        return np.asarray(confidences(signature, values).argmax(axis=1), dtype=np.int64)
    chosen = values.reshape(len(values), -1)[:, 0]
    for step in chain(signature.epilogue):
        if isinstance(step, Labels):
            numbers = {label: number for number, label in enumerate(step.labels)}
            return np.array([numbers[label] for label in chosen.tolist()], dtype=np.int64)
    return chosen.astype(np.int64)


def predictions(signature: OutputSignature, values: NDArray[Any], top: int = TOP) -> list[list[Prediction]]:
    """The most probable classes of every row, the first one first; only the one that was chosen, if one was.

    Parameters
    ----------
    signature, values
        As for :func:`classes`.
    top
        How many classes per row.
    """
    names = class_names(signature) or tuple(map(str, range(class_count(signature))))
    if is_choice(signature):
        return [[Prediction(names[number], number, None)] for number in classes(signature, values).tolist()]
    shares = confidences(signature, values)
    # Stable, so that of equal scores the first class wins, as with argmax.
    order = np.argsort(-shares, axis=1, kind="stable")[:, :top]
    return [
        [Prediction(names[number], int(number), float(share[number])) for number in best]
        for best, share in zip(order, shares, strict=True)
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
