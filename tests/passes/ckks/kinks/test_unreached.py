"""Refusals by decisions say how many levels are missing, which layers spend them, and what would fit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from hecc.compiler.ckks.imprecise import ImpreciseError, UndecidedError, UnreachedError, by_sharing
from hecc.compiler.ckks.options import Options
from hecc.compiler.graph.graph import Graph
from hecc.compiler.importer import import_model
from hecc.passes.ckks.kinks.unreached import CHEAPEST, check_depth, unreached
from hecc.passes.ckks.pipeline import canonicalise
from hecc.passes.graph.depth import multiplicative_depth
from hecc.runtime.ckks.plan.choices import PolynomialTrial

Model = Callable[..., onnx.ModelProto]

OPTIONS = Options(accuracy_loss=1.0, precision=7.0)

DEEP = ImpreciseError("no parameters at depth 70", deep=True)

SHARING = "or compile it with --scheme sharing: two parties and a dealer of random numbers"


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
    assert "use squares in place of 9 of 18 activations and train again, " in message
    assert f"train again, {SHARING} compute Relu exactly, at any depth; or compile it with --bootstrap" in message
    assert message.endswith("compile it with --bootstrap, which refreshes values ahead of every activation")
    assert refusal.value.accuracy_loss is None
    # Less depth is enough to be let pass; more security takes room.
    check_depth(deep(model, 12), OPTIONS)
    with pytest.raises(UnreachedError, match="at 256-bit security"):
        check_depth(deep(model, 12), Options(accuracy_loss=1.0, security=256))


def test_without_room_for_squares_there_are_too_many_layers(model: Model) -> None:
    with pytest.raises(UnreachedError, match="use fewer layers and train again, or compile it with"):
        check_depth(deep(model, 40), OPTIONS)


@pytest.mark.parametrize(("kept", "loss"), [(0.98, 5.0), (0.9, 20.0), (0.999, 0.5), (0.6, None)])
def test_an_accuracy_loss_is_offered_where_enough_is_kept(kept: float, loss: float | None, model: Model) -> None:
    graph = deep(model, 12)
    best = PolynomialTrial(levels=4, depth=depth(graph, 4), kept=kept, seconds=3.0)
    refusal = unreached(graph, OPTIONS, best, DEEP)
    assert refusal.accuracy_loss == loss
    message = str(refusal)
    assert message.startswith("99% of the network's decisions cannot be kept: that takes polynomials of more than 4")
    assert f"polynomials of 4 levels fit, at depth {best.depth}, and keep {100 * kept:.1f}%" in message
    assert ("--accuracy-loss" in message) == (loss is not None)
    assert "squares in place of 3 of 12 activations or SiLU" in message


def test_where_nothing_fits_levels_are_missing_and_squares_may_do(model: Model) -> None:
    message = str(unreached(deep(model, 16), OPTIONS, None, DEEP))
    assert "with polynomials of 3 levels in place of activations the network has 65 levels" in message
    assert "--accuracy-loss" not in message


def test_what_is_no_question_of_depth_is_said(model: Model) -> None:
    best = PolynomialTrial(levels=4, depth=30, kept=0.97, seconds=3.0)
    refusal = unreached(deep(model, 4), OPTIONS, best, ImpreciseError("the evaluation keys are too large"))
    assert "cannot be kept: the evaluation keys are too large; polynomials of 4 levels fit" in str(refusal)
    assert "missing" not in str(refusal)
    assert SHARING in str(refusal)


def test_levels_are_not_missing_where_deeper_polynomials_would_not_do_either(model: Model) -> None:
    graph = deep(model, 6)
    best = PolynomialTrial(levels=7, depth=depth(graph, 7), kept=0.28, seconds=3.0)
    message = str(unreached(graph, OPTIONS, best, UndecidedError(0.634, 10)))
    assert "those of up to 10 levels, for which there is no room, keep 36.6%; polynomials of 7 levels fit" in message
    assert "use squares or SiLU in place of its activations and train again, or compile it with" in message
    assert "missing" not in message
    assert "--bootstrap" not in message
    # With no more levels than fit, it is levels that are missing.
    message = str(unreached(graph, OPTIONS, best, UndecidedError(0.634, 7)))
    assert "is missing" in message or "are missing" in message
    assert message.endswith("compile it with --bootstrap, which refreshes values ahead of every activation")


def test_smooth_functions_are_not_said_to_be_computed_exactly(model: Model) -> None:
    body = "s = Sigmoid(x)  t = Tanh(s)  y = Relu(t)"
    kinked = canonicalise(import_model(model(f"g (float[N,4] x) => (float[N,4] y) {{ {body} }}")))
    assert "compute" not in by_sharing(kinked)
    body = "a = Relu(x)  b = MaxPool<kernel_shape=[2]>(a)  y = MatMul(b, w)"
    graph = import_model(
        model(f"g (float[N,1,4] x) => (float[N,1,2] y) {{ {body} }}", w=np.eye(3, 2, dtype=np.float32))
    )
    assert "compute" in by_sharing(canonicalise(graph))
