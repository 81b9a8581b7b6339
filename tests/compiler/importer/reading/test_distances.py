"""Loops that compute distances to constant rows become one operator; nearest neighbours are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from hecc.compiler.graph.nodes import FunctionNode, QuadraticNode
from hecc.compiler.importer import import_model
from hecc.compiler.importer.reading.distances import name_distances
from hecc.runtime.errors import InputError, UnsupportedError

DRAWN = np.random.default_rng(0)
OTHERS = DRAWN.normal(size=(5, 3)).astype(np.float32)
FLOAT = onnx.TensorProto.FLOAT


def model(*nodes: onnx.NodeProto, opset: int = 18) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(OTHERS, "others")],
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=8)


def scan(summing: onnx.NodeProto, *constants: onnx.TensorProto, first: str = "state") -> onnx.NodeProto:
    """The loop as skl2onnx writes it."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["state"], ["state_out"]),
            helper.make_node("Sub", [first, "row" if first == "state" else "state"], ["difference"]),
            summing,
            helper.make_node("Identity", ["sum"], ["out"]),
        ],
        "body",
        [helper.make_tensor_value_info("state", FLOAT, None), helper.make_tensor_value_info("row", FLOAT, None)],
        [helper.make_tensor_value_info("state_out", FLOAT, None), helper.make_tensor_value_info("out", FLOAT, None)],
        constants,
    )
    return helper.make_node("Scan", ["x", "others"], ["kept", "d"], name="loop", body=body, num_scan_inputs=1)


AXIS = numpy_helper.from_array(np.array([1], np.int64), "axis")
NEW = (helper.make_node("ReduceSumSquare", ["difference", "axis"], ["sum"], keepdims=0), AXIS)
OLD = (helper.make_node("ReduceSumSquare", ["difference"], ["sum"], axes=[1], keepdims=0),)
TURN = helper.make_node("Transpose", ["d"], ["y"], perm=[1, 0])


def agrees(built: onnx.ModelProto) -> Any:
    """Compare with onnxruntime, and return the graph."""
    rows = DRAWN.normal(size=(4, 3)).astype(np.float32)
    (expected,) = onnxruntime.InferenceSession(built.SerializeToString()).run(None, {"x": rows})
    graph = import_model(built)
    found = graph.evaluate({"x": rows})["y"]
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)
    return graph


@pytest.mark.parametrize(("summing", "opset"), [(NEW, 18), (OLD, 13)], ids=["input", "attribute"])
def test_a_loop_over_rows_squares_once(summing: tuple[Any, ...], opset: int) -> None:
    graph = agrees(model(scan(*summing), TURN, opset=opset))
    assert sum(isinstance(node, QuadraticNode) for node in graph.nodes) == 1


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
def test_the_operator_itself_is_converted(metric: str) -> None:
    graph = agrees(model(helper.make_node("CDist", ["x", "others"], ["y"], domain="com.microsoft", metric=metric)))
    assert sum(isinstance(node, FunctionNode) for node in graph.nodes) == (metric == "euclidean")


def test_another_metric_and_other_columns_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="its metric 'cosine' is not supported; use the Euclidean one"):
        import_model(model(helper.make_node("CDist", ["x", "others"], ["y"], domain="com.microsoft", metric="cosine")))
    built = model(helper.make_node("CDist", ["x", "others"], ["y"], domain="com.microsoft"))
    built.graph.initializer[0].CopyFrom(numpy_helper.from_array(OTHERS[:, :2], "others"))
    with pytest.raises(InputError, match="'x' and 'others' do not have as many columns"):
        import_model(built)


@pytest.mark.parametrize(
    "loop",
    [
        scan(helper.make_node("ReduceSumSquare", ["difference"], ["sum"], axes=[0], keepdims=0)),
        scan(helper.make_node("ReduceL1", ["difference"], ["sum"], axes=[1], keepdims=0)),
        scan(helper.make_node("ReduceSumSquare", ["difference"], ["sum"], axes=[1])),
    ],
    ids=["other axis", "other sum", "kept axis"],
)
def test_another_loop_is_not_taken_for_distances(loop: onnx.NodeProto) -> None:
    built = model(loop, TURN, opset=13)
    name_distances(built)
    assert [node.op_type for node in built.graph.node] == ["Scan", "Transpose"]


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("operator", ["TopK", "Less"])
def test_nearest_neighbours_are_refused_by_name(loop: bool, operator: str) -> None:
    distances = (
        [scan(*NEW), helper.make_node("Transpose", ["d"], ["t"], perm=[1, 0])]
        if loop
        else [helper.make_node("CDist", ["x", "others"], ["t"], domain="com.microsoft", metric="sqeuclidean")]
    )
    outputs = ["y", "indices"] if operator == "TopK" else ["y"]
    nearest = helper.make_node(operator, ["s", "k"], outputs, name="nearest")
    with pytest.raises(UnsupportedError) as refused:
        import_model(model(*distances, helper.make_node("Sqrt", ["t"], ["s"]), nearest))
    assert str(refused.value).startswith(
        f"{operator} 'nearest': nearest neighbours compare the distances to all rows that the model was trained on"
    )
