"""Precision is promised of every number that a user reads: small beside large, behind a softmax, far from the rest."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

import hecc
from hecc.compiler.importer import import_model

Array = np.ndarray[Any, Any]

DATA = files("hecc") / "data"

MASK = [0.0, 1.0, 0.0, 1.0, 0.0]
SIZES = [1e-3, 1.0, 1e3, 2.0, 5e4]

ENDS = {
    "a mask ahead of a softmax": ("a = Add (z, m) y = Softmax <axis = -1> (a)", {"m": -1e4 * np.array(MASK)}),
    "a mask of a billion": ("a = Add (z, m) y = Softmax <axis = -1> (a)", {"m": -1e9 * np.array(MASK)}),
    "a mask of float32's largest": ("a = Add (z, m) y = Softmax <axis = -1> (a)", {"m": -3.4e38 * np.array(MASK)}),
    "a mask by selection": (
        "a = Where (c, m, z) y = Softmax <axis = -1> (a)",
        {"c": np.array(MASK, dtype=bool), "m": np.float32(-1e9)},
    ),
    "a mask taken off": ("a = Sub (z, m) y = LogSoftmax <axis = -1> (a)", {"m": 1e4 * np.array(MASK)}),
    "a bias": ("y = Add (z, m)", {"m": [1e5, 0.0, -3e4, 0.0, 7.0]}),
    "sizes": ("y = Mul (z, s)", {"s": SIZES}),
    "sizes a billion times apart": ("y = Mul (z, s)", {"s": [1e6, 1.0, 1.0, 1e-6, 1.0]}),
    "mean and deviation": ("a = Mul (z, s) y = Add (a, m)", {"s": SIZES, "m": [5.0, 1e2, -2e4, 0.0, 1e6]}),
    "division": ("y = Div (z, s)", {"s": SIZES}),
    "another shape": ("a = Mul (z, s) y = Reshape (a, r)", {"s": SIZES, "r": np.array([-1, 5, 1])}),
    "side by side": ("a = Mul (z, s) y = Concat <axis = 1> (z, a)", {"s": [1e-3, 1.0, 1e-5, 2.0, 5e-4]}),
    "behind a square": ("q = Mul (z, z) y = Mul (q, s)", {"s": SIZES}),
    "a bias behind a square": ("q = Mul (z, z) y = Add (q, m)", {"m": [0.0, 1e5, 1e6, 0.0, 0.0]}),
    "squares": ("a = Mul (z, s) y = Mul (a, a)", {"s": [1.0, 0.1, 0.01, 1.0, 1.0]}),
    "exponentials": ("a = Mul (z, s) y = Exp (a)", {"s": [0.1, 0.5, 0.01, 0.2, 0.05]}),
    "a softmax of large scores": ("a = Mul (z, s) y = Softmax <axis = -1> (a)", {"s": np.float32(10)}),
    "a clipped end": ("y = Relu (z)", {}),
    "one that is never zero": ("a = Relu (z) y = Add (a, m)", {"m": np.float32(3.0)}),
}


def network(three_way: Any, draw: Callable[..., Array], end: str) -> tuple[Any, dict[str, Array]]:
    """A square between two layers, and an end."""
    text, constants = ENDS[end]
    model = three_way.build(
        "g (float[N,6] x) => (float[N,k] y) { h = MatMul (x, w) t = Mul (h, h) z = MatMul (t, v) " + text + " }",
        opset=17,
        w=draw(6, 6),
        v=draw(6, 5, seed=1),
        **constants,
    )
    return model, {"x": draw(200, 6, seed=2)}


@pytest.mark.parametrize("end", ENDS)
def test_every_element_is_as_precise_as_promised(end: str, three_way: Any, draw: Callable[..., Array]) -> None:
    model, inputs = network(three_way, draw, end)
    exact = three_way.reference(model, inputs)["y"]
    plan = hecc.compile(model, calibration=inputs)
    cost = plan.header.estimate
    assert cost.precision_bits >= 12
    # What single precision leaves of a large bias is no fault of the plan.
    allowed = 2.0**-cost.precision_bits * three_way.units(exact) + 2.0**-22 * np.abs(exact)
    assert (np.abs(hecc.simulate(plan, inputs)["y"] - exact) <= allowed).all()
    decrypted = three_way.encrypted(plan, {"x": inputs["x"][:3]})["y"]
    assert (np.abs(decrypted - exact[:3]) <= allowed[:3]).all()


def test_a_promise_holds_where_few_rows_decide(three_way: Any, draw: Callable[..., Array]) -> None:
    """A softmax of large scores has errors in a few rows only, whichever noise is drawn."""
    model, inputs = network(three_way, draw, "a softmax of large scores")
    exact = three_way.reference(model, inputs)["y"]
    plan = hecc.compile(model, calibration=inputs)
    allowed = 2.0**-plan.header.estimate.precision_bits * three_way.units(exact)
    for seed in range(20):
        assert (np.abs(hecc.simulate(plan, inputs, seed=seed)["y"] - exact) <= allowed).all()


def test_two_targets_of_different_size_are_both_right(three_way: Any, draw: Callable[..., Array]) -> None:
    weights = np.zeros((6, 2))
    weights[0, 0], weights[1, 1] = 2.0, 2e-6
    model = three_way.build("g (float[N,6] x) => (float[N,2] y) { y = MatMul (x, w) }", w=weights)
    inputs = {"x": draw(200, 6)}
    plan = hecc.compile(model, calibration=inputs)
    found = three_way.encrypted(plan, {"x": inputs["x"][:5]})["y"]
    assert (np.abs(found - inputs["x"][:5].astype(np.float64) @ weights) <= [1e-3, 1e-9]).all()


def test_what_is_elementwise_at_the_end_costs_no_level(three_way: Any, draw: Callable[..., Array]) -> None:
    model, inputs = network(three_way, draw, "behind a square")
    plain, _ = network(three_way, draw, "squares")
    plan, other = (hecc.compile(m, calibration=inputs) for m in (model, plain))
    assert plan.header.estimate.depth == other.header.estimate.depth == 4


def test_elements_that_differ_and_cannot_be_scaled_are_warned_of(
    three_way: Any, draw: Callable[..., Array], caplog: pytest.LogCaptureFixture
) -> None:
    model, inputs = network(three_way, draw, "squares")
    plan = hecc.compile(model, calibration=inputs)
    assert plan.header.estimate.worst_element == "y[2]"
    (warning,) = [r.getMessage() for r in caplog.records if "differ much" in r.getMessage()]
    assert "y[2] is 1" in warning
    assert "make it an output of its own" in warning


def test_a_network_whose_elements_are_alike_is_not_warned_of(
    three_way: Any, draw: Callable[..., Array], caplog: pytest.LogCaptureFixture
) -> None:
    model, inputs = network(three_way, draw, "sizes")
    hecc.compile(model, calibration=inputs)
    assert not caplog.records


class Searched:
    """The digits network and its plan, and how precise the plan is on inputs, with noise drawn anew each time."""

    def __init__(self, model: Any, calibration: Array) -> None:
        self.plan = hecc.compile(model, calibration=calibration)
        self._graph = import_model(model)
        self._seed = 0
        exact = self.exact(calibration)
        self._span = np.ptp(exact, axis=0)
        self._middle = (exact.max(axis=0) + exact.min(axis=0)) / 2
        self._usual = self._away(exact).max()
        values = self._graph.evaluate({"image": calibration})
        self._limits = {name: 4 * np.abs(v).max() for name, v in values.items()}

    def exact(self, x: Array) -> Array:
        return self._graph.evaluate({"image": x})["logits"]

    def _away(self, exact: Array) -> Array:
        return np.median(np.abs(exact - self._middle) / self._span, axis=1)

    def evaluable(self, x: Array) -> Array:
        """Rows whose values the modulus has room for."""
        values = self._graph.evaluate({"image": x})
        return np.all([np.abs(values[name]).max(axis=1) <= limit for name, limit in self._limits.items()], axis=0)

    def bits(self, x: Array) -> tuple[Array, Array]:
        """Of each row, relative to the ranges as large as its results are, and to those of the calibration inputs."""
        self._seed += 1
        exact = self.exact(x)
        off = np.abs(hecc.simulate(self.plan, x, seed=self._seed)["logits"] - exact) / self._span
        reach = np.maximum(1.0, self._away(exact) / self._usual)[:, np.newaxis]
        return -np.log2((off / reach).max(axis=1)), -np.log2(off.max(axis=1))


def test_no_input_in_the_declared_range_is_less_precise_than_promised() -> None:
    """Random inputs, corners, and then from the worst corners on whatever makes errors larger."""
    with np.load(str(DATA / "digits.npz")) as digits:
        calibration = digits["calibration"].astype(np.float64)
    searched = Searched((DATA / "digits.onnx").read_bytes(), calibration)
    near, far = searched.plan.header.estimate.precision_bits, searched.plan.header.estimate.far_precision_bits
    generator = np.random.default_rng(11)
    shape = calibration.shape[1:]
    corners = (generator.random((600, *shape)) < generator.random((600, 1, 1, 1))).astype(np.float64)
    inputs = np.concatenate([calibration, generator.random((300, *shape)), corners])
    inputs = inputs[searched.evaluable(inputs)]
    assert len(inputs) > 900
    found = searched.bits(inputs)
    assert found[0].min() >= near
    assert found[1].min() >= far
    x = inputs[np.argsort(found[1])[:64]]
    best = np.full(len(x), np.inf)
    for _ in range(60):
        tried = np.where(generator.random(x.shape) < 0.04, 1 - x, x)
        tried[~searched.evaluable(tried)] = x[~searched.evaluable(tried)]
        ours, theirs = searched.bits(tried)
        assert ours.min() >= near
        assert theirs.min() >= far
        x = np.where((theirs < best)[:, np.newaxis, np.newaxis, np.newaxis], tried, x)
        best = np.minimum(best, theirs)
