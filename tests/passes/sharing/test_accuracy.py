"""Accuracy: what is asked for is kept on other inputs and coins, with no bits to spare."""

import numpy as np
import pytest

from hecc.compiler.sharing.lowering import Accuracy, lower
from hecc.compiler.sharing.simulation import simulated
from hecc.passes.sharing.accuracy import choose_accuracy
from hecc.runtime.errors import CompileError
from hecc.runtime.sharing.parties.walk import Checked, program_cost

DECLARED = {"x": (-1.0, 1.0)}


@pytest.fixture
def graph(build):
    from hecc.compiler.graph.function import ARGUMENT, Primitive
    from hecc.compiler.graph.nodes import FunctionNode

    build.input("x", 20)
    previous = "x"
    for layer in range(3):
        build.dense(f"d{layer}", previous, 20, np.linspace(-1, 1, 20))
        previous = build.add(FunctionNode, f"r{layer}", (1, 20), f"d{layer}", Primitive("relu", (), ARGUMENT))
    build.dense("y", previous, 5)
    return build.graph("y")


def rows(seed):
    return {"x": np.random.default_rng(seed).uniform(-1, 1, (200, 20))}


@pytest.mark.parametrize("precision", [5.0, 8.0, 11.0])
def test_outputs_are_as_precise_as_asked_for(graph, precision):
    found = choose_accuracy(graph, rows(0), DECLARED, precision, margin=4.0)
    assert precision <= found.precision < precision + 2.5
    others = rows(1)
    expected = graph.evaluate(others)["y"]
    error = np.abs(simulated(found.lowered, found.checked, others, seed=5)["y"] - expected).max()
    assert -np.log2(error / np.abs(expected).max()) > precision - 1
    values, weights = found.accuracy.value_bits, found.accuracy.weight_bits
    observed = {name: float(np.abs(each).max()) for name, each in graph.evaluate(rows(0)).items()}
    fewer = lower(graph, observed, DECLARED, Accuracy(values, weights - 1), margin=4.0)
    off = np.abs(
        simulated(fewer, Checked.of(fewer.built.program), {"x": rows(0)["x"][:64]}, seed=0)["y"]
        - graph.evaluate({"x": rows(0)["x"][:64]})["y"]
    ).max()
    assert -np.log2(off / observed["y"]) < precision


def test_precision_costs_bytes(graph):
    costs = [
        program_cost(choose_accuracy(graph, rows(0), DECLARED, precision, margin=4.0).checked).online()
        for precision in (4.0, 8.0, 12.0)
    ]
    assert costs == sorted(costs)
    assert len(set(costs)) == 3


def test_too_much_is_refused(graph):
    with pytest.raises(CompileError, match="ask for less precision"):
        choose_accuracy(graph, rows(0), DECLARED, 29.0, margin=4.0)
