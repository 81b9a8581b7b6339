"""Export small scikit-learn pipelines with skl2onnx, and write what they compute next to each.

The files are committed, so that the tests need neither package. To make them again, in an environment with
``skl2onnx`` and ``onnxruntime`` (written with 1.20.0 and scikit-learn 1.9.1)::

    python tests/data/sklearn/make.py

A file ``NAME.onnx`` has the inputs and outputs of the pipeline in ``NAME.npz``: an array by the name of each of the
network's outputs, and one by that of each input, with ``input `` in front.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    GammaRegressor,
    LinearRegression,
    LogisticRegression,
    Perceptron,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.mixture import GaussianMixture
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM

HERE = Path(__file__).parent
ROWS, FEATURES = 120, 4
OPSET = {"": 18, "ai.onnx.ml": 3}


def data(classes: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Clusters of points, one for each class."""
    generator = np.random.default_rng(classes)
    chosen = generator.integers(0, classes, ROWS)
    centres = generator.normal(scale=2, size=(classes, FEATURES))
    points = centres[chosen] + generator.normal(size=(ROWS, FEATURES))
    # Features of different sizes, as real ones are.
    return (points * [1, 10, 0.1, 100] + [0, 5, 1, 300]).astype(np.float32), chosen


def save(name: str, pipeline: Any, model: Any, x: np.ndarray[Any, Any]) -> None:
    """Save a pipeline, and what onnxruntime computes for it after it was compared with scikit-learn."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    given = session.get_inputs()
    columns = np.array_split(x, len(given), axis=1)
    feeds = {item.name: column for item, column in zip(given, columns, strict=True)}
    results = dict(zip([item.name for item in session.get_outputs()], session.run(None, feeds), strict=True))
    for output, result in results.items():
        # A ZipMap makes a list of dictionaries.
        named = isinstance(result, list) and isinstance(result[0], dict)
        results[output] = np.array([list(row.values()) for row in result]) if named else np.array(result)
        if results[output].dtype.kind == "O":
            results[output] = results[output].astype(str)
    predicted = pipeline.predict(x)
    first = next(iter(results.values())).reshape(predicted.shape)
    if predicted.dtype.kind == "f" and first.dtype.kind == "f":
        np.testing.assert_allclose(first, predicted, rtol=1e-3, atol=1e-3 * np.abs(predicted).max())
    else:
        np.testing.assert_array_equal(first.astype(predicted.dtype), predicted)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())
    np.savez_compressed(HERE / f"{name}.npz", **{f"input {key}": value for key, value in feeds.items()}, **results)


def write(name: str, pipeline: Pipeline, classes: int, *, labels: list[Any] | None = None, **options: Any) -> None:
    """Train and export a classifier."""
    x, chosen = data(classes)
    pipeline.fit(x, chosen if labels is None else np.array(labels)[chosen])
    final = pipeline.steps[-1][1]
    model = to_onnx(pipeline, x[:1], target_opset=OPSET, options={id(final): options} if options else None)
    save(name, pipeline, model, x)


def regression(name: str, pipeline: Pipeline, targets: int, *, positive: bool = False) -> None:
    """Train and export a regression."""
    x, _ = data(3)
    weights = np.random.default_rng(9).normal(size=(FEATURES, targets))
    target = np.squeeze((x / [1, 10, 0.1, 100]) @ weights)
    pipeline.fit(x, np.exp(target / 10) if positive else target)
    save(name, pipeline, to_onnx(pipeline, x[:1], target_opset=OPSET), x)


def outliers(name: str) -> None:
    """Train and export what tells outliers."""
    x, _ = data(3)
    pipeline = scaled(OneClassSVM()).fit(x)
    save(name, pipeline, to_onnx(pipeline, x[:1], target_opset=OPSET), x)


def columns(name: str) -> None:
    """Train and export a network with an input for every two columns."""
    x, chosen = data(3)
    scaled = ColumnTransformer([("left", StandardScaler(), [0, 1]), ("right", MinMaxScaler(), [2, 3])])
    pipeline = make_pipeline(scaled, LogisticRegression()).fit(x, chosen)
    kinds = [(side, FloatTensorType([None, 2])) for side in ("left", "right")]
    save(name, pipeline, to_onnx(pipeline, initial_types=kinds, target_opset=OPSET), x)


def several(name: str) -> None:
    """Train and export a network of which every row may have several classes, or none."""
    x, chosen = data(3)
    pipeline = make_pipeline(StandardScaler(), network("tanh")).fit(
        x, np.stack([chosen > 0, chosen > 1], 1).astype(int)
    )
    final = pipeline.steps[-1][1]
    model = to_onnx(pipeline, x[:1], target_opset=OPSET, options={id(final): {"zipmap": False}})
    save(name, pipeline, model, x)


def network(activation: str) -> MLPClassifier:
    """A small network."""
    return MLPClassifier((6,), activation=activation, max_iter=500, random_state=0)


def scaled(final: Any) -> Pipeline:
    """With features of one size."""
    return make_pipeline(StandardScaler(), final)


WORDS = ["no", "maybe", "yes"]

if __name__ == "__main__":
    write("logistic-binary", scaled(LogisticRegression()), 2)
    write("logistic-strings", scaled(LogisticRegression()), 3, labels=WORDS)
    write("logistic-array", make_pipeline(MinMaxScaler(), LogisticRegression()), 4, zipmap=False)
    write(
        "logistic-columns", make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()), 3, zipmap="columns"
    )
    write("svc", scaled(LinearSVC()), 3, raw_scores=False)
    write("svc-rbf", scaled(SVC()), 3, labels=WORDS)
    write("svc-polynomial", scaled(SVC(kernel="poly")), 2)
    write("svc-sigmoid", scaled(SVC(kernel="sigmoid")), 3, zipmap=False)
    write("svc-linear", scaled(SVC(kernel="linear")), 4, zipmap="columns")
    write("svc-pairs", scaled(SVC(decision_function_shape="ovo")), 4, zipmap=False)
    write("svc-probability", scaled(SVC(probability=True, random_state=0)), 4, labels=[*WORDS, "never"])
    write("svc-probability-binary", scaled(SVC(probability=True, random_state=0)), 2)
    write("svc-calibrated", scaled(CalibratedClassifierCV(SVC(), cv=2)), 2, labels=["no", "yes"])
    write("normalised", make_pipeline(Normalizer(), LogisticRegression()), 2)
    write("network-binary", scaled(network("tanh")), 2)
    write("network-binary-strings", scaled(network("logistic")), 2, labels=["no", "yes"], zipmap=False)
    write("network-strings", scaled(network("tanh")), 3, labels=WORDS)
    write("network-array", make_pipeline(TruncatedSVD(3), StandardScaler(), network("logistic")), 3, zipmap=False)
    write("network-columns", scaled(network("identity")), 2, zipmap="columns")
    several("network-several")
    write("ridge", scaled(RidgeClassifier()), 2, labels=["no", "yes"])
    write("perceptron", scaled(Perceptron()), 3, labels=WORDS)
    write("sgd-logistic", scaled(SGDClassifier(loss="log_loss", alpha=0.1, random_state=0)), 3)
    write("sgd-huber", scaled(SGDClassifier(loss="modified_huber", alpha=0.1, random_state=0)), 3, labels=WORDS)
    write("sgd-hinge", scaled(SGDClassifier(random_state=0)), 2)
    write("discriminant", scaled(LinearDiscriminantAnalysis()), 3)
    write("quadratic", scaled(QuadraticDiscriminantAnalysis()), 3, labels=WORDS)
    write("bayes", scaled(GaussianNB()), 3)
    write("one-vs-rest", scaled(OneVsRestClassifier(LogisticRegression())), 3, labels=WORDS)
    write("calibrated", scaled(CalibratedClassifierCV(LinearSVC(), cv=2)), 3, labels=WORDS)
    pair = [("a", LogisticRegression()), ("b", LinearDiscriminantAnalysis())]
    write("voting-soft", scaled(VotingClassifier(pair, voting="soft", flatten_transform=False)), 3)
    write("voting-hard", scaled(VotingClassifier(pair, voting="hard", flatten_transform=False)), 3)
    write("bagging", scaled(BaggingClassifier(LogisticRegression(), 2, random_state=0)), 2)
    write("polynomial", make_pipeline(MinMaxScaler(), PolynomialFeatures(2), LogisticRegression()), 2)
    write("mixture", scaled(GaussianMixture(2, random_state=0)), 2)
    columns("column-transformer")
    regression("linear", scaled(LinearRegression()), 2)
    regression("ridge-pca", make_pipeline(StandardScaler(), PCA(3), Ridge()), 1)
    regression(
        "network-regression",
        scaled(MLPRegressor(hidden_layer_sizes=(6,), activation="tanh", max_iter=2000, random_state=0)),
        1,
    )
    regression("gamma", scaled(GammaRegressor()), 1, positive=True)
    regression("partial-least-squares", scaled(PLSRegression(2)), 2)
    regression("support-vectors", scaled(SVR(kernel="linear")), 1)
    regression("support-vectors-rbf", scaled(SVR(C=10)), 1)
    regression("support-vectors-polynomial", scaled(SVR(kernel="poly", degree=2, coef0=1)), 1)
    outliers("one-class")
