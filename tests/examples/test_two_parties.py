"""The networks of two-party systems: data are divided as is said, and training and validation run to their end."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import hecc

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "two_parties"
WEIGHTS = sorted((FOLDER / "weights").glob("*.onnx"))


@pytest.fixture
def data(monkeypatch):
    """The module with the data sets."""
    pytest.importorskip("PIL.Image", reason="the example reads images with Pillow")
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.delitem(sys.modules, "data", raising=False)
    yield importlib.import_module("data")
    sys.modules.pop("data", None)


def write_tables(folder: Path) -> None:
    """Three tables of patients that are made up: the class follows from two columns."""
    generator = np.random.default_rng(0)
    (folder / "tabular").mkdir(parents=True)
    files = (("breast_cancer_wdbc", 30), ("diabetes_pima", 8), ("liver_ilpd", 10))
    for name, columns in files:
        rows = generator.normal(10, 3, (120, columns)).round(3)
        labels = (rows[:, 0] + rows[:, -1] > 20).astype(int)
        lines = [",".join([*map(str, row), str(label)]) for row, label in zip(rows, labels, strict=True)]
        lines[5] = "," + lines[5].partition(",")[2]  # nothing was measured
        text = "\n".join(["a header", *lines]) + "\n"
        (folder / "tabular" / f"{name}.csv").write_text(text, encoding="utf-8")


def test_what_is_missing_is_the_median_and_what_is_extreme_is_cut(data):
    rows = np.array([[1.0, 0.0], [2.0, 1.0], [np.nan, 2.0], [3.0, 3.0], [1e6, np.nan]])
    found = data.prepared(data.Table(rows, np.zeros(5, dtype=np.int64)), np.array([0, 1, 2, 3]), np.array([4]))
    # Medians, means and deviations are those of the training rows, in which the first column is 1, 2, 2, 3.
    assert found.train[2, 0] == 0
    assert found.test.tolist() == [[5.0, 0.0]]
    assert np.allclose(found.train.std(axis=0), 1)


def test_a_zero_of_diabetes_that_says_nothing_is_missing(data, tmp_path):
    (tmp_path / "tabular").mkdir()
    (tmp_path / "tabular" / "diabetes_pima.csv").write_text("h\n0,0,1,1,1,1,1,1,0\n2,0,3,4,5,6,7,8,1\n")
    found = data.table("diabetes", tmp_path)
    assert np.isnan(found.rows[:, 1]).all()
    assert found.rows[0, 0] == 0
    assert found.labels.tolist() == [0, 1]


def test_no_patient_with_malaria_is_on_both_sides(data, tmp_path):
    generator = np.random.default_rng(0)
    names = [f"{kind}C{number}ThinF_IMG_1_cell_{cell}.png" for kind in ("", "Parasitized") for number in range(20)
             for cell in range(2)]  # fmt: skip
    arrays = {}
    for split, of in (("train", names[::2]), ("test", names[1::2])):
        arrays |= {f"{split}_files": np.array(of), f"{split}_labels": np.array(["Para" in name for name in of], int)}
        # The first pixels say which patient it is.
        images = generator.integers(0, 255, (len(of), 50, 50), dtype=np.uint8)
        for image, name in zip(images, of, strict=True):
            image[:] = int(name.partition("C")[2].partition("T")[0])
        arrays[f"{split}_images"] = images
    (tmp_path / "malaria").mkdir()
    np.savez(tmp_path / "malaria" / "malaria_cells_50x50.npz", **arrays)
    found = data.malaria(tmp_path)
    of = [set(rows[:, 0, 0, 0].tolist()) for rows in (found.train, found.test)]
    assert found.train.shape[1:] == (1, 32, 32)
    assert len(of[1]) == 4
    assert not of[0] & of[1]


@pytest.mark.parametrize("script", ["train", "validate"])
def test_networks_are_trained_and_validated(script, tmp_path):
    pytest.importorskip("torch", reason="the example trains with PyTorch")
    pytest.importorskip("sklearn", reason="the example makes folds with scikit-learn")
    write_tables(tmp_path)
    if script == "train":
        command = ["train.py", "liver", "--activation", "relu", "mish", "--data", tmp_path, "--out", tmp_path]
    else:
        command = ["validate.py", "liver", "--activation", "relu", "--data", tmp_path, "--out", tmp_path / "found.json"]
    done = subprocess.run(
        [sys.executable, *map(str, [FOLDER / command[0], *command[1:]])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if script == "train":
        for activation in ("relu", "mish"):
            with np.load(tmp_path / f"liver-{activation}.npz") as rows:
                assert rows["test"].shape == (len(rows["labels"]), 10)
                plan = hecc.compile(
                    tmp_path / f"liver-{activation}.onnx",
                    calibration=rows["calibration"],
                    input_range=tuple(rows["range"]),
                    scheme="sharing",
                )
                (scores,) = hecc.simulate(plan, rows["test"], seed=0).values()
                assert (scores.argmax(axis=1) == rows["labels"]).mean() > 0.8
    else:
        (found,) = json.loads((tmp_path / "found.json").read_text())
        assert (found["folds"], found["rows"]) == (25, 600)
        assert found["clear"][0] > 80
        assert abs(found["loss"][0]) < 1
        assert found["ties"] == found["otherwise"]


@pytest.mark.parametrize("model", WEIGHTS, ids=lambda path: path.stem)
def test_weights_that_are_here_say_nothing_of_the_machine_that_made_them(model):
    found = onnx.load(model)
    assert not found.doc_string
    assert not found.metadata_props
    assert not any(node.doc_string or node.metadata_props for node in found.graph.node)
