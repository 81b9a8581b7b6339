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
        (hecc.compile, "calibrate", "calibration"),
    ],
)
def test_an_old_argument_is_refused_with_its_new_name(function, old, new):
    with pytest.raises(TypeError, match=rf"^[\w.]+\(\): {old}= is called {new}= now$"):
        function("given", **{old: 1})


@pytest.mark.parametrize("function", [hecc.compile, hecc.estimate])
def test_names_of_classes_and_right_answers_have_names_of_their_own(function):
    said = "labels= is called class_names= now; the right answers of the calibration inputs are calibration_labels="
    with pytest.raises(TypeError, match=rf"^\w+\(\): {said}$"):
        function("given", labels=["a", "b"])


@pytest.mark.parametrize("command", ["compile", "estimate"])
def test_flags_of_names_and_of_right_answers_do_so_too(command):
    found = CliRunner().invoke(app, [command, "model.onnx", "--labels", "names.txt"])
    assert found.exit_code == 2
    assert found.stderr.endswith(
        "Error: --labels is called --class-names now; the right answers of the calibration inputs are "
        "--calibration-labels\n"
    )


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
        (("bench", "--calibrate"), "--calibrate", "--machine-profile"),
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
