"""Variants of networks: shapes as asked for, and None where it cannot be told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hecc.compiler.graph.affine import Pool
from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.nodes import AffineNode, FunctionNode, WindowSumNode
from hecc.passes.graph.variants import (
    smaller_arguments,
    standardised,
    steep,
    strided,
    with_features,
    without_activation,
    without_pooling,
)


def values(graph: Any) -> dict[str, np.ndarray[Any, Any]]:
    generator = np.random.default_rng(5)
    return graph.evaluate({n.output.name: generator.uniform(-1, 1, n.output.shape) for n in graph.inputs()})


def test_without_an_activation_its_argument_is_its_value(build: Any) -> None:
    build.input("x", 4)
    build.dense("a", "x", 4)
    build.square("b", "a")
    build.dense("c", "b", 2)
    before = build.graph("c")
    after = values(without_activation(before, "b"))
    np.testing.assert_array_equal(after["b"], values(before)["a"])


def test_fewer_features_are_the_first_ones(build: Any) -> None:
    build.input("x", 4)
    build.dense("a", "x", 6, bias=np.arange(6.0).reshape(1, 6))
    build.polynomial("b", "a", 0.0, np.arange(6.0).reshape(1, 6), 1.0)
    build.dense("c", "b", 2)
    before = build.graph("c")
    after = with_features(before, "a", 4)
    assert after is not None
    found, exact = values(after), values(before)
    assert after.node("b").output.shape == (1, 4)
    np.testing.assert_allclose(found["b"], exact["b"][:, :4])
    weights = before.parameters["c.w"][:4]
    np.testing.assert_allclose(found["c"], exact["b"][:, :4] @ weights)


def test_more_features_are_the_first_ones_again_with_weights_of_their_own(build: Any) -> None:
    build.input("x", 4)
    build.dense("a", "x", 6)
    build.square("b", "a")
    build.dense("c", "b", 2)
    before = build.graph("c")
    after = with_features(before, "a", 8)
    assert after is not None
    found, exact = values(after), values(before)
    np.testing.assert_allclose(found["b"], np.concatenate([exact["b"], exact["b"][:, :2]], axis=1))
    node = after.node("c")
    assert isinstance(node, AffineNode)
    assert np.count_nonzero(node.terms[0].map.matrix(after.parameters).toarray()) == 8 * 2


def test_every_second_pixel(build: Any) -> None:
    build.input("x", 1, 5, 5)
    build.convolution("a", "x", 2)
    build.convolution("b", "a", 1)
    before = build.graph("b")
    after = strided(before, "a")
    assert after is not None
    whole = values(before)["a"].reshape(1, 2, 5, 5)
    np.testing.assert_allclose(values(after)["a"].reshape(1, 2, 3, 3), whole[:, :, ::2, ::2])


@pytest.mark.parametrize("size", [4, 5])
def test_a_stride_instead_of_a_pooling_gives_as_many_pixels(build: Any, size: int) -> None:
    build.input("x", 1, size, size)
    build.convolution("a", "x", 2)
    build.square("b", "a")
    pool = Pool((1, 2, size, size), (1, 2, 2, 2), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    build.add(WindowSumNode, "p", (1, 2, 2, 2), "b", pool)
    build.convolution("c", "p", 1)
    before = build.graph("c")
    after = without_pooling(before, "p")
    assert after is not None
    whole = values(before)["b"].reshape(1, 2, size, size)
    np.testing.assert_allclose(values(after)["p"].reshape(1, 2, 2, 2), whole[:, :, :4:2, :4:2])


def test_nothing_is_told_of_results_and_of_poolings_on_the_way(build: Any) -> None:
    build.input("x", 1, 4, 4)
    build.convolution("a", "x", 2)
    pool = Pool((1, 2, 4, 4), (1, 2, 2, 2), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    build.add(WindowSumNode, "p", (1, 2, 2, 2), "a", pool)
    before = build.graph("p")
    assert with_features(before, "a", 1) is None
    assert strided(build.graph("a"), "a") is None
    build.add(
        WindowSumNode, "q", (1, 1, 2, 2), "x", Pool((1, 1, 4, 4), (1, 1, 2, 2), (2, 2), (2, 2), ((0, 0),) * 2, (1, 1))
    )
    assert without_pooling(build.graph("q"), "q") is None


def functions(build: Any, *operators: str) -> Any:
    """Functions of the features of an image, of which the second is a hundred times the first and far from zero."""
    build.input("x", 2, 3, 3)
    build.scale("a", "x", np.reshape([1.0, 100.0], (1, 2, 1, 1)), np.reshape([0.0, 500.0], (1, 2, 1, 1)))
    names = [build.add(FunctionNode, name, (1, 2, 3, 3), "a", Primitive(name, (), ARGUMENT)) for name in operators]
    return build.graph(*names)


ROWS = {"x": np.random.default_rng(2).uniform(-1, 1, (50, 1, 2, 3, 3))}


def test_a_standardised_argument_has_no_mean_and_the_deviation_asked_for_in_each_channel(build: Any) -> None:
    before = functions(build, "sigmoid", "tanh")
    after = standardised(before, ["sigmoid"], ROWS, 0.25)
    found = after.evaluate(ROWS)
    argument = found[after.node("sigmoid").inputs[0]].reshape(50, 2, 9)
    np.testing.assert_allclose(argument.mean(axis=(0, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(argument.std(axis=(0, 2)), 0.25)
    np.testing.assert_allclose(found["tanh"], before.evaluate(ROWS)["tanh"])


def test_only_smooth_functions_of_large_arguments_are_steep(build: Any) -> None:
    graph = functions(build, "sigmoid", "relu", "abs", "sqrt")
    reach = float(np.abs(graph.evaluate(ROWS)["a"]).max())
    assert steep(graph, ROWS, 4.0) == {"sigmoid": reach}
    assert steep(graph, ROWS, 2 * reach) == {}


def test_smaller_arguments_are_asked_for_in_one_wording(build: Any) -> None:
    graph = functions(build, "sigmoid", "tanh")
    source = graph.node("tanh").source
    one = smaller_arguments(graph, {"tanh": 7.5}, 1.0)
    assert one == f"keep the arguments of {source}, which reach 7.5, near one, with a BatchNormalization before it"
    two = smaller_arguments(graph, {"sigmoid": 5.0, "tanh": 7.5}, 0.25)
    assert two == (
        f"keep the arguments of {source}, which reach 7.5, and of 1 other, near one, with a BatchNormalization before "
        "each (with scales of about 0.25)"
    )
