"""What scikit-learn exports: a linear map or a network, and after decryption all that stands behind it.

The files are those of tests/data/sklearn, whose script compared what onnxruntime computes with scikit-learn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hecc.compiler.importer import import_model
from hecc.runtime.errors import UnsupportedError
from hecc.runtime.tail.epilogue import apply_steps, describe, result_shape

PIPELINES = Path(__file__).resolve().parents[3] / "data" / "sklearn"

VOTES = "greater, multiply, sum, add, argmax, names of classes"
COUPLED = "multiply, add, sigmoid, maximum, minimum, pairwise coupling"

STEPS = {
    "bagging": "sigmoid, mean, argmax, names of classes | sigmoid, mean, names of columns",
    "bayes": "argmax, names of classes | log sum exp, subtract, exp, names of columns",
    "calibrated": (
        "exp, add, divide, sum, nonzero, not, multiply, argmax, names of classes"
        " | exp, add, divide, sum, nonzero, not, multiply, names of columns"
    ),
    "column-transformer": "argmax, names of classes | softmax, normalisation, names of columns",
    "discriminant": "argmax, names of classes | softmax, normalisation, names of columns",
    "gamma": "exp",
    "linear": "",
    "logistic-array": "argmax, names of classes | softmax, normalisation",
    "logistic-binary": "argmax, names of classes | sigmoid, names of columns",
    "logistic-columns": (
        "argmax, names of classes | softmax, normalisation | softmax, normalisation | softmax, normalisation"
    ),
    "logistic-strings": "argmax, names of classes | softmax, normalisation, names of columns",
    "mixture": "argmax | log sum exp, subtract, exp",
    "network-array": "softmax, argmax, names of classes | softmax",
    "network-binary": "sigmoid, subtract, argmax, names of classes | sigmoid, subtract, names of columns",
    "network-binary-strings": "sigmoid, subtract, argmax, names of classes | sigmoid, subtract",
    "network-columns": "sigmoid, subtract, argmax, names of classes | sigmoid, subtract | sigmoid, subtract",
    "network-regression": "",
    "network-several": "sigmoid, greater, truncation | sigmoid, subtract",
    "network-strings": "softmax, argmax, names of classes | softmax, names of columns",
    "one-vs-rest": "sigmoid, argmax, names of classes | sigmoid, normalisation, names of columns",
    "partial-least-squares": "",
    "perceptron": "argmax, names of classes | names of columns",
    "polynomial": "argmax, names of classes | sigmoid, names of columns",
    "quadratic": "argmax, names of classes | maximum, subtract, exp, sum, divide, names of columns",
    "ridge": "argmax, names of classes | ",
    "ridge-pca": "",
    "sgd-hinge": "argmax, names of classes | names of columns",
    "sgd-huber": (
        "maximum, minimum, add, divide, sum, nonzero, not, multiply, argmax, names of classes"
        " | maximum, minimum, add, divide, sum, nonzero, not, multiply, names of columns"
    ),
    "sgd-logistic": (
        "exp, add, reciprocal, sum, nonzero, not, multiply, divide, argmax, names of classes"
        " | exp, add, reciprocal, sum, nonzero, not, multiply, divide, names of columns"
    ),
    "support-vectors": "",
    "svc": "argmax, names of classes | ",
    "svc-calibrated": (
        "exp, add, divide, subtract, argmax, names of classes | exp, add, divide, subtract, names of columns"
    ),
    "svc-linear": " | ".join([VOTES, *["absolute, add, multiply, divide, less, negate"] * 4]),
    "svc-pairs": f"{VOTES} | ",
    "svc-polynomial": "argmin, names of classes | names of columns",
    "svc-probability": f"{VOTES} | {COUPLED}, names of columns",
    "svc-probability-binary": f"{VOTES} | {COUPLED}, names of columns",
    "svc-rbf": f"{VOTES} | absolute, add, multiply, divide, less, negate, names of columns",
    "svc-sigmoid": f"{VOTES} | absolute, add, multiply, divide, less, negate",
    "support-vectors-polynomial": "",
    "support-vectors-rbf": "",
    "one-class": "sign, truncation | ",
    "voting-hard": (
        "softmax, normalisation, argmax, equal, where, multiply, add, names of classes"
        " | softmax, normalisation, argmax, equal, where, multiply, add, names of columns"
    ),
    "voting-soft": (
        "softmax, normalisation, multiply, add, argmax, names of classes"
        " | softmax, normalisation, multiply, add, names of columns"
    ),
}
"""What the client does for every output, in words."""


def stored(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs and the outputs of a stored pipeline."""
    with np.load(PIPELINES / f"{name}.npz", allow_pickle=False) as arrays:
        data = {key: arrays[key] for key in arrays.files}
    inputs = {key.removeprefix("input "): data.pop(key) for key in list(data) if key.startswith("input ")}
    return inputs, data


def test_every_stored_pipeline_is_in_the_table() -> None:
    assert {path.stem for path in PIPELINES.glob("*.onnx")} == {*STEPS, "normalised"}


@pytest.mark.parametrize("name", STEPS)
def test_a_pipeline_computes_what_onnxruntime_computes(name: str) -> None:
    inputs, expected = stored(name)
    graph = import_model(PIPELINES / f"{name}.onnx")
    assert " | ".join(describe(graph.epilogues.get(output, ())) for output in graph.outputs) == STEPS[name]
    values = graph.evaluate(inputs)
    assert graph.outputs == tuple(expected)
    for output, right in expected.items():
        shape, steps = graph.example_shape(graph.node(output).output.shape), graph.epilogues.get(output, ())
        found = apply_steps(values[output].reshape(-1, *shape), steps)
        assert found.shape[1:] == result_shape(shape, steps)
        # skl2onnx gives the labels of some estimators another shape than scikit-learn: one row of all of them.
        right = right.reshape(found.shape)
        if right.dtype.kind == "f":
            np.testing.assert_allclose(found, right, rtol=0, atol=1e-5 * np.abs(right).max())
        else:
            np.testing.assert_array_equal(found, right)


def test_a_pipeline_that_normalises_first_is_refused_and_nothing_behind_it_is_blamed() -> None:
    with pytest.raises(UnsupportedError) as refusal:
        import_model(PIPELINES / "normalised.onnx")
    first, *others = str(refusal.value).splitlines()
    assert first.startswith("ai.onnx.ml.Normalizer 'Normalizer' (opset 1): it divides by a norm of encrypted data")
    assert not others
