"""Affine fusion: fewer nodes, the same values, and no explosion of non-zeros."""

from __future__ import annotations

from typing import Any

from hecc.compiler.graph.affine import Composition, MatrixProduct, Pool, Reshape, Scale, SumOfMaps
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode
from hecc.passes.graph.depth import multiplicative_depth
from hecc.passes.graph.fuse_affine import fuse_affine


def names(graph: Graph) -> list[str]:
    return [node.output.name for node in graph.nodes]


def test_a_chain_becomes_one_node(build: Any, equivalent: Any) -> None:
    """Convolution, batch normalisation, pooling, flatten, Gemm."""
    build.input("x", 2, 4, 4)
    build.convolution("c", "x", 3)
    build.scale("n", "c", [[[[2.0]], [[3.0]], [[0.5]]]], [[[[0.1]], [[0.2]], [[0.3]]]])
    build.affine("p", [("n", Pool((1, 3, 4, 4), (1, 3, 2, 2), (2, 2), (2, 2), ((0, 0),) * 2, (1, 1)))])
    build.affine("f", [("p", Reshape((1, 3, 2, 2), (1, 12)))])
    build.dense("y", "f", 4, 0.5)
    before = build.graph("y")
    after = fuse_affine(before)
    assert names(after) == ["x", "y"]
    assert isinstance(after.node("y").terms[0].map, Composition)  # type: ignore[attr-defined]
    assert multiplicative_depth(before)["y"] == 4
    assert multiplicative_depth(after)["y"] == 1
    equivalent(before, after)


def test_a_square_separates(build: Any, equivalent: Any) -> None:
    build.input("x", 6)
    build.dense("a", "x", 6)
    build.dense("b", "a", 6)
    build.square("s", "b")
    build.scale("d", "s", 2.0, 1.0)
    build.dense("y", "d", 3)
    before = build.graph("y")
    after = fuse_affine(before)
    assert names(after) == ["x", "b", "s", "y"]
    equivalent(before, after)


def test_a_bottleneck_is_not_fused(build: Any, equivalent: Any) -> None:
    """40 to 2 to 40 has 160 non-zeros, the product 1600."""
    build.input("x", 40)
    build.dense("narrow", "x", 2, 0.5)
    build.dense("y", "narrow", 40)
    before = build.graph("y")
    after = fuse_affine(before)
    assert names(after) == ["x", "narrow", "y"]
    equivalent(before, after)


def test_branches_from_one_value_become_one_map(build: Any, equivalent: Any) -> None:
    build.input("x", 8)
    build.dense("a", "x", 8, 0.25)
    build.dense("b", "x", 8)
    build.total("y", (1.0, "a"), (2.0, "b"), (3.0, "x"), bias=1.0)
    before = build.graph("y")
    after = fuse_affine(before)
    assert names(after) == ["x", "y"]
    node = after.node("y")
    assert isinstance(node, AffineNode)
    assert len(node.terms) == 1
    assert isinstance(node.terms[0].map, SumOfMaps)
    equivalent(before, after)


def test_branches_from_two_values_stay_two_terms(build: Any, equivalent: Any) -> None:
    build.input("x", 8)
    build.input("z", 8)
    build.dense("a", "x", 8, 0.25)
    build.total("y", (1.0, "a"), (2.0, "z"))
    before = build.graph("y")
    after = fuse_affine(before)
    assert names(after) == ["x", "z", "y"]
    assert after.node("y").inputs == ("x", "z")
    equivalent(before, after)


def test_a_value_that_is_also_an_output_is_kept(build: Any, equivalent: Any) -> None:
    build.input("x", 6)
    build.dense("a", "x", 6, 0.5)
    build.dense("y", "a", 6)
    before = build.graph("a", "y")
    after = fuse_affine(before)
    assert names(after) == ["x", "a", "y"]
    assert after.node("y").inputs == ("x",)
    equivalent(before, after)


def test_a_square_is_read_through_reshapes(build: Any, equivalent: Any) -> None:
    build.input("x", 2, 3)
    build.square("s", "x")
    build.affine("f", [("s", Reshape((1, 2, 3), (1, 6)))])
    build.dense("y", "f", 2)
    before = build.graph("y")
    after = fuse_affine(before)
    assert names(after) == ["x", "s", "y"]
    equivalent(before, after)


def test_parameters_that_nothing_names_are_dropped(build: Any) -> None:
    build.input("x", 6)
    build.dense("a", "x", 6, 0.5)
    build.scale("y", "a", 2.0, 0.5)
    after = fuse_affine(build.graph("y"))
    assert set(after.parameters) == {"a.w", "y.w", "y:bias"}


def test_the_argument_is_not_changed(build: Any) -> None:
    build.input("x", 6)
    build.dense("a", "x", 6, 0.5)
    build.scale("y", "a", 2.0, 0.5)
    before = build.graph("y")
    text, parameters = str(before), dict(before.parameters)
    fuse_affine(before)
    assert str(before) == text
    assert before.parameters == parameters


def test_maps_are_composed_outermost_last(build: Any) -> None:
    build.input("x", 6)
    build.dense("a", "x", 6)
    build.scale("y", "a", 2.0)
    m = fuse_affine(build.graph("y")).node("y").terms[0].map  # type: ignore[attr-defined]
    assert isinstance(m, Composition)
    assert [type(step) for step in m.steps] == [MatrixProduct, Scale]
