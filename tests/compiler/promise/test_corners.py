"""Corners of the declared range: as far out as a plan evaluates them, and no farther."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hecc.compiler.graph.affine import MatrixProduct
from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import (
    AffineNode,
    FunctionNode,
    InputNode,
    ProductNode,
    QuadraticNode,
    Source,
    Term,
    Value,
)
from hecc.compiler.promise import corners
from hecc.compiler.promise.calibration import synthetic_corners
from hecc.compiler.promise.corners import corner_inputs

Array = np.ndarray[Any, Any]

SOURCE = Source("n", "Op", 13)
SIZE = 24
DECLARED = {"x": (-1.0, 3.0)}


def network(kind: str) -> Graph:
    """A layer, something that is not linear, a layer."""
    generator = np.random.default_rng(2)
    parameters = {name: generator.normal(size=(SIZE, SIZE)) for name in ("w", "v")}
    parameters |= {"zero": np.zeros(()), "half": np.full((), 0.5), "one": np.ones(())}
    shape = (1, SIZE)
    x, h, q, y = (Value(name, shape) for name in "xhqy")
    middle = {
        "square": QuadraticNode(q, SOURCE, "h", ("zero", "half", "one")),
        "product": ProductNode(q, SOURCE, "h", "x"),
        "tanh": FunctionNode(q, SOURCE, "h", Primitive("tanh", (), ARGUMENT)),
    }[kind]
    layers = [
        AffineNode(out, SOURCE, (Term(read, MatrixProduct(shape, shape, w)),))
        for out, read, w in ((h, "x", "w"), (y, "q", "v"))
    ]
    return Graph((InputNode(x, SOURCE), layers[0], middle, layers[1]), ("y",), parameters)


def calibration() -> dict[str, Array]:
    return {"x": np.random.default_rng(1).uniform(0, 1, (50, SIZE))}


@pytest.mark.parametrize("kind", ["square", "product", "tanh"])
def test_corners_stay_within_the_declared_range_and_what_a_plan_evaluates(kind: str) -> None:
    graph, near = network(kind), calibration()
    far = corner_inputs(graph, near, DECLARED, 4.0)
    assert len(far["x"]) > 20
    assert far["x"].min() >= -1
    assert far["x"].max() <= 3
    seen, found = graph.evaluate(near), graph.evaluate(far)
    for name in "qy":
        assert np.abs(found[name]).max() <= 4 * np.abs(seen[name]).max()
    if kind == "tanh":
        assert seen["h"].min() <= found["h"].min()
        assert found["h"].max() <= seen["h"].max()


@pytest.mark.parametrize("kind", ["square", "product"])
def test_they_go_as_far_as_that(kind: str) -> None:
    graph, near = network(kind), calibration()
    found = graph.evaluate(corner_inputs(graph, near, DECLARED, 4.0))
    seen = graph.evaluate(near)
    assert max(np.abs(found[name]).max() / np.abs(seen[name]).max() for name in "hqy") > 3.8


@pytest.mark.parametrize("kind", ["square", "product"])
def test_what_is_searched_for_is_larger_than_what_is_drawn(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, near = network(kind), calibration()
    searched = graph.evaluate(corner_inputs(graph, near, DECLARED, 1e9))["y"]
    monkeypatch.setattr(corners, "MAX_NONZEROS", 0)
    drawn = graph.evaluate(corner_inputs(graph, near, DECLARED, 1e9))["y"]
    assert len(searched) > len(drawn)
    assert (searched.max(axis=0) > drawn.max(axis=0)).mean() > 0.7


def test_drawn_corners_are_the_same_in_every_run_and_hold_ends_only() -> None:
    drawn = synthetic_corners((1, 8, 8), -1.0, 2.0)
    np.testing.assert_array_equal(drawn, synthetic_corners((1, 8, 8), -1.0, 2.0))
    assert set(np.unique(drawn)) == {-1.0, 2.0}
    assert [(image.min(), image.max()) for image in drawn[-2:]] == [(-1.0, -1.0), (2.0, 2.0)]
