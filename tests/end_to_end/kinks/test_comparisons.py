"""Functions with a jump, encrypted: they decide as onnxruntime does, and are near it away from the jump."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import pytest

import hecc
from hecc.runtime.errors import CompileError

Array = np.ndarray[Any, Any]
DRAW = np.random.default_rng(0)
WEIGHTS = DRAW.normal(size=(8, 8)), DRAW.normal(size=(8, 4))
ROWS = DRAW.normal(size=(400, 8)).clip(-3, 3).astype(np.float32)
RANGE = (-3.0, 3.0)
NUMBERS = {"half": 0.5, "low": -0.5, "one": 1.0, "zero": 0.0}

JUMPS = {
    "where": ("g = Greater(h, half) z = Where(g, h, low)", 0.5),
    "not": ("g = Greater(h, half) n = Not(g) z = Where(n, h, low)", 0.5),
    "step": ("g = GreaterOrEqual(h, zero) z = Where(g, one, zero)", 0.0),
    "sign": ("z = Sign(h)", 0.0),
    "truth": ("g = Less(h, half) z = Cast<to=1>(g)", 0.5),
    "gate": ("g = LessOrEqual(h, half) t = Tanh(x) z = Where(g, t, x)", 0.5),
    "threshold": ("z = ThresholdedRelu<alpha=0.5>(h)", 0.5),
}
"""Each with where it jumps."""

SMALL = {"where": JUMPS["where"], "not": JUMPS["not"], "threshold": JUMPS["threshold"]}
"""Those of which the jump is small beside what else there is."""


def network(three_way: Any, body: str) -> onnx.ModelProto:
    used = {name: number for name, number in NUMBERS.items() if re.search(rf"\b{name}\b", body)}
    text = f"g (float[N,8] x) => (float[N,4] y) {{ h = MatMul(x, w) {body} y = MatMul(z, v) }}"
    model: onnx.ModelProto = three_way.build(text, 14, w=WEIGHTS[0], v=WEIGHTS[1], **used)
    return model


def away(rows: Array, jump: float, distance: float) -> Array:
    """Those rows of which no number comes near a jump."""
    return rows[(np.abs(rows @ WEIGHTS[0] - jump) > distance).all(axis=1)]


def few(cases: dict[str, tuple[str, float]], fast: str) -> list[Any]:
    """All cases, of which one is among the fast tests: keys take long."""
    return [pytest.param(*case, id=name, marks=[pytest.mark.slow] * (name != fast)) for name, case in cases.items()]


@pytest.mark.parametrize(("body", "jump"), few(JUMPS, "where"))
def test_encrypted_it_decides_as_onnxruntime(body: str, jump: float, three_way: Any) -> None:
    model = network(three_way, body)
    plan = hecc.compile(model, calibration=ROWS, input_range=RANGE, accuracy_loss=5)
    agreement = plan.header.estimate.agreement
    assert agreement.kept >= 0.95
    others = np.random.default_rng(1).normal(size=(400, 8)).clip(-3, 3).astype(np.float32)
    expected = three_way.reference(model, {"x": others})["y"].argmax(axis=1)
    simulated = hecc.simulate(plan, others)["y"].argmax(axis=1)
    assert (simulated == expected).mean() >= 0.9
    clear = away(others, jump, 0.2)[:8]
    assert len(clear) >= 4
    found = three_way.encrypted(plan, {"x": clear})["y"]
    scores = np.sort(three_way.reference(model, {"x": clear})["y"], axis=1)
    decided = scores[:, -1] - scores[:, -2] > 0.15 * np.ptp(scores)
    same = found.argmax(axis=1) == three_way.reference(model, {"x": clear})["y"].argmax(axis=1)
    assert same[decided].all()
    assert decided.any()


@pytest.mark.parametrize(("body", "jump"), few(SMALL, "threshold"))
def test_by_a_low_precision_it_is_near_onnxruntime_away_from_the_jump(body: str, jump: float, three_way: Any) -> None:
    model = network(three_way, body)
    plan = hecc.compile(model, calibration=ROWS, input_range=RANGE, precision=3)
    clear = away(ROWS, jump, 0.2)[:4]
    expected = three_way.reference(model, {"x": clear})["y"]
    units = np.ptp(three_way.reference(model, {"x": ROWS})["y"], axis=0)
    found = three_way.encrypted(plan, {"x": clear})["y"]
    assert (np.abs(found - expected) / units).max() <= 2.0**-3


@pytest.mark.parametrize(("body", "jump"), JUMPS.values(), ids=JUMPS.keys())
def test_a_precision_that_no_polynomial_gives_is_refused_with_a_way_out(body: str, jump: float, three_way: Any) -> None:
    with pytest.raises(CompileError) as refused:
        hecc.compile(network(three_way, body), calibration=ROWS, input_range=RANGE, precision=12)
    assert "is not a polynomial" in str(refused.value)
    assert re.search("replace (it|them) by a square or a smooth activation", str(refused.value))


def test_without_a_precision_a_kink_that_a_comparison_makes_is_compiled_by_decisions(three_way: Any) -> None:
    relu = network(three_way, "g = Greater(h, zero) z = Where(g, h, zero)")
    plan = hecc.compile(relu, calibration=ROWS, input_range=RANGE)
    assert plan.header.estimate.agreement.asked == 0.99


def test_decisions_that_no_polynomial_keeps_are_refused_with_those_that_are_kept(three_way: Any) -> None:
    """There is room for more levels, and the refusal does not say that there is none."""
    with pytest.raises(CompileError, match=r"ask for --accuracy-loss \d+") as refused:
        hecc.compile(network(three_way, JUMPS["sign"][0]), calibration=ROWS, input_range=RANGE, accuracy_loss=0.1)
    assert "missing" not in str(refused.value)
    assert "bootstrapping" not in str(refused.value)
