"""What decisions and activations cost: the figures that are kept are those that pages and the figure show."""

import importlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def digits(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("digits")


def test_pages_are_those_of_the_results_that_are_kept(digits):
    results = json.loads(digits.RESULTS.read_text(encoding="utf-8"))
    for page, write in digits.PAGES.items():
        if not page.exists():
            pytest.skip("not all pages are in a source distribution")
        text = page.read_text(encoding="utf-8")
        assert write(text, results) == text, "run `python benchmarks/digits.py page`"


def test_whoever_does_not_see_the_figure_reads_its_levels(digits):
    results = json.loads(digits.RESULTS.read_text(encoding="utf-8"))["activations"]
    shown = re.search(r'alt="([^"]+)" src="figures/levels.svg"', digits.SUITABLE.read_text(encoding="utf-8"))
    first, second, third = (found["levels"] for found in results)
    assert shown
    assert shown[1].endswith(f": {first}, {second} and {third}")


def test_a_plan_is_measured_on_all_images(digits, monkeypatch, capsys):
    pytest.importorskip("onnxruntime")
    np, onnx = pytest.importorskip("numpy"), pytest.importorskip("onnx")
    model = onnx.load(digits.EXAMPLE / "network.onnx")
    with np.load(digits.EXAMPLE / "digits.npz") as data:
        images, labels, calibration = data["images"][:50], data["labels"][:50], data["calibration"][:200]
    found = digits.measured(model, images, labels, False, calibration=calibration, accuracy_loss=20.0)
    assert found["images"] == 50
    assert found["same"] >= 40
    assert found["right_clear"] >= 45
    assert found["kept"] >= 0.8
    assert sum(found["levels_of_polynomials"]) <= found["levels"]
    assert json.loads(capsys.readouterr().out) == found
