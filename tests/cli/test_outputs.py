"""What commands write takes the place of a file of its own kind only, and never of what they read."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import hecc
from hecc.inputs.arrays import check_outputs
from hecc.runtime.plan.plan import Plan

RUN = "run plan.bin encrypted.bin"
OTHERS = ["model.onnx", "images.npy", "plan.bin", "plan.client.bin", "encrypted.bin", "result.bin", "notes.txt"]
COMMANDS = {
    "compile model.onnx --calibration calibration.npy --client-output new.bin --output": "plan.bin",
    "compile model.onnx --calibration calibration.npy --output new.bin --client-output": "plan.client.bin",
    "encrypt plan.client.bin three.npy --output": "encrypted.bin",
    "run plan.bin encrypted.bin --output": "result.bin",
    "decrypt plan.client.bin result.bin --output": "output.npy",
    "simulate plan.bin three.npy --output": "output.npy",
    "report plan.bin --output": "report.html",
    "bench --machine-profile --output": "machine.json",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_of_another_kind_stays(cli, here, monkeypatch, command):
    def work(*_: object, **__: object) -> None:
        raise AssertionError("it worked before it refused")

    for name in ("hecc.compile", "hecc.report", "hecc.simulate", "hecc.measure.profiling.measure_rates"):
        monkeypatch.setattr(name, work)
    for name in ("_encryption", "_decrypt"):
        monkeypatch.setattr(f"hecc.runtime.ckks.client.client.Client.{name}", work)
    Path("notes.txt").write_text("notes")
    given = command.split()
    for other in OTHERS:
        name = other
        if name in given or name == COMMANDS[command]:
            continue
        if command.startswith(("decrypt", "simulate")):
            name = str(shutil.copy(other, f"copy of {Path(other).stem}.npy"))
        before = Path(name).read_bytes()
        sentence = cli.refusal(*given, name)
        assert sentence.startswith(f"{name}: there is a file of this name, and it stays, as it is not "), sentence
        assert sentence.endswith("give another name, or replace it with --force (in Python force=True)")
        assert Path(name).read_bytes() == before


@pytest.mark.parametrize("command", [name for name in COMMANDS if not name.startswith(("bench", "compile"))])
def test_a_file_of_the_same_kind_and_an_empty_one_are_replaced(cli, here, command):
    name = f"mine{Path(COMMANDS[command]).suffix}"
    Path(name).write_bytes(b"")
    for _ in range(2):
        cli.succeed(*command.split(), name)
        assert Path(name).stat().st_size > 100
    Path(name).write_bytes(b"something else")
    cli.refusal(*command.split(), name)
    cli.succeed(*command.split(), name, "--force")
    assert Path(name).read_bytes() != b"something else"


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize(
    ("command", "name"),
    [
        (command, name)
        for command in COMMANDS
        for name in ("model.onnx", "plan.bin", "plan.client.bin", "encrypted.bin", "result.bin", "three.npy")
        if name in command.split() and not command.startswith("bench")
    ],
)
def test_an_input_is_never_the_output_whatever_it_is_called(cli, here, command, name, link, force):
    before = Path(name).read_bytes()
    link(name, "other.npy")
    for output in (name, f"./{name}", f"keys/../{name}", "other.npy"):
        assert "this command reads that file" in cli.refusal(*command.split(), output, *force)
    assert Path(name).read_bytes() == before


@pytest.mark.parametrize("ending", [".partial", ".partial.index"])
def test_an_input_is_not_what_a_command_writes_first_either(cli, here, ending):
    Path("encrypted.bin").rename(f"result.bin{ending}")
    before = Path(f"result.bin{ending}").read_bytes()
    sentence = cli.refusal("run", "plan.bin", f"result.bin{ending}", "--force")
    assert "this command reads that file" in sentence
    assert Path(f"result.bin{ending}").read_bytes() == before


def test_python_refuses_the_same(here):
    client = hecc.Client("plan.client.bin", "keys")
    request = client.encrypt(np.load("three.npy"))
    plan = Plan.load("plan.bin")
    before = {path: path.read_bytes() for path in here.iterdir() if path.is_file()}
    with hecc.Server(plan, "keys") as server:
        result = server.run(request)
        writes = [
            lambda: plan.save("model.onnx"),
            lambda: plan.save("plan.client.bin"),
            lambda: plan.client().save("plan.bin"),
            lambda: request.save("images.npy"),
            lambda: request.save("result.bin"),
            lambda: result.save("encrypted.bin"),
            lambda: result.save("keys/secret.bin", force=True),
            lambda: client.encrypt_to("images.npy", "images.npy", force=True),
            lambda: client.encrypt_to("result.bin", "images.npy"),
            lambda: server.run_to("encrypted.bin", "encrypted.bin", force=True),
            lambda: server.run_to("images.npy", "encrypted.bin"),
        ]
        for write in writes:
            with pytest.raises(hecc.InputError, match=r"it stays|cannot be made again|would replace"):
                write()
        assert {path: path.read_bytes() for path in here.iterdir() if path.is_file()} == before
        server.run_to("images.npy", "encrypted.bin", force=True)
    plan.save("plan.bin")
    assert Path("plan.bin").read_bytes() == before[here / "plan.bin"]


def test_output_values_are_known_by_their_shapes_and_columns(here):
    header = Plan.load("plan.bin").header
    for name, array in {
        "own": np.zeros((3, 10)),
        "other": np.zeros((3, 9)),
        "deep": np.zeros((3, 10, 1)),
        "single": np.zeros((3, 10), np.float32),
        "scalar": np.zeros(()),
    }.items():
        np.save(f"{name}.npy", array)
        np.savez(f"{name}.npz", logits=array)
        if name == "own":
            check_outputs(Path("own.npy"), header, 5)
            check_outputs(Path("own.npz"), header, 5)
            continue
        for ending in (".npy", ".npz"):
            with pytest.raises(hecc.InputError, match="it is not a file of this plan's output values"):
                check_outputs(Path(f"{name}{ending}"), header, 5)
            check_outputs(Path(f"{name}{ending}"), header, 5, force=True)
    np.savez("renamed.npz", scores=np.zeros((3, 10)))
    Path("own.csv").write_text(",".join(f"logits[{number}]" for number in range(10)) + "\n1,2\n")
    Path("table.csv").write_text("age,height\n1,2\n")
    Path("latin.csv").write_bytes(b"\xff\xfe\xfa")
    check_outputs(Path("own.csv"), header, 5)
    for name in ("renamed.npz", "table.csv", "latin.csv"):
        with pytest.raises(hecc.InputError, match="it is not a file of this plan's output values"):
            check_outputs(Path(name), header, 5)
