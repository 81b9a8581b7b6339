"""Equalised networks compute the same, and their functions' channels come to about the same size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from hecc.compiler.graph.function import ARGUMENT, PolynomialOf, Primitive, Product, WeightedSum, is_homogeneous
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import FunctionNode
from hecc.compiler.graph.stages import CANONICAL, check_graph
from hecc.compiler.importer import import_model
from hecc.passes.ckks.kinks.equalise import LEAST, equalise
from hecc.passes.ckks.pipeline import canonicalise
from hecc.passes.graph.fuse_affine import fuse_affine

Model = Callable[..., onnx.ModelProto]
DRAW = np.random.default_rng(5)


def weights(*shape: int, axis: int = 0) -> Any:
    """Weights whose channels differ by factors from 1 to 1/8."""
    sizes = (0.5 ** np.linspace(0, 3, shape[axis])).reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return (sizes * DRAW.normal(size=shape)).astype(np.float32)


def canonical(model: Model, body: str, **constants: Any) -> Graph:
    used = {name: array for name, array in constants.items() if name in body}
    return canonicalise(import_model(model(f"g (float[N,2,6,6] x) => (float[N,3] y) {{ {body} }}", **used)))


CONSTANTS = {
    "kk": weights(4, 2, 3, 3),
    "bb": DRAW.normal(size=4).astype(np.float32),
    "ww": weights(64, 5, axis=1),
    "uu": weights(5, 3, axis=1),
    "vv": weights(16, 3, axis=1),
}
CHAIN = "c = Conv(x, kk, bb)  r = Relu(c)  f = Flatten(r)  d = MatMul(f, ww)  s = {}(d)  y = MatMul(s, uu)"
POOLED = (
    "c = Conv(x, kk, bb)  m = MaxPool<kernel_shape=[2,2], strides=[2,2]>(c)  r = Relu(m)  f = Flatten(r) "
    "y = MatMul(f, vv)"
)
SKIP = (
    "c = Conv(x, kk, bb)  r = Relu(c)  a = Add(r, c)  s = Abs(a)  f = Flatten(s)  d = MatMul(f, ww)  z = Relu(d) "
    "y = MatMul(z, uu)"
)


@pytest.mark.parametrize("body", [CHAIN.format("LeakyRelu"), CHAIN.format("Abs"), POOLED, SKIP])
def test_the_network_computes_the_same_and_is_no_deeper(body: str, model: Model) -> None:
    graph = canonical(model, body, **CONSTANTS)
    rows = {"x": DRAW.normal(size=(40, 2, 6, 6))}
    values = graph.evaluate(rows)
    equal = equalise(graph, values)
    check_graph(equal, CANONICAL)
    assert [(type(n), n.inputs) for n in equal.nodes] == [(type(n), n.inputs) for n in graph.nodes]
    assert len(fuse_affine(equal).nodes) == len(graph.nodes)
    found = equal.evaluate(rows)
    np.testing.assert_allclose(found["y"], values["y"], rtol=1e-9, atol=1e-9)
    for node in graph.nodes:
        if isinstance(node, FunctionNode):
            before, after = (spread(graph, node.value, each) for each in (values, found))
            assert before < after
            # The largest channel keeps its size.
            assert np.abs(found[node.value]).max() == pytest.approx(np.abs(values[node.value]).max())


def spread(graph: Graph, name: str, values: Any) -> float:
    """The mean size of a value's channels, relative to the largest."""
    shape = graph.node(name).output.shape
    largest = np.abs(values[name]).max(axis=0).reshape(shape)
    each = largest if len(shape) < 3 else largest.max(axis=(0, 2, 3))
    return float(np.mean(each / each.max()))


def test_a_channel_that_says_nothing_is_not_blown_up(model: Model) -> None:
    kernel = CONSTANTS["kk"].copy()
    kernel[3] *= 1e-3
    graph = canonical(model, CHAIN.format("Relu"), **{**CONSTANTS, "kk": kernel, "bb": CONSTANTS["bb"] * 0})
    rows = {"x": DRAW.normal(size=(40, 2, 6, 6))}
    before, after = graph.evaluate(rows)["c"], equalise(graph, graph.evaluate(rows)).evaluate(rows)["c"]
    quietest = (slice(None), slice(-16, None))
    np.testing.assert_allclose(after[quietest], before[quietest] / LEAST)


@pytest.mark.parametrize(
    "body",
    [
        # Not homogeneous.
        CHAIN.format("Tanh").replace("Relu(c)", "Softplus(c)"),
        # Read by a product.
        "c = Conv(x, kk, bb)  r = Relu(c)  q = Mul(r, c)  f = Flatten(q)  d = MatMul(f, ww)  y = MatMul(d, uu)",
        # Of what is no affine map.
        "r = Relu(x)  g = Flatten(r)  y = MatMul(g, tt)",
    ],
)
def test_what_cannot_carry_a_factor_stays(body: str, model: Model) -> None:
    graph = canonical(model, body, **CONSTANTS, tt=weights(72, 3))
    assert equalise(graph, graph.evaluate({"x": DRAW.normal(size=(4, 2, 6, 6))})) is graph


def test_an_argument_that_two_functions_read_has_one_factor_or_none(model: Model) -> None:
    body = "c = Conv(x, kk, bb)  r = Relu(c)  t = {}(c)  a = {}(r, t)  f = Flatten(a)  y = MatMul(f, pp)"
    for second, changes in (("Abs", True), ("Tanh", False)):
        graph = canonical(model, body.format(second, "Concat<axis=1>"), **CONSTANTS, pp=weights(128, 3))
        rows = {"x": DRAW.normal(size=(9, 2, 6, 6))}
        equal = equalise(graph, graph.evaluate(rows))
        assert (equal is not graph) == changes
        np.testing.assert_allclose(equal.evaluate(rows)["y"], graph.evaluate(rows)["y"], rtol=1e-9, atol=1e-9)


def test_homogeneous_functions_are_told_as_they_are_written() -> None:
    relu, leaky = Primitive("relu", (), ARGUMENT), Primitive("leakyrelu", (("alpha", 0.1),), ARGUMENT)
    twice = PolynomialOf((0.0, 2.0), relu)
    assert is_homogeneous(ARGUMENT)
    assert is_homogeneous(WeightedSum((2.0, -1.0, 1.0), (relu, leaky, twice), 0.0))
    assert is_homogeneous(Primitive("abs", (), relu))
    assert not is_homogeneous(WeightedSum((2.0,), (relu,), 1.0))
    assert not is_homogeneous(Primitive("hardswish", (), ARGUMENT))
    assert not is_homogeneous(PolynomialOf((0.0, 1.0, 1.0), relu))
    assert not is_homogeneous(Product(relu, relu))
