"""The networks of others: what is measured of a network made up here, and the page of the figures that are kept."""

import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from hecc.runtime.depth import polynomial_depth

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
PAGE = ROOT / "docs" / "reference" / "networks.md"
SHARING_PAGE = PAGE.with_name("sharing-networks.md")
SHARING_RESULTS = BENCHMARKS / "other_networks" / "results" / "sharing"
RELU_LEVELS = (3, 7)
"""Multiplications in a row that a ReLU takes, as README and the guide say."""


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


def part(name: str) -> ModuleType:
    return importlib.import_module(f"other_networks.{name}")


def test_the_page_is_that_of_the_results_that_are_kept():
    if not PAGE.exists():
        pytest.skip("the page is not in a source distribution")
    assert part("page").page(BENCHMARKS / "other_networks" / "results") == PAGE.read_text(encoding="utf-8"), (
        "run `python benchmarks/networks.py page docs/reference/networks.md`"
    )


def test_the_page_of_sharing_is_that_of_the_results_that_are_kept():
    if not SHARING_PAGE.exists():
        pytest.skip("the page is not in a source distribution")
    assert part("sharing_page").sharing_page(SHARING_RESULTS) == SHARING_PAGE.read_text(encoding="utf-8"), (
        "run `python benchmarks/networks.py page docs/reference/sharing-networks.md --scheme sharing`"
    )


def test_shared_networks_decide_as_in_clear():
    """Trained networks on images: 99.85% of labels and more each, and 99.9% of all of them together."""
    catalogue, rows, agreed = part("catalogue"), {}, {}
    trained = [each for each in (*catalogue.NETWORKS, *catalogue.SMOOTH) if (each.accuracy or 0) > 50]
    for network in trained:
        if network.data in ("MNIST", "CIFAR-10"):
            found = json.loads((SHARING_RESULTS / f"{network.key}.json").read_text(encoding="utf-8"))["simulated"]
            assert found["agreement"] > 0.9985, network.name
            rows[network.name], agreed[network.name] = found["rows"], found["rows"] - len(found["differing"])
    assert len(rows) > 20
    assert sum(agreed.values()) > 0.999 * sum(rows.values())


def test_a_network_that_is_refused_with_proved_ranges_is_shared_with_observed_ones():
    for file in SHARING_RESULTS.glob("*.json"):
        compiled = json.loads(file.read_text(encoding="utf-8"))["compiled"]
        assert "messages" in compiled["observed"], file.name
        if "refusal" in compiled["proved"]:
            assert "choose the option ranges=observed" in compiled["proved"]["refusal"]


def test_the_figures_of_the_readme_are_those_that_were_measured():
    readme = importlib.import_module("readme")
    if not readme.EXAMPLE.exists():
        pytest.skip("the examples are not here")
    text = readme.PAGE.read_text(encoding="utf-8")
    assert readme.page(text) == text, "run `python benchmarks/readme.py`"
    with pytest.raises(ValueError, match="the page has 0 blocks between <!-- networks: begin -->"):
        readme.page(text.replace("<!-- networks: begin -->", ""))


def test_a_relu_takes_as_many_levels_as_pages_say():
    found = set()
    for file in (BENCHMARKS / "other_networks" / "results").glob("*.json"):
        compiled = json.loads(file.read_text(encoding="utf-8")).get("compiled", {})
        found |= {polynomial_depth(polynomial["degree"]) for polynomial in compiled.get("polynomials", ())}
    least, most = RELU_LEVELS
    assert least <= min(found) <= max(found) <= most
    for name in ("README.md", "docs/suitable.md", "docs/guide/relu.md"):
        if (ROOT / name).exists():
            assert f"{least} to {most}" in (ROOT / name).read_text(encoding="utf-8"), name


def test_every_network_has_data_and_is_there_once():
    networks, sources = (*part("catalogue").NETWORKS, *part("catalogue").SMOOTH), part("data").SOURCES
    assert len({network.name for network in networks}) == len(networks)
    assert all(network.data in sources for network in networks)


def test_pixels_are_scaled_as_the_catalogue_says():
    scaled = part("catalogue").Bytes
    images = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)
    np.testing.assert_allclose(scaled(2.0, transposed=True)(images, (16,))[0, :3], [0, 2, 4])
    padded = scaled(1.0, size=6, padded=True)(images, (1, 6, 6))
    assert padded.shape == (2, 1, 6, 6)
    assert padded[:, 0, 0].max() == 0 < padded[:, 0, 1].max()
    photographs = np.full((1, 2, 2, 3), 255, dtype=np.uint8)
    normal = scaled(mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 2.0))
    np.testing.assert_allclose(normal(photographs, (3, 2, 2))[0, :, 0, 0], [1, 1, 0])
    np.testing.assert_allclose(replace(normal, channels_first=False)(photographs, (2, 2, 3))[0, 0, 0], [1, 1, 0])
    assert normal.range == (-1, 1)


def test_rows_that_are_lost_decide_nothing_and_a_single_number_decides_whether_it_is_close():
    decisions, network = part("clear").decisions, part("catalogue").NETWORKS[0]
    found = np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, 0.0]])
    assert decisions(network, found, found).tolist() == [1, -1, 0]
    assert decisions(replace(network, smallest=True), found, found).tolist() == [0, -1, 1]
    exact = np.array([[0.0], [100.0], [50.0]])
    assert decisions(network, exact + np.array([[3.0], [4.0], [np.nan]]), exact).tolist() == [0, 1, -1]
    # Whatever the rows are that were encrypted, the range is that of all.
    assert decisions(network, exact[:1] + 3.0, exact).tolist() == [0]


@pytest.fixture
def measured(tmp_path):
    """A network with ReLU, measured by the program itself; returns what was written down."""
    catalogue = part("catalogue").NETWORKS
    name = next(network.name for network in catalogue if network.data == "features")
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 13]>
        g (float[N,41] x) => (float[N,3] y) { h = MatMul (x, w1)  r = Relu (h)  y = MatMul (r, w2) }"""
    )
    rng = np.random.default_rng(0)
    for weight, shape in (("w1", (41, 6)), ("w2", (6, 3))):
        model.graph.initializer.append(numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), weight))
    onnx.save(model, tmp_path / f"{name}.onnx")
    command = [sys.executable, BENCHMARKS / "networks.py", "run", tmp_path, tmp_path, "--network", name]
    command += ["--folder", tmp_path / "work", "--results", tmp_path / "results", "--rows", "2"]

    def run(*more: str) -> dict[str, dict[str, object]]:
        environment = os.environ | {"PYTHONPATH": str(BENCHMARKS)}
        subprocess.run([*map(str, command), *more], check=True, env=environment, stdout=subprocess.DEVNULL)
        return json.loads((tmp_path / "results" / f"{name}.json").read_text())

    return run


@pytest.mark.slow
def test_a_network_is_measured_from_file_to_page(measured, tmp_path):
    report = measured("--option", "precision=4")
    assert report["clear"]["rows"] == 10_000
    assert report["simulated"]["agreement"] > 0.9
    assert report["decrypted"]["rows"] == report["decrypted"]["same"] == 2
    assert report["decrypted"]["difference_over_range"] < 0.05
    assert all(report[stage]["peak_memory"] > 1 << 20 for stage in ("compiled", "run"))
    written = part("page").page(tmp_path / "results")
    assert (
        f"| {report['network']} | made-up inputs | - | - | {100 * report['simulated']['agreement']:.2f}% |" in written
    )
    assert "2 of 2" in written
    # Keys and requests are gone, and what is written down is not measured again.
    assert not (tmp_path / "work" / report["network"] / "keys").exists()
    assert measured() == report


def test_a_network_is_measured_shared(measured, tmp_path):
    report = measured("--scheme", "sharing", "--seconds", "0")
    assert report["simulated"]["rows"] == 100
    assert report["simulated"]["agreement"] > 0.98
    assert report["simulated"]["difference_over_range"] < 2**-8
    observed, proved = (report["compiled"][ranges] for ranges in ("observed", "proved"))
    assert observed["messages"] == proved["messages"] == 6
    assert observed["dealt_bytes"] <= proved["dealt_bytes"]
    written = part("sharing_page").sharing_page(tmp_path / "results")
    assert f"| {report['network']} | made-up inputs | 100 | - | - |" in written


@pytest.mark.slow
def test_a_refusal_is_written_down_and_ends_what_is_measured(measured, tmp_path):
    report = measured("--option", "precision=30")
    assert "compiled" in report
    assert "simulated" not in report
    assert str(report["compiled"]["refusal"]) in part("page").page(tmp_path / "results")


@pytest.mark.parametrize(
    ("labelled", "fits"), [(True, "accuracy_loss"), (True, "bootstrap"), (True, ""), (False, "bootstrap"), (False, "")]
)
def test_where_decisions_cannot_be_kept_accuracy_is_tried_and_bootstraps(monkeypatch, tmp_path, labelled, fits):
    stages = part("stages")
    asked = []

    def compiled(context, options):
        asked.append(dict(options))
        found = plan if fits in options else None
        return {"options": dict(options), **({} if found else {"refusal": f"refused {len(asked)}"})}, found

    class Plan:
        def save(self, path):
            path.write_bytes(b"plan")

    plan = Plan()
    monkeypatch.setattr(stages, "_that_fits", compiled)
    monkeypatch.setattr(stages, "_facts", lambda found: {"depth": 3})
    if labelled:
        np.save(tmp_path / stages.ANSWERS, np.arange(3))
    network = part("catalogue").NETWORKS[0]
    report = stages.compiled(stages.Context(network, tmp_path, tmp_path, tmp_path, {"batch": 2}, 1, 1.0, 1))
    assert asked[0] == {"batch": 2}
    others = [{"accuracy_loss": 0.5, "calibration_labels": tmp_path / stages.ANSWERS}] * labelled
    others += [{"bootstrap": True}] * (fits != "accuracy_loss")
    assert asked[1:] == [{"batch": 2, **other} for other in others]
    if fits:
        assert report["by_agreement"]["refusal"] == "refused 1"
        assert report["plan_bytes"] == 4
    else:
        assert report["refusal"] == "refused 1"
