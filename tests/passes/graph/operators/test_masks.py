"""Large negative constants ahead of a softmax become its mask, and the softmax stays what it was."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import OperatorNode
from hecc.compiler.graph.operators import Softmax
from hecc.compiler.importer import import_model
from hecc.passes.graph.operators.masks import hide_masked

Model = Callable[..., onnx.ModelProto]

KEPT = np.tril(np.ones((4, 4), dtype=bool))
ROWS = {"x": np.random.default_rng(2).normal(size=(20, 4, 4))}

ADDED = "a = MatMul(x, w)  m = Add(a, mask)  p = Softmax<axis = -1>(m)  y = MatMul(p, w)"
CHOSEN = "a = MatMul(x, w)  m = Where(kept, a, far)  p = Softmax<axis = -1>(m)  y = MatMul(p, w)"


def network(model: Model, body: str, **constants: object) -> Graph:
    arrays = {"w": np.eye(4, dtype=np.float32), **{name: np.asarray(each) for name, each in constants.items()}}
    return import_model(model(f"g (float[N,4,4] x) => (float[N,4,4] y) {{ {body} }}", **arrays))


def mask_of(graph: Graph) -> np.ndarray | None:
    (operator,) = (node.operator for node in graph.nodes if isinstance(node, OperatorNode))
    assert isinstance(operator, Softmax)
    return None if operator.mask is None else np.asarray(graph.parameters[operator.mask]).reshape(4, 4)


@pytest.mark.parametrize("number", [-1e3, -1e4, -1e9, float(np.finfo(np.float32).min)])
@pytest.mark.parametrize("body", [ADDED, CHOSEN])
def test_what_is_far_below_is_hidden(body: str, number: float, model: Model) -> None:
    constants = {
        ADDED: {"mask": np.where(KEPT, 0, number).astype(np.float32)},
        CHOSEN: {"kept": KEPT, "far": np.float32(number)},
    }[body]
    graph = network(model, body, **constants)
    hidden = hide_masked(graph, ROWS)
    assert mask_of(graph) is None
    np.testing.assert_array_equal(mask_of(hidden), KEPT)
    found, before = (each.evaluate(ROWS) for each in (hidden, graph))
    np.testing.assert_allclose(found["y"], before["y"], atol=1e-12)
    # What no encryption has room for is gone.
    assert max(np.abs(value).max() for value in found.values()) < 10


def test_a_mask_of_minus_infinity_is_chosen_as_it_is_added(model: Model) -> None:
    chosen = network(model, CHOSEN, kept=KEPT, far=np.float32(-np.inf))
    added = network(model, ADDED, mask=np.where(KEPT, 0, -np.inf).astype(np.float32))
    np.testing.assert_array_equal(mask_of(chosen), KEPT)
    np.testing.assert_allclose(chosen.evaluate(ROWS)["y"], added.evaluate(ROWS)["y"])
    other = network(model, CHOSEN.replace("kept, a, far", "kept, far, a"), kept=~KEPT, far=np.float32(-np.inf))
    np.testing.assert_array_equal(mask_of(other), KEPT)


def test_what_may_have_a_share_is_not_hidden(model: Model) -> None:
    # A bias of -200 among numbers that differ by hundreds.
    graph = network(model, ADDED, mask=np.where(KEPT, 0, -200).astype(np.float32), w=100 * np.eye(4, dtype=np.float32))
    assert hide_masked(graph, ROWS) is graph
    # Small constants are no masks, and neither is one that all of a row has.
    for mask in (np.where(KEPT, 0, -50), np.full((4, 4), -1e4)):
        graph = network(model, ADDED, mask=mask.astype(np.float32))
        assert hide_masked(graph, ROWS) is graph


def test_what_something_else_reads_stays(model: Model) -> None:
    body = ADDED.replace("y = MatMul(p, w)", "y = Add(p, m)")
    graph = network(model, body, mask=np.where(KEPT, 0, -1e4).astype(np.float32))
    assert hide_masked(graph, ROWS) is graph


def test_without_calibration_nothing_changes(model: Model) -> None:
    graph = network(model, ADDED, mask=np.where(KEPT, 0, -1e9).astype(np.float32))
    assert hide_masked(graph, None) is graph
