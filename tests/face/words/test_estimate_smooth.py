"""Estimates of networks with smooth activations: layers say which polynomials they are, and changes are compared."""

import re

import numpy as np
import onnx.parser
import pytest
from onnx import numpy_helper

import hecc


@pytest.fixture(scope="module")
def model():
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[1,2,8,8] x) => (float[1,3] y) {
        c = Conv <pads = [1, 1, 1, 1]> (x, w1) t = Tanh (c)
        p = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (t) f = Flatten (p)
        h = MatMul (f, w2) s = Sigmoid (h) a = Mul (h, s) y = MatMul (a, w3) }"""
    built = onnx.parser.parse_model(text)
    rng = np.random.default_rng(5)
    for name, shape in {"w1": (4, 2, 3, 3), "w2": (64, 5), "w3": (5, 3)}.items():
        built.graph.initializer.append(numpy_helper.from_array(rng.normal(size=shape).astype(np.float32) / 3, name))
    return built


def test_layers_and_advice(model):
    rows = np.random.default_rng(6).uniform(0, 1, (60, 2, 8, 8))
    found = hecc.estimate(model, calibration=rows, precision=7.0)
    shown = {layer.source: layer.polynomial for layer in found.layers}
    for source in ("Tanh 't'", "Mul 'a'"):
        degree, _, interval = shown[source].partition(" on ")
        assert int(degree.removeprefix("degree ")) >= 3
        low, high = map(float, interval.split(" to "))
        assert low < 0 < high
    assert not shown["Conv 'c'"]
    assert "Sigmoid 's'" not in shown
    assert sum(layer.seconds for layer in found.layers) == pytest.approx(found.plan.header.estimate.seconds, rel=1e-6)
    # Without an activation there are fewer levels.
    depths = [advice for advice in found.advice if advice.kind == "depth"]
    assert all(advice.speedup and advice.speedup > 1 for advice in depths)


def test_variants_are_not_warned_of(model, caplog):
    rows = np.random.default_rng(6).uniform(0, 1, (60, 2, 8, 8))
    rows[0] *= 4
    hecc.compile(model, calibration=rows, precision=4.0)
    own = [record.getMessage() for record in caplog.records]
    assert own
    caplog.clear()
    tried: list[str] = []
    hecc.estimate(model, calibration=rows, precision=4.0, progress=tried.append)
    assert any(stage.startswith("try ") for stage in tried)
    assert [record.getMessage() for record in caplog.records] == own


def test_the_precision_that_a_refusal_names_compiles(network):
    perceptron = network((8,), ("gemm", 8), ("Relu",), ("gemm", 8), ("Relu",), ("gemm", 3))
    rows = np.random.default_rng(6).normal(size=(400, 8)).clip(-4, 4)
    with pytest.raises(hecc.CompileError, match="like 1 other") as refusal:
        hecc.compile(perceptron, calibration=rows, precision=12.0)
    bits = int(re.search(r"ask for --precision (\d+)", str(refusal.value))[1])
    assert 4 <= bits < 12
    plan = hecc.compile(perceptron, calibration=rows, precision=bits)
    assert plan.header.estimate.precision_bits >= bits


def test_an_estimate_of_what_cannot_be_had_says_so(model):
    with pytest.raises(hecc.CompileError, match="bits of precision"):
        hecc.estimate(model, precision=45.0, advice=False)
