"""`hecc evaluate --metrics`: intervals beside each other, what is missing and why, and the same as JSON."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

ARGUMENTS = ["evaluate", "plan.bin", "--inputs", "images.npy", "--labels", "labels.npy", "--metrics"]


def test_metrics_are_side_by_side_and_say_how_they_were_computed(cli, here):
    shown = cli.succeed(*ARGUMENTS, "--encrypted", "--rows", "2").stdout
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    # Sixteen of sixteen and two of two rows, by Wilson.
    assert "accuracy 1.000 (0.806 to 1.000) 1.000 (0.806 to 1.000) 1.000 (0.342 to 1.000)" in lines, shown
    assert sum(line.startswith(("sensitivity ", "specificity ", "AUC ")) for line in lines) == 30
    assert "encrypted: some are missing, as no row is '2', no row is '3', " in shown
    assert "each class against the others; predicted is the one of highest confidence" in shown
    answer = cli.answer(*ARGUMENTS)
    first = answer["simulated"]["metrics"][0]
    assert (first["name"], first["value"], first["rows"], first["why"]) == ("accuracy", 1.0, 16, "")
    assert first["low"] == pytest.approx(0.8064, abs=1e-4)
    assert {metric["of"] for metric in answer["simulated"]["metrics"]} == {"", *map(str, range(10))}


def test_without_the_option_there_are_none(cli, here):
    assert cli.answer(*ARGUMENTS[:-1])["clear"]["metrics"] == []
    assert "95%" not in cli.succeed(*ARGUMENTS[:-1]).stdout


def test_labels_of_one_class_are_refused(cli, here):
    np.save("labels.npy", np.ones(16, dtype=np.int64))
    said = cli.refusal(*ARGUMENTS)
    assert "every label is '1', and sensitivity, specificity and AUC compare at least two classes" in said
    assert said.endswith("or leave metrics out")
