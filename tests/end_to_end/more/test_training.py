"""The scheme MORE from a network to a trained one, on the command line and in Python; and its attack."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

import hecc
from hecc.attacks.eigenvalues import attack
from hecc.cli.commands import app
from hecc.runtime.errors import FileFormatError, HeccError, InputError, KeyMismatchError, OutputError, SecurityError

RNG = np.random.default_rng(21)
NOTHING = "an encoding without a security level"


def network(kind="dense", seed=1):
    """A small network to be trained: dense, or convolutional."""
    random = np.random.default_rng(seed)
    if kind == "dense":
        shape, hidden = (8,), 12
        nodes = [helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], "first"), helper.make_node("Tanh", ["h"], ["a"])]
        weights = {"w1": random.normal(size=(8, hidden)) / 3, "b1": random.normal(size=hidden) / 3}
        flat = hidden
    else:
        shape, flat = (1, 6, 6), 36
        nodes = [
            helper.make_node("Conv", ["x", "w1", "b1"], ["h"], "first", pads=[1, 1, 1, 1]),
            helper.make_node("Softplus", ["h"], ["s"]),
            helper.make_node("AveragePool", ["s"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Flatten", ["p"], ["a"]),
        ]
        weights = {"w1": random.normal(size=(4, 1, 3, 3)) / 3, "b1": random.normal(size=4) / 3}
    weights |= {"w2": random.normal(size=(flat, 3)) / 4, "b2": np.zeros(3)}
    nodes.append(helper.make_node("Gemm", ["a", "w2", "b2"], ["y"], "last"))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


def data(kind="dense", rows=120):
    """Rows of three classes that can be told apart."""
    random = np.random.default_rng(5)
    labels = random.integers(0, 3, rows)
    shape = (8,) if kind == "dense" else (1, 6, 6)
    means = random.normal(size=(3, *shape))
    return np.clip(means[labels] + 0.5 * random.normal(size=(rows, *shape)), -4, 4), labels


def weights_of(model):
    return {each.name: numpy_helper.to_array(each) for each in onnx.load_model_from_string(model).graph.initializer}


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
@pytest.mark.parametrize("loss", ["cross-entropy", "mse"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_training_encoded_is_training_in_clear(tmp_path, kind, loss, optimizer):
    """A hundred steps and more: the losses and the weights are the same within 1e-8."""
    rows, labels = data(kind)
    targets = labels if loss == "cross-entropy" else np.eye(3)[labels]
    plan = hecc.compile(network(kind), scheme="more", train=loss, calibration=rows, input_range=(-4, 4))
    client = hecc.Client(plan, min_security="none")
    client.keygen(tmp_path / "keys")
    client.encrypt_to(tmp_path / "encrypted.bin", rows, labels=targets)
    settings = {"epochs": 13, "batch_size": 15, "optimizer": optimizer, "learning_rate": 0.02, "schedule": "cosine"}
    done = hecc.train(plan, tmp_path / "encrypted.bin", tmp_path / "trained.bin", **settings)
    assert done.steps == 104
    encoded, encoded_losses = hecc.trained_model(client, tmp_path / "trained.bin")
    clear, clear_losses = hecc.train_in_clear(plan, rows, targets, **settings)
    np.testing.assert_allclose(encoded_losses, clear_losses, rtol=0, atol=1e-8)
    assert clear_losses[-8:].mean() < 0.7 * clear_losses[:8].mean()
    first = weights_of(network(kind))
    for name, values in weights_of(encoded).items():
        np.testing.assert_allclose(values, weights_of(clear)[name], rtol=0, atol=1e-7, err_msg=name)
        assert np.abs(values - first[name]).max() > 1e-3, name


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


@pytest.fixture
def story(tmp_path, monkeypatch):
    """Everything up to encoded rows, by commands."""
    monkeypatch.chdir(tmp_path)
    Path("network.onnx").write_bytes(network("convolutional"))
    rows, labels = data("convolutional")
    np.save("rows.npy", rows)
    np.save("labels.npy", labels)
    compiling = ("compile", "network.onnx", "--scheme", "more", "--train", "cross-entropy", "--calibration", "rows.npy")
    said = [run(*compiling)]
    said.append(run("keygen", "plan.client.bin", "--min-security", "none"))
    said.append(run("encrypt", "plan.client.bin", "rows.npy", "--labels", "labels.npy", "--min-security", "none"))
    return said


def test_the_commands_train_and_every_output_says_what_it_is(story):
    pytest.importorskip("onnxruntime")
    import onnxruntime

    said = [*story]
    training = ("--epochs", 6, "--batch-size", 20, "--learning-rate", 0.02)
    said.append(run("train", "plan.bin", "encrypted.bin", *training))
    said.append(run("decrypt", "plan.client.bin", "trained.bin", "--model", "trained.onnx", "--min-security", "none"))
    said += [run("inspect", name) for name in ("plan.bin", "plan.client.bin", "encrypted.bin", "trained.bin")]
    said += [run("inspect", "keys/secret.bin"), run("inspect", "keys/evaluation.bin")]
    said += [run("train", "--help"), run("attack", "--help"), run("attack", "encrypted.bin", "-o", "recovered.csv")]
    for text in said:
        assert NOTHING in " ".join(text.split()), text
    assert json.loads(run("verify", "plan.bin", "encrypted.bin", "trained.bin", "keys/secret.bin", "--json"))["ok"]
    clear = run("train", "plan.bin", "rows.npy", "--in-clear", "--labels", "labels.npy", *training)
    assert "unprotected" in clear
    answers = []
    for name in ("trained.onnx",):
        session = onnxruntime.InferenceSession(name)
        answers.append(session.run(None, {"x": np.load("rows.npy").astype(np.float32)})[0])
    assert (answers[0].argmax(1) == np.load("labels.npy")).mean() > 0.9


def test_what_was_trained_encoded_compiles_for_encryption(story):
    run("train", "plan.bin", "encrypted.bin", "--epochs", 4, "--batch-size", 20, "--learning-rate", 0.02)
    run("decrypt", "plan.client.bin", "trained.bin", "--model", "trained.onnx", "--min-security", "none")
    run("compile", "trained.onnx", "--calibration", "rows.npy", "-o", "encrypting.bin")
    plan = hecc.Plan.load("encrypting.bin")
    assert plan.header.scheme == "ckks"
    rows = np.load("rows.npy")
    found = hecc.simulate(plan, rows)["y"]
    assert (found.argmax(1) == np.load("labels.npy")).mean() > 0.8


def test_a_training_goes_on_where_it_was_interrupted(tmp_path):
    rows, labels = data()
    plan = hecc.compile(network(), scheme="more", train="cross-entropy", calibration=rows, input_range=(-4, 4))
    client = hecc.Client(plan, min_security="none")
    client.keygen(tmp_path / "keys")
    client.encrypt_to(tmp_path / "rows.bin", rows, labels=labels)
    settings = {"epochs": 5, "batch_size": 30, "optimizer": "adam", "learning_rate": 0.01}

    class Stop(Exception):
        pass

    def stop(done, steps, loss):
        if done == 10:
            raise Stop

    with pytest.raises(Stop):
        hecc.train(plan, tmp_path / "rows.bin", tmp_path / "out.bin", progress=stop, **settings)
    assert not (tmp_path / "out.bin").exists()
    assert (tmp_path / "out.bin.checkpoint").exists()
    with pytest.raises(KeyMismatchError, match="the checkpoint is of another training"):
        hecc.train(plan, tmp_path / "rows.bin", tmp_path / "out.bin", **{**settings, "epochs": 6})
    done = []
    hecc.train(
        plan, tmp_path / "rows.bin", tmp_path / "out.bin", progress=lambda step, *_: done.append(step), **settings
    )
    assert done == list(range(9, 21))
    assert not (tmp_path / "out.bin.checkpoint").exists()
    hecc.train(plan, tmp_path / "rows.bin", tmp_path / "whole.bin", **settings)
    one, other = (hecc.trained_model(client, tmp_path / name) for name in ("out.bin", "whole.bin"))
    np.testing.assert_array_equal(one[1], other[1])
    assert one[0] == other[0]


def test_a_channel_that_leaves_its_range_is_said_where(tmp_path):
    rows, labels = data()
    plan = hecc.compile(network(), scheme="more", train="mse", calibration=rows, input_range=(-4, 4))
    client = hecc.Client(plan, min_security="none")
    client.keygen(tmp_path / "keys")
    client.encrypt_to(tmp_path / "rows.bin", rows, labels=np.eye(3)[labels])
    settings = {"epochs": 400, "batch_size": 120, "optimizer": "sgd", "learning_rate": 3.0}
    kept = tmp_path / "out.bin.checkpoint"
    words = r"left the range of 1e\+09 (at|in) (loss mse|.*Gemm '\w+').* smaller learning rate"
    with pytest.raises(OutputError, match=rf"^step \d+ \(epoch \d+\): a channel \(.*\) {words}.* stays in {kept}"):
        hecc.train(plan, tmp_path / "rows.bin", tmp_path / "out.bin", **settings)
    assert not (tmp_path / "out.bin").exists()
    # What was made before stays, and can be used.
    model, losses = hecc.trained_model(client, kept)
    assert len(losses) > 1
    assert all(np.isfinite(values).all() for values in weights_of(model).values())


def test_a_checkpoint_without_what_the_optimizer_remembers_is_refused(tmp_path):
    rows, labels = data()
    plan = hecc.compile(network(), scheme="more", train="mse", calibration=rows, input_range=(-4, 4))
    client = hecc.Client(plan, min_security="none")
    client.keygen(tmp_path / "keys")
    client.encrypt_to(tmp_path / "rows.bin", rows, labels=np.eye(3)[labels])
    settings = {"epochs": 2, "batch_size": 60, "optimizer": "adam"}
    hecc.train(plan, tmp_path / "rows.bin", tmp_path / "out.bin", **settings)
    (tmp_path / "out.bin").rename(tmp_path / "out.bin.checkpoint")
    with pytest.raises(FileFormatError, match=r"does not hold what the optimizer adam remembers .* --no-resume"):
        hecc.train(plan, tmp_path / "rows.bin", tmp_path / "out.bin", **settings)


def test_the_attack_needs_no_key(story):
    rows = np.load("rows.npy")
    for known in (None, f"3:7={rows.reshape(120, -1)[3, 7]:.12g}"):
        found = attack("encrypted.bin", known=known)
        data_, labels = (found.candidates[name][0] for name in ("x", "target"))
        if known is not None:
            np.testing.assert_allclose(data_, rows, atol=1e-9)
            np.testing.assert_allclose(labels, np.eye(3)[np.load("labels.npy")], atol=1e-9)
    run("attack", "encrypted.bin", "--known", f"3:7={rows.reshape(120, -1)[3, 7]:.12g}", "-o", "out.npy")
    np.testing.assert_allclose(np.load("out.npy"), rows, atol=1e-9)
    assert "ROW:ELEMENT=VALUE" in run("attack", "encrypted.bin", "--known", "many", code=1)
    assert ".npy, .csv or .png" in run("attack", "encrypted.bin", "-o", "out.txt", code=1)


def test_a_picture_of_the_attack(story):
    image = pytest.importorskip("PIL.Image")
    run("attack", "encrypted.bin", "-o", "out.png")
    with image.open("out.png") as picture:
        assert picture.width > picture.height > 100


def test_whoever_insists_on_security_is_refused(story):
    for command in (("keygen", "plan.client.bin"), ("encrypt", "plan.client.bin", "rows.npy", "-o", "other.bin")):
        assert "128 bits of security are insisted on" in run(*command, code=1)
    with pytest.raises(SecurityError, match="--min-security none"):
        hecc.Client("plan.client.bin", "keys")
    assert not hecc.verify("plan.bin", min_security=128).ok
    with pytest.raises(InputError, match="take no passphrase, as they protect nothing"):
        hecc.Client("plan.client.bin", min_security="none").keygen("others", passphrase="secret")


def test_bad_input_is_a_sentence(story):
    none = ("--min-security", "none")
    assert "no public key" in run("encrypt", "plan.client.bin", "rows.npy", "--public", *none, code=1)
    assert "its rows need their right answers" in run("encrypt", "plan.client.bin", "rows.npy", *none, code=1)
    rows = np.load("rows.npy")
    rows[3] = np.nan
    np.save("bad.npy", rows)
    said = run("encrypt", "plan.client.bin", "bad.npy", "--labels", "labels.npy", *none, code=1)
    assert "row 3" in said
    np.save("few.npy", np.load("labels.npy")[:5])
    assert "labels" in run("encrypt", "plan.client.bin", "rows.npy", "--labels", "few.npy", *none, code=1)
    run("compile", "network.onnx", "--scheme", "more", "--calibration", "rows.npy", "-o", "other.bin")
    assert "this plan does not train" in run("train", "other.bin", "encrypted.bin", code=1)
    said = run("encrypt", "other.client.bin", "rows.npy", "--labels", "labels.npy", *none, code=1)
    assert "this plan does not train" in said
    assert "learning rate" in run("train", "plan.bin", "encrypted.bin", "--learning-rate", -1, code=1)
    run("compile", "network.onnx", "--calibration", "rows.npy", "-o", "ckks.bin")
    assert "plans of the scheme ckks do not train" in run("train", "ckks.bin", "encrypted.bin", code=1)


def test_files_of_others_are_not_trusted(story):
    content = bytearray(Path("encrypted.bin").read_bytes())
    content[len(content) // 2] ^= 1
    Path("altered.bin").write_bytes(content)
    with pytest.raises(FileFormatError):
        hecc.train("plan.bin", "altered.bin", "out.bin")
    plan = bytearray(Path("plan.bin").read_bytes())
    for place in range(100, len(plan), len(plan) // 40):
        plan[place] ^= 255
        with pytest.raises(HeccError):
            hecc.Plan.loads(bytes(plan))
        plan[place] ^= 255


SERVER = """
import sys

import hecc

hecc.train("plan.bin", "encrypted.bin", "trained.bin", epochs=1)
with hecc.Server("inference.bin", "keys/evaluation.bin") as server:
    server.run_to("result.bin", "rows.bin")
absent = ("onnx", "scipy", "sympy", "networkx", "tenseal", "torch", "hecc.compiler.graph", "hecc.passes")
print([name for name in (*absent, "hecc.runtime.more.client", "hecc.runtime.more.keys") if name in sys.modules])
"""


def test_a_server_loads_neither_a_compiler_nor_what_touches_keys(story):
    run("compile", "network.onnx", "--scheme", "more", "--calibration", "rows.npy", "-o", "inference.bin")
    run("encrypt", "inference.client.bin", "rows.npy", "-o", "rows.bin", "--min-security", "none")
    done = subprocess.run([sys.executable, "-c", SERVER], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_labels_may_be_names_of_classes(tmp_path):
    rows, labels = data()
    names = ["cat", "dog", "owl"]
    plan = hecc.compile(
        network(), scheme="more", train="cross-entropy", calibration=rows, input_range=(-4, 4), class_names=names
    )
    settings = {"epochs": 2, "batch_size": 30}
    named, numbered = (
        hecc.train_in_clear(plan, rows, given, **settings)[1] for given in (np.array(names)[labels], labels)
    )
    np.testing.assert_array_equal(named, numbered)


def test_a_forged_plan_is_refused_whatever_its_checksums_say(story):
    plan = hecc.Plan.load("plan.bin")
    training, network = plan.training, plan.network
    gradients = [i for i, ins in enumerate(training.step.instructions) if ins.op == "output"]
    less = dataclasses.replace(
        training.step, instructions=tuple(ins for i, ins in enumerate(training.step.instructions) if i != gradients[-1])
    )
    swapped = [dataclasses.replace(training, model=b"another network"), dataclasses.replace(training, step=less)]
    swapped += [dataclasses.replace(training, step=network)]
    for forged in swapped:
        with pytest.raises(FileFormatError, match="an impossible plan"):
            hecc.Plan.loads(dataclasses.replace(plan, training=forged).dumps())
    with pytest.raises(FileFormatError, match="an impossible plan"):
        hecc.Plan.loads(dataclasses.replace(plan, network=training.step).dumps())
    (source,), client = plan.header.inputs, plan.client()
    for shape in ((1, 6, -6), (1, 6, 1 << 40), (1,) * 6):
        header = msgspec.structs.replace(plan.header, inputs=(msgspec.structs.replace(source, shape=shape),))
        with pytest.raises(FileFormatError, match="an impossible plan"):
            hecc.Plan.loads(dataclasses.replace(client, header=header).dumps())
