"""Operators that ONNX defines by others, and masks before a softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import hecc
from hecc.compiler.importer import import_model
from hecc.runtime.errors import UnsupportedError
from hecc.runtime.tail.epilogue import LogSoftmax

Model = Callable[..., onnx.ModelProto]
INFINITE = -np.inf
MASK = np.asarray([[0, INFINITE, INFINITE], [0, 0.5, INFINITE], [0, 0, 0]], np.float32)


def test_what_the_client_can_compute_is_left_to_it_in_a_function_too(
    model: Model, compare: Callable[..., None]
) -> None:
    built = model(
        "g (float[1,4] x) => (float y) { h = Mul(x, x)  y = SoftmaxCrossEntropyLoss(h, label) }", label=np.array([2])
    )
    steps = import_model(built, batch_axis=False).epilogues["y"]
    assert any(isinstance(step, LogSoftmax) for step in steps)
    compare(built, x=np.asarray([[0.1, -0.2, 1.0, 0.3]], np.float32))


def test_a_mask_of_minus_infinity_hides_what_it_is_added_to(model: Model, runtime: Callable[..., Any]) -> None:
    built = model(
        "g (float[1,3,3] x) => (float[1,3,3] y) { a = Add(x, m)  r = Reshape(a, s)  p = Softmax(r)  q = Reshape(p, s)"
        "  y = MatMul(q, x) }",
        m=MASK,
        s=np.array([1, 3, 3]),
    )
    x = np.random.default_rng(0).normal(size=(1, 3, 3)).astype(np.float32)
    found = import_model(built).evaluate({"x": x.astype(np.float64)})["y"].reshape(x.shape)
    np.testing.assert_allclose(found, runtime(built, {"x": x}), rtol=1e-5, atol=1e-6)
    plan = hecc.compile(built, calibration=x, input_range=(-4, 4), precision=8)
    np.testing.assert_allclose(hecc.simulate(plan, x)["y"], found, rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("graph", "sentence"),
    [
        ("y = Exp(a)  z = Neg(y)", "its input 'a' is minus infinity in places, which only a Softmax may read"),
        ("z = Identity(a)", "output 'z' is minus infinity in places; return it before the mask"),
        ("b = Softmax(a)  z = MatMul(b, x)", "a mask hides all of what it is taken over, which makes no number"),
    ],
)
def test_what_a_mask_may_not_do_is_refused(graph: str, sentence: str, model: Model) -> None:
    mask = np.full((3, 3), INFINITE, np.float32) if "Softmax" in graph else MASK
    with pytest.raises(UnsupportedError, match=sentence):
        import_model(model(f"g (float[1,3,3] x) => (float[1,3,3] z) {{ a = Add(x, m)  {graph} }}", m=mask))


def test_names_of_what_is_written_out_are_taken_by_nothing_else(model: Model) -> None:
    built = model("g (float[N,4] x) => (float[N,4] y) { h = Neg(x)  y = SwiGLU(h, x) }", opset=28)
    bodies = [node.output.name for node in import_model(built).nodes]
    assert len(set(bodies)) == len(bodies)
    taken = next(name for name in bodies if name.startswith("y:"))
    built.graph.node.insert(0, helper.make_node("Neg", ["x"], [taken]))
    built.graph.node.append(helper.make_node("Add", [taken, "y"], ["z"]))
    built.graph.output[0].name = "z"
    x = np.asarray([[0.5, -1.0, 2.0, 0.1]])
    found = import_model(built).evaluate({"x": x})["z"]
    np.testing.assert_allclose(found, -x + (-x / (1 + np.exp(x))) * x, rtol=1e-9)
