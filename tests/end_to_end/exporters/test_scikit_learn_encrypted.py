"""What scikit-learn trains here and skl2onnx exports, encrypted: answered as by scikit-learn itself, or refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hecc

pytest.importorskip("skl2onnx")
pytest.importorskip("sklearn")

from skl2onnx import to_onnx
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

ENCRYPTED = 4
"""Rows that are encrypted; all of them are simulated."""

RELU: dict[str, Any] = {"hidden_layer_sizes": (8,), "activation": "relu", "max_iter": 2000, "random_state": 0}


TREES = (
    r"decision trees compare encrypted features, .* in the place of this model's \d+ comparisons, polynomials would "
    r"take \d+ levels and be wrong within 1% of a threshold, and following a path of \d+ takes \d+ levels more; use a "
    r"linear model"
)


def trained(final: Any) -> tuple[Any, Any, Any, Any]:
    """A pipeline, the same as exported, the rows that it saw, and those that it did not. Classes have names."""
    data = load_diabetes() if isinstance(final, MLPRegressor) else load_iris()
    answers = data.target if isinstance(final, MLPRegressor) else np.asarray(data.target_names)[data.target]
    rows = data.data.astype(np.float32)
    train, test, known, _ = train_test_split(rows, answers, test_size=0.3, random_state=0)
    with warnings.catch_warnings():
        # Of solvers that have not converged, and of what scikit-learn will drop.
        warnings.simplefilter("ignore")
        pipeline = make_pipeline(StandardScaler(), final).fit(train, known)
        return pipeline, to_onnx(pipeline, train[:1]), train, test


@pytest.mark.parametrize(
    ("final", "alike"),
    [
        # By decisions: 99 of 100 are asked for, on few calibration rows.
        pytest.param(MLPClassifier(**RELU), 0.95, id="MLPClassifier, relu"),
        pytest.param(SVC(), 1.0, id="SVC, rbf"),
        pytest.param(SVC(kernel="poly"), 1.0, id="SVC, poly"),
        pytest.param(GaussianNB(), 1.0, id="GaussianNB"),
    ],
)
def test_names_of_classes_are_those_that_scikit_learn_predicts(final: Any, alike: float, tmp_path: Path) -> None:
    pipeline, model, train, test = trained(final)
    plan = hecc.compile(model, calibration=train, batch=ENCRYPTED)
    simulated = hecc.simulate(plan, test, skip_bad_rows=True)
    taken = list(simulated.index) or list(range(len(test)))
    own, (label, *_) = pipeline.predict(test[taken]), simulated
    assert len(taken) >= 40
    assert (simulated[label] == own).mean() >= alike
    client = hecc.Client(plan)
    keys = client.keygen(tmp_path / "keys")
    with hecc.Server(plan, keys.evaluation) as server:
        found = client.decrypt(server.run(client.encrypt(test[taken[:ENCRYPTED]])))
    assert found[label].dtype.kind == "U"
    assert found[label].tolist() == simulated[label][:ENCRYPTED].tolist()


def test_numbers_of_a_network_with_relu_are_those_that_scikit_learn_predicts(tmp_path: Path) -> None:
    pipeline, model, train, test = trained(MLPRegressor(**RELU))
    plan = hecc.compile(model, calibration=train, batch=ENCRYPTED)
    client = hecc.Client(plan)
    keys = client.keygen(tmp_path / "keys")
    encrypted = client.encrypt(test, skip_bad_rows=True)
    with hecc.Server(plan, keys.evaluation) as server:
        outputs = client.decrypt(server.run(encrypted))
    (found,) = outputs.values()
    own = pipeline.predict(test[list(outputs.index)] if outputs.index else test)
    # Each number to a 32nd of its range, which is what a decision is here.
    assert np.mean(np.abs(found[:, 0] - own) <= np.ptp(pipeline.predict(train)) / 32) >= 0.97


@pytest.mark.parametrize(
    ("final", "said"),
    [
        (
            KNeighborsClassifier(),
            r"nearest neighbours compare the distances to all rows .*; use a support vector machine",
        ),
        (DecisionTreeClassifier(random_state=0), TREES),
    ],
)
def test_what_compares_encrypted_features_is_refused_with_what_it_would_cost(final: Any, said: str) -> None:
    _, model, train, _ = trained(final)
    with pytest.raises(hecc.UnsupportedError, match=said):
        hecc.compile(model, calibration=train)
