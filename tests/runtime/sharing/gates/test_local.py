"""Rounding: off by less than one, right on average, and exactly as the low part of the mask decides."""

import numpy as np
import pytest

from hecc.runtime.sharing.program.instructions import Affine, Input, Output, Public, Release, Shift
from hecc.runtime.sharing.program.program import Program

BITS = 6


def shifted(size, ring=20):
    return Program(
        (
            Input(name="x", size=size, ring=ring),
            Affine(public=(Public(x=0),), size=size, ring=ring),
            Shift(x=1, bits=BITS, ring=ring - BITS),
            Release(x=2, ring=ring - BITS),
            Output(name="y", x=3),
        ),
        {},
    )


def test_every_number_is_rounded_to_a_neighbour(infer):
    x = np.tile(np.arange(-(1 << 11), 1 << 11), (2, 1))
    y = infer(shifted(1 << 12), {"x": x}).results["y"]
    assert np.abs(y - x / 64).max() < 1
    whole = x % 64 == 0
    np.testing.assert_array_equal(y[whole], x[whole] // 64)


@pytest.mark.parametrize("value", [37, -37, 1, 63, 64 * 100 + 5])
def test_the_mean_is_right(infer, value):
    """The number of roundings up is binomial; five deviations."""
    trials = 1 << 16
    y = infer(shifted(trials), {"x": np.full((1, trials), value)}).results["y"]
    p = value % 64 / 64
    assert abs(y.mean() - value / 64) < 5 * np.sqrt(p * (1 - p) / trials)


def test_the_low_part_of_the_mask_is_the_coin(infer):
    x = np.random.default_rng(0).integers(-(1 << 18), 1 << 18, (2, 500))
    done = infer(shifted(500), {"x": x})
    secrets = done.secrets()
    coin = (secrets.take(500, 20) & np.uint64(63)).astype(np.int64)
    np.testing.assert_array_equal(done.results["y"], (x >> BITS) + (coin < x % 64))


def test_clear_rounds_by_the_coins_it_is_given(infer):
    x = np.random.default_rng(0).integers(-(1 << 18), 1 << 18, (2, 500))
    done = infer(shifted(500), {"x": x})

    class Coins:
        def take(self, count, width):
            assert (count, width) == (500, BITS)
            return done.secrets().take(500, 20) & np.uint64(63)

    np.testing.assert_array_equal(done.clear(Coins())["y"], done.results["y"])
