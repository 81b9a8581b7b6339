"""Metrics: by hand, by scikit-learn and by scipy; intervals that hold the truth as often as they say."""

import math

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy import stats
from sklearn import metrics as sk

from hecc.measure.metrics.classification import classification_metrics
from hecc.measure.metrics.intervals import area_interval, bootstrap_interval, proportion_interval
from hecc.measure.metrics.metric import Metric
from hecc.measure.metrics.regression import regression_metrics

Z = stats.norm.ppf(0.975)


def by_name(metrics):
    return {(metric.name, metric.of): metric for metric in metrics}


def wilson(count, rows):
    share, spread = count / rows, Z**2 / rows
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(share * (1 - share) / rows + Z**2 / (4 * rows**2))
    return middle - half, middle + half


@pytest.mark.parametrize(("count", "rows"), [(0, 1), (0, 7), (3, 7), (81, 263), (10, 10)])
def test_proportions_have_wilsons_interval(count, rows):
    assert proportion_interval(count, rows) == pytest.approx(wilson(count, rows), abs=1e-12)


def test_wilsons_interval_is_the_published_one():
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I.
    assert proportion_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert proportion_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)


@pytest.mark.parametrize(("area", "positives", "negatives"), [(0.8, 50, 50), (0.5, 3, 4), (0.99, 20, 400), (0.2, 9, 7)])
def test_the_ends_of_an_areas_interval_are_a_standard_error_of_their_own_away(area, positives, negatives):
    others = (positives + negatives) / 2 - 1
    for end in area_interval(area, positives, negatives):
        variance = end * (1 - end) * (1 + others * ((1 - end) / (2 - end) + end / (1 + end))) / (positives * negatives)
        assert abs(area - end) == pytest.approx(Z * math.sqrt(variance), rel=1e-6)


def test_a_perfect_area_has_an_interval_with_a_width():
    # 1 - t = z^2 t, by hand.
    assert area_interval(1.0, 1, 1) == pytest.approx((1 / (1 + Z**2), 1.0))
    assert area_interval(0.0, 5, 5)[1] == pytest.approx(1 - area_interval(1.0, 5, 5)[0])
    assert 0.999 < area_interval(1.0, 10**5, 10**5)[0] < 1


def test_the_interval_of_an_area_holds_the_truth_as_often_as_it_says():
    random = np.random.default_rng(3)
    true = stats.norm.cdf(1.5 / math.sqrt(2))
    held = 0
    for _ in range(400):
        scores = random.normal(size=50) + np.repeat([1.5, 0], [20, 30])
        low, high = area_interval(sk.roc_auc_score(np.repeat([1, 0], [20, 30]), scores), 20, 30)
        held += low <= true <= high
    # Three standard deviations of how often 95% of 400 are held, and a little for an approximation.
    assert 0.91 < held / 400 < 0.99


def test_the_bootstrap_of_a_mean_is_near_its_standard_error():
    values = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap_interval(lambda drawn: values[drawn].mean(axis=-1), 400)
    half = Z * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    assert (low, high) == bootstrap_interval(lambda drawn: values[drawn].mean(axis=-1), 400)


@pytest.fixture(scope="module")
def binary():
    random = np.random.default_rng(1)
    truth = random.integers(0, 2, 80)
    sure = np.clip(0.25 * truth + random.uniform(0, 0.75, 80), 0, 1)
    return truth, (sure > 0.5).astype(np.int64), np.stack([1 - sure, sure], axis=1)


def test_two_classes_are_measured_for_the_second(binary):
    truth, predictions, sure = binary
    found = by_name(classification_metrics(truth, predictions, sure, ("benign", "malignant")))
    assert list(found) == [("accuracy", ""), ("sensitivity", ""), ("specificity", ""), ("AUC", "")]
    assert found["accuracy", ""].value == sk.accuracy_score(truth, predictions)
    assert found["sensitivity", ""].value == sk.recall_score(truth, predictions)
    assert found["specificity", ""].value == sk.recall_score(truth, predictions, pos_label=0)
    assert found["AUC", ""].value == sk.roc_auc_score(truth, sure[:, 1])
    hits, positives = int(predictions[truth == 1].sum()), int(truth.sum())
    sensitivity, auc = found["sensitivity", ""], found["AUC", ""]
    assert (sensitivity.low, sensitivity.high) == pytest.approx(wilson(hits, positives))
    assert (auc.low, auc.high) == area_interval(auc.value, positives, 80 - positives)
    assert (sensitivity.rows, auc.rows) == (positives, 80)


def test_an_example_by_hand():
    truth = np.array([0, 0, 0, 1, 1])
    sure = np.array([0.1, 0.4, 0.8, 0.6, 0.9])
    found = by_name(
        classification_metrics(truth, (sure > 0.5).astype(int), np.stack([1 - sure, sure], axis=1), ("no", "yes"))
    )
    values = {name: metric.value for (name, _), metric in found.items()}
    # Of six pairs of a yes and a no, only 0.6 and 0.8 are the wrong way round.
    assert values == pytest.approx({"accuracy": 4 / 5, "sensitivity": 1.0, "specificity": 2 / 3, "AUC": 5 / 6})


def test_each_of_several_classes_is_held_against_the_others():
    random = np.random.default_rng(2)
    truth = random.integers(0, 3, 90)
    sure = random.dirichlet(np.ones(3), 90) + 0.8 * np.eye(3)[truth]
    predictions = sure.argmax(axis=1)
    found = by_name(classification_metrics(truth, predictions, sure, ("a", "b", "c")))
    assert len(found) == 1 + 3 * 3
    for number, name in enumerate("abc"):
        own = truth == number
        assert found["sensitivity", name].value == sk.recall_score(own, predictions == number)
        assert found["specificity", name].value == sk.recall_score(own, predictions == number, pos_label=False)
        assert found["AUC", name].value == sk.roc_auc_score(own, sure[:, number])
    mean = np.mean([found["AUC", name].value for name in "abc"])
    normalised = sure / sure.sum(axis=1, keepdims=True)
    assert mean == pytest.approx(sk.roc_auc_score(truth, normalised, multi_class="ovr"), abs=0.02)


def test_rows_without_a_result_are_wrong_and_have_no_place_on_the_curve(binary):
    truth, predictions, sure = (array.copy() for array in binary)
    lost = [int(np.flatnonzero(truth == 1)[0]), int(np.flatnonzero(truth == 0)[0])]
    predictions[lost], sure[lost] = -1, np.nan
    found = by_name(classification_metrics(truth, predictions, sure, ("no", "yes")))
    kept = np.setdiff1d(np.arange(80), lost)
    assert found["accuracy", ""].value == (predictions == truth).sum() / 80
    assert found["sensitivity", ""].value == (predictions == 1)[truth == 1].sum() / truth.sum()
    assert found["specificity", ""].value == (predictions == 0)[truth == 0].sum() / (80 - truth.sum())
    assert found["AUC", ""].value == sk.roc_auc_score(truth[kept], sure[kept, 1])
    assert found["AUC", ""].rows == 78


def test_what_cannot_be_computed_says_why():
    ones, sure = np.ones(4, dtype=np.int64), np.full((4, 2), 0.5)
    found = by_name(classification_metrics(ones, ones, sure, ("no", "yes")))
    assert found["specificity", ""] == Metric("specificity", "", None, None, None, 0, "every row is 'yes'")
    assert found["AUC", ""].why == "every row is 'yes'"
    found = by_name(classification_metrics(0 * ones, 0 * ones, sure, ("no", "yes")))
    assert found["sensitivity", ""].why == found["AUC", ""].why == "no row is 'yes'"
    found = by_name(classification_metrics(np.array([0, 1]), np.array([0, 1]), None, ("no", "yes")))
    assert found["AUC", ""].why == "the network gives a choice and no scores"
    found = by_name(classification_metrics(ones, -ones, np.full((4, 2), np.nan), ("no", "yes")))
    assert found["AUC", ""].why == "no row has a result"
    assert found["accuracy", ""].value == 0


def test_a_regression_is_measured_as_scikit_learn_does():
    random = np.random.default_rng(4)
    truth = random.normal(size=(60, 2)) * [1, 10]
    values = truth + random.normal(size=(60, 2))
    lost = values.copy()
    lost[7] = np.nan
    kept = np.setdiff1d(np.arange(60), [7])
    error, share = regression_metrics(truth, lost)
    assert error.value == pytest.approx(sk.mean_absolute_error(truth[kept], values[kept]))
    assert share.value == pytest.approx(sk.r2_score(truth[kept], values[kept]))
    assert error.low < error.value < error.high
    assert share.low < share.value < share.high < 1
    assert error.rows == share.rows == 59
    assert regression_metrics(truth, lost) == (error, share)


def test_the_interval_of_r2_is_that_of_resampled_rows():
    random = np.random.default_rng(5)
    truth = random.normal(size=(30, 1))
    values = truth + 0.5 * random.normal(size=(30, 1))
    _, share = regression_metrics(truth, values)
    drawn = random.integers(30, size=(2000, 30))
    shares = [sk.r2_score(truth[rows], values[rows]) for rows in drawn]
    assert (share.low, share.high) == pytest.approx(tuple(np.quantile(shares, [0.025, 0.975])), abs=0.03)


def test_few_or_equal_answers_leave_a_regression_without_r2():
    error, share = regression_metrics(np.ones((3, 1)), np.array([[1.0], [2.0], [4.0]]))
    assert error.value == pytest.approx(4 / 3)
    assert (share.value, share.why) == (None, "the right answers are all the same")
    (error, share) = regression_metrics(np.ones((1, 1)), np.full((1, 1), 3.0))
    assert (error.value, error.low, error.why) == (2.0, None, "one row has no interval")
    assert {metric.why for metric in regression_metrics(np.ones((2, 1)), np.full((2, 1), np.nan))} == {
        "no row has a result"
    }
