"""Enclosures hold what networks compute, for all inputs in the declared range."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from hecc.compiler.graph.enclosures.expressions import enclosed
from hecc.compiler.graph.enclosures.values import enclosures
from hecc.compiler.graph.function import ARGUMENT, PolynomialOf, Primitive, Product, WeightedSum
from hecc.compiler.importer import import_model
from hecc.passes.ckks.pipeline import canonicalise

RELU = Primitive("relu", (), ARGUMENT)
SIGMOID = Primitive("sigmoid", (), ARGUMENT)

NETWORKS = {
    "dense": "h = MatMul(x, w) z = Relu(h) y = MatMul(z, w)",
    "gate": "h = MatMul(x, w) s = Sigmoid(h) t = Tanh(x) p = Mul(s, t) y = MatMul(p, w)",
    "square": "h = MatMul(x, w) q = Mul(h, h) d = Sub(q, h) y = MatMul(d, w)",
    "cube": "h = MatMul(x, w) q = Mul(h, h) c = Mul(q, x) y = Mul(c, x)",
    "swish": "h = MatMul(x, w) s = Sigmoid(h) y = Mul(s, h)",
    "abs": "h = MatMul(x, w) a = Abs(h) y = MatMul(a, w)",
}


def imported(body: str) -> onnx.ModelProto:
    text = f'<ir_version: 8, opset_import: ["" : 13]> g (float[N,6] x) => (float[N,6] y) {{ {body} }}'
    model = onnx.parser.parse_model(text)
    weights = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    return model


@pytest.mark.parametrize("body", NETWORKS.values(), ids=NETWORKS.keys())
def test_no_value_leaves_its_enclosure(body: str) -> None:
    graph = canonicalise(import_model(imported(body)))
    found = enclosures(graph, {"x": (-2.0, 1.0)})
    generator = np.random.default_rng(1)
    corners = np.where(generator.integers(0, 2, (500, 6)), -2.0, 1.0)
    rows = np.concatenate([corners, generator.uniform(-2, 1, (500, 6))])
    for name, values in graph.evaluate({"x": rows}).items():
        low, high = found[name]
        slack = 1e-9 * np.abs(values).max()
        assert (low - slack <= values).all()
        assert (values <= high + slack).all()


def test_an_end_is_exact_where_the_other_is_infinite() -> None:
    graph = canonicalise(import_model(imported(NETWORKS["abs"])))
    low, high = enclosures(graph)["a"]
    assert (low == 0).all()
    assert (high == np.inf).all()


@pytest.mark.parametrize(
    ("function", "low", "high", "coefficients"),
    [
        (RELU, 0.0, 2.0, (0.0, 1.0)),
        (RELU, -2.0, 0.0, (0.0,)),
        (RELU, -1.0, 1.0, None),
        (Product(Primitive("positive", (), ARGUMENT), SIGMOID), -2.0, -1.0, (0.0,)),
        (WeightedSum((2.0, 0.0), (RELU, SIGMOID), 1.0), 0.0, 1.0, (1.0, 2.0)),
        (PolynomialOf((1.0, 0.0, 1.0), RELU), 0.0, 1.0, (1.0, 0.0, 1.0)),
        (Primitive("relu", (), PolynomialOf((0.5, 0.0, 1.0), ARGUMENT)), -1.0, 1.0, (0.5, 0.0, 1.0)),
    ],
)
def test_an_expression_is_the_polynomial_that_is_left(
    function: Primitive, low: float, high: float, coefficients: tuple[float, ...] | None
) -> None:
    found = enclosed(function, (np.array([low]), np.array([high])))
    assert found.coefficients == coefficients
    points = np.linspace(low, high, 101)
    np.testing.assert_allclose(found.expression(points), function(points), atol=1e-12)
    assert (found.expression is function) == (coefficients is None)


def test_a_function_of_what_is_left_keeps_what_it_needs() -> None:
    branches = WeightedSum((1.0, 1.0), (Product(Primitive("positive", (), ARGUMENT), SIGMOID), RELU), 0.0)
    found: Callable[..., object] = enclosed(branches, (np.array([1.0]), np.array([2.0]))).expression
    assert found.primitives() == {"sigmoid"}  # type: ignore[attr-defined]
    np.testing.assert_allclose(found(np.array([1.5])), branches(np.array([1.5])))
