"""What exporters write of attention, normalizations and comparisons, shared, and as onnxruntime computes it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import hecc

Array = np.ndarray[Any, Any]

ENCODER = Path(__file__).resolve().parents[2] / "data" / "transformer" / "encoder.onnx"
KEPT = np.tril(np.ones((4, 4), dtype=bool))
DRAW = np.random.default_rng(0)
WEIGHT = (0.4 * DRAW.normal(size=(8, 8))).astype(np.float32)
VECTOR = DRAW.normal(size=8).astype(np.float32)

SCORES = "q = MatMul(x, u)  k = Transpose<perm = [0, 2, 1]>(x)  s = MatMul(q, k)"
TAKEN = "p = Softmax<axis = -1>(m)  y = MatMul(p, x)"
TOKENS, FEATURES = (4, 8), (8,)

ATTENTION = {
    "added infinity": ("m = Add(s, mask)", {"mask": np.where(KEPT, 0, -np.inf)}),
    "added number": ("m = Add(s, mask)", {"mask": np.where(KEPT, 0, -1e9)}),
    "chosen infinity": ("m = Where(kept, s, far)", {"kept": KEPT, "far": -np.inf}),
    "chosen number": ("m = Where(kept, s, far)", {"kept": KEPT, "far": np.finfo(np.float32).min}),
}

MODULES: dict[str, tuple[tuple[int, ...], str, dict[str, Any]]] = {
    "maximum with a number": (FEATURES, "a = MatMul(x, w)  b = Max(a, c)  y = MatMul(b, w)", {"c": 0.25}),
    "minimum with a vector": (FEATURES, "a = MatMul(x, w)  b = Min(a, c)  y = MatMul(b, w)", {"c": VECTOR}),
    "maximum of all kinds": (
        FEATURES,
        "a = MatMul(x, w)  b = Max(c, a, d, x)  y = MatMul(b, w)",
        {"c": VECTOR, "d": 0.1},
    ),
    "layer normalization": (TOKENS, "a = MatMul(x, w)  y = LayerNormalization<axis = -1>(a, c)", {"c": VECTOR}),
    "layer normalization in parts": (
        TOKENS,
        (
            "m = ReduceMean<axes = [-1]>(x)  d = Sub(x, m)  e = Mul(d, d)  v = ReduceMean<axes = [-1]>(e)"
            "  f = Add(v, c)  s = Sqrt(f)  n = Div(d, s)  y = MatMul(n, w)"
        ),
        {"c": 1e-5},
    ),
    "root mean square": (
        TOKENS,
        "e = Mul(x, x)  v = ReduceMean<axes = [-1]>(e)  s = Sqrt(v)  r = Reciprocal(s)  d = Mul(x, r) y = MatMul(d, w)",
        {},
    ),
    "norm": (FEATURES, "a = MatMul(x, w)  s = ReduceL2<axes = [-1]>(a)  d = Div(a, s)  y = MatMul(d, w)", {}),
    "logarithms of shares": (FEATURES, "a = MatMul(x, w)  b = LogSoftmax<axis = -1>(a)  y = MatMul(b, w)", {}),
}

JUMPS = {
    "chosen by a comparison": "a = MatMul(x, w)  t = Greater(a, c)  b = Where(t, a, x)  y = MatMul(b, w)",
    "counted": "a = MatMul(x, w)  t = LessOrEqual(a, c)  o = Cast<to = 1>(t)  y = MatMul(o, w)",
    "of zeros": "a = MatMul(x, w)  r = Relu(a)  t = Greater(r, z)  o = Cast<to = 1>(t)  y = MatMul(o, w)",
    "sign": "a = MatMul(x, w)  r = Relu(a)  b = Sign(r)  e = Sign(a)  d = Sub(b, e)  y = MatMul(d, w)",
}


def rows(shape: tuple[int, ...], number: int, seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=(number, *shape)).clip(-2.5, 2.5).astype(np.float32)


def network(shape: tuple[int, ...], body: str, constants: dict[str, Any]) -> onnx.ModelProto:
    arrays = {"w": WEIGHT, "u": 0.3 * WEIGHT, **constants}
    kept = {name: np.asarray(each) for name, each in arrays.items()}
    kept = {name: each if each.dtype == bool else each.astype(np.float32) for name, each in kept.items()}
    extents = ",".join(map(str, shape))
    graph = f"g (float[N,{extents}] x) => (float[N,{extents}] y) {{ {body} }}"
    built = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {graph}')
    built.graph.initializer.extend(onnx.numpy_helper.from_array(each, name) for name, each in kept.items())
    return built


def errors(built: onnx.ModelProto, shape: tuple[int, ...]) -> Array:
    """By how much each element of twenty rows is off, as a part of the largest."""
    plan = hecc.compile(built, calibration=rows(shape, 200, 1), input_range=(-2.5, 2.5), scheme="sharing")
    tried = rows(shape, 20, 2)
    (exact,) = onnxruntime.InferenceSession(built.SerializeToString()).run(None, {"x": tried})
    return np.abs(hecc.simulate(plan, tried)["y"] - exact) / np.abs(exact).max()


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_with_a_mask(name: str) -> None:
    body, constants = ATTENTION[name]
    built = network(TOKENS, f"{SCORES}  {body}  {TAKEN}", constants)
    assert errors(built, TOKENS).max() < 4e-3


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_as_in_clear(name: str) -> None:
    shape, body, constants = MODULES[name]
    assert errors(network(shape, body, constants), shape).max() < 4e-3


@pytest.mark.parametrize("name", JUMPS)
def test_a_comparison_is_as_in_clear_but_at_its_jump(name: str) -> None:
    off = errors(network(FEATURES, JUMPS[name], {"c": 0.1, "z": 0.0}), FEATURES)
    # A number within the last bit of a threshold may be taken for one on its other side.
    assert (off.max(axis=1) < 4e-3).sum() >= len(off) - 1


def test_how_far_a_pole_is_kept_away_from_is_said(caplog: pytest.LogCaptureFixture) -> None:
    shape, body, constants = MODULES["layer normalization"]
    with caplog.at_level(logging.WARNING):
        errors(network(shape, body, constants), shape)
    (said,) = (record.getMessage() for record in caplog.records if "is followed from" in record.getMessage())
    assert said.startswith("LayerNormalization 'y': power(x, exponent=-0.5) is followed from 0.")
    assert said.endswith("arguments beyond count as the nearer end")


def test_a_pole_among_the_calibration_inputs_is_refused() -> None:
    built = network(FEATURES, "a = MatMul(x, w)  r = Reciprocal(a)  y = MatMul(r, w)", {})
    with pytest.raises(hecc.UnsupportedError, match=r"has no value, or a pole, somewhere between .* keep it away"):
        errors(built, FEATURES)


def test_a_layer_of_a_transformer_encodes_as_in_clear() -> None:
    tokens = np.random.default_rng(0).normal(size=(300, 8, 16)).clip(-3, 3).astype(np.float32)
    plan = hecc.compile(onnx.load(ENCODER), calibration=tokens, input_range=(-3, 3), scheme="sharing", precision=6)
    session = onnxruntime.InferenceSession(ENCODER)
    exact = np.concatenate([session.run(None, {"tokens": row[np.newaxis]})[0] for row in tokens[:20]])
    found = hecc.simulate(plan, tokens[:20])["encoded"]
    assert np.abs(found - exact).max() / np.abs(exact).max() < 2.0**-5.5


def test_what_more_bits_would_take_is_said_where_they_cannot_be_had() -> None:
    tokens = np.random.default_rng(0).normal(size=(100, 8, 16)).clip(-3, 3).astype(np.float32)
    with pytest.raises(hecc.CompileError, match=r"outputs are precise to \d+\.\d bits at the most, and 10 were asked"):
        hecc.compile(onnx.load(ENCODER), calibration=tokens, input_range=(-3, 3), scheme="sharing")
