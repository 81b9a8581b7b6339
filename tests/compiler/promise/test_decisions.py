"""Decisions: what is read off a network, and which rows are decided as before."""

import numpy as np
import pytest

from hecc.compiler.graph.affine import MatrixProduct
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, InputNode, Source, Term, Value
from hecc.compiler.promise.decisions import Decisions, score_outputs
from hecc.runtime.tail.steps import ArgMax, Softmax

ROWS = {"x": np.random.default_rng(5).normal(size=(2000, 4))}
EVERY = np.arange(2000)
SOURCE = Source("n", "Op", 13)


def linear(size, *steps):
    """``y = x w``, and what the client makes of it."""
    x, y = Value("x", (1, 4)), Value("y", (1, size))
    product = MatrixProduct((1, 4), (1, size), "w")
    nodes = (InputNode(x, SOURCE), AffineNode(y, SOURCE, (Term("x", product),)))
    weights = np.random.default_rng(6).normal(size=(4, size))
    return Graph(nodes, ("y",), {"w": weights}, epilogues={"y": steps} if steps else {})


def scores(*steps):
    return linear(3, *steps)


def test_the_largest_score_is_the_decision():
    graph = scores()
    decisions = Decisions.of(graph, ROWS, 0.01)
    exact = graph.evaluate(ROWS)["y"]
    assert [output.name for output in score_outputs(graph)] == ["y"]
    assert decisions.same({"y": 7 * exact + 3}).all()
    other = exact.copy()
    other[:20] = -exact[:20]
    assert not decisions.same({"y": other})[:20].any()
    assert decisions.error({"y": other}, EVERY) == pytest.approx(0.01)


@pytest.mark.parametrize("steps", [(Softmax(axes=(0,)),), (ArgMax(axis=0),)])
def test_what_the_client_computes_is_what_decides(steps):
    graph = scores(*steps)
    decisions = Decisions.of(graph, ROWS, 0.01)
    exact = graph.evaluate(ROWS)["y"]
    assert decisions.same({"y": exact + 1}).all()
    assert decisions.error({"y": -exact}, EVERY) == 1


def test_what_overflows_is_decided_otherwise():
    graph = scores()
    values = graph.evaluate(ROWS)["y"].copy()
    values[3], values[7, 1] = np.inf, np.nan
    same = Decisions.of(graph, ROWS, 0.01).same({"y": values})
    assert np.flatnonzero(~same).tolist() == [3, 7]


def test_of_other_numbers_each_may_be_off_by_a_part_of_its_range():
    graph = linear(1)
    decisions = Decisions.of(graph, ROWS, 0.01)
    exact = graph.evaluate(ROWS)["y"]
    span = float(np.ptp(exact))
    assert decisions.same({"y": exact + 0.9 * span / 32}).all()
    assert not decisions.same({"y": exact + 1.1 * span / 32}).any()
    assert decisions.words == "'y' to a 32nd of its range"


def test_right_answers_count_where_they_are_known():
    graph = scores()
    exact = graph.evaluate(ROWS)["y"]
    truth = exact.argmax(axis=1)
    truth[:100] = (truth[:100] + 1) % 3  # what the network gets wrong
    decisions = Decisions.of(graph, ROWS, 0.01, truth)
    assert decisions.missed.sum() == 100
    assert decisions.error({"y": exact}, EVERY) == 0
    wrong = exact.copy()
    wrong[100:160] = -exact[100:160]
    assert decisions.error({"y": wrong}, EVERY) == pytest.approx(0.03)
    right = exact.copy()
    right[np.arange(100), truth[:100]] = exact.max() + 1
    assert decisions.error({"y": right}, EVERY) == 0, "more right answers are no loss"


def test_the_errors_of_few_rows_are_taken_larger():
    graph = scores()
    few = {"x": ROWS["x"][:100]}
    exact = graph.evaluate(few)["y"]
    first, second = np.sort(exact, axis=1)[:, -1], np.sort(exact, axis=1)[:, -2]
    errors = np.zeros_like(exact)
    errors[np.arange(100), exact.argmax(axis=1)] = -0.6 * (first - second)
    decisions = Decisions.of(graph, few, 0.01)
    assert decisions.same({"y": exact + errors}).all()
    assert decisions.error({"y": exact + errors}, np.arange(100)) == 1, "it would be lost, were errors twice as large"
    many = Decisions.of(graph, ROWS, 0.01)
    assert many.error({"y": np.tile(exact + errors, (20, 1))}, np.arange(2000)) >= 0


def test_some_rows_show_what_all_are_at_the_least():
    decisions = Decisions.of(scores(), ROWS, 0.01)
    assert decisions.at_least(0.0, 100) == 0
    assert decisions.at_least(0.5, 100) == pytest.approx(0.35)
    assert decisions.at_least(0.5, 10_000) > 0.48
