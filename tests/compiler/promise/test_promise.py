"""The promise: units of elements, where outputs are measured, and what is made of errors that were drawn."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hecc.compiler.graph.affine import MatrixProduct
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, InputNode, Source, Term, Value
from hecc.compiler.promise import promise
from hecc.compiler.promise.promise import Promise
from hecc.runtime.tail.steps import ArgMax, Constant, Elementwise, Labels, Softmax, Step
from hecc.runtime.tail.units import element_units

Array = np.ndarray[Any, Any]

SOURCE = Source("n", "Op", 13)
ROWS = {"x": np.random.default_rng(0).uniform(-1, 1, (100, 3))}


def linear(weights: Array, *steps: Step) -> Graph:
    """``y = x w``, and what the client makes of it."""
    size = weights.shape[1]
    x, y = Value("x", (1, 3)), Value("y", (1, size))
    product = MatrixProduct((1, 3), (1, size), "w")
    nodes = (InputNode(x, SOURCE), AffineNode(y, SOURCE, (Term("x", product),)))
    return Graph(nodes, ("y",), {"w": weights}, epilogues={"y": steps} if steps else {})


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        (np.linspace(-1, 3, 20), 4.0),
        (np.linspace(1e5, 1e5 + 2, 20), 2.0),
        (np.full(20, -7.0), 7.0),  # constant: its size
        (np.linspace(5, 5 + 1e-8, 20), 5.0),  # constant to a network in single precision
        (np.zeros(20), 4.0),  # zero: like the largest that varies
        (np.linspace(0, 1e-12, 20), 1e-12),  # small, and no less real
        (np.append(np.linspace(0, 1, 19), -np.inf), 1.0),
        (np.full(20, np.nan), 4.0),
    ],
)
def test_the_unit_of_an_element_is_its_own_range(column: Array, unit: float) -> None:
    beside = np.stack([np.linspace(-2, 2, 20), column], axis=1)
    assert element_units(beside, 20)[1] == pytest.approx(unit, rel=1e-6)


def test_of_few_calibration_inputs_the_range_of_all_inputs_counts() -> None:
    values = np.concatenate([np.full((3, 1), 1.0), [[5.0]]])
    assert element_units(values, 3)[0] == 4.0
    assert element_units(np.repeat(values, 8, axis=0)[:25], 24)[0] == 1.0


def test_a_constant_of_float32s_largest_hides_nothing() -> None:
    values = np.stack([np.linspace(-1, 1, 20), np.full(20, -3.4e38)], axis=1)
    np.testing.assert_allclose(element_units(values, 20), [2.0, 3.4e38])


def test_errors_count_behind_the_clients_steps() -> None:
    graph = linear(np.eye(3) * 20, Softmax((0,)))
    made = Promise.of(graph, ROWS)
    values = graph.evaluate(ROWS)["y"]
    off = values + np.array([0.01, 0.0, 0.0])
    scores = [np.exp(v) / np.exp(v).sum(axis=1, keepdims=True) for v in (values, off)]
    expected = (np.abs(scores[1] - scores[0]) / np.ptp(scores[0], axis=0)).max()
    assert made.error({"y": off}, np.arange(100)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "steps",
    [
        (ArgMax(axis=0),),
        (ArgMax(axis=0), Labels(("a", "b", "c"))),
        (Constant((0.0,), (), "real"), Elementwise("greater", (0, 1))),
        (Elementwise("round", (0,)),),
    ],
)
def test_where_the_end_jumps_what_it_starts_from_counts(steps: tuple[Step, ...]) -> None:
    graph = linear(np.eye(3), *steps)
    values = graph.evaluate(ROWS)["y"]
    found = Promise.of(graph, ROWS).error({"y": values + np.array([0.0, 0.01, 0.0])}, np.arange(100))
    assert found == pytest.approx(0.01 / np.ptp(values[:, 1]), rel=1e-9)


def test_the_worst_element_is_named_and_the_others_are_compared_with_it() -> None:
    graph = linear(np.diag([1.0, 1.0, 1e-3]))
    made, rows = Promise.of(graph, ROWS), np.arange(100).repeat(2)
    noise = np.random.default_rng(1).normal(0, 1e-6, (200, 3))
    found = made.measure({"y": graph.evaluate(ROWS)["y"][rows] + noise}, rows)
    assert found.worst == "y[2]"
    assert found.spread_bits == pytest.approx(math.log2(1e3), abs=0.3)
    assert 6e-6 < 2.0**-found.bits * 2e-3 < 8e-6


def test_what_is_random_is_added_to_the_largest_and_what_is_not_is_not() -> None:
    graph, rows = linear(np.eye(3)), np.arange(100).repeat(2)
    made, exact = Promise.of(graph, ROWS), graph.evaluate(ROWS)["y"][rows]
    steady = made.measure({"y": exact + 1e-3}, rows)
    assert 2.0**-steady.bits == pytest.approx(1e-3 / np.ptp(exact, axis=0).min(), rel=1e-6)
    noise = np.random.default_rng(1).normal(0, 1e-3, exact.shape)
    drawn = made.measure({"y": exact + noise}, rows)
    largest = (np.abs(noise) / np.ptp(exact, axis=0)).max()
    assert 2.0**-drawn.bits == pytest.approx(largest + promise.TAIL * 1e-3 / 2, rel=0.1)


def test_far_inputs_count_relative_to_what_they_make() -> None:
    graph = linear(np.eye(3))
    far = {"x": np.full((40, 3), 10.0)}
    made, rows = Promise.of(graph, ROWS, far), np.arange(140).repeat(2)
    exact = graph.evaluate(made.inputs)["y"][rows]
    found = made.measure({"y": exact + np.where(rows >= 100, 1e-2, 0.0)[:, np.newaxis]}, rows)
    near = Promise.of(graph, ROWS).measure({"y": exact[:200] + 1e-2}, rows[:200])
    assert found.bits == pytest.approx(near.bits + math.log2(10), abs=0.1)
    assert found.far_bits == pytest.approx(near.bits, abs=0.1)


def test_errors_beyond_all_numbers_leave_no_bits_and_name_the_element() -> None:
    graph, rows = linear(np.eye(3)), np.arange(100).repeat(2)
    values = graph.evaluate(ROWS)["y"][rows].copy()
    values[7, 1] = np.nan
    found = Promise.of(graph, ROWS).measure({"y": values}, rows)
    assert (found.bits, found.worst) == (-math.inf, "y[1]")


def test_an_error_says_how_much_of_the_promise_it_takes() -> None:
    plain, weighed = linear(np.eye(3)), linear(np.eye(3) * 20, Softmax((0,)))
    for graph in (plain, weighed):
        made, rows = Promise.of(graph, ROWS), np.arange(100).repeat(4)
        exact = graph.evaluate(ROWS)["y"][rows]
        noise = np.random.default_rng(5).normal(0, 1e-5, exact.shape)
        measured = made.measure({"y": exact + noise}, rows)
        assert -math.log2(1e-5 * made.sensitivity["y"]) == pytest.approx(measured.bits, abs=0.3)


def test_what_is_encrypted_in_the_place_of_an_output_is_restored_first() -> None:
    graph, rows = linear(np.eye(3)), np.arange(100).repeat(2)
    exact = graph.evaluate(ROWS)["y"]
    steps = (Constant((8.0,), (), "real"), Elementwise("multiply", (0, 1)))
    made = Promise.of(graph, ROWS).behind({"y": steps}, {"y": exact / 8})
    assert made.measure({"y": exact[rows] / 8 + 1e-4}, rows).bits == pytest.approx(
        Promise.of(graph, ROWS).measure({"y": exact[rows] + 8e-4}, rows).bits, abs=1e-6
    )
    assert made.sensitivity["y"] == pytest.approx(8 * Promise.of(graph, ROWS).sensitivity["y"], rel=0.2)


def test_outputs_that_are_one_value_are_each_measured_where_they_are_read() -> None:
    graph = linear(np.eye(3) * 20, Softmax((0,)))
    both = replace(graph, aliases={"y": "y", "c": "y"}, epilogues={"y": (Softmax((0,)),), "c": (ArgMax(axis=0),)})
    assert [reading.name for reading in Promise.of(both, ROWS).readings] == ["y", "c"]
