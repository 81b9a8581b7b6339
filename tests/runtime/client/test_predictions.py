"""Scores become names and confidences."""

from fractions import Fraction

import numpy as np
import pytest

from hecc.runtime.client.predictions import are_scores, confidences, predictions
from hecc.runtime.header import OutputSignature
from hecc.runtime.layout import vector_layout


def output(shape, labels=()):
    """The signature of an output; nothing but its shape and its labels matters here."""
    return OutputSignature(
        name="y",
        shape=shape,
        layout=vector_layout(shape, 64),
        limbs=1,
        scale=Fraction(1 << 20),
        bound=1.0,
        error=1e-6,
        labels=labels,
    )


def test_the_most_probable_classes_come_first_with_their_softmax():
    scores = np.log([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    found = predictions(output((3,), ("cat", "dog", "owl")), scores, top=2)
    assert [[one.label for one in row] for row in found] == [["dog", "owl"], ["owl", "cat"]]
    np.testing.assert_allclose([[one.confidence for one in row] for row in found], [[0.5, 0.3], [0.8, 0.1]])
    assert [one.number for one in found[0]] == [1, 2]


def test_without_names_classes_have_numbers():
    assert predictions(output((3,)), np.array([[0.0, 3.0, 1.0]]))[0][0].label == "1"


def test_a_single_score_is_no_or_yes_by_the_logistic_function():
    signature = output((1,), ("healthy", "ill"))
    found = predictions(signature, np.array([[np.log(3.0)], [-100.0]]))
    assert [(one.label, pytest.approx(one.confidence)) for one in found[0]] == [("ill", 0.75), ("healthy", 0.25)]
    assert found[1][0].label == "healthy"


def test_large_scores_do_not_overflow():
    shares = confidences(output((2,)), np.array([[1e5, -1e5]]))
    np.testing.assert_array_equal(shares, [[1.0, 0.0]])


@pytest.mark.parametrize(
    ("shape", "labels", "scores"),
    [
        ((10,), (), True),
        ((1,), (), False),
        ((1,), ("a", "b"), True),
        ((3, 4), (), False),
        ((1, 3), ("a", "b", "c"), True),
    ],
)
def test_which_outputs_are_scores(shape, labels, scores):
    assert are_scores(output(shape, labels)) is scores
