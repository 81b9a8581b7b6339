"""Progress as lines, where there is no terminal: each is told once."""

import time

import pytest

from hecc.cli import console


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
