"""Maxima and softmaxes are nodes of the imported graph, and compute there what onnxruntime computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import pytest

from hecc.compiler.ckks.limits import LIMITS
from hecc.compiler.graph.nodes import OperatorNode
from hecc.compiler.graph.stages import IMPORTED, check_graph
from hecc.compiler.importer import import_model
from hecc.passes.ckks.operators import take_operators_apart
from hecc.runtime.errors import UnsupportedError

Model = Callable[..., onnx.ModelProto]
Run = Callable[[onnx.ModelProto, Mapping[str, Any]], Any]
CONSTANTS = {
    "w": np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32),
    "row": np.float32([0.1, -0.2, 0.3]),
    "column": np.float32([[0.2], [-0.5]]),
    "half": np.float32(0.5),
    "low": np.float32(-9),
    "axis": np.array([1]),
    "none": np.zeros(0, np.int64),
}


def operators(graph: Any) -> list[str]:
    return [type(node.operator).__name__ for node in graph.nodes if isinstance(node, OperatorNode)]


@pytest.mark.parametrize("dilated", [False, True])
@pytest.mark.parametrize("ceil", [0, 1])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 0, 0, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize(("kernel", "strides"), [((2, 2), (2, 2)), ((3, 2), (1, 3)), ((2, 3), (3, 2))])
def test_a_window_over_an_image(
    kernel: Any, strides: Any, pads: Any, ceil: int, dilated: bool, model: Model, runtime: Run
) -> None:
    dilations = (2, 1) if dilated else (1, 1)
    given = (
        f"kernel_shape={[*kernel]}, strides={[*strides]}, pads={[*pads]}, dilations={[*dilations]}, ceil_mode={ceil}"
    )
    built = model(f"g (float[N,2,7,8] x) => (float[N,2,P,Q] y) {{ m = MaxPool<{given}>(x)  y = Softplus(m) }}")
    x = np.random.default_rng(0).normal(size=(3, 2, 7, 8)).astype(np.float32)
    graph = import_model(built)
    assert operators(graph) == ["WindowExtremum"]
    expected = runtime(built, {"x": x})
    np.testing.assert_allclose(graph.evaluate({"x": x})["y"].reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ((2, 9), "m = MaxPool<kernel_shape=[3], strides=[2], pads=[1, 1]>(x)"),
        ((2, 4, 5, 3), "m = MaxPool<kernel_shape=[2, 3, 1], strides=[2, 1, 2]>(x)"),
        ((2, 5, 6), 'm = MaxPool<kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_LOWER">(x)'),
        ((2, 5, 6), "m = GlobalMaxPool(x)"),
        ((2, 9), "m = GlobalMaxPool(x)"),
        ((2, 3), "m = ReduceMax<axes=[1], keepdims=0>(x)"),
        ((2, 3), "m = ReduceMin<axes=[-1, 1]>(x)"),
        ((2, 3), "m = Softmax<axis=1>(x)"),
        ((2, 3), "m = LogSoftmax(x)"),
    ],
)
def test_other_tensors(shape: tuple[int, ...], body: str, model: Model, runtime: Run) -> None:
    extents = ",".join(map(str, shape))
    built = model(f"g (float[N,{extents}] x) => (float y) {{ {body}  y = Softplus(m) }}")
    x = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
    graph = import_model(built)
    assert len(operators(graph)) == 1
    expected = runtime(built, {"x": x})
    np.testing.assert_allclose(graph.evaluate({"x": x})["y"].reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("opset", "body"),
    [
        (18, "m = ReduceMax<keepdims=0>(x, axis)"),
        (18, "m = ReduceMin(x)"),
        (18, "m = ReduceMax<noop_with_empty_axes=1>(x, none)"),
        (13, "m = Max(x, row, column)"),
        (13, "n = Neg(x)  m = Min(half, row, n, x)"),
        (13, "m = Max(row, half, x)"),
        (13, "s = ReduceSum(x, axis)  m = Max(s, x, half)"),
        (11, "m = Softmax<axis=0>(x)"),
        (11, "m = LogSoftmax<axis=1>(x)"),
    ],
)
def test_one_example(opset: int, body: str, model: Model, runtime: Run) -> None:
    used = {name: array for name, array in CONSTANTS.items() if name in body}
    built = model(f"g (float[2,3] x) => (float y) {{ {body}  y = Softplus(m) }}", opset, **used)
    x = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    graph = import_model(built, batch_axis=False)
    expected = runtime(built, {"x": x})
    found = graph.evaluate({"x": x[np.newaxis]})["y"]
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        "m = Max(x, row)",
        "n = Neg(x)  m = Min(half, row, n, x)",
        "m = Max(row, half, x)",
        "e = ReduceMax<axes=[1]>(x)  m = Sub(x, e)",
        "e = ReduceMin<axes=[1], keepdims=0>(x)  u = Unsqueeze(e, axis)  m = Sub(x, u)",
        "u = Unsqueeze(x, axis)  e = MaxPool<kernel_shape=[2], pads=[1, 0]>(u)  m = Squeeze(e, axis)",
        "u = Unsqueeze(x, axis)  e = GlobalMaxPool(u)  s = Squeeze(e, axis)  m = Sub(x, s)",
        "m = Softmax<axis=1>(x)",
        "m = LogSoftmax(x)",
    ],
)
def test_ckks_takes_apart_what_it_can_evaluate(body: str, model: Model) -> None:
    used = {name: array for name, array in CONSTANTS.items() if name in body}
    used["w"] = CONSTANTS["w"]
    graph = import_model(model(f"g (float[N,3] x) => (float[N,3] y) {{ {body}  y = MatMul(m, w) }}", **used))
    apart = take_operators_apart(graph)
    assert operators(graph)
    assert not operators(apart)
    check_graph(apart, IMPORTED)
    x = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(apart.evaluate({"x": x})["y"], graph.evaluate({"x": x})["y"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "body",
    [
        "m = ReduceMax<axes=[0]>(x)  s = Sub(x, m)  y = MatMul(s, w)",
        "t = Transpose(x)  u = Unsqueeze(t, zero)  m = MaxPool<kernel_shape=[2], pads=[0, 1]>(u)  y = Squeeze(m, zero)",
        # A constant that is less than any of the numbers drawn, and another one in each row.
        "m = Max(x, rows)  y = Mul(m, m)",
    ],
)
def test_what_mixes_rows_is_refused_though_the_largest_of_them_may_be_right(body: str, model: Model) -> None:
    constants = {"w": CONSTANTS["w"], "zero": np.array([0]), "rows": np.float32([[-9, -9, -9], [-7, -7, -7]])}
    used = {name: array for name, array in constants.items() if f" {name})" in body}
    shape = "3,2" if "Transpose" in body else "2,3"
    built = model(f"g (float[2,3] x) => (float[{shape}] y) {{ {body} }}", **used)
    with pytest.raises(UnsupportedError, match="it mixes the 2 examples of the batch"):
        import_model(built)


@pytest.mark.parametrize("operator", ["ReduceMax", "ReduceMin", "Max", "Min", "Softmax", "LogSoftmax"])
def test_at_the_end_the_client_computes_them(operator: str, model: Model) -> None:
    second = ", z" if operator in {"Max", "Min"} else ""
    axes = "<axes=[1]>" if operator.startswith("Reduce") else ""
    built = model(f"g (float[N,3] x, float[N,3] z) => (float y) {{ a = Add(x, z)  y = {operator}{axes}(a{second}) }}")
    graph = import_model(built, limits=LIMITS)
    assert graph.epilogues
    assert not operators(graph)
