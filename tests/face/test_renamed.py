"""Whoever uses an old name is told the new one, in Python and on the command line."""

import re

import pytest
from typer.testing import CliRunner

import hecc
from hecc.cli.commands import app


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        (hecc.compile, "share", "disclose"),
        (hecc.estimate, "share", "disclose"),
        (hecc.Client.decrypt, "share", "disclose"),
        (hecc.compile, "evaluator", "device"),
        (hecc.estimate, "evaluator", "device"),
        (hecc.Server.__init__, "evaluator", "device"),
        (hecc.Client.keygen, "shape", "device"),
        (hecc.Client.key_bytes, "shape", "device"),
        (hecc.Client.keygen, "folder", "keys"),
        (hecc.evaluate, "data", "inputs"),
    ],
)
def test_an_old_argument_is_refused_with_its_new_name(function, old, new):
    with pytest.raises(TypeError, match=rf"^[\w.]+\(\): {old}= is called {new}= now$"):
        function("given", **{old: 1})


@pytest.mark.parametrize(
    ("command", "old", "new"),
    [
        (("compile", "model.onnx", "--share", "20"), "--share", "--disclose"),
        (("estimate", "--share=20", "model.onnx"), "--share", "--disclose"),
        (("decrypt", "plan.client.bin", "result.bin", "--share"), "--share", "--disclose"),
        (("compile", "model.onnx", "--evaluator", "seal"), "--evaluator", "--device"),
        (("estimate", "model.onnx", "--evaluator=seal"), "--evaluator", "--device"),
        (("run", "plan.bin", "encrypted.bin", "--evaluator", "seal"), "--evaluator", "--device"),
        (("bench", "plan.bin", "--evaluator", "seal"), "--evaluator", "--device"),
        (("keygen", "plan.client.bin", "--shape", "seal"), "--shape", "--device"),
        (("evaluate", "plan.bin", "--data", "images.npy"), "--data", "--inputs"),
        (("compile", "model.onnx", "--calibrate", "images.npy"), "--calibrate", "--calibration"),
        (("estimate", "model.onnx", "--calibrate=images.npy"), "--calibrate", "--calibration"),
    ],
)
def test_an_old_flag_is_wrong_usage_and_not_in_the_help(command, old, new):
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 2
    assert found.stderr.endswith(f"Error: {old} is called {new} now\n")
    shown = CliRunner().invoke(app, [command[0], "--help"]).stdout
    assert new in shown
    assert not re.search(rf"^ +{old}\b", shown, re.MULTILINE)


def test_an_unknown_flag_is_refused_as_ever():
    found = CliRunner().invoke(app, ["inspect", "plan.bin", "--share"])
    assert found.exit_code == 2
    assert "No such option: --share" in found.stderr
