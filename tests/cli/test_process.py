"""The installed command, as a shell runs it."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

HECC = Path(sys.executable).with_name("hecc")
posix = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
HEAVY = ("onnx", "sympy", "networkx", "scipy", "sklearn", "torch", "PIL")


def shell(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a folder."""
    return subprocess.run(
        [HECC, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_whole_chain_works_from_a_shell(here):
    for arguments in (
        ("compile", "model.onnx", "--security", "128", "--calibration", "calibration.npy"),
        ("keygen", "plan.client.bin", "--force"),
        ("encrypt", "plan.client.bin", "three.npy"),
        ("run", "plan.bin", "encrypted.bin"),
        ("decrypt", "plan.client.bin", "result.bin"),
    ):
        result = shell(*arguments, folder=here)
        assert (result.returncode, result.stderr) == (0, "")
    assert np.load(here / "output.npy").argmax(axis=1).tolist() == [0, 1, 2]


def test_the_module_is_the_command():
    found = subprocess.run([sys.executable, "-m", "hecc", "--version"], capture_output=True, text=True, check=True)
    assert found.stdout == subprocess.run([HECC, "--version"], capture_output=True, text=True, check=True).stdout != ""


def test_a_user_error_is_one_line_and_exit_code_1(here):
    result = shell("compile", "refused.onnx", folder=here)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: Bernoulli 'dice' (opset 17): ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        ("HECC_KERNELS", "there are no kernels 'magic' for this machine; it can run: "),
        ("HECC_MASK_CPU", "HECC_MASK_CPU names 'magic', which is no feature that the kernels use; they use: "),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        "compile model.onnx",
        "keygen plan.client.bin --keys new",
        "encrypt plan.client.bin three.npy",
        "run plan.bin encrypted.bin",
        "decrypt plan.client.bin result.bin",
        "inspect plan.bin",
        "simulate plan.bin three.npy",
        "bench",
        "bench plan.bin",
        "demo",
    ],
)
def test_a_wrong_choice_of_kernels_is_one_line(here, command, variable, sentence):
    environment = {"HECC_KERNELS": "", "HECC_MASK_CPU": "", variable: "magic"}
    result = shell(*command.split(), folder=here, **environment)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {sentence}")
    assert result.stderr.count("\n") == 1


@contextlib.contextmanager
def making_keys(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that is writing evaluation keys for the folder "new", and held while it does."""
    command = [HECC, "keygen", "plan.client.bin", "--keys", "new"]
    for _ in range(20):
        with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
            while not list(folder.glob(".new.*.tmp/.*.tmp")) and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(signal.SIGSTOP)
            if process.poll() is None:
                os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            held = bool(list(folder.glob(".new.*.tmp/.*.tmp")))
            if held:
                yield process
            process.kill()
        if held:
            return
        # It was done before it was seen, as on a busy machine.
        for left in folder.glob("*new*"):
            shutil.rmtree(left)
    raise AssertionError("no process was seen while it wrote keys")


@posix
@pytest.mark.parametrize(
    ("number", "code", "sentence"),
    [
        ("SIGINT", 130, "interrupted"),
        ("SIGTERM", 143, "ended by SIGTERM"),
        ("SIGHUP", 129, "ended by SIGHUP"),
    ],
)
def test_a_signal_leaves_no_traceback_and_no_half_a_key_set(here, number, code, sentence):
    with making_keys(here) as process:
        process.send_signal(getattr(signal, number))
        process.send_signal(signal.SIGCONT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (code, f"error: {sentence}\n")
    assert not list(here.glob("*new*"))


@posix
def test_what_a_killed_process_leaves_is_no_key_and_goes_with_the_next(here):
    with making_keys(here) as process:
        process.kill()
        process.wait()
    (folder,) = here.glob(".new.*")
    (left,) = folder.iterdir()
    assert re.fullmatch(r"\.new\.[0-9a-f]{16}\.tmp", folder.name)
    assert re.fullmatch(r"\.evaluation\.bin\.[0-9a-f]{16}\.tmp", left.name)
    refused = shell("inspect", f"{folder.name}/{left.name}", folder=here)
    assert refused.returncode == 1
    assert "not a hecc file" in refused.stderr
    assert shell("keygen", "plan.client.bin", "--keys", "new", folder=here).returncode == 0
    assert not folder.exists()
    assert {file.name for file in (here / "new").iterdir()} == {"secret.bin", "public.bin", "evaluation.bin"}


@posix
def test_of_two_processes_the_one_that_is_done_first_makes_the_keys(here):
    with making_keys(here) as process:
        assert shell("keygen", "plan.client.bin", "--keys", "new", folder=here).returncode == 0
        made = {file.name: file.read_bytes() for file in (here / "new").iterdir()}
        process.send_signal(signal.SIGCONT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "new: another command made this folder meanwhile, and it stays" in errors
    assert {file.name: file.read_bytes() for file in (here / "new").iterdir()} == made
    assert not list(here.glob(".new.*"))


def test_output_survives_a_terminal_without_unicode(here):
    result = shell("decrypt", "plan.client.bin", "result.bin", folder=here, PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (("--version",), (*HEAVY, "numpy", "tenseal", "rich", "cryptography")),
        (("run", "plan.bin", "encrypted.bin"), (*HEAVY, "rich", "cryptography")),
        (("encrypt", "plan.client.bin", "three.npy"), HEAVY),
        (("decrypt", "plan.client.bin", "result.bin"), HEAVY),
    ],
    ids=lambda value: value[0],
)
def test_a_command_loads_only_what_it_needs(here, arguments, unwanted):
    program = (
        "import sys, hecc.cli\n"
        f"sys.argv = ['hecc', *{arguments!r}]\n"
        "try:\n    hecc.cli.main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        f"sys.exit(', '.join(name for name in {unwanted!r} if name in sys.modules) or None)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=here, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr
