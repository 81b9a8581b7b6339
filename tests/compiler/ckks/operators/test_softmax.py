"""Softmax as a tournament: the same shares, where the reciprocal of a sum of exponentials is out of reach."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from hecc.compiler.ckks.operators.softmax import Spread
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import FunctionNode, ProductNode
from hecc.compiler.importer import import_model
from hecc.passes.ckks.pipeline import canonicalise

Model = Callable[..., onnx.ModelProto]


def network(model: Model, shape: tuple[int, ...], axis: int, factor: float) -> tuple[onnx.ModelProto, Graph]:
    dims = ",".join(map(str, shape))
    text = f"""g (float[N,{dims}] x) => (float[N,{dims}] y) {{
        h = Mul(x, factor)  s = Softmax<axis={axis}>(h)  t = Mul(s, x)  y = MatMul(t, w) }}"""
    weights = np.random.default_rng(1).normal(size=(shape[-1], shape[-1])).astype(np.float32)
    built = model(text, factor=np.float32(factor), w=weights)
    return built, import_model(built)


def functions(graph: Graph) -> list[str]:
    """Names of all functions."""
    text = " ".join(str(node.function) for node in graph.nodes if isinstance(node, FunctionNode))
    return re.findall(r"[a-z]+(?=\()", text)


@pytest.mark.parametrize(
    ("shape", "axis"), [((2,), 1), ((3,), 1), ((4,), 1), ((5,), -1), ((8,), 1), ((2, 4, 3), 2), ((2, 3, 7), -1)]
)
@pytest.mark.parametrize("factor", [1.0, 30.0])
def test_a_softmax_is_that_of_onnxruntime(
    shape: tuple[int, ...], axis: int, factor: float, model: Model, runtime: Callable[..., Any]
) -> None:
    built, graph = network(model, shape, axis, factor)
    rows = np.random.default_rng(0).normal(size=(40, *shape)).astype(np.float32)
    canonical = canonicalise(graph, calibration={"x": rows})
    found = canonical.evaluate({"x": rows})["y"].reshape(rows.shape)
    np.testing.assert_allclose(found, runtime(built, {"x": rows}), rtol=1e-4, atol=1e-5)
    count = shape[axis if axis < 0 else axis - 1]
    # Two numbers take a sigmoid of their difference wherever they lie.
    assert ("exp" in functions(canonical)) == (factor == 1.0 and count > 2)
    if factor > 1:
        rounds = (count - 1).bit_length()
        assert (functions(canonical).count("sigmoid"), functions(canonical).count("softplus")) == (rounds, rounds - 1)
        # One product each for the rounds behind the first, and that with x.
        assert sum(isinstance(node, ProductNode) for node in canonical.nodes) == rounds


def test_without_calibration_inputs_exponentials_are_summed(model: Model) -> None:
    _, graph = network(model, (4,), 1, 30.0)
    assert "exp" in functions(canonicalise(graph))


def test_a_spread_is_that_of_the_numbers_and_of_their_sums() -> None:
    spread = Spread.of(np.array([[[0.0, 1.0], [4.0, 4.0]], [[-3.0, 5.0], [0.0, 0.0]]]), (1,))
    assert spread.numbers == 8.0
    sums = [np.log(np.exp([a, b]).sum()) - (a + b) / 2 for a, b in ((0, 1), (4, 4), (-3, 5), (0, 0))]
    np.testing.assert_allclose(spread.sums, max(sums) - min(sums))


def test_the_shallower_way_is_taken() -> None:
    assert not Spread(2.0, 0.5).plays(4)
    assert not Spread(8.0, 4.0).plays(64)
    assert Spread(28.0, 13.0).plays(4)
    assert Spread(28.0, 13.0).plays(64), "there is no other"
    assert not Spread(28.0, 13.0).plays(1)
