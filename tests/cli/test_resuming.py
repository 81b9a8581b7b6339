"""Commands over many rows that are killed in the middle, and go on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

HECC = Path(sys.executable).with_name("hecc")
ROWS = 120
posix = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")


@pytest.fixture
def many(cli, here):
    """Many rows, encrypted, beside the keys and the plans."""
    images = np.load("images.npy")
    np.save("many.npy", images[np.arange(ROWS) % len(images)])
    cli.succeed("encrypt", "plan.client.bin", "many.npy", "--output", "many.bin")
    return here


def stopped(number, output, *arguments, after: int = 4) -> tuple[int, str]:
    """Run a command and send it a signal once so many rows are done: its exit code and what it said."""
    command = [HECC, *arguments, "--output", output]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        index = Path(f"{output}.partial.index")
        while not (index.exists() and index.read_bytes().count(b"\n") > after):
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@posix
@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_killed_run_goes_on_and_makes_the_same_file(cli, many, number):
    cli.succeed("run", "plan.bin", "many.bin", "--output", "whole.bin")
    code, errors = stopped(getattr(signal, number), "result.bin", "run", "plan.bin", "many.bin")
    assert code == {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130}[number]
    assert ("the same command goes on from there" in errors) == (number != "SIGKILL")
    cli.refusal("decrypt", "plan.client.bin", "result.bin.partial")
    done = cli.succeed("run", "plan.bin", "many.bin")
    assert f"of {ROWS} rows that an interrupted command left" in done.stderr
    assert Path("result.bin").read_bytes() == Path("whole.bin").read_bytes()
    assert not list(many.glob("*.partial*"))


@posix
def test_a_killed_encryption_goes_on_without_encrypting_anything_twice(cli, many):
    stopped(signal.SIGKILL, "encrypted.bin", "encrypt", "plan.client.bin", "many.npy")
    kept = Path("encrypted.bin.partial").read_bytes()[1000:100_000]
    done = cli.answer("encrypt", "plan.client.bin", "many.npy")
    assert (done["rows"], len(done["warnings"])) == (ROWS, 1)
    assert Path("encrypted.bin").read_bytes()[1000:100_000] == kept
    cli.succeed("run", "plan.bin", "encrypted.bin")
    cli.succeed("decrypt", "plan.client.bin", "result.bin")
    labels = np.load("labels.npy")
    assert np.load("output.npy").argmax(axis=1).tolist() == labels[np.arange(ROWS) % len(labels)].tolist()


@posix
def test_what_was_left_of_other_rows_or_keys_is_not_mixed_in(cli, many):
    stopped(signal.SIGKILL, "encrypted.bin", "encrypt", "plan.client.bin", "many.npy")
    np.save("other.npy", np.load("many.npy")[::-1])
    for options in (("other.npy",), ("many.npy", "--public")):
        assert "of another plan, key set or input" in cli.refusal("encrypt", "plan.client.bin", *options)
    cli.succeed("keygen", "plan.client.bin", "--keys", "others")
    assert "of another plan" in cli.refusal("encrypt", "plan.client.bin", "many.npy", "--keys", "others")
    assert cli.answer("encrypt", "plan.client.bin", "other.npy", "--no-resume")["warnings"] == []
    assert not list(many.glob("*.partial*"))


def test_one_row_leaves_nothing_to_go_on_from(cli, here, monkeypatch):
    np.save("one.npy", np.load("images.npy")[:1])

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hecc.runtime.ckks.client.client.Client._contents", interrupt)
    before = set(here.iterdir())
    cli.refusal("encrypt", "plan.client.bin", "one.npy", "--output", "one.bin", code=130)
    assert set(here.iterdir()) == before
