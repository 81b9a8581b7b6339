"""Kinks that no input reaches: gone where that is proved, and nowhere else; the network computes what it did."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

import hecc
from hecc.compiler.graph.function import KINKED
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import FunctionNode, ProductNode
from hecc.compiler.importer import import_model
from hecc.passes.ckks.kinks.proved import drop_proved_kinks
from hecc.passes.ckks.pipeline import canonicalise
from hecc.passes.graph.depth import multiplicative_depth

Model = Callable[..., onnx.ModelProto]
DRAW = np.random.default_rng(5)
CONSTANTS = {
    "kernel": DRAW.normal(size=(3, 2, 3, 3)).astype(np.float32),
    "dense": DRAW.normal(size=(8, 8)).astype(np.float32),
    "zero": np.float32(0),
    "one": np.float32(1),
    "two": np.float32(2),
    "six": np.float32(6),
    "ten": np.float32(10),
    "small": np.float32(0.1),
    "nine": np.float32(-9),
}
RANGE = {"x": (-1.0, 1.0)}


def network(model: Model, body: str) -> onnx.ModelProto:
    """A network of x, eight numbers from -1 to 1; z goes through another layer."""
    text = f"g (float[N,8] x) => (float[N,8] y) {{ {body}  y = MatMul(z, dense) }}"
    used = {name: array for name, array in CONSTANTS.items() if re.search(rf"\b{name}\b", text)}
    return model(text, 14, **used)


def kinks(graph: Graph) -> list[FunctionNode]:
    steps = KINKED | {"positive", "nonnegative", "thresholdedrelu", "hardswish"}
    return [node for node in graph.nodes if isinstance(node, FunctionNode) and node.function.primitives() & steps]


LAYER = "h = MatMul(x, dense)"

GONE = {
    "relu of a square": f"{LAYER} q = Mul(h, h) z = Relu(q)",
    "relu of what is negative": f"{LAYER} q = Mul(h, h) n = Neg(q) r = Relu(n) z = Add(r, h)",
    "abs of a square": f"{LAYER} q = Mul(h, h) z = Abs(q)",
    "abs of what is negative": f"{LAYER} q = Mul(h, h) n = Neg(q) z = Abs(n)",
    "leaky relu of a square": f"{LAYER} q = Mul(h, h) z = LeakyRelu(q)",
    "leaky relu of what is negative": f"{LAYER} q = Mul(h, h) n = Neg(q) z = LeakyRelu<alpha=0.2>(n)",
    "elu of a square": f"{LAYER} q = Mul(h, h) z = Elu(q)",
    "clip of an input within its range": "c = Clip(x, nine, ten) z = MatMul(c, dense)",
    "relu of an input that is moved": "m = Add(x, two) z = Relu(m)",
    "clip of a sigmoid": f"{LAYER} s = Sigmoid(h) z = Clip(s, zero, one)",
    "hard sigmoid where it is linear": "z = HardSigmoid(x)",
    "hard swish where it is a square": "z = HardSwish(x)",
    "hard swish where it is the identity": "m = Add(x, ten) z = HardSwish(m)",
    "shrink of large numbers": "m = Add(x, ten) z = Shrink<lambd=1.0, bias=0.5>(m)",
    "thresholded relu of large numbers": "m = Add(x, ten) z = ThresholdedRelu(m)",
    "the larger one": "m = Add(x, ten) s = Tanh(x) z = Max(m, s)",
    "the smaller one": "m = Add(x, ten) s = Tanh(x) z = Min(m, s)",
    "a maximum with a constant": "m = Add(x, two) z = Max(m, small)",
    "a comparison that is true": "m = Add(x, two) c = Greater(m, small) t = Tanh(x) e = Exp(x) z = Where(c, t, e)",
    "a comparison that is false": "m = Add(x, two) c = Less(m, zero) t = Tanh(x) e = Exp(x) z = Where(c, t, e)",
    "a comparison of something else": f"{LAYER} m = Add(x, two) c = Greater(m, zero) t = Tanh(h) z = Where(c, t, h)",
    "a sign": "m = Add(x, two) s = Sign(m) z = Mul(s, x)",
    "the sign of an exponential": f"{LAYER} e = Exp(h) s = Sign(e) z = Mul(s, x)",
}


@pytest.mark.parametrize("body", GONE.values(), ids=GONE.keys())
def test_what_no_input_reaches_is_gone(body: str, model: Model, runtime: Callable[..., Any]) -> None:
    built = network(model, body)
    graph = canonicalise(import_model(built), RANGE)
    assert not kinks(graph)
    assert not [node for node in graph.nodes if isinstance(node, ProductNode)]
    x = DRAW.uniform(-1, 1, (50, 8)).astype(np.float32)
    np.testing.assert_allclose(graph.evaluate({"x": x})["y"], runtime(built, {"x": x}), rtol=1e-4, atol=1e-5)


STAYS = {
    "relu": f"{LAYER} z = Relu(h)",
    "relu of a square that is moved": f"{LAYER} q = Mul(h, h) m = Sub(q, small) z = Relu(m)",
    "clip narrower than the range": "c = Clip(x, zero, one) z = MatMul(c, dense)",
    "the larger one of two that overlap": "m = Add(x, small) s = Tanh(x) z = Max(m, s)",
    "hard swish across its kink": "m = Add(x, two) n = Add(m, one) z = HardSwish(n)",
    "a sign that may be zero": f"{LAYER} q = Mul(h, h) s = Sign(q) t = Tanh(x) z = Mul(s, t)",
    "relu of a cosine": f"{LAYER} c = Cos(h) z = Relu(c)",
    "a maximum of what has no bounds": "m = Max(x, small) e = Exp(m) z = Min(e, two)",
    "relu of an average, moved": f"{LAYER} r = Relu(h) m = Sub(r, small) z = Relu(m)",
}


@pytest.mark.parametrize("body", STAYS.values(), ids=STAYS.keys())
def test_what_an_input_may_reach_stays(body: str, model: Model) -> None:
    assert kinks(canonicalise(import_model(network(model, body)), RANGE))


def test_only_the_declared_range_is_a_proof_and_without_one_only_what_holds_everywhere(model: Model) -> None:
    moved = import_model(network(model, "m = Add(x, two) z = Relu(m)"))
    assert not kinks(canonicalise(moved, {"x": (-2.0, 1.0)}))
    assert kinks(canonicalise(moved, {"x": (-2.01, 1.0)}))
    assert kinks(canonicalise(moved))
    squared = import_model(network(model, f"{LAYER} q = Mul(h, h) r = Relu(q) a = Sub(r, nine) z = Relu(a)"))
    assert not kinks(canonicalise(squared))


def test_a_graph_without_proofs_is_the_same_one(model: Model) -> None:
    graph = canonicalise(import_model(network(model, STAYS["relu"])))
    assert drop_proved_kinks(graph, RANGE) is graph


AVERAGED = """g (float[N,2,6,6] x) => (float[N,3,2,2] y) {
    c = Conv(x, kernel)  r = Relu(c)  p = AveragePool<kernel_shape=[2,2], strides=[2,2]>(r)  z = Relu(p)
    y = Mul(z, two)  }"""


def test_a_rectifier_behind_an_average_of_rectifiers_takes_no_level(model: Model, tmp_path: Any) -> None:
    """The same network without it is as deep, and the plan decides as onnxruntime does."""
    built = model(AVERAGED, kernel=CONSTANTS["kernel"], two=CONSTANTS["two"])
    plain = model(AVERAGED.replace("z = Relu(p)", "z = Identity(p)"), kernel=CONSTANTS["kernel"], two=CONSTANTS["two"])
    with_it, without = (canonicalise(import_model(each)) for each in (built, plain))
    assert len(kinks(with_it)) == len(kinks(without)) == 1
    depths = [max(multiplicative_depth(each, functions=4).values()) for each in (with_it, without)]
    assert depths[0] == depths[1]
    rows = DRAW.uniform(-1, 1, (64, 2, 6, 6)).astype(np.float32)
    plans = [hecc.compile(each, calibration=rows, precision=5) for each in (built, plain)]
    assert plans[0].header.estimate.depth == plans[1].header.estimate.depth
