"""Agreement: polynomials are chosen on some calibration inputs, and judged on others."""

import numpy as np
import pytest

from hecc.compiler.ckks.imprecise import UndecidedError
from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.nodes import ChebyshevNode, FunctionNode
from hecc.passes.ckks.agreement import METHODS, Agreement, rows_outside
from hecc.passes.ckks.approximate import Approximation
from hecc.runtime.errors import CompileError

ROWS = {"x": np.random.default_rng(3).uniform(-1, 1, (1000, 16))}
OTHERS = {"x": np.random.default_rng(4).uniform(-1, 1, (4000, 16))}
DECLARED = {"x": (-1.0, 1.0)}


@pytest.fixture
def graph(build):
    value = build.input("x", 16)
    for layer in range(3):
        before = build.dense(f"d{layer}", value, 24)
        value = build.add(FunctionNode, f"f{layer}", build.shapes[before], before, Primitive("relu", (), ARGUMENT))
    return build.graph(build.dense("y", value, 5))


def chosen(graph, lost, rows=ROWS, levels=8, truth=None):
    agreement = Agreement(graph, rows, lost, truth)
    approximation = Approximation(
        graph, agreement.chosen.inputs, DECLARED, 0.25, judge=agreement.chosen, methods=METHODS
    )
    return agreement, agreement.polynomials(approximation, levels)


def levels(graph):
    return sum(
        len(graph.parameters[node.coefficients]).bit_length() for node in graph.nodes if isinstance(node, ChebyshevNode)
    )


def agreed(exact, found):
    return float((exact.evaluate(OTHERS)["y"].argmax(1) == found.evaluate(OTHERS)["y"].argmax(1)).mean())


@pytest.mark.parametrize("lost", [0.01, 0.05])
def test_what_is_promised_holds_on_inputs_that_nobody_has_seen(graph, lost):
    agreement, found = chosen(graph, lost)
    facts = agreement.facts
    assert facts.kept >= 1 - lost
    assert facts.asked == 1 - lost
    assert facts.held_back
    assert facts.rows == 300
    assert not facts.labelled
    assert agreed(graph, found.graph) >= 1 - lost - 0.005


def test_fewer_decisions_take_fewer_levels(graph):
    shallow, deep = (levels(chosen(graph, lost)[1].graph) for lost in (0.2, 0.01))
    assert shallow < deep


def test_rows_held_back_are_none_of_those_that_polynomials_are_chosen_on(graph):
    agreement, _ = chosen(graph, 0.05)
    used = {row.tobytes() for row in agreement.chosen.inputs["x"]}
    assert len(used) == 700
    assert agreement.facts.rows == sum(row.tobytes() not in used for row in ROWS["x"])


def test_with_few_rows_none_is_held_back_and_the_plan_says_so(graph):
    agreement, found = chosen(graph, 0.05, {"x": ROWS["x"][:60]})
    assert not agreement.facts.held_back
    assert agreement.facts.rows == 60
    assert agreed(graph, found.graph) >= 0.93, "few rows are judged more strictly"


def test_too_few_rows_are_refused_with_how_many_it_takes(graph):
    with pytest.raises(
        CompileError, match=r"12 calibration inputs do not tell whether 99 of 100 decisions.*at least 40"
    ):
        Agreement(graph, {"x": ROWS["x"][:12]}, 0.01)


def test_a_small_loss_takes_more_rows_and_a_large_one_not_fewer(graph):
    with pytest.raises(CompileError, match=r"1000 calibration inputs do not tell whether 99\.99 of 100.*at least 4000"):
        Agreement(graph, ROWS, 0.0001)
    with pytest.raises(CompileError, match="at least 40 real inputs"):
        Agreement(graph, {"x": ROWS["x"][:12]}, 0.2)


def test_an_interrupted_search_finds_the_polynomials_that_are_all_alike(graph, monkeypatch, caplog):
    agreement = Agreement(graph, ROWS, 0.05)
    approximation = Approximation(
        graph, agreement.chosen.inputs, DECLARED, 0.25, judge=agreement.chosen, methods=METHODS
    )
    alike = next(filter(agreement._surely, approximation.uniform(0.05, 8)))

    def interrupted(lost, levels, begun):
        raise KeyboardInterrupt

    monkeypatch.setattr(approximation, "deciding", interrupted)
    assert agreement.polynomials(approximation, 8).levels == alike.levels
    assert agreement.facts.kept >= 0.95
    assert "interrupted" in caplog.text


def test_too_few_levels_are_refused_with_how_near_they_come(graph):
    with pytest.raises(UndecidedError) as refusal:
        chosen(graph, 0.002, levels=2)
    assert refusal.value.levels == 2
    assert 0.002 < refusal.value.lost < 1


def test_rows_that_leave_an_interval_are_found(graph):
    _, found = chosen(graph, 0.05)
    rows = {"x": np.concatenate([ROWS["x"][:5], 40 * ROWS["x"][:2]])}
    assert rows_outside(found.graph, found.graph.evaluate(rows)).tolist() == [False] * 5 + [True] * 2


def test_right_answers_count_in_place_of_the_networks_own(graph):
    truth = graph.evaluate(ROWS)["y"].argmax(axis=1)
    truth[::4] = (truth[::4] + 1) % 5
    agreement, _ = chosen(graph, 0.02, truth=truth)
    assert agreement.facts.labelled
    assert agreement.facts.kept >= 0.98
