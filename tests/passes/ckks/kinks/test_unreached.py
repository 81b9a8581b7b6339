"""Refusals by decisions say how many levels are missing, which layers spend them, and what would fit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from hecc.compiler.ckks.imprecise import UnreachedError
from hecc.compiler.ckks.options import Options
from hecc.compiler.graph.graph import Graph
from hecc.compiler.importer import import_model
from hecc.passes.ckks.kinks.unreached import CHEAPEST, check_depth, unreached
from hecc.passes.ckks.pipeline import canonicalise
from hecc.passes.graph.depth import multiplicative_depth
from hecc.runtime.ckks.plan.choices import PolynomialTrial

Model = Callable[..., onnx.ModelProto]

OPTIONS = Options(accuracy_loss=1.0, precision=7.0)


def deep(model: Model, number: int) -> Graph:
    """A chain of dense layers with ReLU between."""
    layers = [f"d{k} = MatMul({f'r{k - 1}' if k else 'x'}, w{k})  r{k} = Relu(d{k})" for k in range(number)]
    weights = {f"w{k}": np.eye(4, dtype=np.float32)[:, ::-1] - 0.5 for k in range(number + 1)}
    body = "  ".join([*layers, f"y = MatMul(r{number - 1}, w{number})"])
    return canonicalise(import_model(model(f"g (float[N,4] x) => (float[N,4] y) {{ {body} }}", **weights)))


def depth(graph: Graph, levels: int) -> int:
    return max(multiplicative_depth(graph, functions=levels).values())


def test_what_fits_is_let_pass(model: Model) -> None:
    check_depth(deep(model, 3), OPTIONS)


def test_what_fits_no_ring_is_refused_before_any_fit(model: Model) -> None:
    graph = deep(model, 18)
    with pytest.raises(UnreachedError) as refusal:
        check_depth(graph, OPTIONS)
    message = str(refusal.value)
    assert f"the network has {depth(graph, CHEAPEST)} levels of multiplications, where N = 65536 has room" in message
    assert "at 128-bit security: 17 levels are missing" in message
    assert message.count("Relu 'r") + message.count("Relu '") >= 3
    assert "use squares in place of 9 of 18 activations and train again" in message
    assert message.endswith("deeper networks need bootstrapping, which hecc does not have yet")
    assert refusal.value.accuracy_loss is None
    # Less depth is enough to be let pass; more security takes room.
    check_depth(deep(model, 12), OPTIONS)
    with pytest.raises(UnreachedError, match="at 256-bit security"):
        check_depth(deep(model, 12), Options(accuracy_loss=1.0, security=256))


def test_without_room_for_squares_there_are_too_many_layers(model: Model) -> None:
    with pytest.raises(UnreachedError, match="use fewer layers and train again; deeper networks need bootstrapping"):
        check_depth(deep(model, 40), OPTIONS)


@pytest.mark.parametrize(("kept", "loss"), [(0.98, 5.0), (0.9, 20.0), (0.999, 0.5), (0.6, None)])
def test_an_accuracy_loss_is_offered_where_enough_is_kept(kept: float, loss: float | None, model: Model) -> None:
    graph = deep(model, 12)
    best = PolynomialTrial(levels=4, depth=depth(graph, 4), kept=kept, seconds=3.0)
    refusal = unreached(graph, OPTIONS, best)
    assert refusal.accuracy_loss == loss
    message = str(refusal)
    assert message.startswith("99% of the network's decisions cannot be kept: that takes polynomials of more than 4")
    assert f"polynomials of 4 levels fit, at depth {best.depth}, and keep {100 * kept:.1f}%" in message
    assert ("--accuracy-loss" in message) == (loss is not None)
    assert "squares in place of 3 of 12 activations or SiLU" in message


def test_where_nothing_fits_levels_are_missing_and_squares_may_do(model: Model) -> None:
    message = str(unreached(deep(model, 16), OPTIONS, None))
    assert "with polynomials of 3 levels in place of activations the network has 65 levels" in message
    assert "--accuracy-loss" not in message


def test_what_is_no_question_of_depth_is_said(model: Model) -> None:
    best = PolynomialTrial(levels=4, depth=30, kept=0.97, seconds=3.0)
    refusal = unreached(deep(model, 4), OPTIONS, best, "the evaluation keys are too large")
    assert "cannot be kept: the evaluation keys are too large; polynomials of 4 levels fit" in str(refusal)
    assert "missing" not in str(refusal)
