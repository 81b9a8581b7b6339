"""The networks of two-party systems: the page is that of the figures that are kept, and figures are what they say."""

import importlib
import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "two-party-systems.md"


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


@pytest.fixture
def network(tmp_path):
    """A dense network with a hidden layer of four, and rows for it."""
    generator = np.random.default_rng(0)
    sizes = (6, 4, 3)
    arrays = {}
    for number, (size, then) in enumerate(itertools.pairwise(sizes)):
        arrays |= {f"w{number}": generator.normal(size=(size, then)), f"b{number}": generator.normal(size=then)}
    nodes = [
        helper.make_node("Gemm", ["row", "w0", "b0"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "w1", "b1"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("row", TensorProto.FLOAT, ["rows", sizes[0]])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", sizes[-1]])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "dense-relu.onnx")
    rows = generator.uniform(-1, 1, (250, sizes[0])).astype(np.float32)
    np.savez(
        tmp_path / "dense-relu.npz",
        calibration=rows[:50],
        test=rows[50:],
        labels=generator.integers(0, 3, 200),
        range=np.array([-1.0, 1.0]),
    )
    return tmp_path / "dense-relu.onnx"


def part(name):
    return importlib.import_module(f"two_party_systems.{name}")


def test_the_page_is_that_of_the_results_that_are_kept():
    if not PAGE.exists():
        pytest.skip("the page is not in a source distribution")
    module = importlib.import_module("two_party")
    assert part("page").page(module.RESULTS) == PAGE.read_text(encoding="utf-8"), (
        "run `python benchmarks/two_party.py page docs/reference/two-party-systems.md`"
    )


def test_a_network_is_counted_and_held_against_clear(network):
    module = part("accuracy")
    rows = part("catalogue").Rows.of(network.with_suffix(".npz"))
    plan = module.compiled(network, rows)
    costs = module.costs(plan)
    # Masked inputs, four comparisons, and three scores.
    assert costs["messages"] == 6
    assert 0 < costs["online_bytes"] < 200
    assert min(costs["dealt_bytes"], costs["prepared_bytes"], costs["difference_bytes"]) > 0
    found = module.accuracy(network, plan, rows, seconds=60)
    assert (found["rows"], found["of_rows"]) == (200, 200)
    assert found["same"] >= 198
    assert found["ties"] == 200 - found["same"] == len(found["margins"])
    clear = module.scores(network, rows.test).argmax(axis=1)
    assert found["clear"] == (clear == rows.labels).mean()


def test_a_decision_that_is_no_tie_is_not_counted_as_one(network, monkeypatch):
    module = part("accuracy")
    rows = part("catalogue").Rows.of(network.with_suffix(".npz"))
    plan = module.compiled(network, rows)
    monkeypatch.setattr(
        module.hecc, "simulate", lambda plan, given, seed: {"scores": -module.scores(network, given).astype(float)}
    )
    found = module.accuracy(network, plan, rows, seconds=60)
    assert found["same"] == 0
    assert found["ties"] < 10


def test_a_target_that_is_missed_is_named(network):
    catalogue, page = part("catalogue"), part("page")
    rows = catalogue.Rows.of(network.with_suffix(".npz"))
    report = {"activation": "relu", "costs": part("accuracy").costs(part("accuracy").compiled(network, rows))}
    for target, words in ((1e6, "1 MB"), (10.0, "10 bytes, **missed**")):
        shown = catalogue.Network("dense", "6-4-3", "numbers", target)
        assert page.bytes_line(shown, report)[page.BYTES_HEADING.index("asked")] == words
