"""Functions: whatever an exporter writes an activation as, it is one function of one value."""

import numpy as np
import onnx.parser
import pytest
from onnx import numpy_helper

from hecc.compiler.graph.function import ARGUMENT, PRIMITIVES, PolynomialOf, Primitive, Product, WeightedSum
from hecc.compiler.graph.function import degree as degree_of
from hecc.compiler.graph.nodes import FunctionNode
from hecc.compiler.importer import import_model
from hecc.passes.ckks.approximate import Approximation
from hecc.passes.ckks.pipeline import canonicalise
from hecc.passes.graph.depth import multiplicative_depth
from hecc.passes.graph.functions import compose_functions
from hecc.passes.graph.fuse_affine import fuse_affine


def graph_of(body, opset=18, **constants):
    text = f'<ir_version: 8, opset_import: ["" : {opset}]> g (float[1,6] x) => (float[1,6] y, float[1,6] z) {{'
    # With a layer behind it, nothing is at the end of the network, where the client would compute it.
    text = f"{text} h = MatMul (x, w) {body} z = MatMul (y, w) }}"
    model = onnx.parser.parse_model(text)
    weights = np.random.default_rng(0).normal(size=(6, 6))
    for name, value in {"w": weights, "one": 1.0, "half": 0.5, "three": 3.0, **constants}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
    return import_model(model)


def functions(graph):
    return [node for node in graph.nodes if isinstance(node, FunctionNode)]


ROWS = {"x": np.random.default_rng(1).normal(size=(20, 6))}

WRITTEN_OUT = {
    "silu": ("s = Sigmoid (h) y = Mul (h, s)", lambda x: PRIMITIVES["swish"](x, 1.0)),
    "silu by tanh": (
        "a = Mul (half, h) t = Tanh (a) b = Add (t, one) c = Mul (h, b) y = Mul (half, c)",
        lambda x: PRIMITIVES["swish"](x, 1.0),
    ),
    "gelu": (
        "a = Div (h, root) e = Erf (a) b = Add (e, one) c = Mul (h, b) y = Mul (c, half)",
        PRIMITIVES["gelu"],
    ),
    "gelu by tanh": (
        (
            "q = Mul (h, h) k = Mul (q, h) l = Mul (k, small) m = Add (h, l) n = Mul (m, factor) t = Tanh (n) "
            "o = Add (t, one) p = Mul (h, o) y = Mul (p, half)"
        ),
        PRIMITIVES["gelu_tanh"],
    ),
    "mish": ("s = Softplus (h) t = Tanh (s) y = Mul (h, t)", PRIMITIVES["mish"]),
    "hardswish": ("a = HardSigmoid <alpha = 0.16666667, beta = 0.5> (h) y = Mul (h, a)", PRIMITIVES["hardswish"]),
    "hardswish by clip": (
        "a = Add (h, three) b = Clip (a, zero, six) c = Mul (h, b) y = Div (c, six)",
        PRIMITIVES["hardswish"],
    ),
}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_an_activation_that_is_written_out_is_one_function(name):
    body, expected = WRITTEN_OUT[name]
    constants = {"root": np.sqrt(2.0), "small": 0.044715, "factor": np.sqrt(2 / np.pi), "zero": 0.0, "six": 6.0}
    used = {key: value for key, value in constants.items() if f" {key})" in body or f" {key}," in body}
    imported = graph_of(body, **used)
    composed = compose_functions(imported)
    (function,) = functions(composed)
    assert function.value == "h"
    x = np.linspace(-5, 5, 101)
    factor = (
        0.5 if function.output.name in ("c", "p") and "half" in body else 1 / 6 if function.output.name == "c" else 1
    )
    np.testing.assert_allclose(factor * function.function(x), expected(x), atol=1e-6)
    for graph in (composed, canonicalise(imported)):
        np.testing.assert_allclose(graph.evaluate(ROWS)["y"], imported.evaluate(ROWS)["y"], atol=1e-12)


HORNER = "a = Mul (h, half) b = Add (a, one) c = Mul (b, h) d = Add (c, three) e = Mul (d, h) y = MatMul (e, w)"
POWERS = "b = Mul (h, h) c = Mul (b, h) l = Mul (h, half) n = Mul (c, three) t = Add (l, n) y = MatMul (t, w)"


@pytest.mark.parametrize(("body", "degree", "depth"), [(HORNER, 3, 4), (POWERS, 3, 4)], ids=["horner", "powers"])
def test_a_polynomial_is_one_function_where_that_is_cheaper(body, degree, depth):
    """Horner's rule takes a level for every coefficient; of several powers the layer behind would read each."""
    imported = graph_of(body)
    graph = canonicalise(imported)
    (function,) = functions(graph)
    assert degree_of(function.function) == degree
    np.testing.assert_allclose(graph.evaluate(ROWS)["y"], imported.evaluate(ROWS)["y"], rtol=1e-9)
    plan = Approximation(graph, ROWS, {"x": (-4.0, 4.0)}, 0.25).at(12.0)
    assert plan.error < 1e-12
    assert multiplicative_depth(fuse_affine(plan.graph))["y"] == depth


@pytest.mark.parametrize(
    "body",
    [
        "b = Mul (h, h) c = Mul (b, h) y = MatMul (c, w)",
        "b = Mul (h, h) c = Add (b, one) d = Mul (c, c) y = MatMul (d, w)",
        "b = Mul (h, h) c = Mul (b, b) d = Mul (c, c) y = MatMul (d, w)",
    ],
)
def test_a_polynomial_whose_products_are_as_few_as_can_be_stays_as_it_is(body):
    """Products are exact wherever the values lie; a series needs an interval."""
    assert functions(canonicalise(graph_of(body))) == []


def test_a_factor_per_channel_stays_outside():
    graph = compose_functions(graph_of("a = Mul (h, v) t = Tanh (a) y = Mul (t, v)", v=np.arange(1.0, 7.0)))
    (function,) = functions(graph)
    assert (function.value, str(function.function)) == ("a", "tanh(x)")


def test_functions_in_a_row_are_one():
    (function,) = functions(compose_functions(graph_of("s = Sigmoid (h) q = Mul (s, s) y = Tanh (q)")))
    assert (function.value, function.output.name) == ("h", "y")


def test_a_function_that_is_also_read_elsewhere_stays():
    graph = compose_functions(graph_of("s = Sigmoid (h) t = Mul (s, h) u = MatMul (s, w) y = Add (t, u)"))
    assert sorted(node.output.name for node in functions(graph)) == ["s", "t"]


def test_products_without_a_function_are_left_to_the_activations():
    imported = graph_of("q = Mul (h, h) s = Sigmoid (q) r = Add (q, h) a = MatMul (s, w) y = Add (a, r)")
    assert [node.value for node in functions(compose_functions(imported))] == ["h"]
    assert "quadratic" in [node.kind for node in canonicalise(imported).nodes]


def test_a_long_chain_is_cut():
    body = " ".join(f"t{i} = Tanh ({f't{i - 1}' if i else 'h'})" for i in range(200))
    imported = graph_of(body + " y = Tanh (t199)")
    composed = compose_functions(imported)
    assert 2 <= len(functions(composed)) <= 10
    np.testing.assert_allclose(composed.evaluate(ROWS)["y"], imported.evaluate(ROWS)["y"], atol=1e-12)


def test_the_degree_of_an_expression():
    cube = Product(ARGUMENT, PolynomialOf((0.0, 0.0, 1.0), ARGUMENT))
    assert degree_of(cube) == 3
    assert degree_of(WeightedSum((1.0, 2.0), (cube, ARGUMENT), 0.5)) == 3
    assert degree_of(PolynomialOf((1.0, 0.0, 1.0), cube)) == 6
    assert degree_of(Product(cube, Primitive("exp", (), ARGUMENT))) == np.inf


@pytest.mark.parametrize(
    ("name", "attributes", "low", "high", "defined"),
    [
        ("reciprocal", {}, 0.1, 5.0, True),
        ("reciprocal", {}, -5.0, -0.1, True),
        ("reciprocal", {}, -0.1, 5.0, False),
        ("power", {"exponent": -2.0}, -1.0, 1.5, False),
        ("power", {"exponent": 0.5}, 0.0, 2.0, True),
        ("power", {"exponent": 0.5}, -0.1, 2.0, False),
        ("log", {}, 1e-3, 2.0, True),
        ("log", {}, -1.0, 2.0, False),
        ("tan", {}, -1.5, 1.5, True),
        ("tan", {}, 1.5, 1.7, False),
        ("exp", {}, -1.0, 2000.0, False),
        ("sin", {}, -100.0, 100.0, True),
    ],
)
def test_a_function_is_defined_where_it_is_finite_and_has_no_pole(name, attributes, low, high, defined):
    assert Primitive(name, tuple(attributes.items()), ARGUMENT).is_defined(low, high) == defined


def test_a_pole_between_the_points_looked_at_is_found():
    """1 / (x - 0.123) has finite values at all points, and changes its sign."""
    shifted = WeightedSum((1.0,), (ARGUMENT,), -0.123)
    assert not Primitive("reciprocal", (), shifted).is_defined(-1.0, 1.0)
    assert Primitive("reciprocal", (), shifted).is_defined(0.2, 1.0)
