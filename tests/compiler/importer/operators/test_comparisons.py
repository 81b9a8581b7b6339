"""Comparisons in the middle of a network are parts of functions; at its end the client computes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import pytest

from hecc.compiler.graph.nodes import FunctionNode
from hecc.compiler.importer import import_model
from hecc.passes.graph.functions import compose_functions
from hecc.runtime.errors import UnsupportedError
from hecc.runtime.tail.epilogue import apply_steps, describe

Model = Callable[..., onnx.ModelProto]
Run = Callable[[onnx.ModelProto, Mapping[str, Any]], Any]
X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
W = np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32)
CONSTANTS = {
    "w": W,
    "zero": np.float32(0),
    "half": np.float32(0.5),
    "two": np.float32(2),
    "row": np.float32([0.1, -0.2, 0.3]),
}


@pytest.mark.parametrize(
    "body",
    [
        "c = Greater(x, zero)  r = Where(c, x, zero)",
        "c = Less(half, x)  r = Where(c, half, x)",
        "c = GreaterOrEqual(x, row)  r = Where(c, x, row)",
        "c = LessOrEqual(x, row)  n = Not(c)  r = Where(n, row, half)",
        "n = Neg(x)  c = Less(n, x)  f = Cast<to = 1>(c)  r = Mul(f, row)",
        "r = Max(x, zero)",
        "r = Min(x, half, row)",
        "n = Neg(x)  r = Max(row, n, half)",
        "r = Max(x)",
        "s = Sign(x)  a = Abs(x)  c = Greater(a, half)  d = Mul(s, half)  e = Sub(x, d)  r = Where(c, e, zero)",
    ],
)
def test_in_the_middle_they_are_what_onnxruntime_computes(body: str, model: Model, runtime: Run) -> None:
    built = model(f"g (float[N,3] x) => (float[N,3] y) {{ {body}  y = MatMul(r, w) }}", **CONSTANTS)
    graph = import_model(built)
    assert not graph.epilogues
    np.testing.assert_allclose(graph.evaluate({"x": X})["y"], runtime(built, {"x": X}), rtol=1e-5, atol=1e-6)


def test_constants_that_a_fixed_batch_repeats_are_those_of_one_example(model: Model, runtime: Run) -> None:
    built = model(
        "g (float[5,3] x) => (float[5,3] y) { s = Shape(x)  z = ConstantOfShape(s)  c = Greater(x, z)"
        "  r = Where(c, x, z)  a = Add(r, z)  y = MatMul(a, w) }",
        **CONSTANTS,
    )
    np.testing.assert_allclose(import_model(built).evaluate({"x": X})["y"], runtime(built, {"x": X}), atol=1e-6)


def test_a_function_in_two_pieces_is_one_function(model: Model) -> None:
    built = model(
        "g (float[N,3] x) => (float[N,3] y) { c = Greater(x, half)  s = Softplus(x)  r = Where(c, x, s)"
        "  y = MatMul(r, w) }",
        **CONSTANTS,
    )
    last = [node for node in compose_functions(import_model(built)).nodes if isinstance(node, FunctionNode)][-1]
    assert last.value == "x"
    assert {"positive", "softplus"} <= last.function.primitives()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("y = Greater(x, row)", "greater"),
        ("c = Less(x, zero)  y = Where(c, zero, x)", "less, where"),
        ("y = Max(x, zero)", "maximum"),
        ("y = Sign(x)", "sign"),
        ("a = Abs(x)  y = Pow(a, half)", "absolute, power"),
        ("y = Pow(x, two)", ""),
        ("t = Tanh(x)  p = Softmax(t)  y = Add(p, row)", "tanh, softmax, add"),
        ("t = Tanh(x)  y = Mul(t, row)", ""),
        ("e = Exp(x)  k = Constant<value_ints = [1]>()  s = ReduceSum(e, k)  y = Div(e, s)", "exp, sum, divide"),
        ("e = Exp(x)  k = Constant<value_ints = [2, 0]>()  y = Gather<axis = 1>(e, k)", "exp"),
        ("e = Exp(x)  p = Concat<axis = 1>(e, x)  y = ReduceMax<axes = [1], keepdims = 0>(p)", "exp, maximum"),
        ("e = Exp(x)  m = Pad(e, pads, half)  y = Transpose<perm = [0, 1]>(m)", "exp"),
        ("k = Constant<value_ints = [2]>()  v, y = TopK(x, k)", "sort"),
        ("k = Constant<value_ints = [2]>()  y, i = TopK<largest = 0, axis = 1>(x, k)", "sort"),
    ],
)
def test_at_the_end_the_client_computes_what_onnxruntime_computes(
    body: str, words: str, model: Model, runtime: Run
) -> None:
    built = model(f"g (float[N,3] x) => (float[N,3] y) {{ {body} }}", **CONSTANTS, pads=np.array([0, 1, 0, 0]))
    integers, truth = onnx.TensorProto.INT64, onnx.TensorProto.BOOL
    kind = integers if "v, y" in body else truth if body.startswith("y = Greater") else onnx.TensorProto.FLOAT
    built.graph.output[0].type.CopyFrom(onnx.helper.make_tensor_type_proto(kind, None))
    graph = import_model(built)
    steps = graph.epilogues.get("y", ())
    assert describe(steps) == words
    shape = graph.example_shape(graph.node("y").output.shape)
    found = apply_steps(graph.evaluate({"x": X})["y"].reshape(-1, *shape), steps)
    expected = runtime(built, {"x": X})
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.astype(np.float64), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("e = Exp(x)  y = Equal(e, row)", "decrypted numbers are approximate, and never exactly equal"),
        (
            "i = ArgMax<axis = 1>(x)  f = Cast<to = 1>(i)  j = Cast<to = 7>(f)  y = Gather(row, j)",
            "is no list of names",
        ),
        ("k = Constant<value_ints = [4]>()  y, i = TopK(x, k)", "it wants 4 of 3 elements"),
    ],
)
def test_what_the_client_cannot_compute_is_refused(body: str, says: str, model: Model) -> None:
    with pytest.raises(Exception, match=says) as refusal:
        import_model(model(f"g (float[N,3] x) => (float[N,3] y) {{ {body} }}", **CONSTANTS))
    assert isinstance(refusal.value, UnsupportedError) or "not valid ONNX" in str(refusal.value)
