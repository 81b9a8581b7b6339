"""Functions behind maxima: the same numbers as onnxruntime's, in fewer rounds, of fewer elements."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from hecc.compiler.graph.function import ARGUMENT, NONDECREASING, PRIMITIVES, PolynomialOf, Primitive, WeightedSum
from hecc.compiler.graph.function import is_nondecreasing as rises
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, FunctionNode, OperatorNode
from hecc.compiler.graph.stages import IMPORTED, check_graph
from hecc.compiler.importer import import_model
from hecc.passes.ckks.kinks.order import order_maxima
from hecc.passes.ckks.pipeline import canonicalise

Model = Callable[..., onnx.ModelProto]
POOL = "MaxPool<kernel_shape=[{0},{0}], strides=[{0},{0}]>"
DRAW = np.random.default_rng(3)
CONSTANTS = {
    "kernel": DRAW.normal(size=(4, 2, 3, 3)).astype(np.float32),
    "positive": np.float32([0.5, 2, 1, 3]),
    "mixed": np.float32([0.5, -2, 1, 3]),
    "shift": np.float32([0.5, -0.2, 0, 1]),
    "mean": np.float32([0.1, -0.3, 0, 0.2]),
    "variance": np.float32([0.5, 2, 1, 3]),
    "row": np.float32([[[[0.3]], [[-0.1]], [[2.0]], [[0.0]]]]),
    "signal": np.array([0, 4, -1]),
    "last": np.array([3]),
    "half": np.float32(0.5),
}


def imported(model: Model, body: str) -> tuple[onnx.ModelProto, Graph]:
    text = f"g (float[N,2,8,8] x) => (float y) {{ c = Conv(x, kernel)  {body}  y = Softplus(z) }}"
    used = {name: array for name, array in CONSTANTS.items() if re.search(rf"\b{name}\b", text)}
    built = model(text, **used)
    return built, import_model(built)


def longest(graph: Graph, kinds: Any) -> int:
    """The longest chain of some kinds of nodes."""
    depth: dict[str, int] = {}
    for node in graph.nodes:
        before = max((depth[name] for name in node.inputs), default=0)
        depth[node.output.name] = before + isinstance(node, kinds)
    return max(depth.values())


BATCH_NORMALIZATION = "BatchNormalization({0}, {1}, shift, mean, variance)"

SAME = [
    # Network, functions in a row in the canonical graph, without the Softplus at the end.
    (f"r = Relu(c)  z = {POOL}(r)".format(2), 3),
    (f"p = {POOL}(c)  z = Relu(p)".format(2), 3),
    (f"p = {POOL}(c)  z = Relu(p)".format(3), 4),
    (f"r = Relu(c)  z = {POOL}(r)".format(3), 4),
    (f"r = Relu(c)  z = {POOL}(r)".format(1), 1),
    (f"s = LeakyRelu(c)  z = {POOL}(s)".format(3), 5),
    (f"s = Sigmoid(c)  t = Clip(s, half)  z = {POOL}(t)".format(2), 3),
    (f"r = Relu(c)  b = {BATCH_NORMALIZATION.format('r', 'positive')}  z = {POOL}(b)".format(3), 4),
    ("r = Relu(c)  z = GlobalMaxPool(r)", 6),
    # As some exporters pool signals.
    ("s = Reshape(c, signal)  r = Relu(s)  u = Unsqueeze(r, last)  z = MaxPool<kernel_shape=[3,1]>(u)", 2),
    ("s = Reshape(c, signal)  u = Unsqueeze(s, last)  z = MaxPool<kernel_shape=[3,1]>(u)", 2),
    ("p = MaxPool<kernel_shape=[3,1]>(c)  f = Flatten(p)  z = Relu(f)", 2),
    ("r = Relu(c)  m = ReduceMax<axes=[2,3], keepdims=0>(r)  z = Mul(m, half)", 6),
    ("r = Relu(c)  m = ReduceMin<axes=[2,3], keepdims=0>(r)  z = Mul(m, half)", 7),
    ("n = Neg(c)  a = Max(c, n)  b = Max(a, row)  z = Mul(b, half)", 2),
    ("n = Neg(c)  s = Sigmoid(c)  a = Max(c, n)  b = Max(s, row, half)  m = Max(a, b)  z = Mul(m, half)", 3),
]


@pytest.mark.parametrize(("body", "rounds"), SAME)
def test_the_same_as_onnxruntime_and_as_few_functions_in_a_row(
    body: str, rounds: int, model: Model, runtime: Callable[..., Any]
) -> None:
    built, graph = imported(model, body)
    ordered = order_maxima(graph)
    check_graph(ordered, IMPORTED)
    canonical = canonicalise(graph)
    x = DRAW.normal(size=(3, 2, 8, 8)).astype(np.float32)
    expected = runtime(built, {"x": x}).reshape(3, -1)
    for each in (ordered, canonical):
        np.testing.assert_allclose(each.evaluate({"x": x})["y"], expected, rtol=1e-4, atol=1e-5)
    # The last rectifier and the Softplus are one function where nothing else is between.
    assert longest(canonical, FunctionNode) in (rounds, rounds + 1)


def test_a_rectifier_is_a_number_more_in_the_window_and_takes_no_round_unless_the_window_is_full(model: Model) -> None:
    for size, rounds in ((2, 3), (3, 4)):
        _, graph = imported(model, f"r = Relu(c)  p = {POOL.format(size)}(r)  z = Mul(p, row)")
        (maximum,) = (node for node in order_maxima(graph).nodes if isinstance(node, OperatorNode))
        assert maximum.operator.least == 0.0
        assert not [n for n in order_maxima(graph).nodes if isinstance(n, FunctionNode) and n.output.name == "r"]
        canonical = canonicalise(graph)
        assert longest(canonical, FunctionNode) == rounds + 1
        # One affine map before each function, the convolution in the first.
        assert longest(canonical, AffineNode) == rounds + 1


def test_behind_a_full_window_only_the_last_rectifier_is_read(model: Model) -> None:
    _, graph = imported(model, f"r = Relu(c)  p = {POOL.format(2)}(r)  z = Mul(p, row)")
    last = [node for node in canonicalise(graph).nodes if isinstance(node, AffineNode)][-1]
    assert len(last.inputs) == 1


def test_a_function_is_evaluated_on_fewer_elements(model: Model) -> None:
    _, graph = imported(model, f"s = Tanh(c)  z = {POOL.format(3)}(s)")
    moved = next(node for node in order_maxima(graph).nodes if isinstance(node, FunctionNode))
    assert moved.output.shape == (1, 4, 2, 2)


@pytest.mark.parametrize(
    "body",
    [
        # Not monotone.
        f"s = Abs(c)  z = {POOL.format(2)}(s)",
        # Read by another node as well.
        f"s = Tanh(c)  p = {POOL.format(2)}(s)  u = GlobalAveragePool(s)  z = Add(p, u)",
        # Some channels change their sign.
        f"r = Tanh(c)  b = {BATCH_NORMALIZATION.format('r', 'mixed')}  z = {POOL.format(2)}(b)",
        # Nothing to be gained.
        f"b = {BATCH_NORMALIZATION.format('c', 'positive')}  z = {POOL.format(2)}(b)",
        # Of a minimum the rectifier is another thing.
        "m = ReduceMin<axes=[2,3]>(c)  r = Relu(m)  z = Mul(r, half)",
        "n = Neg(c)  a = Min(c, n)  z = Max(a, row)",
    ],
)
def test_what_does_not_commute_stays(body: str, model: Model) -> None:
    _, graph = imported(model, body)
    assert order_maxima(graph) is graph


@pytest.mark.parametrize("name", NONDECREASING)
def test_what_is_said_not_to_decrease_does_not(name: str) -> None:
    attributes: dict[str, dict[str, float]] = {
        "clip": {"low": -0.5, "high": 1.0},
        "celu": {"alpha": 0.7},
        "elu": {"alpha": 0.7},
        "hardsigmoid": {"alpha": 0.2, "beta": 0.5},
        "leakyrelu": {"alpha": 0.1},
        "selu": {"alpha": 1.6, "gamma": 1.05},
        "thresholdedrelu": {"alpha": 0.5},
    }
    given = attributes.get(name, {})
    assert NONDECREASING[name](**given)
    values = PRIMITIVES[name](np.linspace(-6, 6, 4001), **given)
    assert (np.diff(values) >= 0).all()
    assert rises(Primitive(name, tuple(given.items()), ARGUMENT))


def test_what_is_not_certain_to_rise_is_not_said_to() -> None:
    relu = Primitive("relu", (), ARGUMENT)
    assert rises(WeightedSum((2.0, 0.5), (relu, Primitive("tanh", (), relu)), -3.0))
    assert rises(PolynomialOf((1.0, 2.0), relu))
    assert not rises(WeightedSum((2.0, -0.5), (relu, ARGUMENT), 0.0))
    assert not rises(Primitive("leakyrelu", (("alpha", -0.1),), ARGUMENT))
    assert not rises(PolynomialOf((0.0, 0.0, 1.0), ARGUMENT))
    assert not rises(Primitive("swish", (("alpha", 1.0),), ARGUMENT))
