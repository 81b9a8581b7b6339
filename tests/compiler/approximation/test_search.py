"""The search for degrees: what it leaves untried changes nothing of what it finds."""

import logging
import math

import numpy as np
import onnx
import pytest

from hecc.compiler.approximation.layers import CLASSES, FittedLayer
from hecc.compiler.approximation.search import DegreeSearch
from hecc.compiler.approximation.trials import PART, TrialNetwork
from hecc.compiler.graph.nodes import FunctionNode
from hecc.compiler.importer import import_model
from hecc.compiler.promise.promise import Promise
from hecc.inputs.models import onnx_model

ROWS = {"x": np.random.default_rng(5).uniform(-1, 1, (100, 8))}


@pytest.fixture
def searched():
    """A network of two layers, with its trials and the layers to be fitted."""
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
    g (float[N, 8] x) => (float[N, 3] y)
    <float[8, 8] A, float[8, 8] B, float[8, 3] C> {
        a = MatMul(x, A)  b = Relu(a)  c = MatMul(b, B)  d = Relu(c)  y = MatMul(d, C)
    }""")
    generator = np.random.default_rng(7)
    for name, width in (("A", 8), ("B", 8), ("C", 3)):
        weight = generator.normal(size=(8, width)).astype(np.float32) / 3
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    graph = import_model(onnx_model(model, None, True), batch_axis=True)
    network = TrialNetwork(graph, Promise.of(graph, ROWS))
    functions = [node for node in graph.nodes if isinstance(node, FunctionNode)]
    layers = [FittedLayer(n, network.exact[n.value], (-math.inf, math.inf), 0.25, quiet=True) for n in functions]
    return network, layers


def everything(network, layers):
    """The error of each class and method, all tried on all rows."""
    errors = {}
    for degrees in CLASSES:
        for method in FittedLayer.METHODS:
            fits = {layer.node.output.name: layer.fit(degrees, method) for layer in layers}
            if all(layer.admits(fits[layer.node.output.name]) for layer in layers):
                errors[tuple(fits.values())] = network.trial(fits, {}, list(fits)).error
    return errors


def test_the_closest_polynomials_are_the_closest_of_all(searched):
    errors = everything(*searched)
    choice, error = DegreeSearch(*searched).closest()
    assert errors[tuple(choice.values())] == error == min(errors.values())


def test_the_closest_are_found_after_other_searches_as_well(searched):
    search = DegreeSearch(*searched)
    assert search.least_depth(2.0**-20) is None
    errors = everything(*searched)
    assert search.closest()[1] == min(errors.values())


@pytest.mark.parametrize("bits", [2, 4, 5])
def test_a_search_that_failed_does_not_change_the_next_one(searched, bits):
    fresh, used = DegreeSearch(*searched), DegreeSearch(*searched)
    assert used.least_depth(2.0**-20) is None
    expected, found = fresh.least_depth(2.0**-bits), used.least_depth(2.0**-bits)
    assert expected is not None
    assert {name: fit.degrees for name, fit in found.items()} == {name: fit.degrees for name, fit in expected.items()}


def test_what_is_refused_after_a_part_of_the_rows_is_refused_on_all_of_them(searched, monkeypatch):
    network, layers = searched
    fits = {layer.node.output.name: layer.fit((7,), "minimax") for layer in layers}
    full = network.trial(fits, {}, list(fits))
    looked = []
    measure = Promise.error
    monkeypatch.setattr(
        Promise, "error", lambda self, values, rows: looked.append(len(rows)) or measure(self, values, rows)
    )
    part = network.trial(fits, {}, list(fits), allowed=full.error / 100)
    assert part.values is None
    assert 0 < part.error <= full.error
    assert looked == [-(-100 // PART)]
    again = network.trial(fits, {}, list(fits), allowed=full.error)
    assert again.error == full.error
    assert again.values is not None


def test_an_interruption_leaves_what_was_lowered_by_then_and_another_search_goes_on_from_there(searched, monkeypatch):
    network, _ = searched
    allowed, classes = 2.0**-4, range(1, 9)
    whole = DegreeSearch(*searched).shallowest(allowed, classes)
    start = next(DegreeSearch(*searched).uniform(allowed, classes))
    trial, tried = network.trial, []

    def counted(fits, known, changed, *rest):
        tried.append(len(changed))
        if len(tried) > stop and len(changed) == 1:
            raise KeyboardInterrupt
        return trial(fits, known, changed, *rest)

    monkeypatch.setattr(network, "trial", counted)

    def found(limit, begun=None):
        nonlocal stop
        stop = limit
        tried.clear()
        return DegreeSearch(*searched).shallowest(allowed, classes, begun)

    stop = 0
    assert degrees(found(0)) == degrees(start)
    part = next(part for limit in range(1, 100) if degrees(part := found(limit)) != degrees(start))
    assert depth(whole) <= depth(part) <= depth(start)
    again = found(math.inf, degrees(part))
    assert tried[0] == len(part)
    assert tried[1] == 1, "no class is tried for all layers"
    assert depth(again) <= depth(part)
    assert network.error(again) <= allowed


def test_polynomials_that_are_not_enough_or_of_other_layers_are_no_place_to_go_on_from(searched, caplog):
    allowed, classes = 2.0**-4, range(1, 9)
    whole = degrees(DegreeSearch(*searched).shallowest(allowed, classes))
    for wrong in (dict.fromkeys(whole, (1,)), {"other": (7,)}, {}):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            assert degrees(DegreeSearch(*searched).shallowest(allowed, classes, wrong)) == whole
        assert "the search starts anew" in caplog.text


def degrees(choice):
    return {name: fit.degrees for name, fit in choice.items()}


def depth(choice):
    return sum(degree.bit_length() for fit in choice.values() for degree in fit.degrees)
