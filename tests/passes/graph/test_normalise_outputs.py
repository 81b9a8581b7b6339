"""Outputs of one size: what the client restores is what the network computes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hecc.compiler.graph.nodes import AffineNode, ChebyshevNode, QuadraticNode
from hecc.passes.graph.depth import multiplicative_depth
from hecc.passes.graph.normalise_outputs import Normalised, normalise_outputs
from hecc.runtime.tail.epilogue import MAX_STEPS, apply_steps, result_shape
from hecc.runtime.tail.steps import Constant, Elementwise, Pick, Real, Recall, Softmax

ROWS = {"x": np.random.default_rng(3).uniform(-1, 1, (200, 4))}
SIZES = np.array([1.0, 1e-4, 1e3, 1.0, 5.0])


def normalised(graph: Any) -> Normalised:
    return normalise_outputs(graph, graph.evaluate(ROWS), 200)


def restored(found: Normalised, name: str) -> Any:
    return apply_steps(found.graph.evaluate(ROWS)[name], found.restored[name])


def dense(build: Any, factor: Any = SIZES, bias: Any = None) -> Any:
    build.dense("d", build.input("x", 4), 5)
    return build.scale("y", "d", np.asarray(factor).reshape(1, 5), bias)


def spread(values: Any) -> Any:
    return np.ptp(values, axis=0)


def test_rows_of_an_affine_map_are_scaled_to_one_size(build: Any) -> None:
    graph = build.graph(dense(build, bias=np.array([[0.0, 7.0, -1e6, 1e5, 0.0]])))
    found = normalised(graph)
    values = found.graph.evaluate(ROWS)["y"]
    np.testing.assert_allclose(values, found.values["y"], rtol=0, atol=1e-9)
    assert spread(values).max() < 2 * spread(values).min()
    assert np.abs(values).max() < 2
    np.testing.assert_allclose(restored(found, "y"), graph.evaluate(ROWS)["y"], rtol=1e-12, atol=1e-9)
    assert multiplicative_depth(found.graph)["y"] == multiplicative_depth(graph)["y"]


def test_the_clients_numbers_are_powers_of_two_and_their_multiples(build: Any) -> None:
    found = normalised(build.graph(dense(build, bias=np.array([[0.0, 7.0, -1e6, 1e5, 0.0]]))))
    factor, constant = (np.array(s.numbers) for s in found.restored["y"] if isinstance(s, Constant))
    assert (np.log2(factor) % 1 == 0).all()
    assert (constant / factor % 1 == 0).all()


@pytest.mark.parametrize("sizes", [np.ones(5), np.array([1.0, 1.5, 0.8, 1.2, 1.0])])
def test_outputs_of_one_size_are_left_alone(build: Any, sizes: Any) -> None:
    dense(build)
    factor = sizes / spread(build.graph("d").evaluate(ROWS)["d"])
    graph = build.graph(build.scale("z", "d", factor.reshape(1, 5)))
    found = normalised(graph)
    assert found.graph is graph
    assert not found.restored


def test_a_value_that_is_used_inside_as_well_is_left_alone(build: Any) -> None:
    build.square("s", dense(build))
    graph = build.graph("y", "s")
    assert normalised(graph).graph is graph


def test_the_clients_own_steps_come_behind_and_count_on(build: Any) -> None:
    steps = (
        Softmax((0,)),
        Constant((2.0,), (), "real"),
        Elementwise("multiply", (1, 2)),
        Recall(0),
        Elementwise("add", (3, 4)),
        Pick((0, 5), (0, 9), (2,)),
        Real(),
    )
    graph = replace(build.graph(dense(build)), epilogues={"y": steps})
    found = normalised(graph)
    given = found.graph.evaluate(ROWS)["y"]
    expected = apply_steps(graph.evaluate(ROWS)["y"], steps)
    np.testing.assert_allclose(apply_steps(given, found.graph.epilogues["y"]), expected, rtol=1e-9, atol=1e-9)
    assert result_shape((5,), found.graph.epilogues["y"]) == (2,)


def test_outputs_that_are_one_value_are_each_restored(build: Any) -> None:
    graph = replace(build.graph(dense(build)), aliases={"y": "y", "p": "y"}, epilogues={"p": (Softmax((0,)),)})
    found = normalised(graph)
    assert found.graph.epilogues["y"] == found.restored["y"]
    assert found.graph.epilogues["p"] == (*found.restored["y"], Softmax((0,)))


def test_a_client_with_as_many_steps_as_there_may_be_gets_no_more(build: Any) -> None:
    graph = replace(build.graph(dense(build)), epilogues={"y": (Real(),) * (MAX_STEPS - 1)})
    assert normalised(graph).graph is graph


def test_what_is_elementwise_behind_a_square_is_the_clients_and_saves_a_level(build: Any) -> None:
    build.square("s", build.dense("d", build.input("x", 4), 5))
    graph = build.graph(build.scale("y", "s", SIZES.reshape(1, 5), np.array([[0.0, 1.0, 1e6, 0.0, 0.0]])))
    found = normalised(graph)
    assert isinstance(found.graph.node("y"), QuadraticNode)
    np.testing.assert_allclose(restored(found, "y"), graph.evaluate(ROWS)["y"], rtol=1e-12, atol=1e-12)
    assert multiplicative_depth(found.graph)["y"] == multiplicative_depth(graph)["y"] - 1


def test_a_factor_of_zero_cannot_be_taken_back(build: Any) -> None:
    build.square("s", build.dense("d", build.input("x", 4), 5))
    graph = build.graph(build.scale("y", "s", np.array([[1.0, 0.0, 2.0, 3.0, 4.0]])))
    assert isinstance(normalised(graph).graph.node("y"), AffineNode)


def test_the_constant_of_a_polynomial_is_the_clients(build: Any) -> None:
    d = build.dense("d", build.input("x", 4), 5)
    names = [build.parameter(f"c{k}", value) for k, value in enumerate([np.full((1, 5), 1e5), 0.0, 1.0])]
    graph = build.graph(build.add(QuadraticNode, "y", (1, 5), d, tuple(names)))
    found = normalised(graph)
    assert np.abs(found.graph.evaluate(ROWS)["y"]).max() < 100
    np.testing.assert_allclose(restored(found, "y"), graph.evaluate(ROWS)["y"], rtol=1e-12)


def test_a_series_at_the_end_is_left_alone(build: Any) -> None:
    d = build.dense("d", build.input("x", 4), 5)
    graph = build.graph(
        build.add(ChebyshevNode, "y", (1, 5), d, build.parameter("c", [0.0, 1.0, 0.0, 0.2]), (-1.0, 1.0))
    )
    assert normalised(graph).graph is graph


def test_large_outputs_get_no_number_for_each_element(build: Any) -> None:
    size = 5000
    factor = np.where(np.arange(size) % 2, 1.0, 1e6).reshape(1, size)
    graph = build.graph(build.scale("y", build.dense("d", build.input("x", 4), size), factor))
    assert normalised(graph).graph is graph
