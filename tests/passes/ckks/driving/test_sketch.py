"""Keys that are over the budget are refused before a polynomial is fitted, or a row evaluated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

import hecc
from hecc.compiler.ckks.imprecise import UnreachedError
from hecc.compiler.ckks.options import Options
from hecc.compiler.graph.graph import Graph
from hecc.compiler.importer import import_model
from hecc.passes.ckks import search
from hecc.passes.ckks.driving.sketch import sketched
from hecc.passes.ckks.kinks.unreached import CHEAPEST
from hecc.passes.ckks.pipeline import canonicalise

Model = Callable[..., onnx.ModelProto]

ROWS = np.random.default_rng(5).normal(size=(300, 64)).clip(-4, 4).astype(np.float32)


@pytest.fixture
def relus(model: Model) -> onnx.ModelProto:
    """Two dense layers with ReLU, and a last one."""
    draw = np.random.default_rng(1).normal
    weights = {name: draw(0, 0.2, shape).astype(np.float32) for name, shape in
               {"u": (64, 48), "v": (48, 32), "w": (32, 4)}.items()}  # fmt: skip
    body = "a = MatMul(x, u)  b = Relu(a)  c = MatMul(b, v)  d = Relu(c)  y = MatMul(d, w)"
    return model(f"g (float[N,64] x) => (float[N,4] y) {{ {body} }}", **weights)


def counted(monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> list[str]:
    """The calls of a function from now on."""
    calls: list[str] = []
    real = getattr(where, name)

    def calling(*arguments: Any, **options: Any) -> Any:
        calls.append(name)
        return real(*arguments, **options)

    monkeypatch.setattr(where, name, calling)
    return calls


def test_keys_over_the_budget_are_refused_without_a_row_evaluated(
    relus: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = counted(monkeypatch, Graph, "evaluate")
    lowered = counted(monkeypatch, search, "lower")
    with pytest.raises(UnreachedError) as refusal:
        hecc.compile(relus, calibration=ROWS, key_budget=1_000_000)
    message = str(refusal.value)
    assert message.startswith(f"even with polynomials of {CHEAPEST} levels in place of activations the evaluation keys")
    assert "more than the budget of 1 MB; allow more with --key-budget" in message
    assert "--scheme sharing: two parties and a dealer of random numbers compute Relu exactly" in message
    assert not evaluated
    # Once for each ring that has room, and once more with as few keys as there can be.
    assert len(lowered) <= 2 * len(search.RING_DEGREES)


def test_what_is_said_to_be_the_least_is_no_more_than_a_plan_takes(relus: onnx.ModelProto) -> None:
    plan = hecc.compile(relus, calibration=ROWS)
    taken = plan.header.estimate.evaluation_key_bytes
    demand = sketched(canonicalise(import_model(relus)), Options(key_budget=1), CHEAPEST)
    least = search.smallest_keys(demand)
    assert 0 < least <= taken
    # A budget that the plan keeps to is no reason to refuse it.
    again = hecc.compile(relus, calibration=ROWS, key_budget=taken)
    assert again.header.estimate.evaluation_key_bytes <= taken


def test_of_prices_on_keys_none_is_tried_where_the_dearest_leaves_too_many(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {f"w{k}": np.random.default_rng(k).normal(0, 0.1, (64, 64)).astype(np.float32) for k in range(2)}
    squares = model(
        "g (float[N,64] x) => (float[N,64] y) { a = MatMul(x, w0)  b = Mul(a, a)  y = MatMul(b, w1) }", **weights
    )
    free = hecc.compile(squares, calibration=ROWS).header.estimate.evaluation_key_bytes
    shared, tried = (counted(monkeypatch, search, name) for name in ("_shared", "_choose"))
    with pytest.raises(hecc.CompileError, match="MB at the least, more than the budget"):
        hecc.compile(squares, calibration=ROWS, key_budget=100_000)
    assert 0 < len(shared) <= len(tried)
    plan = hecc.compile(squares, calibration=ROWS, key_budget=int(0.9 * free))
    assert plan.header.estimate.evaluation_key_bytes <= 0.9 * free
