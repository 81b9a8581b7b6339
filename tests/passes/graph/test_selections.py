"""Selections: what repeats an activation's result for a product goes before it, and into the layer there."""

from __future__ import annotations

from typing import Any

import numpy as np

from hecc.compiler.graph.affine import Select
from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, FunctionNode, InputNode
from hecc.passes.graph.depth import multiplicative_depth
from hecc.passes.graph.fuse_affine import fuse_affine
from hecc.passes.graph.selections import move_selections

CHANNELS, PIXELS = 3, 16


def kinds(graph: Graph) -> list[str]:
    return [node.kind for node in graph.nodes if not isinstance(node, InputNode)]


def repeated(build: Any, name: str, value: str, index: Any = None) -> str:
    """One value per channel, for all of its pixels."""
    shape = (1, CHANNELS, 4, 4)
    index = np.repeat(np.arange(CHANNELS), PIXELS) if index is None else index
    return str(build.affine(name, [(value, Select.of(build.shapes[value], shape, index))]))


def gated(build: Any, activation: str = "function", bias: Any = None) -> Graph:
    """``x`` times an activation of a layer of ``z``, one for each channel."""
    build.input("x", CHANNELS, 4, 4)
    build.input("z", 5)
    build.dense("d", "z", CHANNELS, bias)
    if activation == "function":
        build.add(FunctionNode, "s", (1, CHANNELS), "d", Primitive("sigmoid", (), ARGUMENT))
    else:
        build.polynomial("s", "d", 0.0, np.array([[0.5, -1.0, 2.0]]), 1.0)
    repeated(build, "r", "s")
    build.product("y", "x", "r")
    return build.graph("y")


def test_a_repetition_goes_before_a_function(build: Any, equivalent: Any) -> None:
    before = gated(build)
    after = move_selections(before)
    assert kinds(after) == ["affine", "affine", "function", "product"]
    equivalent(before, after)
    # There it costs nothing: the layer has as many more rows.
    assert kinds(fuse_affine(before)) == ["affine", "function", "affine", "product"]
    fused = fuse_affine(after)
    assert kinds(fused) == ["affine", "function", "product"]
    equivalent(before, fused)
    assert multiplicative_depth(fused)["y"] < multiplicative_depth(fuse_affine(before))["y"]


def test_the_coefficients_of_a_polynomial_are_repeated_as_well(build: Any, equivalent: Any) -> None:
    before = gated(build, "quadratic")
    after = move_selections(before)
    assert kinds(after) == ["affine", "affine", "quadratic", "product"]
    equivalent(before, after)


def test_it_goes_before_several_activations(build: Any, equivalent: Any) -> None:
    build.input("x", CHANNELS, 4, 4)
    build.input("z", CHANNELS)
    build.square("q", "z")
    build.add(FunctionNode, "s", (1, CHANNELS), "q", Primitive("tanh", (), ARGUMENT))
    repeated(build, "r", "s")
    build.product("y", "r", "x")
    before = build.graph("y")
    after = move_selections(before)
    assert kinds(after) == ["affine", "quadratic", "function", "product"]
    assert isinstance(after.nodes[2], AffineNode)
    assert after.nodes[2].inputs == ("z",)
    equivalent(before, after)


def test_an_activation_with_another_reader_stays_where_it_is(build: Any) -> None:
    """It would have to be evaluated twice."""
    before = gated(build)
    several = Graph(before.nodes, ("y", "s"), before.parameters)
    assert move_selections(several).nodes == several.nodes


def test_what_a_layer_reads_stays_where_it_is(build: Any) -> None:
    """The layer takes the selection in."""
    build.input("z", CHANNELS)
    build.square("q", "z")
    repeated(build, "r", "q")
    build.convolution("y", "r", 2)
    before = build.graph("y")
    assert move_selections(before).nodes == before.nodes


def test_what_leaves_elements_empty_stays_where_it_is(build: Any) -> None:
    """Zero, not the function of zero."""
    build.input("x", CHANNELS, 4, 4)
    build.input("z", CHANNELS)
    build.add(FunctionNode, "s", (1, CHANNELS), "z", Primitive("sigmoid", (), ARGUMENT))
    index = np.repeat(np.arange(CHANNELS), PIXELS)
    index[::3] = -1
    repeated(build, "r", "s", index)
    build.product("y", "x", "r")
    before = build.graph("y")
    assert move_selections(before).nodes == before.nodes


def test_a_repetition_that_a_layer_reads_is_not_fused_into_the_layer_before(build: Any) -> None:
    """The layer behind takes it in without any more weights."""
    build.input("z", 8)
    build.dense("d", "z", CHANNELS)
    repeated(build, "r", "d")
    build.square("s", "r")
    build.convolution("t", "r", 2)
    before = build.graph("s", "t")
    assert kinds(fuse_affine(before)) == ["affine", "affine", "quadratic", "affine"]
