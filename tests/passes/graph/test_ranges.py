"""Ranges: no input within the declared range exceeds what is proved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hecc.passes.graph.ranges import value_ranges
from hecc.runtime.errors import CompileError


def network(build: Any) -> Any:
    build.input("x", 2, 4, 4)
    build.convolution("c", "x", 3)
    build.polynomial("p", "c", 0.0, [[[[0.5]], [[-1.0]], [[3.0]]]], 1.0)
    build.convolution("d", "p", 2, stride=2)
    build.square("s", "d")
    build.total("y", (0.5, "s"), (-2.0, "d"), bias=1.0)
    return build.graph("y")


def test_no_input_exceeds_the_proved_magnitude(build: Any) -> None:
    """Random search, corners of the box included."""
    graph = network(build)
    generator = np.random.default_rng(2)
    low, high = -0.5, 2.0
    calibration = {"x": generator.uniform(low, high, (4, 2, 4, 4))}
    ranges = value_ranges(graph, calibration, {"x": (low, high)}, 4.0)
    anywhere = generator.uniform(low, high, (500, 2, 4, 4))
    corners = generator.choice([low, high], (1500, 2, 4, 4))
    found = graph.evaluate({"x": np.concatenate([anywhere, corners])})
    for name, values in found.items():
        assert np.abs(values).max() <= ranges[name].proved * (1 + 1e-12), name


def test_the_interval_of_one_affine_node_is_attained(build: Any) -> None:
    """Soundness would be easy with a bound that is far too large; of one layer the bound is exact."""
    build.input("x", 6)
    build.dense("y", "x", 4, 0.25)
    graph = build.graph("y")
    weights = graph.parameters["y.w"]
    low, high = -1.0, 3.0
    worst = np.concatenate([np.where(weights.T > 0, high, low), np.where(weights.T > 0, low, high)])
    proved = value_ranges(graph, {"x": np.ones((1, 6))}, {"x": (low, high)}, 4.0)["y"].proved
    assert proved == pytest.approx(float(np.abs(graph.evaluate({"x": worst})["y"]).max()))


def test_the_vertex_of_a_polynomial_counts(build: Any) -> None:
    """x^2 - 2 x on [0, 2] is smallest in the middle, where neither end shows it."""
    build.input("x", 1)
    build.polynomial("y", "x", 0.0, -2.0, 1.0)
    found = value_ranges(build.graph("y"), {"x": np.zeros((1, 1))}, {"x": (0.0, 2.0)}, 4.0)["y"]
    assert found.proved == pytest.approx(1.0)


def test_observed_and_root_mean_square_are_those_of_the_calibration_inputs(build: Any) -> None:
    build.input("x", 2)
    build.scale("y", "x", 2.0)
    found = value_ranges(build.graph("y"), {"x": np.array([[1.0, -3.0], [0.0, 2.0]])}, {"x": (-4.0, 4.0)}, 4.0)["y"]
    assert (found.observed, found.rms) == (6.0, pytest.approx(np.sqrt((4 + 36 + 0 + 16) / 4)))


@pytest.mark.parametrize(("margin", "bound"), [(1.5, 9.0), (100.0, 16.0)])
def test_the_bound_is_the_smaller_of_proof_and_margin(build: Any, margin: float, bound: float) -> None:
    build.input("x", 2)
    build.scale("y", "x", 2.0)
    calibration = {"x": np.array([[1.0, -3.0]])}
    assert value_ranges(build.graph("y"), calibration, {"x": (-8.0, 8.0)}, margin)["y"].bound == bound


def test_a_value_that_calibration_leaves_at_zero_still_has_a_magnitude(build: Any) -> None:
    build.input("x", 2)
    build.scale("y", "x", 2.0)
    build.scale("z", "x", 0.0)
    ranges = value_ranges(build.graph("y", "z"), {"x": np.zeros((1, 2))}, {"x": (-1.0, 1.0)}, 4.0)
    assert ranges["y"].observed == 2.0
    assert ranges["z"].observed == 1.0


def test_where_it_must_be_proved_the_bound_is_what_is_proved(build: Any) -> None:
    build.input("x", 2)
    build.scale("y", "x", 2.0)
    calibration = {"x": np.array([[1.0, -3.0]])}
    found = value_ranges(build.graph("y"), calibration, {"x": (-80.0, 80.0)}, 1.5, proved=True)["y"]
    assert found.bound == found.proved == 160.0


@pytest.mark.parametrize(("value", "fate"), [(2.0, "grow beyond all bounds"), (0.5, "vanish")])
def test_values_beyond_all_bounds_are_refused_by_the_node_that_makes_them(build: Any, value: float, fate: str) -> None:
    build.input("x", 1, 2, 2)
    for i in range(11):
        build.square(f"s{i}", f"s{i - 1}" if i else "x")
    with pytest.raises(CompileError, match=f"/s8.*: the calibration inputs make values {fate} here; scale"):
        value_ranges(build.graph("s10"), {"x": np.full((3, 1, 2, 2), value)}, {"x": (0.0, 2.0)}, 4.0)


def test_a_declared_range_that_proves_nothing_is_refused_where_proofs_are_wanted(build: Any) -> None:
    build.input("x", 1, 2, 2)
    build.square("y", "x")
    calibration, declared = {"x": np.ones((3, 1, 2, 2))}, {"x": (-1e308, 1e308)}
    assert value_ranges(build.graph("y"), calibration, declared, 4.0)["y"].bound == 4.0
    with pytest.raises(CompileError, match=r"/x.*: inputs in the declared range can make values grow"):
        value_ranges(build.graph("y"), calibration, declared, 4.0, proved=True)
