"""Networks whose end the client computes: what is decrypted is what onnxruntime, or scikit-learn, computes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from typer.testing import CliRunner

import hecc
from hecc.cli.commands import app

Array = np.ndarray[Any, Any]
Draw = Callable[..., Array]
PIPELINES = Path(__file__).resolve().parents[1] / "data" / "sklearn"
EXPORTED = sorted(path for path in PIPELINES.glob("*.onnx") if path.stem != "normalised")
SMOOTH = ("bayes", "mixture", "network", "polynomial", "quadratic")
ROWS = 10


def stored(path: Path) -> tuple[dict[str, Array], dict[str, Array]]:
    """The inputs and outputs of a stored pipeline."""
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
        data = {key: arrays[key] for key in arrays.files}
    inputs = {key.removeprefix("input "): data.pop(key) for key in list(data) if key.startswith("input ")}
    return inputs, data


def test_softmax_and_argmax_of_one_network(three_way: Any, draw: Draw) -> None:
    model = three_way.build(
        """g (float[N,6] x) => (float[N,4] p, int64[N] c) {
            h = MatMul(x, w)  s = Mul(h, h)  z = MatMul(s, v)
            p = Softmax(z)  c = ArgMax<axis = 1, keepdims = 0>(z)
        }""",
        w=draw(6, 5),
        v=draw(5, 4),
    )
    inputs = {"x": draw(40, 6, seed=2)}
    expected = three_way.reference(model, inputs)
    plan = hecc.compile(model, calibration=inputs)
    assert [signature.of for signature in plan.header.outputs] == ["", "p"]
    found = three_way.encrypted(plan, {"x": inputs["x"][:ROWS]})
    for results, rows in ((found, ROWS), (hecc.simulate(plan, inputs), 40)):
        np.testing.assert_allclose(results["p"], expected["p"][:rows], atol=1e-3)
        np.testing.assert_allclose(results["p"].sum(axis=1), 1)
        assert results["c"].dtype == np.int64
        np.testing.assert_array_equal(results["c"], expected["c"][:rows])


def test_several_outputs_of_one_value_are_sent_and_shown_once(three_way: Any, draw: Draw, tmp_path: Path) -> None:
    model = three_way.build(
        "g (float[N,6] x) => (float[N,4] p, float[N,4] z, int64[N] c) "
        "{ z = MatMul(x, w)  p = Softmax(z)  c = ArgMax<axis = 1, keepdims = 0>(z) }",
        w=draw(6, 4),
    )
    inputs = {"x": draw(40, 6)}
    plan = hecc.compile(model, calibration=inputs, precision=8, disclose=3 * ROWS)
    assert [(s.name, s.of) for s in plan.header.outputs] == [("p", ""), ("z", "p"), ("c", "p")]
    client = hecc.Client(plan)
    with hecc.Server(plan, client.keygen(tmp_path / "keys").evaluation) as server:
        result = server.run(client.encrypt({"x": inputs["x"][:ROWS]}))
    assert [group.name for group in result.header.groups] == ["p"]
    shown = client.decrypt(result, disclose=True)
    assert list(shown) == ["p", "z", "c"]
    # All are made of the same values with the same noise: more of it would tell more.
    np.testing.assert_array_equal(shown["z"].argmax(axis=1), shown["c"])
    powers = np.exp(shown["z"])
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), shown["p"], rtol=1e-12)
    np.testing.assert_allclose(shown["z"], three_way.reference(model, inputs)["z"][:ROWS], atol=0.1)


def test_batches_end_in_steps_too(three_way: Any, draw: Draw) -> None:
    model = three_way.build("g (float[N,6] x) => (float[N,4] y) { z = MatMul(x, w)  y = Sigmoid(z) }", w=draw(6, 4))
    inputs = {"x": draw(40, 6)}
    plan = hecc.compile(model, calibration=inputs, batch=4)
    found = three_way.encrypted(plan, {"x": inputs["x"][:ROWS]})["y"]
    np.testing.assert_allclose(found, three_way.reference(model, inputs)["y"][:ROWS], atol=1e-3)


@pytest.mark.parametrize("path", EXPORTED, ids=lambda path: path.stem)
def test_what_scikit_learn_exports_answers_as_onnxruntime(path: Path, three_way: Any) -> None:
    inputs, data = stored(path)
    # Polynomials stand for the activations of networks, and features that are not scaled have large squares.
    plan = hecc.compile(path, calibration=inputs, precision=11 if path.stem.startswith(SMOOTH) else 14)
    # A label and its probabilities are made of the same scores; those of ridge regression are a part of them, and of
    # support vectors the votes are of differences that the probabilities are not.
    apart = {"ridge", "svc-linear", "svc-rbf", "svc-sigmoid"}
    assert len(plan.header.sent) == (2 if path.stem in apart else 1)
    found = three_way.encrypted(plan, {name: rows[:ROWS] for name, rows in inputs.items()})
    assert found.keys() == data.keys()
    for output, right in data.items():
        # skl2onnx gives the labels of some estimators another shape than scikit-learn: one row of all of them.
        expected = right.reshape(-1, *found[output].shape[1:])
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(found[output], expected[:ROWS], atol=3e-3 * max(1.0, np.abs(expected).max()))
        else:
            # A support vector lies on the border: its score is zero but for rounding.
            clear = np.abs(data["scores"][:ROWS, 0]) > 1e-3 if path.stem == "one-class" else np.full(ROWS, True)
            np.testing.assert_array_equal(found[output][clear], expected[:ROWS][clear])


def test_the_products_of_pairs_of_features_are_one_product() -> None:
    """One by one they take hundreds of rotations, and a level more."""
    path = PIPELINES / "polynomial.onnx"
    inputs, _ = stored(path)
    estimate = hecc.compile(path, calibration=inputs).header.estimate
    assert estimate.depth == 3
    assert estimate.rotations < 30


def test_a_pipeline_that_normalises_first_is_refused() -> None:
    with pytest.raises(hecc.UnsupportedError, match=r"ai\.onnx\.ml\.Normalizer 'Normalizer' .*: it divides by a norm"):
        hecc.compile(PIPELINES / "normalised.onnx")


def test_the_command_line_names_the_steps_and_saves_the_labels(tmp_path: Path) -> None:
    def succeed(*arguments: Any) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        return str(result.stdout)

    inputs, outputs = stored(PIPELINES / "logistic-strings.onnx")
    (x,), labels = inputs.values(), outputs["output_label"]
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "few.npy", x[:3])
    plan, client, keys = tmp_path / "plan.bin", tmp_path / "plan.client.bin", tmp_path / "keys"
    said = succeed(
        *("compile", PIPELINES / "logistic-strings.onnx", "--calibration", tmp_path / "x.npy"),
        *("--output", plan, "--verbose"),
    )
    assert "then argmax, names of classes on the client" in said
    described = succeed("inspect", client)
    assert "3 per row, in the ciphertexts of output_label, then softmax, normalisation, names of columns" in described
    shown = json.loads(succeed("inspect", client, "--json"))["outputs"][0]["epilogue"]
    assert shown[1] == {"step": "labels", "labels": ["maybe", "no", "yes"]}
    succeed("keygen", client, "--keys", keys)
    succeed("encrypt", client, tmp_path / "few.npy", "--keys", keys, "--output", tmp_path / "encrypted.bin")
    succeed(
        *("run", plan, tmp_path / "encrypted.bin", "--evaluation-keys", keys / "evaluation.bin"),
        *("--output", tmp_path / "result.bin"),
    )
    said = succeed("decrypt", client, tmp_path / "result.bin", "--keys", keys, "--output", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["output_label"], labels[:3])
    assert f"0    {labels[0]}" in said


def test_the_regression_of_heart_disease_answers_as_onnxruntime(
    three_way: Any, shared_models: Path, shared_data: Path
) -> None:
    path = shared_data / "tabular" / "heart_cleveland.csv"
    if not path.exists():
        pytest.skip(f"no {path}")
    with path.open() as lines:
        rows = [row for row in list(csv.reader(lines))[1:] if "" not in row]
    x = np.array(rows, dtype=np.float32)[:, :13]
    session = onnxruntime.InferenceSession(shared_models / "heart_logreg.onnx")
    labels, named = session.run(None, {"float_input": x})
    probabilities = np.array([[row[0], row[1]] for row in named])
    plan = hecc.compile(shared_models / "heart_logreg.onnx", calibration=x)
    found = three_way.encrypted(plan, {"float_input": x[:ROWS]})
    for results, count in ((found, ROWS), (hecc.simulate(plan, x), len(x))):
        np.testing.assert_array_equal(results["output_label"], labels[:count])
        np.testing.assert_allclose(results["output_probability"], probabilities[:count], atol=1e-3)
