"""Pipelines of scikit-learn that were trained on data frames: their columns are found by name, whatever their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hecc

pandas = pytest.importorskip("pandas")
skl2onnx = pytest.importorskip("skl2onnx")
pytest.importorskip("sklearn")

from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.multiclass import OneVsOneClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler  # noqa: E402

DRAWN = np.random.default_rng(0)
CLASSES = np.array(["benign", "malignant"])[DRAWN.integers(0, 2, 60)]
MOVED = (CLASSES == "malignant")[:, np.newaxis]
FRAME = pandas.DataFrame(
    (DRAWN.normal(size=(60, 3)) + MOVED).astype(np.float32) * np.float32([1, 100, 0.1]),
    columns=["age", "size", "ratio"],
)
COLUMNS = ColumnTransformer([("z", StandardScaler(), ["ratio", "age"]), ("unit", MinMaxScaler(), ["size"])])


def exported(first: Any, frame: Any = FRAME) -> tuple[Any, Any]:
    """A pipeline as it was trained on a frame, and its network, which has an input for each column."""
    pipeline = make_pipeline(first, LogisticRegression()).fit(frame, CLASSES)
    return pipeline, skl2onnx.to_onnx(pipeline, frame[:1])


@pytest.mark.parametrize("first", [COLUMNS, StandardScaler()], ids=["ColumnTransformer", "StandardScaler"])
def test_columns_are_found_by_name(first: Any) -> None:
    pipeline, network = exported(first)
    plan = hecc.compile(network, calibration=FRAME)
    for table in (FRAME, FRAME[["ratio", "size", "age"]], FRAME.assign(answer=1.0)):
        found = hecc.simulate(plan, table)
        np.testing.assert_array_equal(found["output_label"].reshape(-1), pipeline.predict(FRAME))
        np.testing.assert_allclose(found["output_probability"], pipeline.predict_proba(FRAME), atol=1e-3)


def test_whole_numbers_in_a_column_are_numbers() -> None:
    frame = FRAME.assign(count=DRAWN.integers(0, 9, 60))
    pipeline, network = exported(StandardScaler(), frame)
    found = hecc.simulate(hecc.compile(network, calibration=frame), frame)
    np.testing.assert_array_equal(found["output_label"].reshape(-1), pipeline.predict(frame))


def test_a_calibration_table_with_other_columns_is_refused_by_name() -> None:
    _, network = exported(COLUMNS)
    with pytest.raises(hecc.InputError, match="the data frame: no column 'size'; the plan's columns are 'age', 'size'"):
        hecc.compile(network, calibration=FRAME.rename(columns={"size": "Size"}))
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME.to_numpy(), CLASSES)
    array = skl2onnx.to_onnx(pipeline, FRAME.to_numpy()[:1])
    with pytest.raises(hecc.InputError, match=r"2 columns, not 3; give one for each value$"):
        hecc.compile(array, calibration=FRAME[["age", "size"]])
    with pytest.raises(hecc.InputError, match="4 columns, not 3; give one for each value, and leave out others"):
        hecc.compile(array, calibration=FRAME.assign(answer=1))
    with pytest.raises(hecc.InputError, match=r"row 0, column 1 \('size'\): 'large' is not a finite number"):
        hecc.compile(array, calibration=FRAME.assign(size="large"))


def test_a_column_of_words_is_refused_by_name() -> None:
    frame = FRAME.assign(region=np.where(FRAME["age"] > 0, "north", "south"))
    words = ColumnTransformer([("z", StandardScaler(), ["age", "size"]), ("words", OneHotEncoder(), ["region"])])
    _, network = exported(words, frame)
    with pytest.raises(hecc.UnsupportedError, match="input 'region' holds strings; only real numbers can be encrypted"):
        hecc.compile(network, calibration=frame)


def test_a_model_that_forgot_the_names_of_its_classes_is_refused() -> None:
    pairs = make_pipeline(StandardScaler(), OneVsOneClassifier(LogisticRegression())).fit(FRAME.to_numpy(), CLASSES)
    network = skl2onnx.to_onnx(pairs, FRAME.to_numpy()[:1])
    with pytest.raises(hecc.InputError, match="'output_label' is declared to hold names of classes, and what computes"):
        hecc.compile(network, calibration=FRAME)
