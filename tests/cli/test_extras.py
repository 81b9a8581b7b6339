"""A server's environment has no package of an extra: its own commands work there, and others say what they need."""

import json
import subprocess
import sys

import pytest

from hecc.runtime.extras import EXTRAS

PROGRAM = """
import json, sys
for module in {modules!r}:
    sys.modules[module] = None  # as if it were not installed
from typer.testing import CliRunner
from hecc.cli.commands import app
import hecc
calls = dict(
    compile=lambda: hecc.compile("model.onnx"),
    estimate=lambda: hecc.estimate("model.onnx"),
    evaluate=lambda: hecc.evaluate("plan.bin", "three.npy"),
    simulate=lambda: hecc.simulate("plan.bin", "three.npy"),
    report=lambda: hecc.report("plan.bin"),
    machine_profile=lambda: hecc.machine_profile(),
    Client=lambda: hecc.Client("plan.client.bin", "keys"),
    keygen=lambda: hecc.Client("plan.client.bin").keygen("new"),
)
for line in sys.stdin:
    words = line.split()
    if words[0] == "python":
        try:
            calls[words[1]]()
            answer = [0, "", ""]
        except hecc.MissingExtraError as error:
            answer = [error.exit_code, "", f"error: {{error}}\\n"]
    else:
        result = CliRunner().invoke(app, words)
        answer = [result.exit_code, result.stdout, result.stderr]
    print(json.dumps(answer))
"""

CLIENT = [
    "keygen plan.client.bin --keys new",
    "encrypt plan.client.bin three.npy",
    "encrypt plan.client.bin three.npy --public",
    "decrypt plan.client.bin result.bin",
    "verify keys/secret.bin keys/public.bin",
    "verify keys/public.bin",
    "bench plan.bin",
    "python Client",
    "python keygen",
]
COMPILER = [
    "compile model.onnx",
    "estimate model.onnx",
    "demo",
    "report plan.bin --output new.html",
    "simulate plan.bin three.npy",
    "evaluate plan.bin --inputs three.npy",
    "bench --machine-profile --output new.json",
    "python compile",
    "python estimate",
    "python evaluate",
    "python simulate",
    "python report",
    "python machine_profile",
]
SERVER = [
    "run plan.bin encrypted.bin --output new.bin",
    "inspect plan.bin",
    "inspect plan.client.bin",
    "inspect keys/evaluation.bin",
    "inspect encrypted.bin",
    "verify plan.bin keys/evaluation.bin encrypted.bin result.bin",
    "run --help",
    "compile --help",
]


def answers(folder, lines, modules):
    """What each line gives in one process without some packages: exit code, output, errors."""
    program = PROGRAM.format(modules=modules)
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, input="\n".join(lines), capture_output=True, text=True, check=True
    )
    return dict(zip(lines, map(json.loads, result.stdout.splitlines()), strict=True))


def of(*extras):
    return [package.module for extra in extras for package in EXTRAS[extra]]


@pytest.fixture
def server(here):
    return answers(here, [*SERVER, *CLIENT, *COMPILER], of(*EXTRAS))


def test_a_server_needs_no_extra_and_all_others_say_theirs(server):
    for line in SERVER:
        assert server[line][0] == 0, server[line]
    warning = "warning: the layers are not shown: scipy and networkx are not installed, and needed for "
    assert server["inspect plan.bin"][2].startswith(warning)
    for extra, lines in {"client": CLIENT, "compiler": COMPILER}.items():
        for line in lines:
            code, output, errors = server[line]
            assert (code, output) == (1, ""), line
            said = [text for text in errors.splitlines() if text.startswith("error: ")]
            assert len(said) == 1, errors
            assert "installed, and needed for " in said[0], line
            assert said[0].endswith(f"; run `pip install 'hecc[{extra}]'`"), line


def test_a_client_needs_no_compiler(here):
    lines = ["decrypt plan.client.bin result.bin", "encrypt plan.client.bin three.npy --output new.bin"]
    others = set(of(*EXTRAS)) - set(of("client"))
    for line, (code, _, errors) in answers(here, lines, others).items():
        assert code == 0, (line, errors)
