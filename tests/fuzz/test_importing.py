"""The importer against onnxruntime on random nodes and networks: some of the cases that ``importing.py`` runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# The program is run as a script, too, beside which its generators lie.
sys.path.insert(0, str(Path(__file__).parent))

import importing
from importing import Outcome, table
from operators import GENERATORS

from hecc.compiler.importer.expansion.expand import EXPANDED
from hecc.compiler.importer.folding.fold import CONVERTED, REFERENCE, RULES
from hecc.compiler.importer.operators import CONVERTERS
from hecc.compiler.importer.operators.ml import ML_CONVERTERS
from hecc.compiler.importer.tail.rules import FOLLOWING

PROGRAM = Path(importing.__file__)
SOME, MANY = 400, 2000
BEGIN = 1_000_000
"""Away from the numbers with which the fuzzer was written."""

UNTESTED = {"Erfc", "ZipMap", "If", "Loop", "Scan", "ConvInteger", "QLinearConv", "QLinearMatMul"}
"""Operators that onnxruntime does not have, whose result is no tensor, or that have bodies or round: tests of their own
compare them with onnxruntime."""


def compared(count: int, first: int = BEGIN) -> list[Outcome]:
    outcomes: list[Outcome] = []
    while sum(done.compared for done in outcomes) < count:
        outcomes.append(importing.run(first + len(outcomes)))
    return outcomes


def wrong(outcomes: list[Outcome]) -> list[Outcome]:
    return [done for done in outcomes if done.outcome in ("differs", "fault")]


def test_some_random_cases_agree_with_onnxruntime() -> None:
    assert wrong(compared(SOME)) == []


@pytest.mark.slow
def test_many_random_cases_agree_with_onnxruntime() -> None:
    outcomes = compared(MANY)
    print(table(outcomes))
    assert wrong(outcomes) == []


def test_every_operator_that_is_converted_folded_or_left_to_the_client_has_cases() -> None:
    claimed = {*CONVERTERS, *ML_CONVERTERS, *FOLLOWING, *RULES, *REFERENCE, *CONVERTED, *EXPANDED}
    assert claimed - GENERATORS.keys() == UNTESTED


def test_a_fault_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # The axis that Softmax had by default before opset 13.
    monkeypatch.setattr(
        "hecc.compiler.importer.operators.functions.softmax.Softmax.opset_7", CONVERTERS["Softmax"].opset_13
    )
    found = (importing.run(seed, operator="Softmax") for seed in range(20_000))
    assert any(done.outcome == "differs" for done in found)


def test_a_case_is_the_same_every_time() -> None:
    assert importing.run(BEGIN + 5) == importing.run(BEGIN + 5)


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    command = [sys.executable, str(PROGRAM), "--first", str(BEGIN), "--resume", str(results), "--cases"]
    for count in ("5", "10"):
        finished = subprocess.run([*command, count], capture_output=True, text=True, check=True)
        # As if it had been killed while it wrote.
        with results.open("a") as file:
            file.write('{"seed": 1')
    whole = [json.loads(line) for line in results.read_text().splitlines()[:-1]]
    assert [done["seed"] for done in whole] == list(range(BEGIN, BEGIN + len(whole)))
    assert sum(done["outcome"] == "agrees" for done in whole) == 10
    assert "Softmax" in finished.stdout


def test_what_differs_and_what_was_refused_stands_in_the_table() -> None:
    outcomes = [
        Outcome(0, "folded", [("Add", 7)], "agrees"),
        Outcome(1, "folded", [("Add", 7)], "differs"),
        Outcome(2, "encrypted", [("Add", 13)], "refused"),
    ]
    (line,) = (line for line in table(outcomes).splitlines() if line.startswith("Add "))
    assert line.split()[:3] == ["Add", "2!", "."]
    assert line.split()[-3:] == ["1", "0", "0"]
