"""`hecc.evaluate`: accuracy, agreement and confusion in clear, simulated and encrypted; errors of a regression."""

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from PIL import Image

import hecc


@pytest.fixture(scope="module")
def regression(network):
    """A plan with one output value: a linear function of three columns."""
    return hecc.compile(network((3,), ("gemm", 1)), input_range=(-1, 1), precision=8)


def test_accuracy_and_confusion_are_counted(plan, digits):
    labels = digits["labels"].copy()
    labels[0] = 7  # an image of 0 that is said to be a 7
    found = hecc.evaluate(plan, digits["images"], labels)
    clear, simulated = found.outcomes
    assert found.task == "classification"
    assert (clear.name, clear.rows, simulated.name, simulated.rows) == ("clear", 16, "simulated", 16)
    assert clear.score == simulated.score == 15 / 16
    assert simulated.agreement == 1.0
    assert 0 < simulated.largest_error < 2**-11
    expected = np.zeros((10, 10), dtype=int)
    for true, seen in zip(labels, digits["labels"], strict=True):
        expected[true, seen] += 1
    np.testing.assert_array_equal(found.confusion, expected)
    assert found.recall[7] == expected[7, 7] / expected[7].sum() < 1
    assert found.precision[0] == expected[0, 0] / expected[:, 0].sum() < 1
    np.testing.assert_allclose(found.precision[1:], 1.0)


def test_a_class_without_rows_has_no_recall(plan, digits):
    found = hecc.evaluate(plan, digits["images"][:2], digits["labels"][:2])
    assert found.recall[:2].tolist() == [1.0, 1.0]
    assert np.isnan(found.recall[2:]).all()
    assert np.isnan(found.precision[2:]).all()


def test_the_first_rows_are_encrypted_with_keys_that_exist_or_are_made(plan, digits, tmp_path):
    stages = []
    hecc.Client(plan).keygen(tmp_path / "keys")
    for options in ({"keys": tmp_path / "keys"}, {"encrypted": True}):
        found = hecc.evaluate(
            plan,
            digits["images"],
            digits["labels"],
            rows=2,
            progress=lambda stage, done, total: stages.append((stage, done, total)),
            **options,
        )
        encrypted = found.outcomes[2]
        assert (encrypted.name, encrypted.rows, encrypted.score, encrypted.agreement) == ("encrypted", 2, 1.0, 1.0)
        assert 0 < encrypted.largest_error < 2**-11
        assert encrypted.seconds > 0
    assert [entry[1:] for entry in stages if entry[0] == "evaluating encrypted rows"] == 2 * [(0, 2), (1, 2), (2, 2)]
    assert any(stage == "making keys" for stage, _, _ in stages)


def test_batches_are_encrypted_as_batches(model, digits, tmp_path):
    plan = hecc.compile(model, calibration=digits["calibration"], batch=4, precision=8)
    found = hecc.evaluate(plan, digits["images"], digits["labels"], encrypted=True, rows=6)
    assert found.outcomes[2].rows == 6
    assert found.outcomes[2].score == 1.0


def test_the_folders_of_images_are_their_classes(model, digits, tmp_path):
    names = [f"digit {number}" for number in range(10)]
    stated = hecc.Preprocessing(scale=1 / 255)
    plan = hecc.compile(model, preprocessing=stated, class_names=names, precision=8)
    for number, (image, label) in enumerate(zip(digits["images"], digits["labels"], strict=True)):
        folder = tmp_path / names[label]
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.round(255 * image[0]).astype(np.uint8)).save(folder / f"{number}.png")
    found = hecc.evaluate(plan, tmp_path)
    assert found.classes == tuple(names)
    assert found.outcomes[0].score == 1.0
    assert found.confusion.sum() == 16


def test_without_labels_agreement_is_left(plan, digits):
    found = hecc.evaluate(plan, digits["images"])
    assert [outcome.score for outcome in found.outcomes] == [None, None]
    assert found.outcomes[1].agreement == 1.0
    assert found.confusion is None


def test_one_output_value_is_a_regression(regression):
    inputs = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    truth = hecc.simulate(regression, inputs, noise=False)["gemm0"]
    found = hecc.evaluate(regression, inputs, truth + 0.25)
    assert found.task == "regression"
    assert found.outcomes[0].score == pytest.approx(0.25)
    assert found.outcomes[1].score == pytest.approx(0.25, abs=0.01)
    assert found.outcomes[1].agreement is None
    assert found.confusion is None
    assert hecc.evaluate(regression, inputs, truth[:, 0]).outcomes[0].score == pytest.approx(0, abs=1e-12)


def test_one_output_value_with_yes_and_no_for_answers_is_a_classification(regression):
    inputs = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    truth = hecc.simulate(regression, inputs, noise=False)["gemm0"][:, 0] > 0
    found = hecc.evaluate(regression, inputs, truth.astype(int))
    assert found.task == "classification"
    assert found.outcomes[0].score == 1.0
    assert np.diagonal(found.confusion).tolist() == [20 - truth.sum(), truth.sum()]


@pytest.mark.parametrize(
    ("labels", "options", "fault"),
    [
        (np.zeros(3, dtype=int), {}, r"labels of shape \(3,\) for 16 rows; give one for each row, and no header"),
        (np.array(3), {}, r"labels of shape \(\) for 16 rows; give one for each row, and no header"),
        (np.full(16, 10), {}, "labels from 10 to 10; the network has the classes 0 to 9"),
        (np.full(16, 0.5), {}, "labels of dtype float64; give integers or names of classes"),
        (np.full((16, 2), 0.5), {}, r"labels of shape \(16, 2\) and dtype float64 for an output of shape \(10,\)"),
        (np.zeros(16, dtype=int), {"rows": 0}, "0 encrypted rows; give at least one"),
    ],
)
def test_labels_that_do_not_fit_are_refused(plan, digits, labels, options, fault):
    with pytest.raises(hecc.InputError, match=fault):
        hecc.evaluate(plan, digits["images"], labels, **options)


def test_the_clients_plan_cannot_be_evaluated(plan, digits):
    with pytest.raises(hecc.InputError, match="this is the client's plan, without the circuit"):
        hecc.evaluate(plan.client(), digits["images"])


def ending_in(model, operator, **attributes):
    """The digit network with one more operator at its end."""
    changed = onnx.load_model_from_string(model)
    (scores,) = (output.name for output in changed.graph.output)
    changed.graph.node.append(helper.make_node(operator, [scores], ["end"], **attributes))
    del changed.graph.output[:]
    kind = TensorProto.INT64 if operator == "ArgMax" else TensorProto.FLOAT
    changed.graph.output.append(helper.make_tensor_value_info("end", kind, None))
    return changed


@pytest.mark.parametrize(("operator", "attributes"), [("Softmax", {"axis": 1}), ("ArgMax", {"axis": 1, "keepdims": 0})])
def test_a_network_may_end_in_probabilities_or_in_a_choice(model, digits, operator, attributes):
    plan = hecc.compile(
        ending_in(model, operator, **attributes),
        calibration=digits["calibration"],
        class_names=[f"digit {number}" for number in range(10)],
        precision=8,
    )
    found = hecc.evaluate(plan, digits["images"], digits["labels"], encrypted=True, rows=2)
    assert [outcome.score for outcome in found.outcomes] == [1.0, 1.0, 1.0]
    assert np.trace(found.confusion) == 16
    errors = [outcome.largest_error for outcome in found.outcomes]
    assert errors == [None] * 3 if operator == "ArgMax" else 0 < errors[2] < 2**-8
    client = hecc.Client(plan)
    (best,) = client.classify({"end": found.outcomes[2].values[:1]})["end"]
    assert best[0].label == "digit 0"
    assert (best[0].confidence is None) == (operator == "ArgMax")


@pytest.fixture(scope="module")
def smooth(network):
    """A network with two functions inside, whose polynomials are not precise, and its plan."""
    model = network((6,), ("gemm", 8), ("Relu",), ("gemm", 8), ("Sigmoid",), ("gemm", 3))
    calibration = np.random.default_rng(1).uniform(-1, 1, (64, 6))
    return model, hecc.compile(model, calibration=calibration, input_range=(-1, 1), precision=4)


def run_in_onnxruntime(model, inputs):
    """What the network itself says."""
    content = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: inputs.astype(np.float32)})[0]


def test_with_the_model_all_is_compared_with_the_network_itself(smooth, tmp_path):
    model, plan = smooth
    path = tmp_path / "model.onnx"
    path.write_bytes(model)
    inputs = np.random.default_rng(0).uniform(-1, 1, (300, 6))
    expected = run_in_onnxruntime(model, inputs)
    found = hecc.evaluate(plan, inputs, expected.argmax(axis=1), model=path, encrypted=True, rows=2)
    network, clear, simulated, encrypted = found.outcomes
    assert [outcome.name for outcome in found.outcomes] == ["network", "clear", "simulated", "encrypted"]
    np.testing.assert_allclose(network.values, expected, rtol=1e-4, atol=1e-5)
    assert network.score == network.agreement == 1.0
    for outcome in (clear, simulated, encrypted):
        error = (np.abs(outcome.values - expected[: outcome.rows]) / np.ptp(expected, axis=0)).max()
        assert outcome.largest_error == pytest.approx(error, rel=1e-2)
    # Nothing of that is seen where the plan is compared with itself.
    alone = hecc.evaluate(plan, inputs)
    assert [outcome.name for outcome in alone.outcomes] == ["clear", "simulated"]
    assert simulated.largest_error > 4 * alone.outcomes[1].largest_error
    assert clear.agreement == (clear.predictions == expected.argmax(axis=1)).mean()


def test_the_confusion_is_that_with_simulated_noise(smooth):
    model, plan = smooth
    inputs = np.random.default_rng(0).uniform(-1, 1, (50, 6))
    truth = np.arange(50) % 3
    found = hecc.evaluate(plan, inputs, truth, model=model)
    expected = np.zeros((3, 3), dtype=int)
    np.add.at(expected, (truth, found.outcomes[2].predictions), 1)
    np.testing.assert_array_equal(found.confusion, expected)


def test_rows_that_do_not_fit_into_memory_are_evaluated_in_parts(smooth, monkeypatch):
    model, plan = smooth
    inputs = np.random.default_rng(0).uniform(-1, 1, (7, 6))
    whole = hecc.evaluate(plan, inputs, model=model).outcomes[0].values
    monkeypatch.setattr("hecc.measure.reference.MOST", 80)
    np.testing.assert_array_equal(hecc.evaluate(plan, inputs, model=model).outcomes[0].values, whole)


@pytest.mark.parametrize("batch_axis", [True, False])
def test_the_model_is_imported_as_the_plan_was_compiled(batch_axis):
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    nodes = [helper.make_node("Tanh", ["x"], ["t"]), helper.make_node("Mul", ["t", "x"], ["y"])]
    graph = helper.make_graph(nodes, "network", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    plan = hecc.compile(model, batch_axis=batch_axis, precision=6)
    inputs = np.random.default_rng(0).uniform(-1, 1, (5, 4) if batch_axis else (5, 1, 4))
    found = hecc.evaluate(plan, inputs, model=model)
    assert found.outcomes[0].values.shape == inputs.shape
    np.testing.assert_allclose(found.outcomes[0].values, np.tanh(inputs) * inputs, atol=1e-6)
    assert found.outcomes[1].largest_error < 2**-6


def test_the_end_of_the_network_belongs_to_it_and_preprocessing_to_its_inputs(model, digits):
    changed = ending_in(model, "Softmax", axis=1)
    plan = hecc.compile(changed, preprocessing=hecc.Preprocessing(scale=1 / 255), precision=8)
    found = hecc.evaluate(plan, 255 * digits["images"], digits["labels"], model=changed, raw=True)
    assert [outcome.score for outcome in found.outcomes] == [1.0, 1.0, 1.0]
    np.testing.assert_allclose(found.outcomes[0].values, run_in_onnxruntime(changed, digits["images"]), atol=1e-5)


def test_another_model_is_refused(smooth, network, tmp_path):
    model, plan = smooth
    inputs = np.zeros((2, 6))
    other = onnx.load_model_from_string(model)
    other.producer_name = "someone else"
    path = tmp_path / "other.onnx"
    path.write_bytes(other.SerializeToString())
    fault = r"not the model that the plan was compiled from, whose SHA-256 is [0-9a-f]{16}\.\.\.; give that one"
    with pytest.raises(hecc.InputError, match=r"other\.onnx is " + fault):
        hecc.evaluate(plan, inputs, model=path)
    with pytest.raises(hecc.InputError, match="the bytes given are " + fault):
        hecc.evaluate(plan, inputs, model=path.read_bytes())
    # In memory there is no file; names and shapes have to do.
    assert hecc.evaluate(plan, inputs, model=other).outcomes[0].name == "network"
    wider = onnx.load_model_from_string(network((6,), ("gemm", 4)))
    with pytest.raises(hecc.InputError, match="the model has other inputs or outputs than the plan; give the network"):
        hecc.evaluate(plan, inputs, model=wider)
    with pytest.raises(hecc.InputError, match="example_input is for PyTorch modules; give the module as model, too"):
        hecc.evaluate(plan, inputs, example_input=inputs)


def test_without_a_model_no_importer_is_loaded(plan, digits, tmp_path):
    plan.save(tmp_path / "plan.bin")
    np.save(tmp_path / "images.npy", digits["images"])
    program = (
        "import sys, hecc\n"
        f"hecc.evaluate({str(tmp_path / 'plan.bin')!r}, {str(tmp_path / 'images.npy')!r})\n"
        "sys.exit(', '.join(m for m in ('onnx', 'hecc.compiler.importer', 'hecc.passes') if m in sys.modules) or None)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def binary(network):
    """A plan with one score, and rows whose right answers it does not always find."""
    plan = hecc.compile(
        network((3,), ("gemm", 1)), input_range=(-1, 1), precision=8, class_names=["benign", "malignant"]
    )
    inputs = np.random.default_rng(0).uniform(-1, 1, (30, 3))
    scores = hecc.simulate(plan, inputs, noise=False)["gemm0"][:, 0]
    labels = (scores + np.random.default_rng(1).normal(size=30) * scores.std() > 0).astype(int)
    return plan, inputs, scores, labels


def test_metrics_are_of_every_outcome(binary):
    sk = pytest.importorskip("sklearn.metrics")
    plan, inputs, scores, labels = binary
    found = hecc.evaluate(plan, inputs, labels, metrics=True, encrypted=True, rows=12)
    for outcome, rows in zip(found.outcomes, (30, 30, 12), strict=True):
        values = {metric.name: metric.value for metric in outcome.metrics}
        assert list(values) == ["accuracy", "sensitivity", "specificity", "AUC"]
        assert values["accuracy"] == outcome.score
        assert values["sensitivity"] == sk.recall_score(labels[:rows], outcome.predictions)
        # The confidences that AUC is by rise with the score.
        assert values["AUC"] == pytest.approx(sk.roc_auc_score(labels[:rows], scores[:rows]), abs=0.05)
        assert all(metric.low <= metric.value <= metric.high for metric in outcome.metrics)
    assert not hecc.evaluate(plan, inputs, labels).outcomes[0].metrics


def test_metrics_of_a_regression(regression):
    sk = pytest.importorskip("sklearn.metrics")
    inputs = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    values = hecc.simulate(regression, inputs, noise=False)["gemm0"]
    truth = values + np.random.default_rng(1).normal(size=values.shape) * 0.1
    error, share = hecc.evaluate(regression, inputs, truth, metrics=True).outcomes[0].metrics
    assert (error.name, error.value) == ("mean absolute error", pytest.approx(sk.mean_absolute_error(truth, values)))
    assert (share.name, share.value) == ("R2", pytest.approx(sk.r2_score(truth, values)))
    assert error.low < error.value < error.high


def test_a_choice_of_a_class_has_no_auc(model, digits):
    pytest.importorskip("sklearn")
    plan = hecc.compile(ending_in(model, "ArgMax", axis=1, keepdims=0), calibration=digits["calibration"], precision=8)
    outcome = hecc.evaluate(plan, digits["images"], digits["labels"], metrics=True).outcomes[0]
    assert {metric.why for metric in outcome.metrics if metric.name == "AUC"} == {
        "the network gives a choice and no scores"
    }
    assert all(metric.value == 1 for metric in outcome.metrics if metric.name != "AUC")


def test_metrics_that_cannot_be_computed_are_refused(binary):
    pytest.importorskip("sklearn")
    plan, inputs, *_ = binary
    with pytest.raises(hecc.InputError, match="metrics compare with the right answers; give labels"):
        hecc.evaluate(plan, inputs, metrics=True)
    with pytest.raises(
        hecc.InputError, match="every label is 'malignant', and sensitivity, specificity and AUC compare"
    ):
        hecc.evaluate(plan, inputs, np.ones(30, dtype=int), metrics=True)
