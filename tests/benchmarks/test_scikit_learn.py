"""The page of scikit-learn's estimators, and the networks for patients' tables."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("skl2onnx")
pytest.importorskip("sklearn")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import patients  # noqa: E402
import scikit_learn  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "scikit-learn.md"


def test_the_page_has_every_estimator_once() -> None:
    lines = [line.split(" | ")[0] for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    for name in scikit_learn.ESTIMATORS:
        assert lines.count(f"| {name}") == 1, name


def test_the_page_has_the_patients_who_were_encrypted() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert patients.page(text, patients.RESULTS) == text, (
        "run `python benchmarks/patients.py page docs/reference/scikit-learn.md`"
    )
    results = json.loads(patients.RESULTS.read_text(encoding="utf-8"))
    assert len(results) == len(patients.TABLES) * len(patients.TRAINERS) * len(patients.ASKED)
    numbers = [report for report in results.values() if report["asked"] == "numbers"]
    assert all(found["tie"] for report in numbers for found in report["differing"])


def test_what_runs_and_what_is_refused_is_measured() -> None:
    # One level, and a refusal: both take a second.
    report = scikit_learn.measure("LinearDiscriminantAnalysis", 1)
    assert report["agree"] == report["rows"] > 50
    assert report["encrypted_as_simulated"] == 1
    assert report["levels"] == 1
    refused = scikit_learn.measure("DecisionTreeClassifier", 1)
    assert "decision trees compare encrypted features" in refused["refused"]
    rows = [("a", report), ("b", refused)]
    assert scikit_learn.table(rows).splitlines()[2:][0].startswith("| a | wine | 53 of 53 | ")
    assert scikit_learn.refusals(rows).splitlines()[2:][0].startswith("| b | wine | ai.onnx.ml.TreeEnsembleClassifier")


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["scikit-learn", "torch"])
@pytest.mark.parametrize("table", patients.TABLES)
def test_every_patient_is_answered_as_in_clear(table: str, trainer: str, shared_data: Path) -> None:
    if trainer == "torch":
        pytest.importorskip("torch")
    options = patients.options_of(table, trainer, "numbers")
    rows = patients.read(shared_data / "tabular" / patients.TABLES[table])
    report = patients.measure(rows, trainer, (16, 16), options)
    assert report["patients"] > 70
    assert report["lost"] == []
    assert all(found["tie"] for found in report["differing"])
    assert all(found["tie"] for found in report["unlike_simulated"])
    assert len(report["unlike_simulated"]) <= 2
