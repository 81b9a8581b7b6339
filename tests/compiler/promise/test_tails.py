"""Tails: how far the next row may reach, and how many do."""

import numpy as np
import pytest

from hecc.compiler.promise.tails import MIN_ROWS, Tail


@pytest.mark.parametrize("probability", [1e-2, 1e-3, 1e-4])
def test_of_exponential_extremes_as_many_are_beyond_an_end_as_was_said(probability):
    # Over many calibrations: each has an end of its own, beyond which exp(-end) of all rows are.
    generator = np.random.default_rng(5)
    beyond = [np.exp(-Tail.of(generator.exponential(size=200)).end(probability)) for _ in range(4000)]
    assert np.mean(beyond) == pytest.approx(probability, rel=0.1)


@pytest.mark.parametrize("draw", ["normal", "uniform"])
def test_lighter_tails_have_fewer_beyond(draw):
    generator = np.random.default_rng(6)
    rows = getattr(generator, draw)(size=(400, 200))
    fresh = getattr(generator, draw)(size=100_000)
    assert np.mean([(fresh > Tail.of(one).end(1e-3)).mean() for one in rows]) < 1e-3


def test_what_is_beyond_an_end_is_what_the_end_was_for():
    tail = Tail.of(np.random.default_rng(7).exponential(size=100))
    assert tail.threshold == pytest.approx(np.log(5), rel=0.5)
    for probability in (0.1, 1e-3, 1e-9):
        assert tail.beyond(tail.end(probability)) == pytest.approx(probability)
    assert tail.beyond(tail.threshold) == tail.beyond(-1e300) == 0.2
    assert tail.beyond(1e300) == pytest.approx(0.0, abs=1e-100)
    assert tail.end(0.5) == tail.threshold


def test_of_rows_that_are_alike_none_is_beyond():
    tail = Tail.of(np.full(100, 3.0))
    assert tail.end(1e-9) == 3.0
    assert tail.beyond(3.0) == 0.0


def test_few_rows_have_no_tail():
    assert Tail.of(np.arange(MIN_ROWS - 1.0)) is None
    assert Tail.of(np.arange(float(MIN_ROWS))).number == 10
