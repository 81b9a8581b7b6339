"""What is encrypted in [-1, 1] becomes the network's input again, for every kind of node."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from hecc.compiler.importer import import_model
from hecc.passes.ckks.pipeline import canonicalise
from hecc.passes.graph.depth import multiplicative_depth
from hecc.passes.graph.units import with_normalised_inputs
from hecc.runtime.inputs.ranges import ElementRanges

RANGES = ElementRanges.of([1e-3, -2.0, 1e5, 0.0], [2e-3, 5.0, 3e5, 1.0])
ROWS = np.random.default_rng(0).uniform(RANGES.lows, RANGES.highs, (20, 4))
WEIGHTS = np.random.default_rng(1).normal(0, 1, (4, 4)) / RANGES.radius[:, np.newaxis]


def imported(*nodes, inputs=("x",)):
    """Of nodes as ("Operator", reads...), each of which makes the value of its number."""
    made = [
        helper.make_node(operator, list(reads), ["y" if number == len(nodes) - 1 else str(number)])
        for number, (operator, *reads) in enumerate(nodes)
    ]
    graph = helper.make_graph(
        made,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [
            numpy_helper.from_array(WEIGHTS.astype(np.float32), "w"),
            numpy_helper.from_array(RANGES.centre.astype(np.float32), "mean"),
            numpy_helper.from_array(RANGES.radius.astype(np.float32), "std"),
        ],
    )
    return import_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


NETWORKS = {
    "linear": [("MatMul", "x", "w")],
    "scaler": [("Sub", "x", "mean"), ("Div", "0", "std"), ("MatMul", "1", "w")],
    "square": [("Mul", "x", "x")],
    "function": [("Sub", "x", "mean"), ("Div", "0", "std"), ("Tanh", "1")],
    "product": [("MatMul", "x", "w"), ("Mul", "0", "x")],
    "reshaped": [("Identity", "x"), ("Add", "0", "x")],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_computes_the_same(name):
    graph = imported(*NETWORKS[name])
    normalised = with_normalised_inputs(graph, {"x": RANGES})
    for stage in (graph, canonicalise(graph)):
        expected = stage.evaluate({"x": ROWS})["y"]
        for other in (normalised, canonicalise(normalised)):
            found = other.evaluate({"x": RANGES.normalised(ROWS)})["y"]
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["linear", "scaler", "product"])
def test_a_linear_layer_takes_it_in(name):
    depths = [
        max(multiplicative_depth(canonicalise(graph)).values())
        for graph in (imported(*NETWORKS[name]), with_normalised_inputs(imported(*NETWORKS[name]), {"x": RANGES}))
    ]
    assert depths[0] == depths[1]


def test_only_what_has_ranges_changes():
    graph = imported(("Add", "x", "u"), inputs=("x", "u"))
    assert with_normalised_inputs(graph, {}) is graph
    changed = with_normalised_inputs(graph, {"u": RANGES})
    np.testing.assert_allclose(changed.evaluate({"x": ROWS, "u": RANGES.normalised(ROWS)})["y"], 2 * ROWS, rtol=1e-9)
