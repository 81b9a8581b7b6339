"""Decrypted scores as predictions: which class, by name, and how sure the network is."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.header import OutputSignature

__all__ = ["TOP", "Prediction", "are_scores", "classes", "confidence_words", "confidences", "predictions"]

TOP = 3
"""How many classes are named."""


class Prediction(NamedTuple):
    """One class: its name, or its number where the plan has no names; its number; its confidence, 0 to 1."""

    label: str
    number: int
    confidence: float


def are_scores(signature: OutputSignature) -> bool:
    """Whether an output is taken as the scores of classes: a vector of several values, or one that has labels."""
    return bool(signature.labels) or (len(signature.shape) == 1 and signature.shape[0] > 1)


def confidences(signature: OutputSignature, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The softmax of the scores; of a single score the logistic function, as "no" and "yes".

    Parameters
    ----------
    signature
        An output of scores (:func:`are_scores`).
    values
        What was decrypted, shape (rows, ...).

    Returns
    -------
    NDArray
        Shape (rows, classes); each row sums to one.
    """
    scores = values.reshape(len(values), -1)
    if scores.shape[1] == 1:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    # The largest exponent is zero, so that nothing overflows.
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def classes(signature: OutputSignature, values: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of the most probable class of every row; the first one of several."""
    return np.asarray(confidences(signature, values).argmax(axis=1), dtype=np.int64)


def predictions(signature: OutputSignature, values: NDArray[np.float64], top: int = TOP) -> list[list[Prediction]]:
    """The most probable classes of every row, the first one first.

    Parameters
    ----------
    signature, values
        As for :func:`confidences`.
    top
        How many classes per row.
    """
    shares = confidences(signature, values)
    labels = signature.labels or tuple(map(str, range(shares.shape[1])))
    # Stable, so that of equal scores the first class wins, as with argmax.
    order = np.argsort(-shares, axis=1, kind="stable")[:, :top]
    return [
        [Prediction(labels[number], int(number), float(share[number])) for number in best]
        for best, share in zip(order, shares, strict=True)
    ]


def confidence_words(signature: OutputSignature) -> str:
    """What function of the output the confidences are."""
    return "the logistic function" if math.prod(signature.shape) == 1 else "the softmax"
