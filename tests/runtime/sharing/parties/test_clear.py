"""Programs in clear: what inputs become as integers, what results stand for, and rounding by coins or without."""

import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from hecc.runtime.errors import InputError
from hecc.runtime.sharing.parties.clear import Nearest, SeededCoins, in_clear, integers_of, values_of

sys.path.insert(0, str(Path(__file__).parents[1] / "sessions"))
from small_plan import PLAN, drawn
from small_plan import in_clear as expected

SLACK = np.abs(PLAN.secrets.weights["w"]).sum(axis=1).max()


def test_inputs_become_the_nearest_multiples_of_their_unit():
    (source,) = PLAN.header.inputs
    header = msgspec.structs.replace(PLAN.header, inputs=(msgspec.structs.replace(source, unit=0.25),))
    found = integers_of(header, {"x": np.array([[0.1, 0.2, -0.6, 49.9, -50.0]])})
    np.testing.assert_array_equal(found["x"], [[0, 1, -2, 200, -200]])
    assert found["x"].dtype == np.int64


def test_results_are_signed_multiples_of_their_unit_in_the_shape_of_the_output():
    (target,) = PLAN.header.outputs
    header = msgspec.structs.replace(PLAN.header, outputs=(msgspec.structs.replace(target, unit=0.5, shape=(3, 1)),))
    ring = np.array([[0, 5, (1 << 24) - 1]], dtype=np.uint64)
    found = values_of(header, PLAN.checked, {"y": ring})["y"]
    assert found.shape == (1, 3, 1)
    np.testing.assert_array_equal(found.reshape(-1), [0.0, 2.5, -0.5])


def test_coins_are_as_many_bits_as_are_cut_off_and_the_seed_decides():
    coins = SeededCoins(4, 7).take(1000, 3)
    assert coins.shape == (4, 1000)
    assert set(np.unique(coins)) == set(range(8))
    np.testing.assert_array_equal(coins, SeededCoins(4, 7).take(1000, 3))
    assert (coins != SeededCoins(4, 8).take(1000, 3)).any()
    np.testing.assert_array_equal(Nearest(2).take(3, 5), np.full((2, 3), 16))


def test_a_plan_in_clear_is_within_a_unit_of_the_gate_and_the_nearest_is_the_mean_of_coins():
    x = drawn(50)
    rows = {"x": x.astype(float)}
    nearest = in_clear(PLAN, rows, Nearest(50))["y"]
    assert np.abs(nearest - expected(x)).max() <= SLACK
    several = [in_clear(PLAN, rows, SeededCoins(50, seed))["y"] for seed in range(200)]
    assert np.abs(several[0] - expected(x)).max() <= SLACK
    assert (several[0] != several[1]).any()
    # Unbiased: what is rounded at random is right on average, and what is rounded to the nearest need not be.
    error = np.mean(several, axis=0) - expected(x)
    spread = np.std(several, axis=0)
    assert np.abs(error).max() < 6 * spread.max() / np.sqrt(len(several))


def test_the_client_has_no_weights_to_compute_with():
    with pytest.raises(InputError, match="the client's plan"):
        in_clear(PLAN.client(), {"x": drawn(1).astype(float)}, Nearest(1))
