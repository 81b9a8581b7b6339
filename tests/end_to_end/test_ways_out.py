"""What a refusal names is a way out: whoever follows it has a plan."""

import re

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import hecc

WIDTH = 8

ACTIVATIONS = {
    "square": "{y} = Mul({x}, {x})",
    "sigmoid": "{y} = Sigmoid({x})",
    "tanh": "{y} = Tanh({x})",
    "relu": "{y} = Relu({x})",
}


def dense(activation, depth, gain=1.0):
    """Dense layers with an activation behind each, random weights, and rows that it was made for."""
    generator = np.random.default_rng(depth)
    lines, value = [], "x"
    for i in range(depth):
        lines += [f"d{i} = Gemm({value}, w{i})", ACTIVATIONS[activation].format(x=f"d{i}", y=f"a{i}")]
        value = f"a{i}"
    text = f"g (float[N, {WIDTH}] x) => (float[N, 3] y) {{ {' '.join(lines)} y = Gemm({value}, last) }}"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    for name, width in [(f"w{i}", WIDTH) for i in range(depth)] + [("last", 3)]:
        weight = gain * generator.normal(size=(WIDTH, width)) * np.sqrt(2 / WIDTH)
        model.graph.initializer.append(numpy_helper.from_array(weight.astype(np.float32), name))
    return model, generator.uniform(-1, 1, (200, WIDTH)).astype(np.float32)


def followed(model, rows, **options):
    """Compile, and as the refusal says should there be one: the sentence, and the precision then kept."""
    try:
        return "", hecc.compile(model, calibration=rows, **options).header.estimate.precision_bits
    except hecc.CompileError as refusal:
        sentence = str(refusal)
    named = re.search(r"--precision (\d+)", sentence)
    if named is None:
        return sentence, None
    bits = float(named.group(1))
    plan = hecc.compile(model, calibration=rows, **{**options, "precision": bits})
    assert plan.header.estimate.precision_bits >= bits
    return sentence, bits


@pytest.mark.parametrize(
    ("activation", "depth", "gain", "precision", "least"),
    [
        ("relu", 1, 1.0, 12, 6),
        ("tanh", 8, 2.0, 12, 8),
        pytest.param("relu", 3, 1.0, 12, 4, marks=pytest.mark.slow),
        pytest.param("tanh", 12, 1.0, 12, 5, marks=pytest.mark.slow),
        pytest.param("sigmoid", 6, 3.0, 26, 12, marks=pytest.mark.slow),
        pytest.param("square", 8, 0.5, 40, 12, marks=pytest.mark.slow),
    ],
)
def test_the_precision_that_a_refusal_names_compiles(activation, depth, gain, precision, least):
    sentence, bits = followed(*dense(activation, depth, gain), precision=precision)
    assert sentence
    assert bits is not None, sentence
    assert least <= bits < precision


def test_no_precision_is_named_where_none_helps():
    sentence, bits = followed(*dense("relu", 6), precision=12)
    assert "precision" in sentence
    assert bits is None
    model, rows = dense("relu", 6)
    with pytest.raises(hecc.CompileError):
        hecc.compile(model, calibration=rows, precision=4)
