"""Proofs: no input leaves an interval, whichever polynomials within their tolerance stand for the functions."""

import numpy as np
import pytest

from hecc.compiler.graph.affine import MatrixProduct
from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.intervals import value_intervals
from hecc.compiler.graph.nodes import (
    AffineNode,
    ChebyshevNode,
    FunctionNode,
    InputNode,
    Source,
    Term,
    Value,
)
from hecc.compiler.graph.proofs import demanded, narrower_range, proved_intervals

DECLARED = {"x": (-1.0, 3.0)}


def network(*functions, gain=1.0, size=6):
    """Dense layers of random weights with a function behind each but the last."""
    generator = np.random.default_rng(len(functions))
    shape = (1, size)
    nodes, parameters, value = [InputNode(Value("x", shape), Source("x", "input", 17))], {}, "x"
    for k, function in enumerate((*functions, None)):
        parameters[f"w{k}"] = gain * generator.normal(size=(size, size)) / np.sqrt(size)
        parameters[f"b{k}"] = generator.normal(size=size)
        term = Term(value, MatrixProduct(shape, shape, f"w{k}"))
        nodes.append(AffineNode(Value(f"d{k}", shape), Source(f"d{k}", "Gemm", 17), (term,), f"b{k}"))
        value = f"d{k}"
        if function:
            expression = Primitive(function, (), ARGUMENT)
            nodes.append(FunctionNode(Value(f"f{k}", shape), Source(f"f{k}", "Op", 17), value, expression))
            value = f"f{k}"
    return Graph(tuple(nodes), (value,), parameters)


def rows(count, size=6):
    generator = np.random.default_rng(1)
    corners = generator.choice(DECLARED["x"], (count, size))
    return {"x": np.concatenate([corners, generator.uniform(*DECLARED["x"], (count, size))])}


@pytest.mark.parametrize("functions", [("tanh", "sigmoid", "tanh"), ("softplus", "gelu", "softsign"), ("exp", "tanh")])
@pytest.mark.parametrize("gain", [0.3, 1.0])
def test_no_input_leaves_an_interval_whatever_is_within_the_tolerance(functions, gain):
    graph = network(*functions, gain=gain)
    intervals = proved_intervals(graph, DECLARED)
    generator = np.random.default_rng(2)
    values = graph.evaluate(rows(500))
    found = {"x": values["x"]}
    for node in graph.nodes[1:]:
        found[node.output.name] = graph.evaluate_node(node, found)
        if isinstance(node, FunctionNode):
            tolerance = demanded(node, intervals[node.value]).tolerance
            assert tolerance > 0
            # As wrong as is tolerated, everywhere, and with any sign.
            found[node.output.name] += tolerance * generator.choice([-1, 1], found[node.output.name].shape)
        centre, radius = intervals[node.output.name]
        assert np.all(np.abs(found[node.output.name] - centre) <= radius * (1 + 1e-9)), node.output.name


def test_a_bounded_function_bounds_what_follows_however_wide_its_own_interval():
    graph = network("sigmoid", "sigmoid", gain=1000.0)
    intervals = proved_intervals(graph, DECLARED)
    for name in ("f0", "f1"):
        centre, radius = intervals[name]
        assert (centre - radius).min() >= -0.08
        assert (centre + radius).max() <= 1.08


def test_elements_have_intervals_of_their_own():
    graph = network("tanh", gain=0.1)
    centre, radius = proved_intervals(graph, DECLARED)["f0"]
    together = value_intervals(graph, DECLARED)["f0"]
    assert len(np.unique(centre)) == len(centre)
    assert radius.max() < together[1].min()


def test_a_series_is_proved_element_by_element_too():
    shape = (1, 4)
    coefficients = np.array([0.1, 0.8, 0.0, -0.3, 0.0, 0.1])
    nodes = (
        InputNode(Value("x", shape), Source("x", "input", 17)),
        ChebyshevNode(Value("y", shape), Source("y", "Tanh", 17), "x", "c", (-1.0, 1.0)),
    )
    graph = Graph(nodes, ("y",), {"c": coefficients})
    centre, radius = proved_intervals(graph, {"x": (-0.25, 0.5)})["y"]
    found = graph.evaluate({"x": np.linspace(-0.25, 0.5, 1000)[:, np.newaxis] * np.ones(4)})["y"]
    assert np.all(np.abs(found - centre) <= radius)
    assert radius.max() == pytest.approx((found.max() - found.min()) / 2, rel=0.01)


def test_what_is_demanded_is_met_or_not():
    graph = network("tanh")
    (node,) = [node for node in graph.nodes if isinstance(node, FunctionNode)]
    demand = demanded(node, proved_intervals(graph, DECLARED)[node.value])
    assert demand.met(node.function, node.function)
    assert demand.met(lambda x: node.function(x) + 0.99 * demand.tolerance, node.function)
    assert not demand.met(
        lambda x: node.function(x) + 1.01 * demand.tolerance * (x > demand.high - 0.01), node.function
    )
    assert "may be anything from" in demand.against((-1.0, 1.0))


def test_a_narrower_range_is_advised_only_where_calibration_inputs_keep_within_one():
    declared = {"a": (0.0, 1.0), "b": (-5.0, 5.0)}
    full = {"a": np.array([[0.0, 1.0]]), "b": np.array([[-5.0, 4.9]])}
    assert narrower_range(declared, full) == ""
    advice = narrower_range(declared, {**full, "b": np.array([[-1.0, 2.0]])})
    assert advice.startswith("declare a narrower input range (that of 'b' is -5 to 5,")
