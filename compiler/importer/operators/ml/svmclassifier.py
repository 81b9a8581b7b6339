"""SVMClassifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.building.scope import Decoded
from hecc.compiler.importer.operators.ml.attributes import floats
from hecc.compiler.importer.operators.ml.kernels import KERNELS, machines, support_vectors
from hecc.compiler.importer.tail.arithmetic import elementwise
from hecc.compiler.importer.tail.decoded import axes, constant, decode, number, settled, then
from hecc.runtime.tail.epilogue import ArgMax, Couple, Labels, Real, Reduce, Sigmoid

__all__ = ["SVMClassifier"]

Array: TypeAlias = NDArray[np.float64]

CERTAIN = 1e-7
"""No class of two is less probable to libsvm."""


class SVMClassifier(Converter):
    """A decision value for every two classes, computed encrypted; the client counts votes and couples probabilities.

    Which of two classes a value is for is its sign. The class that most values are for wins, and the first of several.
    """

    notes = f"{KERNELS}; label and probabilities at the end of the network only"

    @staticmethod
    def opset_1(call: Call) -> None:
        """All opsets agree."""
        label, scores = call.name, "".join(call.node.output[1:2])
        labels = call.attribute("classlabels_ints", ()) or call.attribute("classlabels_strings", ())
        transform = call.attribute("post_transform", "NONE")
        if transform != "NONE":
            raise call.refuse(f"its post_transform '{transform}' is not supported", "use NONE")
        slopes, shifts = floats(call, "prob_a"), floats(call, "prob_b")
        ends = label in call.scope.tail.names and (not scores or scores in call.scope.tail.names)
        if not ends and (call.used(label) or slopes or not scores):
            raise call.refuse(
                "its label and probabilities cannot be computed on encrypted data in the middle of a network",
                "make it the last layer, or train it without probabilities and use its scores",
            )
        pairs = list(combinations(range(len(labels)), 2))
        vectors, weights, rho = _machines(call, len(labels))
        if any(len(given) not in (0, len(pairs)) for given in (slopes, shifts)) or len(slopes) != len(shifts):
            raise call.fault(f"its {len(slopes)} probabilities do not fit {len(pairs)} pairs of classes")
        if len(labels) == 2 and not slopes:
            # A score of either class. A value that is not positive is for the second, whose score is then no larger.
            weights, rho = np.concatenate([-weights, weights]), np.concatenate([-rho, rho])
        name = call.scope.fresh(f"{label}:decisions") if slopes or not scores else scores
        decisions = machines(call, name, vectors, weights, rho)
        if not ends:
            return
        decoded, rows = decode(call, decisions), decisions.shape[:1]
        if len(rho) == 2:
            voted = then(call, decoded, ArgMax(axis=axes(call, (1,), decoded)[0], largest=False, last=True), rows)
        else:
            votes = _votes(call, decoded, pairs, len(labels))
            voted = then(call, votes, ArgMax(axis=axes(call, (1,), votes)[0]), rows)
        call.scope.operands[label] = then(call, voted, Labels(labels=labels))
        if scores and slopes:
            call.scope.operands[scores] = _probabilities(call, decoded, slopes, shifts, len(labels))


def _machines(call: Call, classes: int) -> tuple[Array, Array, Array]:
    """Support vectors, the weights with which every two classes add up their kernels, and constants."""
    counts = call.attribute("vectors_per_class", ())
    coefficients, rho = np.asarray(floats(call, "coefficients")), np.asarray(floats(call, "rho"))
    pairs = list(combinations(range(classes), 2))
    if not counts:
        raise call.refuse(
            "it has no support vectors", "use LinearSVC, which exports a LinearClassifier, in place of it"
        )
    if classes < 2 or len(counts) != classes or min(counts) < 0 or len(rho) != len(pairs):
        raise call.fault(f"its {len(counts)} counts of vectors and {len(rho)} constants do not fit {classes} classes")
    vectors = support_vectors(call, call.value(0), sum(counts))
    if len(coefficients) != (classes - 1) * len(vectors):
        raise call.fault(f"its {len(coefficients)} coefficients do not fit {len(vectors)} vectors of {classes} classes")
    if coefficients.min() >= 0:
        # onnxruntime then answers with the second of two classes, whatever the votes are.
        raise call.refuse("no coefficient of its support vectors is negative", "train it again, with both classes")
    # A vector of a class has a coefficient for each of the other classes, in their order.
    table = coefficients.reshape(classes - 1, -1)
    ends = np.cumsum(counts)
    weights = np.zeros((len(pairs), len(vectors)))
    for row, (first, second) in enumerate(pairs):
        own, other = (slice(ends[one] - counts[one], ends[one]) for one in (first, second))
        weights[row, own] = table[second - 1, own]
        weights[row, other] = table[first, other]
    return vectors, weights, rho


def _votes(call: Call, decisions: Decoded, pairs: Sequence[tuple[int, int]], classes: int) -> Decoded:
    """How many decisions are for each class."""
    positive = then(call, elementwise(call, "greater", decisions, number(call, 0.0)), Real())
    # A positive decision is a vote more for the first of its classes, and one less for the second.
    signs, lost = np.zeros((classes, len(pairs))), np.zeros(classes)
    for row, (first, second) in enumerate(pairs):
        signs[first, row], signs[second, row] = 1.0, -1.0
        lost[second] += 1.0
    rows, _ = positive.shape
    spread = settled(call, replace(positive, shape=(rows, 1, len(pairs))))
    each = elementwise(call, "multiply", spread, constant(call, signs))
    won = then(call, each, Reduce(reduction="sum", axes=axes(call, (2,), each), keep=False), (rows, classes))
    return elementwise(call, "add", won, constant(call, lost))


def _probabilities(
    call: Call, decisions: Decoded, slopes: Sequence[float], shifts: Sequence[float], classes: int
) -> Decoded:
    """Platt's probabilities of every two classes, coupled to those of all."""
    # libsvm's own sigmoid falls where ours rises.
    scaled = elementwise(call, "multiply", decisions, constant(call, -np.asarray(slopes)))
    each = then(call, elementwise(call, "add", scaled, constant(call, -np.asarray(shifts))), Sigmoid())
    each = elementwise(call, "maximum", each, number(call, CERTAIN))
    each = elementwise(call, "minimum", each, number(call, 1.0 - CERTAIN))
    return then(call, each, Couple(), (*decisions.shape[:1], classes))
