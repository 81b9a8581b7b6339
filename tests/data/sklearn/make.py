"""Export small scikit-learn pipelines with skl2onnx, and write what scikit-learn computes next to each.

The files are committed, so that the tests need neither package. To make them again, in an environment with
``skl2onnx`` (written with 1.20.0 and scikit-learn 1.9.1)::

    python tests/data/sklearn/make.py

A file ``NAME.onnx`` has the inputs and outputs of the pipeline in ``NAME.npz``: ``input``, and an array by the name of
each of the network's outputs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from skl2onnx import to_onnx
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler
from sklearn.svm import LinearSVC

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


def write(name: str, pipeline: Pipeline, classes: int, *, labels: list[Any] | None = None, **options: Any) -> None:
    """Train, export, and save what the pipeline computes."""
    x, chosen = data(classes)
    target = chosen if labels is None else np.array(labels)[chosen]
    pipeline.fit(x, target)
    final = pipeline.steps[-1][1]
    model = to_onnx(pipeline, x[:1], target_opset=OPSET, options={id(final): options} if options else None)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())
    names = [output.name for output in model.graph.output]
    results = [pipeline.predict(x)]
    if len(names) > 1:
        scores = pipeline.predict_proba(x) if hasattr(pipeline, "predict_proba") else pipeline.decision_function(x)
        results.append(scores)
    np.savez_compressed(HERE / f"{name}.npz", input=x, **dict(zip(names, results, strict=True)))


def regression(name: str, pipeline: Pipeline, targets: int) -> None:
    """Train and export a regression."""
    x, _ = data(3)
    weights = np.random.default_rng(9).normal(size=(FEATURES, targets))
    pipeline.fit(x, np.squeeze((x / [1, 10, 0.1, 100]) @ weights))
    model = to_onnx(pipeline, x[:1], target_opset=OPSET)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())
    predicted = pipeline.predict(x).reshape(ROWS, -1)
    np.savez_compressed(HERE / f"{name}.npz", input=x, **{model.graph.output[0].name: predicted})


if __name__ == "__main__":
    write("logistic-binary", make_pipeline(StandardScaler(), LogisticRegression()), 2)
    write("logistic-strings", make_pipeline(StandardScaler(), LogisticRegression()), 3, labels=["no", "maybe", "yes"])
    write("logistic-array", make_pipeline(MinMaxScaler(), LogisticRegression()), 4, zipmap=False)
    write("svc", make_pipeline(StandardScaler(), LinearSVC()), 3, raw_scores=False)
    write("normalised", make_pipeline(Normalizer(), LogisticRegression()), 2)
    regression("linear", make_pipeline(StandardScaler(), LinearRegression()), 2)
    regression("ridge-pca", make_pipeline(StandardScaler(), PCA(3), Ridge()), 1)
