"""Quantised networks: as onnxruntime computes them, up to the rounding inside."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from hecc.compiler.importer import import_model
from hecc.runtime.errors import UnsupportedError
from hecc.runtime.tail.epilogue import apply_steps

Model = Callable[..., onnx.ModelProto]
RANDOM = np.random.default_rng(0)
STEP = np.float32(0.02)
IMAGE = RANDOM.uniform(-1, 1, (1, 2, 4, 4)).astype(np.float32)
KERNEL = RANDOM.integers(-128, 128, (3, 2, 3, 3)).astype(np.int8)
SCALES = np.asarray([0.01, 0.02, 0.005], np.float32)

CONVOLUTIONS = {
    "pairs around the layer": """
        q = QuantizeLinear(x, s, z)  a = DequantizeLinear(q, s, z)  v = DequantizeLinear<axis = 0>(w, t)
        c = Conv<pads = [1,1,1,1]>(a, v)  r = QuantizeLinear(c, u, m)  y = DequantizeLinear(r, u, m)""",
    "a layer of its own": """
        q = QuantizeLinear(x, s, z)  c = QLinearConv<pads = [1,1,1,1]>(q, s, z, w, t, k, u, m, b)
        y = DequantizeLinear(c, u, m)""",
    "integers": """
        q, e, o = DynamicQuantizeLinear(x)  c = ConvInteger<pads = [1,1,1,1]>(q, l, o)  f = Cast<to = 1>(c)
        y = Mul(f, e)""",
}


def constants(text: str) -> dict[str, Any]:
    every = {
        "s": STEP, "z": np.uint8(128), "w": KERNEL, "t": SCALES, "k": np.zeros(3, np.int8), "u": np.float32(0.05),
        "m": np.uint8(120), "b": np.asarray([100, -50, 0], np.int32), "l": KERNEL.view(np.uint8) // 64,
    }  # fmt: skip
    tokens = set(text.replace("(", " ").replace(")", " ").replace(",", " ").split())
    return {name: np.asarray(array) for name, array in every.items() if name in tokens}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_quantised_convolution_is_off_by_the_steps_that_are_not_rounded(
    kind: str, model: Model, runtime: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    body = CONVOLUTIONS[kind]
    built = model(f"g (float[N,2,4,4] x) => (float[N,3,4,4] y) {{ {body} }}", **constants(body))
    with caplog.at_level(logging.WARNING):
        graph = import_model(built)
    assert len([line for line in caplog.messages if "round to whole steps" in line]) == 1
    values = graph.evaluate({"x": IMAGE.astype(np.float64)})["y"].reshape(1, 3, 4, 4)
    found = apply_steps(values, graph.epilogues.get("y", ()))
    expected = runtime(built, {"x": IMAGE})
    # Half a step of each input of a window, and half a step of the result.
    weights = KERNEL.astype(float) * SCALES.reshape(-1, 1, 1, 1) if kind != "integers" else KERNEL.view(np.uint8) // 64
    steps = np.abs(weights).sum(axis=(1, 2, 3)).max() * STEP / 2 + 0.025
    assert np.abs(found - expected).max() <= steps
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


def test_at_the_end_the_client_rounds_and_keeps_within_the_range(model: Model, runtime: Callable[..., Any]) -> None:
    built = model(
        "g (float[N,4] x) => (int8[N,4] y) { y = QuantizeLinear(x, s, z) }",
        s=np.asarray(STEP),
        z=np.asarray(np.int8(7)),
    )
    x = np.asarray([[0.013, -0.5, 90.0, -90.0]], np.float32)
    graph = import_model(built)
    values = graph.evaluate({"x": x.astype(np.float64)})["y"]
    np.testing.assert_array_equal(apply_steps(values, graph.epilogues["y"]), runtime(built, {"x": x}))


def test_an_input_of_integers_that_are_scaled_is_one_of_numbers(model: Model, runtime: Callable[..., Any]) -> None:
    built = model(
        "g (uint8[N,4] x) => (float[N,4] y) { y = DequantizeLinear(x, s, z) }",
        s=np.asarray(STEP),
        z=np.asarray(np.uint8(9)),
    )
    x = np.asarray([[0, 9, 100, 255]], np.uint8)
    found = import_model(built).evaluate({"x": x.astype(np.float64)})["y"]
    np.testing.assert_allclose(found, runtime(built, {"x": x}), rtol=1e-6)


def test_types_that_only_rounding_makes_are_refused(model: Model) -> None:
    built = model(
        "g (float[N,4] x) => (float[N,4] y) { y = QuantizeLinear<output_dtype = 17>(x, s) }",
        opset=21,
        s=np.asarray(STEP),
    )
    with pytest.raises(UnsupportedError, match="quantising to float8_e4m3fn rounds, which is not a polynomial"):
        import_model(built)
