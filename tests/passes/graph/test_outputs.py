"""Outputs that are one value: the first stands for all of them, whatever the client makes of each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hecc.compiler.graph.affine import Reshape
from hecc.passes.ckks.pipeline import canonicalise
from hecc.passes.graph.outputs import merge_outputs
from hecc.runtime.tail.epilogue import ArgMax, Softmax


def scored(build: Any, *outputs: str) -> Any:
    """Scores z of inputs x; label and p are z, r is z in another shape, d is another layer's."""
    build.input("x", 4)
    build.dense("z", "x", 6)
    build.affine("label", [("z", Reshape((1, 6), (1, 6)))])
    build.affine("p", [("label", Reshape((1, 6), (1, 6)))])
    build.affine("r", [("z", Reshape((1, 6), (1, 2, 3)))])
    build.dense("d", "x", 6)
    return build.graph(*outputs)


def test_the_first_of_several_outputs_with_one_value_stands_for_all(build: Any) -> None:
    graph = replace(scored(build, "label", "d", "p"), epilogues={"label": (ArgMax(axis=0),), "p": (Softmax((0,)),)})
    merged = merge_outputs(graph)
    assert merged.outputs == ("label", "d")
    assert merged.aliases == {"label": "label", "d": "d", "p": "label"}
    assert merged.epilogues == graph.epilogues
    assert [node.output.name for node in canonicalise(graph).nodes] == ["x", "label", "d"]
    x = {"x": np.random.default_rng(0).normal(size=(5, 4))}
    np.testing.assert_array_equal(merged.evaluate(x)["label"], graph.evaluate(x)["p"])


def test_the_value_itself_may_be_an_output(build: Any) -> None:
    merged = merge_outputs(scored(build, "p", "z"))
    assert merged.outputs == ("p",)
    assert merged.aliases == {"p": "p", "z": "p"}


def test_other_values_and_other_shapes_stay_apart(build: Any) -> None:
    graph = scored(build, "label", "r", "d")
    assert merge_outputs(graph) is graph
