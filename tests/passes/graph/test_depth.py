"""Multiplicative depth: products on the longest path."""

from __future__ import annotations

from typing import Any

from hecc.compiler.graph.affine import Reshape
from hecc.compiler.graph.nodes import BootstrapNode
from hecc.passes.graph.depth import levels_spent, multiplicative_depth


def test_depth_counts_products_on_the_longest_path(build: Any) -> None:
    build.input("x", 4)
    build.dense("a", "x", 4)
    build.square("s", "a")
    build.affine("r", [("s", Reshape((1, 4), (1, 2, 2)))])
    build.affine("f", [("r", Reshape((1, 2, 2), (1, 4)))])
    build.dense("b", "f", 4)
    build.total("y", (1.0, "b"), (1.0, "x"))
    assert multiplicative_depth(build.graph("y")) == {
        "x": 0,
        "a": 1,
        "s": 2,
        "r": 2,
        "f": 2,
        "b": 3,
        "y": 4,
    }


def test_inputs_and_their_reshapes_have_depth_zero(build: Any) -> None:
    build.input("x", 4)
    build.affine("r", [("x", Reshape((1, 4), (1, 2, 2)))])
    assert multiplicative_depth(build.graph("r")) == {"x": 0, "r": 0}


def test_levels_are_spent_by_the_nodes_of_the_longest_path(build: Any) -> None:
    build.input("x", 4)
    build.dense("a", "x", 4)
    build.square("p", "a")
    build.dense("b", "p", 4)
    build.dense("c", "x", 4)
    build.total("y", (1.0, "b"), (1.0, "c"))
    spent = {source.name: levels for source, levels in levels_spent(build.graph("y")).items()}
    assert spent == {"/y": 1, "/b": 1, "/p": 1, "/a": 1}


def bootstrapped(build: Any) -> Any:
    """Two layers, and a bootstrap between them that a third layer passes by."""
    build.input("x", 4)
    build.dense("a", "x", 4)
    build.square("s", "a")
    build.add(BootstrapNode, "b", (1, 4), "s", 0.225, (-1.0, 1.0))
    build.dense("c", "b", 4)
    build.total("y", (1.0, "c"), (1.0, "a"))
    return build.graph("y")


def test_behind_a_bootstrap_levels_are_there_again(build: Any) -> None:
    depth = multiplicative_depth(bootstrapped(build))
    assert depth == {"x": 0, "a": 1, "s": 2, "b": 0, "c": 1, "y": 2}


def test_depth_starts_where_inputs_and_bootstraps_are(build: Any) -> None:
    depth = multiplicative_depth(bootstrapped(build), start=7, refreshed=3)
    assert depth == {"x": 7, "a": 8, "s": 9, "b": 3, "c": 4, "y": 9}


def test_levels_in_front_of_a_bootstrap_are_not_spent_behind_it(build: Any) -> None:
    build.input("x", 4)
    build.square("s", "x")
    build.add(BootstrapNode, "b", (1, 4), "s", 0.225, (-1.0, 1.0))
    build.dense("y", "b", 4)
    graph = build.graph("y")
    assert levels_spent(graph) == {graph.node("y").source: 1}
