"""What commands and Python say of the costs of plans of MORE, and of its security."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

import hecc
from hecc.cli.commands import app
from hecc.compiler.more.prediction.plans import evaluation_use, training_use
from hecc.more.words import seconds_words
from hecc.runtime.errors import InputError

RNG = np.random.default_rng(14)
NOTHING = "an encoding without a security level"
FACTOR = 1.3
"""Within which memory is predicted, as docs/more.md says."""


def network(shape=(1, 16, 16), maps=8):
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "k"], ["c"], "conv", pads=[1] * 4),
            helper.make_node("Tanh", ["c"], ["t"], "tanh"),
            helper.make_node("Flatten", ["t"], ["f"], "flatten"),
            helper.make_node("Gemm", ["f", "w", "b"], ["y"], "dense"),
        ],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])],
        [
            numpy_helper.from_array(array.astype(np.float32), name)
            for name, array in {
                "k": RNG.normal(size=(maps, 1, 3, 3)) / 3,
                "w": RNG.normal(size=(maps * shape[1] * shape[2], 3)) / 40,
                "b": np.zeros(3),
            }.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("network.onnx").write_bytes(network())
    np.save("rows.npy", RNG.uniform(-1, 1, (60, 1, 16, 16)))
    return tmp_path


@pytest.mark.parametrize("training", [(), ("--train", "cross-entropy")])
def test_an_estimate_says_what_plans_take_and_what_they_are(here, training):
    asked = ("estimate", "network.onnx", "--scheme", "more", "--calibration", "rows.npy", *training)
    text, found = run(*asked), json.loads(run(*asked, "--json"))
    assert NOTHING in text
    assert NOTHING in found["security"]
    assert found["security_level"] is None
    assert found["calibration"] == "given"
    assert [layer["layer"] for layer in found["layers"]][1:5] == [
        "Conv 'conv'",
        "Tanh 'tanh'",
        "Flatten 'flatten'",
        "Gemm 'dense'",
    ]
    assert sum(layer["share"] for layer in found["layers"]) == pytest.approx(1)
    evaluation, epoch = found["evaluation"], found["epoch"]
    assert evaluation["memory_bytes"] == sum(evaluation["memory"].values())
    assert f"{seconds_words(evaluation['seconds_per_row'])} per row on one processor core" in text
    assert (epoch is None) == (not training) == ("steps of 64 rows by adam" not in text)
    assert sorted(path.name for path in here.iterdir()) == ["network.onnx", "rows.npy"]
    plan = hecc.estimate(
        "network.onnx", scheme="more", calibration=np.load("rows.npy"), train=(training or (0, None))[1]
    )
    assert NOTHING in plan.security
    assert plan.evaluation.seconds == evaluation["seconds_per_row"]
    assert (None if plan.training is None else plan.training.memory.total) == (epoch and epoch["memory_bytes"])
    run("compile", *asked[1:], "--output", "plan.bin")
    shown = json.loads(run("inspect", "plan.bin", "--json"))
    assert [shown[name] for name in ("evaluation", "epoch", "layers")] == [evaluation, epoch, found["layers"]]


@pytest.mark.parametrize("training", [(), ("--train", "mse")])
def test_a_report_begins_with_what_a_plan_is_not(here, training):
    run("compile", "network.onnx", "--scheme", "more", "--calibration", "rows.npy", *training)
    assert "open it in a browser" in run("report", "plan.bin", "-o", "page.html")
    page = Path("page.html").read_text(encoding="utf-8")
    assert page == hecc.report("plan.bin")
    for words in (NOTHING, "Tanh &#39;tanh&#39;", "hecc attack encrypted.bin", "hecc keygen plan.client.bin", "<svg"):
        assert words in page
    assert ("hecc train plan.bin" in page) == ("Where does the time of a training step go?" in page) == bool(training)
    assert page.index(NOTHING) < page.index("What does it do?")
    assert "<script" not in page
    client = hecc.report("plan.client.bin")
    assert NOTHING in client
    assert "no program" in client
    assert "hecc keygen plan.client.bin" in client
    assert "leave --inputs out" in run("report", "plan.bin", "--inputs", "rows.npy", "-o", "other.html", code=1)
    with pytest.raises(InputError, match="leave --inputs out"):
        hecc.report("plan.bin", np.load("rows.npy"))


PEAK = """
import resource, subprocess, sys

subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10)
"""


def resident(*arguments):
    """The largest memory of a command."""
    command = [sys.executable, "-c", PEAK, sys.executable, "-m", "hecc", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is measured as on Linux")
def test_commands_take_the_memory_that_is_predicted(here):
    Path("network.onnx").write_bytes(network((1, 32, 32), maps=16))
    rows = RNG.uniform(-1, 1, (600, 1, 32, 32))
    for loss in ("mse", None):
        plan = hecc.compile("network.onnx", scheme="more", train=loss, input_range=(-1, 1))
        plan.save("plan.bin")
        client = hecc.Client(plan, min_security="none")
        folder = client.keygen(f"keys-{loss}")
        client.encrypt_to("rows.bin", rows, labels=None if loss is None else RNG.uniform(0, 1, (600, 3)))
        if loss is None:
            used = resident("run", "plan.bin", "rows.bin", "--evaluation-keys", folder.evaluation)
            predicted = evaluation_use(plan, rows=600).memory.total
        else:
            used = resident("train", "plan.bin", "rows.bin", "--batch-size", 64)
            predicted = training_use(plan, rows=600).memory.total
        assert used / FACTOR < predicted < used * FACTOR, loss


def test_every_command_says_what_it_is_in_words_and_in_json(here):
    """Whatever is done with the scheme: the sentence is in the text, and in a field of its own."""
    np.save("labels.npy", RNG.integers(0, 3, 60))
    none = ("--min-security", "none")
    inference = ("--calibration", "rows.npy", "-o", "inference.bin")
    commands = [
        ("compile", "network.onnx", "--scheme", "more", "--train", "cross-entropy", "--calibration", "rows.npy"),
        ("compile", "network.onnx", "--scheme", "more", *inference),
        ("keygen", "plan.client.bin", "--force", *none),
        ("encrypt", "plan.client.bin", "rows.npy", "--labels", "labels.npy", *none),
        ("train", "plan.bin", "encrypted.bin"),
        ("decrypt", "plan.client.bin", "trained.bin", "--model", "trained.onnx", *none),
        ("encrypt", "inference.client.bin", "rows.npy", "-o", "rows.bin", *none),
        ("run", "inference.bin", "rows.bin"),
        ("decrypt", "inference.client.bin", "result.bin", "--force", *none),
        ("simulate", "inference.bin", "rows.npy"),
        ("evaluate", "inference.bin", "--inputs", "rows.npy", "--labels", "labels.npy"),
        ("estimate", "network.onnx", "--scheme", "more", "--calibration", "rows.npy"),
        ("report", "plan.bin", "--force"),
        ("attack", "encrypted.bin", "--force"),
        ("verify", "plan.bin", "encrypted.bin", "trained.bin", "keys/secret.bin"),
        *(("inspect", name) for name in ("plan.bin", "plan.client.bin", "rows.bin", "trained.bin", "result.bin")),
        *(("inspect", name) for name in ("keys/secret.bin", "keys/evaluation.bin")),
    ]
    for command in commands:
        assert NOTHING in " ".join(run(*command).split()), command
        assert NOTHING in json.loads(run(*command, "--json"))["security"], command
    for name in ("compile", "keygen", "encrypt", "decrypt", "train", "estimate", "report", "attack"):
        assert NOTHING in " ".join(run(name, "--help").replace("│", " ").split()), name
