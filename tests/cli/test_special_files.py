"""Pipes and devices in place of files: a sentence, and no command waits for what never comes."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

SENTENCE = "not a regular file; save it to disk first"


@pytest.fixture(autouse=True)
def _not_forever() -> Iterator[None]:
    """A command that waits would wait for ever."""

    def late(*_: object) -> None:
        raise TimeoutError("the command waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("special", ["pipe", "/dev/zero"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["compile", "SPECIAL"],
        ["compile", "model.onnx", "--calibration", "SPECIAL"],
        ["compile", "model.onnx", "--class-names", "SPECIAL"],
        ["compile", "model.onnx", "--machine", "SPECIAL"],
        ["compile", "model.onnx", "--chain-of", "SPECIAL"],
        ["compile", "model.onnx", "--search-from", "SPECIAL"],
        ["keygen", "SPECIAL"],
        ["encrypt", "SPECIAL", "three.npy"],
        ["encrypt", "plan.client.bin", "SPECIAL"],
        ["run", "SPECIAL", "encrypted.bin"],
        ["run", "plan.bin", "SPECIAL"],
        ["decrypt", "plan.client.bin", "SPECIAL"],
        ["inspect", "SPECIAL"],
        ["verify", "SPECIAL"],
        ["simulate", "plan.bin", "SPECIAL"],
        ["evaluate", "plan.bin", "--inputs", "SPECIAL", "--labels", "labels.npy"],
    ],
    ids=" ".join,
)
def test_a_special_file_is_refused_and_not_waited_for(arguments, special, here, cli):
    os.mkfifo(here / "pipe")
    assert SENTENCE in cli.refusal(*(special if word == "SPECIAL" else word for word in arguments))


@pytest.mark.parametrize("ending", [".csv", ".npy"])
def test_so_is_one_that_is_named_as_a_table_or_an_array(ending, here, cli):
    os.mkfifo(here / f"inputs{ending}")
    assert SENTENCE in cli.refusal("encrypt", "plan.client.bin", f"inputs{ending}")


def test_what_is_piped_in_has_to_be_saved_first(here, cli):
    """As ``cat rows.npy | hecc encrypt plan /dev/stdin`` and ``<(...)`` hand it over."""
    reading, writing = os.pipe()
    try:
        os.write(writing, (here / "three.npy").read_bytes()[:1000])
        found = cli.refusal("encrypt", "plan.client.bin", f"/dev/fd/{reading}")
    finally:
        os.close(reading)
        os.close(writing)
    assert found == f"/dev/fd/{reading}: {SENTENCE}"


@pytest.mark.parametrize(
    "name", [".result.bin.0123456789abcdef.tmp", "result.bin.partial", "result.bin.partial.index", "result.bin"]
)
def test_a_pipe_beside_an_output_is_not_waited_for(name, here, cli):
    (here / "result.bin").unlink(missing_ok=True)
    os.mkfifo(here / name)
    result = cli.invoke("run", "plan.bin", "encrypted.bin")
    assert result.exit_code == (0 if name.endswith(".tmp") else 1), result.output
    assert result.exit_code == 0 or "regular file" in result.stderr


def test_an_absurdly_large_file_is_refused_by_its_size(here, cli):
    with (here / "large.onnx").open("wb") as file:
        file.truncate(1 << 40)
    path = Path("large.onnx")
    assert cli.refusal("compile", path) == f"{path}: too large, more than 2.1 GB; give another file"
