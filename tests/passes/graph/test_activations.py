"""Activations: every tangle of degree two becomes one monic square, at most one affine node after it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, InputNode, QuadraticNode
from hecc.compiler.graph.stages import CANONICAL, check_graph
from hecc.passes.graph.activations import substitute_activations
from hecc.passes.graph.depth import multiplicative_depth
from hecc.runtime.errors import GraphError


def kinds(graph: Graph) -> list[str]:
    return [node.kind for node in graph.nodes if not isinstance(node, InputNode)]


def linear_coefficient(graph: Graph) -> np.ndarray[Any, Any]:
    (square,) = [node for node in graph.nodes if isinstance(node, QuadraticNode)]
    constant, linear, leading = (graph.parameters[c] for c in square.coefficients)
    assert not np.any(constant)
    np.testing.assert_array_equal(leading, 1.0)
    return linear


def test_a_square_is_one_node(build: Any, equivalent: Any) -> None:
    build.input("x", 4)
    build.product("y", "x", "x")
    before = build.graph("y")
    after = substitute_activations(before)
    assert kinds(after) == ["quadratic"]
    equivalent(before, after)


def test_x_times_x_plus_x_is_one_node(build: Any, equivalent: Any) -> None:
    build.input("x", 4)
    build.product("s", "x", "x")
    build.total("y", (1.0, "s"), (1.0, "x"))
    before = build.graph("y")
    after = substitute_activations(before)
    assert kinds(after) == ["quadratic"]
    np.testing.assert_array_equal(linear_coefficient(after), 1.0)
    equivalent(before, after)


def test_a_scalar_polynomial_is_a_monic_square_and_an_affine_node(build: Any, equivalent: Any) -> None:
    """0.125 x^2 + 0.5 x + 0.25 is 0.125 (x^2 + 4 x) + 0.25."""
    build.input("x", 4)
    build.product("s", "x", "x")
    build.total("y", (0.125, "s"), (0.5, "x"), bias=0.25)
    before = build.graph("y")
    after = substitute_activations(before)
    assert kinds(after) == ["quadratic", "affine"]
    np.testing.assert_array_equal(linear_coefficient(after), 4.0)
    assert multiplicative_depth(after)["y"] == 2
    equivalent(before, after)


def test_coefficients_per_channel(build: Any, equivalent: Any) -> None:
    build.input("x", 3, 2, 2)
    build.product("s", "x", "x")
    build.scale("q", "s", np.array([1.0, 2.0, -4.0]).reshape(1, 3, 1, 1))
    build.scale("l", "x", np.array([1.0, 1.0, 2.0]).reshape(1, 3, 1, 1), 0.5)
    build.total("y", (1.0, "q"), (1.0, "l"))
    before = build.graph("y")
    after = substitute_activations(before)
    assert kinds(after) == ["quadratic", "affine"]
    np.testing.assert_allclose(linear_coefficient(after)[0, :, 0, 0], [1.0, 0.5, -0.5])
    equivalent(before, after)


def test_normalisation_before_a_square_stays_for_fusion_with_the_layer_before(build: Any, equivalent: Any) -> None:
    """The nearest root is squared: the affine node before it costs nothing once it is fused."""
    build.input("x", 3, 2, 2)
    build.scale("n", "x", np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1), 0.5)
    build.product("y", "n", "n")
    before = build.graph("y")
    after = substitute_activations(before)
    assert kinds(after) == ["affine", "quadratic"]
    assert after.node("y").inputs == ("n",)
    equivalent(before, after)


def test_product_of_two_affine_functions_of_one_value(build: Any, equivalent: Any) -> None:
    build.input("x", 4)
    build.scale("a", "x", 2.0, 1.0)
    build.scale("b", "x", 3.0, -1.0)
    build.product("y", "a", "b")
    before = build.graph("y")
    after = substitute_activations(before)
    assert kinds(after) == ["quadratic", "affine"]
    np.testing.assert_allclose(linear_coefficient(after), 1 / 6)
    equivalent(before, after)


def test_a_square_of_a_square_is_two_squares(build: Any, equivalent: Any) -> None:
    build.input("x", 4)
    build.product("s", "x", "x")
    build.product("y", "s", "s")
    before = build.graph("y")
    after = substitute_activations(before)
    assert kinds(after) == ["quadratic", "quadratic"]
    equivalent(before, after)


def test_terms_of_degree_two_that_cancel_leave_an_affine_node(build: Any, equivalent: Any) -> None:
    """(x + 1) (x - 1) - x^2 is -1 in form, and -1 + 2 x with another term."""
    build.input("x", 4)
    build.product("s", "x", "x")
    build.product("t", "x", "x")
    build.total("y", (1.0, "s"), (-1.0, "t"), (2.0, "x"))
    before = build.graph("y")
    after = substitute_activations(before)
    equivalent(before, after)


def test_polynomials_of_different_values_stay_apart(build: Any, equivalent: Any) -> None:
    build.input("x", 4)
    build.dense("z", "x", 4)
    build.product("s", "x", "x")
    build.product("t", "z", "z")
    build.total("y", (1.0, "s"), (1.0, "t"))
    before = build.graph("y")
    after = substitute_activations(before)
    assert kinds(after) == ["affine", "quadratic", "quadratic", "affine"]
    equivalent(before, after)


def test_a_residual_sum_is_no_activation(build: Any, equivalent: Any) -> None:
    build.input("x", 4)
    build.scale("a", "x", 2.0)
    build.total("y", (1.0, "a"), (1.0, "x"))
    before = build.graph("y")
    after = substitute_activations(before)
    assert all(isinstance(node, AffineNode) for node in after.nodes[1:])
    equivalent(before, after)


def test_the_linear_part_of_a_polynomial_that_is_nearly_linear_stays_apart(build: Any, equivalent: Any) -> None:
    """0.001 (x^2 + 1000 x) would have x stored as if it were thirty times as large."""
    build.input("x", 4)
    build.product("s", "x", "x")
    build.total("y", (0.001, "s"), (1.0, "x"), bias=0.25)
    before = build.graph("y")
    after = substitute_activations(before)
    assert kinds(after) == ["quadratic", "affine"]
    np.testing.assert_array_equal(linear_coefficient(after), 0.0)
    assert after.nodes[-1].inputs == ("y:monic", "x")
    equivalent(before, after)


def test_a_product_of_two_tensors_stays_one(build: Any, equivalent: Any) -> None:
    build.input("a", 4)
    build.input("b", 4)
    build.product("y", "a", "b")
    before = build.graph("y")
    after = substitute_activations(before)
    assert kinds(after) == ["product"]
    equivalent(before, after)


def test_a_cube_is_a_square_and_a_product(build: Any, equivalent: Any) -> None:
    build.input("x", 4)
    build.product("s", "x", "x")
    build.product("y", "s", "x")
    before = build.graph("y")
    after = substitute_activations(before)
    assert kinds(after) == ["quadratic", "product"]
    assert multiplicative_depth(after)["y"] == 2
    equivalent(before, after)


def test_an_activation_that_is_linear_in_one_channel_stays_as_it_is_written(build: Any, equivalent: Any) -> None:
    """x * x in one channel and x * 1 in the other has no monic form."""
    build.input("x", 2, 1, 1)
    build.scale("t", "x", np.array([0.0, 1.0]).reshape(1, 2, 1, 1), np.array([1.0, 0.0]).reshape(1, 2, 1, 1))
    build.product("y", "x", "t")
    before = build.graph("y")
    after = substitute_activations(before)
    assert kinds(after) == ["affine", "product"]
    equivalent(before, after)


def test_a_polynomial_of_degree_three_is_no_quadratic(build: Any) -> None:
    build.input("x", 4)
    build.polynomial("y", "x", 0.0, 1.0, 0.0, 0.5)
    with pytest.raises(GraphError, match="it has 4 coefficients, not three; at 'y'"):
        check_graph(substitute_activations(build.graph("y")), CANONICAL)


def test_a_polynomial_without_its_square_is_affine(build: Any, equivalent: Any) -> None:
    build.input("x", 4)
    build.polynomial("y", "x", 0.5, 2.0)
    before = build.graph("y")
    after = substitute_activations(before)
    assert kinds(after) == ["affine"]
    equivalent(before, after)
