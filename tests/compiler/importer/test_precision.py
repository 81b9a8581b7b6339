"""What the importer computes of weights has the digits of a double, whatever those of the weights."""

import numpy as np
import onnx.parser
import pytest
from onnx import numpy_helper

from hecc.compiler.importer import import_model

RNG = np.random.default_rng(6)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("Div (x, a)", lambda x, a, b, c, d: x / a),
        ("Sub (x, a)", lambda x, a, b, c, d: x - a),
        (
            "BatchNormalization <epsilon = 0.0009765625> (x, a, b, c, d)",
            lambda x, a, b, c, d: (x - c) / np.sqrt(d + 2**-10) * a + b,
        ),
    ],
)
def test_derived_parameters_are_not_rounded_to_single_precision(node, expected):
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 15]> network (float[N,40] x) => (float[N,40] y) {{ y = {node} }}'
    )
    weights = {name: RNG.uniform(0.5, 2, 40).astype(np.float32) for name in "abcd"}
    for name, values in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    rows = RNG.uniform(-1, 1, (3, 40))
    graph = import_model(model)
    found = graph.evaluate({"x": rows})[graph.outputs[0]].reshape(3, 40)
    exact = expected(rows, *(values.astype(np.float64) for values in weights.values()))
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-13)
