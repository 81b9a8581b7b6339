"""Ctrl-C ends every command quietly, with exit code 130, from the moment on when hecc's own code runs.

What comes before, the start of Python and of the script that an installer wrote, is not hecc's to make quiet. So the
signal is not sent at some time, but where a certain module is looked for, which is the same on every machine.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")

PROGRAM = """
import signal, sys
from hecc.cli import main

def interrupt():
    signal.raise_signal({number})

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            try:
                interrupt()
            except BaseException:  # as extensions do when they are interrupted while they load
                raise ImportError("initialization failed")

sys.meta_path.insert(0, Interrupts())
sys.argv = ["hecc", *{arguments!r}]
{before}
main()
"""


def run(folder, *arguments, module="", number=signal.SIGINT, before="", within=()):
    """A command in a process that gets a signal when it first looks for a module."""
    program = PROGRAM.format(module=module, number=int(number), arguments=arguments, before=before)
    result = subprocess.run(
        [*within, sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    return result.returncode, result.stdout, result.stderr


@pytest.mark.parametrize(
    "module", ["hecc.cli.commands", "typer", "hecc.cli.console", "hecc.runtime.errors", "hecc.cli.plans.verify"]
)
def test_an_interruption_before_a_command_has_begun_is_quiet(here, module):
    assert run(here, "inspect", "plan.bin", module=module) == (130, "", "")


@pytest.mark.parametrize("module", ["hecc.preparation", "hecc.compilation", "numpy", "onnx", "networkx"])
def test_an_interruption_while_a_command_loads_modules_is_one_line(here, module):
    arguments = ("compile", "model.onnx", "--calibration", "calibration.npy", "--output", "new.bin")
    ended = run(here, *arguments, module=module)
    assert ended == (130, "", "error: interrupted\n")
    assert not (here / "new.bin").exists()


def test_an_interruption_while_the_chosen_kernels_are_loaded_is_one_line(here, monkeypatch):
    monkeypatch.setenv("HECC_KERNELS", "portable")
    assert run(here, "inspect", "plan.bin", module="numpy") == (130, "", "error: interrupted\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_to_end_while_a_command_loads_modules_is_one_line(here, number, code):
    ended = run(here, "compile", "model.onnx", "--calibration", "calibration.npy", module="onnx", number=number)
    assert ended == (code, "", f"error: ended by {number.name}\n")


def test_an_interruption_after_the_command_has_ended_is_quiet(here):
    code, _, errors = run(here, "--version", before="import atexit; atexit.register(interrupt)")
    assert (code, errors) == (130, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("module", ["hecc.cli.console", "hecc.words.sentences"])
def test_a_signal_that_is_to_be_ignored_is(here, number, module):
    # As `nohup` and a script's `&` start a command: the process that starts it ignores the signal already.
    within = ["sh", "-c", f"trap '' {int(number)}; exec \"$@\"", "sh"]
    code, _, errors = run(here, "inspect", "plan.bin", module=module, number=number, within=within)
    assert (code, errors) == (0, "")


def test_children_of_tests_hear_signals_that_the_run_was_told_to_ignore():
    # In a process of its own, as this one may ignore nothing.
    program = (
        "import signal, subprocess, sys; sys.path.insert(0, sys.argv[1]); import conftest; "
        "stopped = [sys.executable, '-c', 'import signal; signal.raise_signal(signal.SIGINT)']; "
        "call = lambda: print(subprocess.call(stopped, stderr=subprocess.DEVNULL), flush=True); call()\n"
        "with conftest.children_hear_signals(): call(); signal.raise_signal(signal.SIGINT)\n"
        "call()"
    )
    tests = Path(__file__).resolve().parents[1]
    command = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable, "-c", program, str(tests)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (result.stdout, result.stderr) == (f"0\n{-signal.SIGINT}\n0\n", "")


def test_until_interruptions_are_quiet_next_to_nothing_is_loaded():
    program = "import sys; before = {*sys.modules}; import hecc.cli; print(*({*sys.modules} - before))"
    loaded = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True).stdout
    assert {"hecc", "hecc.cli"} <= set(loaded.split())
    assert not {"typing", "typer", "hecc.cli.commands", "hecc.runtime"} & set(loaded.split())
