"""Multiplicative depth: products on the longest path."""

from __future__ import annotations

from typing import Any

from hecc.compiler.graph.affine import Reshape
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
