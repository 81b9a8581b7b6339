"""Pairwise coupling computes what libsvm does, and stays bounded whatever it is given."""

from __future__ import annotations

import numpy as np
import pytest

from hecc.runtime.errors import ParameterError
from hecc.runtime.tail import coupling
from hecc.runtime.tail.coupling import coupled
from hecc.runtime.tail.epilogue import Couple, apply_steps, describe, result_shape

DRAWN = np.random.default_rng(0)


def pairs_of(probabilities: np.ndarray) -> np.ndarray:
    """Those of every two classes, from those of all."""
    first, second = np.triu_indices(probabilities.shape[-1], 1)
    return probabilities[..., first] / (probabilities[..., first] + probabilities[..., second])


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_probabilities_that_agree_with_one_another_come_back(classes: int) -> None:
    right = DRAWN.dirichlet(np.ones(classes), 50)
    found = coupled(pairs_of(right))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    # libsvm stops when it is close.
    assert np.abs(found - right).max() < 0.03
    assert np.abs(found - right).mean() < 0.003


def by_the_book(classes: int, row: np.ndarray) -> np.ndarray:
    """Algorithm 2 of Wu, Lin and Weng, with libsvm's stopping rule, one number at a time."""
    r = np.zeros((classes, classes))
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    for (i, j), value in zip(pairs, row, strict=True):
        r[i, j], r[j, i] = value, 1 - value
    q = np.array([[-r[j, i] * r[i, j] for j in range(classes)] for i in range(classes)])
    for t in range(classes):
        q[t, t] = sum(r[j, t] ** 2 for j in range(classes) if j != t)
    p = np.full(classes, 1 / classes)
    for _ in range(100):
        if np.abs(q @ p - p @ q @ p).max() < 0.005 / classes:
            break
        for t in range(classes):
            p[t] = (p @ q @ p - sum(q[t, j] * p[j] for j in range(classes) if j != t)) / q[t, t]
            p /= p.sum()
    return p


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_it_is_what_the_paper_says(classes: int) -> None:
    given = DRAWN.uniform(1e-7, 1 - 1e-7, (20, classes * (classes - 1) // 2))
    for row, found in zip(given, coupled(given), strict=True):
        np.testing.assert_allclose(found, by_the_book(classes, row), atol=1e-9)


def test_rows_are_coupled_apart_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    given = DRAWN.uniform(0.1, 0.9, (10, 6))
    whole = coupled(given)
    monkeypatch.setattr(coupling, "ROOM", 3 * 16)
    np.testing.assert_array_equal(coupled(given), whole)
    np.testing.assert_array_equal(coupled(given[4:5])[0], whole[4])


def test_it_is_a_step_of_a_plan() -> None:
    assert result_shape((6,), [Couple()]) == (4,)
    assert result_shape((2, 1), [Couple()]) == (2, 2)
    assert describe([Couple()]) == "pairwise coupling"
    assert apply_steps(np.full((3, 6), 0.5), [Couple()]).shape == (3, 4)
    # What is no probability is answered with something, not with an error.
    assert apply_steps(np.array([[np.nan, 5.0, -3.0], [0.0, 0.0, 0.0]]), [Couple()]).shape == (2, 3)
    for shape in ((), (2,), (5,), (3, 4)):
        with pytest.raises(ParameterError, match="which are not those of every two of some classes"):
            result_shape(shape, [Couple()])
