"""The native stream of normal numbers has their distribution, and is the same everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hecc.runtime.native import NormalStream

COUNT = 1 << 21


def drawn(seed: int, stream: int, count: int = COUNT) -> np.ndarray:
    numbers = np.empty(count)
    NormalStream(seed, stream).fill(numbers)
    return numbers


def test_they_are_distributed_as_standard_normal_numbers() -> None:
    stats = pytest.importorskip("scipy.stats")
    numbers = drawn(1, 2)
    assert stats.kstest(numbers[:200_000], "norm").pvalue > 1e-3
    for moment, expected in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0), (6, 15.0)):
        spread = math.sqrt(math.prod(range(1, 2 * moment, 2)) / COUNT)
        assert np.mean(numbers**moment) == pytest.approx(expected, abs=5 * spread), moment
    for far in (2.0, 3.0, 4.0):
        expected = 2 * stats.norm.sf(far) * COUNT
        assert np.count_nonzero(np.abs(numbers) > far) == pytest.approx(expected, abs=5 * math.sqrt(expected))
    assert np.isfinite(numbers).all()


def test_neighbours_and_pairs_of_a_transform_are_independent() -> None:
    numbers = drawn(3, 4)
    for lag in (1, 15, 16, 17, 31, 32, 64):
        for power in (1, 2):
            values = numbers**power - np.mean(numbers**power)
            correlation = np.mean(values[:-lag] * values[lag:]) / np.mean(values**2)
            assert abs(correlation) < 5 / math.sqrt(COUNT), (lag, power)


def test_the_same_seeds_give_the_same_numbers_and_others_give_others() -> None:
    numbers = drawn(5, 6, 100)
    np.testing.assert_array_equal(numbers, drawn(5, 6, 100))
    np.testing.assert_array_equal(numbers[:64], drawn(5, 6, 64))
    for other in (drawn(5, 7, 100), drawn(6, 6, 100), drawn(6, 5, 100)):
        assert not np.isin(other, numbers).any()


def test_a_stream_goes_on_where_it_was() -> None:
    stream, parts = NormalStream(5, 6), [np.empty(64), np.empty(64)]
    for part in parts:
        stream.fill(part)
    np.testing.assert_array_equal(np.concatenate(parts), drawn(5, 6, 128))
    stream.fill(np.empty(0))


def test_other_arrays_are_refused() -> None:
    for wrong in (np.empty(8, np.float32), np.empty((2, 4)), np.empty(16)[::2]):
        with pytest.raises(TypeError):
            NormalStream(1, 2).fill(wrong)
