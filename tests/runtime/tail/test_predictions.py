"""Scores become names and confidences."""

from fractions import Fraction

import numpy as np
import pytest

from hecc.runtime.ckks.circuit.layout import vector_layout
from hecc.runtime.ckks.plan.header import CkksOutput
from hecc.runtime.tail.epilogue import (
    ArgMax,
    Columns,
    Constant,
    Elementwise,
    Labels,
    LogSoftmax,
    Normalize,
    Pick,
    Reduce,
    Reshape,
    Sigmoid,
    Softmax,
    apply_steps,
)
from hecc.runtime.tail.predictions import (
    Prediction,
    are_scores,
    class_count,
    classes,
    confidence_words,
    confidences,
    evidence,
    is_choice,
    predictions,
)


def output(shape, labels=(), epilogue=()):
    """The signature of an output; nothing but its shape and its labels matters here."""
    return CkksOutput(
        name="y",
        shape=shape,
        layout=vector_layout(shape, 64),
        limbs=1,
        scale=Fraction(1 << 20),
        bound=1.0,
        error=1e-6,
        labels=labels,
        epilogue=epilogue,
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


@pytest.mark.parametrize("step", [Softmax(axes=(0,)), Sigmoid(), Normalize(norm="l1", axis=0)])
def test_probabilities_are_taken_as_they_are(step):
    values = np.array([[0.2, 0.5, 0.3]])
    np.testing.assert_array_equal(confidences(output((3,), epilogue=(step,)), values), values)
    assert confidence_words(output((3,), epilogue=(step,))) == "the probabilities"


def test_a_single_probability_is_that_of_yes():
    signature = output((1,), ("healthy", "ill"), (Sigmoid(),))
    (found,) = predictions(signature, np.array([[0.75]]))
    assert [(one.label, one.confidence) for one in found] == [("ill", 0.75), ("healthy", 0.25)]


def test_the_logarithm_of_a_softmax_is_undone():
    values = np.log([[0.2, 0.5, 0.3]])
    found = confidences(output((3,), epilogue=(LogSoftmax(axes=(0,)),)), values)
    np.testing.assert_allclose(found, np.exp(values))


def test_a_choice_has_a_name_and_no_confidence():
    chosen = (ArgMax(axis=0),)
    found = predictions(output((3,), ("cat", "dog", "owl"), chosen), np.array([2, 0]))
    assert found == [[Prediction("owl", 2, None)], [Prediction("cat", 0, None)]]
    assert predictions(output((3,), (), chosen), np.array([1])) == [[Prediction("1", 1, None)]]


@pytest.mark.parametrize(("labels", "values"), [(("a", "b", "c"), ["c", "a"]), ((7, 8, 9), [9, 7])])
def test_the_networks_own_names_are_understood(labels, values):
    signature = output((3,), (), (ArgMax(axis=0), Labels(labels=labels)))
    assert classes(signature, np.array(values)).tolist() == [2, 0]
    assert [row[0].label for row in predictions(signature, np.array(values))] == [str(value) for value in values]
    named = output((3,), (), (Softmax(axes=(0,)), Columns(labels=labels)))
    assert predictions(named, np.array([[0.1, 0.7, 0.2]]))[0][0].label == str(labels[1])


def test_a_map_of_choices_is_no_choice_of_one_class():
    assert not are_scores(output((3, 4), (), (ArgMax(axis=0),)))


PAIR = (
    Sigmoid(),
    Constant(numbers=(1.0,), shape=(), kind="real"),
    Elementwise(operator="subtract", values=(2, 1)),
    Pick(values=(3, 1), index=(0, 1), shape=(2,)),
)
"""One score becomes the probabilities of two classes."""


def test_one_score_of_a_network_that_names_two_classes_is_about_both():
    scores = np.array([[np.log(3.0)], [-5.0]])
    signature = output((1,), epilogue=(*PAIR, Columns(labels=("no", "yes"))))
    assert are_scores(signature)
    assert class_count(signature) == 2
    assert confidence_words(signature) == "the probabilities"
    found = predictions(signature, apply_steps(scores, signature.epilogue))
    assert [(one.label, pytest.approx(one.confidence)) for one in found[0]] == [("yes", 0.75), ("no", 0.25)]
    chosen = output((1,), epilogue=(*PAIR, ArgMax(axis=0), Labels(labels=("no", "yes"))))
    assert are_scores(chosen)
    assert classes(chosen, apply_steps(scores, chosen.epilogue)).tolist() == [1, 0]


def test_a_choice_inside_is_none_of_the_result():
    votes = (ArgMax(axis=0), Reshape(shape=(1,)), Constant(numbers=(0.0, 1.0, 2.0), shape=(3,), kind="integer"))
    equal = Elementwise(operator="equal", values=(2, 3))
    signature = output((3,), epilogue=(*votes, equal))
    assert not is_choice(signature)


def test_a_softmax_that_is_written_out_gives_probabilities():
    softmax = (
        Elementwise(operator="exp", values=(0,)),
        Reduce(reduction="sum", axes=(0,), keep=True),
        Elementwise(operator="divide", values=(1, 2)),
    )
    signature = output((3,), epilogue=softmax)
    values = apply_steps(np.log([[0.2, 0.5, 0.3]]), softmax)
    np.testing.assert_allclose(confidences(signature, values), [[0.2, 0.5, 0.3]])


def test_evidence_orders_rows_as_confidences_do():
    scores = np.random.default_rng(0).normal(size=(50, 3))
    for signature in (output((3,)), output((3,), epilogue=(Softmax(axes=(0,)),))):
        values = scores if not signature.epilogue else confidences(output((3,)), scores)
        found, sure = evidence(signature, values), confidences(signature, values)
        np.testing.assert_array_equal(found.argsort(axis=0), sure.argsort(axis=0))
    odds = np.exp(evidence(output((3,)), scores))
    np.testing.assert_allclose(odds / (1 + odds), confidences(output((3,)), scores))
    np.testing.assert_allclose(evidence(output((1,), ("no", "yes")), scores[:, :1])[:, 1], scores[:, 0])


def test_evidence_tells_rows_apart_whose_confidences_are_one():
    scores = np.array([[0.0, 50.0], [0.0, 60.0]])
    assert confidences(output((2,)), scores)[:, 1].tolist() == [1.0, 1.0]
    assert evidence(output((2,)), scores)[:, 1].tolist() == [50.0, 60.0]
