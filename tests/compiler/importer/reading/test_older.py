"""Models of opset 1 to 6 mean what opset 7 says in other words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.version_converter

from hecc.compiler.importer import import_model
from hecc.runtime.tail.epilogue import apply_steps

Model = Callable[..., onnx.ModelProto]
X = np.random.default_rng(0).normal(size=(1, 2, 4, 4)).astype(np.float32)
HEAD = "g (float[1,2,4,4] x) => (float[1,M] y)"

OLD = f"""{HEAD.replace("M", "8")} <float[2] b = {{1, -2}}, float[3,2,3,3] w> {{
    a = Add<axis = 1, broadcast = 1>(x, b)  c = Conv<kernel_shape = [3, 3], auto_pad = "VALID">(a, w)
    r = Relu<consumed_inputs = [1]>(c)  t = Concat(r, r)  m = Mul<axis = -1, broadcast = 1>(t, b)
    s = Reshape<shape = [2, 12]>(m)  p = Pad<paddings = [0, 0, 0, 1]>(s)
    f = Cast<to = "FLOAT">(p)  h = Gemm<broadcast = 1>(f, v, k)  d = Dropout<is_test = 1>(h)
    y = Reshape<shape = [1, 8]>(d)
}}"""
NEW = f"""{HEAD.replace("M", "8")} <float[2,1,1] e = {{1, -2}}, float[2] b = {{1, -2}}, float[3,2,3,3] w> {{
    a = Add(x, e)  c = Conv<kernel_shape = [3, 3], auto_pad = "VALID">(a, w)
    r = Relu(c)  t = Concat<axis = 1>(r, r)  m = Mul(t, b)
    i = Constant<value = int64[2] {{2, 12}}>()  s = Reshape(m, i)  p = Pad<pads = [0, 0, 0, 1]>(s)
    h = Gemm(p, v, k)  j = Constant<value = int64[2] {{1, 8}}>()  y = Reshape(h, j)
}}"""


def test_a_model_of_opset_1_computes_what_the_same_in_opset_7_does(model: Model, runtime: Callable[..., Any]) -> None:
    random = np.random.default_rng(1)
    weights = {
        "w": random.normal(size=(3, 2, 3, 3)).astype(np.float32),
        "v": random.normal(size=(13, 4)).astype(np.float32),
        "k": random.normal(size=4).astype(np.float32),
    }
    old, new = (model(text.replace(", float[3,2,3,3] w", ""), opset, **weights) for text, opset in ((OLD, 1), (NEW, 7)))
    found = import_model(old).evaluate({"x": X.astype(np.float64)})["y"]
    np.testing.assert_allclose(found, runtime(new, {"x": X}), rtol=0, atol=1e-5)


def test_the_first_mnist_network_of_the_model_zoo(shared_models: Path) -> None:
    """Opset 1 without shapes inside; the later edition has the same weights."""
    inputs = np.random.default_rng(2).uniform(0, 255, (1, 1, 28, 28))
    scores = []
    for name in ("onnxzoo_mnist_v1", "onnxzoo_mnist_8"):
        graph = import_model(shared_models / f"{name}.onnx")
        scores.append(graph.evaluate({"Input3": inputs})["Plus214_Output_0"])
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-6)


def test_a_network_of_caffe2_computes_what_its_conversion_does(
    shared_models: Path, runtime: Callable[..., Any]
) -> None:
    """Opset 6, 64 images in its batch, which onnxruntime takes once onnx has converted it to opset 9."""
    network = onnx.load(shared_models / "pytorch2caffe2_mnist_cnn.onnx")
    graph = import_model(network)
    (source,), (output,) = graph.inputs(), graph.outputs
    inputs = np.random.default_rng(3).uniform(0, 255, (64, 1, 28, 28)).astype(np.float32)
    scores = graph.evaluate({source.output.name: inputs.astype(np.float64)})[output]
    found = apply_steps(scores, graph.epilogues.get(output, ()))
    expected = runtime(onnx.version_converter.convert_version(network, 9), {source.output.name: inputs})
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
