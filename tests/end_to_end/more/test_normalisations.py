"""Normalizations and masks under MORE, as onnxruntime computes them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

import hecc
from hecc.compiler.graph.programs.builder import ProgramBuilder

KEPT = np.tril(np.ones((4, 4), dtype=bool))

BODIES = {
    "layer": "y = LayerNormalization<axis = -1>(x, scale)",
    "in parts": (
        "m = ReduceMean<axes = [-1]>(x)  d = Sub(x, m)  e = Mul(d, d)  v = ReduceMean<axes = [-1]>(e)  s = Sqrt(v)"
        "  y = Div(d, s)"
    ),
    "norm": "s = ReduceL2<axes = [-1]>(x)  y = Div(x, s)",
    "mask": "m = Add(x, mask)  p = Softmax<axis = -1>(m)  y = MatMul(p, x)",
}


@pytest.mark.filterwarnings("ignore:.*security none")
@pytest.mark.parametrize("name", BODIES)
def test_a_normalization_is_as_in_clear(name: str) -> None:
    text = f"g (float[N,4,4] x) => (float[N,4,4] y) {{ {BODIES[name]} }}"
    built = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    constants = {"scale": np.linspace(0.5, 2, 4), "mask": np.where(KEPT, 0, -1e9)}
    for key, each in constants.items():
        built.graph.initializer.append(onnx.numpy_helper.from_array(each.astype(np.float32), key))
    rows = np.random.default_rng(0).normal(size=(20, 4, 4)).clip(-2, 2).astype(np.float32)
    plan = hecc.compile(built, calibration=rows, input_range=(-2, 2), scheme="more")
    (exact,) = onnxruntime.InferenceSession(built.SerializeToString()).run(None, {"x": rows})
    np.testing.assert_allclose(hecc.simulate(plan, rows)["y"], exact, atol=1e-4)


def test_a_number_of_the_program_is_not_taken_for_one_of_the_network() -> None:
    build = ProgramBuilder()
    x = build.input("x", (2,))
    own = build.multiply(x, build.constant(np.array(0.125)))
    build.output(build.add([own, build.parameter("constant:0", np.array(0.0))]), "y")
    assert sorted(map(float, build.program().arrays.values())) == [0.0, 0.125]
    with pytest.raises(AssertionError, match="is two parameters"):
        build.parameter("constant:0", np.array(1.0))
