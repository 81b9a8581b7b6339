"""Smooth functions of smooth functions are one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import FunctionNode
from hecc.compiler.importer import import_model
from hecc.passes.sharing.smooth import join_functions

Model = Callable[..., onnx.ModelProto]

ROWS = {"x": np.random.default_rng(2).uniform(0.5, 2, (20, 4))}


def functions(graph: Graph) -> list[str]:
    return [str(node.function) for node in graph.nodes if isinstance(node, FunctionNode)]


def joined(model: Model, body: str) -> tuple[Graph, Graph]:
    graph = import_model(model(f"g (float[N,4] x) => (float[N,4] y) {{ {body} }}", w=np.eye(4, dtype=np.float32)))
    found = join_functions(graph)
    np.testing.assert_allclose(found.evaluate(ROWS)["y"], graph.evaluate(ROWS)["y"])
    return graph, found


def test_three_in_a_row_become_one(model: Model) -> None:
    _, found = joined(model, "a = Sqrt(x)  b = Reciprocal(a)  c = Exp(b)  y = MatMul(c, w)")
    assert functions(found) == ["exp(reciprocal(sqrt(x)))"]


def test_what_is_made_of_lines_stays_exact(model: Model) -> None:
    for body in ("a = Relu(x)  b = Sqrt(a)  y = MatMul(b, w)", "a = Sqrt(x)  b = Relu(a)  y = MatMul(b, w)"):
        graph, found = joined(model, body)
        assert functions(found) == functions(graph)


def test_what_something_else_reads_stays(model: Model) -> None:
    graph, found = joined(model, "a = Sqrt(x)  b = Reciprocal(a)  c = Mul(a, b)  y = MatMul(c, w)")
    assert functions(found) == functions(graph)
