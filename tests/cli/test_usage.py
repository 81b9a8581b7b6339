"""How commands are used: help of eighty columns, one name for one thing, what shells complete, and progress."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from hecc.cli import console
from hecc.cli.commands import app
from hecc.cli.usage import PANELS

COMMANDS: dict[str, Any] = get_command(app).commands
HECC = Path(sys.executable).with_name("hecc")
OWN = {
    "--device": {"compile", "estimate", "bench"},
    "--disclose": {"compile", "estimate"},
    "--force": {"keygen"},
    "--inputs": {"evaluate"},
    "--keyring": {"keygen"},
    "--keys": {"evaluate"},
    "--listen": {"deal"},
    "--min-security": {"verify"},
    "--model": {"decrypt"},
    "--output": set(COMMANDS),
}
"""Flags that a sentence of their own explains in some commands: what is asked of a plan, and what is done with it."""


def shown(cli, monkeypatch, *command: str) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    return cli.succeed(*command, "--help").stdout


def test_the_help_lists_every_command_in_a_line_that_is_not_cut(cli, monkeypatch):
    text = shown(cli, monkeypatch)
    assert max(map(len, text.splitlines())) <= 80
    for name, command in COMMANDS.items():
        assert re.search(rf"\n  {name} +{re.escape(command.short_help)}\n", text)
    assert "..." not in text.partition("[ARGS]...")[2]
    order = [
        "To try hecc:",
        "The network's owner:",
        "The client:",
        "The server:",
        "Checks and measurements:",
        "Options:",
    ]
    assert [line for line in text.splitlines() if line in order] == order
    assert text.endswith("\n    hecc decrypt plan.client.bin result.bin\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_is_grouped_and_fits_eighty_columns(cli, monkeypatch, name):
    text = shown(cli, monkeypatch, name)
    assert max(map(len, text.splitlines())) <= 80
    headings = re.findall(r"^([A-Z][a-z ]*):$", text, re.MULTILINE)
    assert headings == [heading for heading in ("Arguments", *PANELS) if heading in headings]
    assert "Output" in headings
    for parameter in COMMANDS[name].params:
        assert parameter.help, parameter.name
        if parameter.param_type_name == "option":
            assert (parameter.rich_help_panel or "Output") in headings
            assert parameter.opts[0] in text
    # In one line, so that it can be copied.
    assert re.search(rf"\n  Example: hecc {name}\b.*\n$", text)


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_a_single_letter_asks_for_help_too(cli, command):
    assert cli.succeed(*command, "-h").output == cli.succeed(*command, "--help").output


def test_what_is_the_same_has_the_same_name_kind_and_sentence_in_every_command():
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    letters = set()
    for name, command in COMMANDS.items():
        for each in command.params:
            if each.param_type_name == "option":
                (flag,) = (opt for opt in each.opts if opt.startswith("--"))
                found[flag][name] = each
                letters |= {(opt, flag) for opt in each.opts if not opt.startswith("--")}
    assert letters == {("-o", "--output"), ("-v", "--verbose"), ("-y", "--yes")}
    for flag, commands in found.items():
        kinds = {(each.rich_help_panel, each.is_flag, each.nargs) for each in commands.values()}
        assert len(kinds) == 1 or flag == "--disclose", flag
        assert len({each.help for name, each in commands.items() if name not in OWN.get(flag, ())}) <= 1, flag


def completions(folder: Path, *words: str) -> list[str]:
    """What bash offers for the last word, by the script that hecc prints."""
    script = """
        eval "$(_HECC_COMPLETE=source_bash "$HECC")"
        complete -p hecc >&2
        COMP_WORDS=(hecc "$@"); COMP_CWORD=$#; COMPREPLY=()
        _hecc_completion "$HECC"
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *words],
        cwd=folder,
        env={**os.environ, "HECC": str(HECC)},
        capture_output=True,
        text=True,
        check=True,
    )
    # Where there is nothing to offer, bash completes the names of files.
    assert done.stderr == "complete -o default -F _hecc_completion hecc\n"
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None or not HECC.exists(), reason="needs bash, and hecc as a command")
def test_bash_completes_commands_flags_choices_and_files(tmp_path):
    assert completions(tmp_path, "") == list(COMMANDS)
    assert {"--calibration", "--precision", "--verbose"} <= set(completions(tmp_path, "compile", "--"))
    assert completions(tmp_path, "compile", "--optimize", "") == ["latency", "throughput"]
    assert completions(tmp_path, "run", "--device", "n") == ["native"]
    for words in (("compile", "mod"), ("compile", "model.onnx", "--calibration", "")):
        assert completions(tmp_path, *words) == []


@pytest.mark.skipif(not HECC.exists(), reason="needs hecc as a command")
@pytest.mark.parametrize(
    ("words", "offered"),
    [("hecc run --device ", '"native"\n"seal"'), ("hecc run pl", "_files"), ("hecc insp", '"inspect"')],
)
def test_zsh_completes_commands_choices_and_files(words, offered):
    environment = {**os.environ, "_HECC_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": words}
    done = subprocess.run([HECC], env=environment, capture_output=True, text=True, check=True)
    assert offered in done.stdout
    assert done.stderr == ""


@pytest.mark.skipif(not HECC.exists(), reason="needs hecc as a command")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_every_shell(shell):
    environment = {**os.environ, "_HECC_COMPLETE": f"source_{shell}"}
    done = subprocess.run([HECC], env=environment, capture_output=True, text=True, check=True)
    assert "_HECC_COMPLETE" in done.stdout


@pytest.fixture
def out(monkeypatch):
    monkeypatch.setattr(console, "PLAIN_INTERVAL", 0.0)
    monkeypatch.setattr(console, "QUIET", 0.01)
    return console.Console(as_json=False)


def test_a_step_that_takes_long_is_told_once(out, capsys):
    with out.steps("evaluating rows") as step:
        for done in (0, 0, 0, 1, 1, 2):
            step(done, 2)
    assert capsys.readouterr().err.splitlines() == [f"evaluating rows: {done} of 2" for done in range(3)]


def test_a_stage_that_comes_again_at_once_is_told_once(out, capsys):
    with out.stages("compiling") as stage:
        for name in ("measure ranges", "measure ranges", "check precision", "measure ranges"):
            stage(name)
            time.sleep(0.1)
    told = [line.removeprefix("compiling: ") for line in capsys.readouterr().err.splitlines()]
    assert told == ["measure ranges", "check precision", "measure ranges"]
