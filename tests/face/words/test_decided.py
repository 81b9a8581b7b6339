"""Plans whose polynomials were chosen by decisions: how many those keep is said, and what more would cost."""

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

import hecc
from hecc.cli.commands import app
from hecc.measure.layers import plan_layers
from hecc.runtime.ckks.plan.choices import PolynomialTrial
from hecc.runtime.ckks.plan.header import Agreement
from hecc.words.sentences import choice_lines, choices_fields
from hecc.words.summary import cautions, summary

TRIALS = (
    PolynomialTrial(levels=4, depth=20, kept=0.971, seconds=0.5),
    PolynomialTrial(levels=None, depth=24, kept=0.992, seconds=1.25),
    PolynomialTrial(levels=1, depth=28, kept=1.0, seconds=None),
)
KEPT = Agreement(
    kept=0.992, asked=0.99, rows=400, held_back=True, labelled=False, outside=3, decided="the class by 'logits'"
)


@pytest.fixture(scope="module")
def decided(plan):
    """A plan as decisions choose them, as far as words go."""
    estimate = msgspec.structs.replace(plan.header.estimate, agreement=KEPT)
    choices = msgspec.structs.replace(plan.choices, polynomials=TRIALS)
    return replace(plan, header=msgspec.structs.replace(plan.header, estimate=estimate), choices=choices)


def precision(plan, **changes):
    """The answer to one question, and the sentences behind it."""
    agreement = msgspec.structs.replace(plan.header.estimate.agreement, **changes)
    estimate = msgspec.structs.replace(plan.header.estimate, agreement=agreement)
    facts = summary(replace(plan, header=msgspec.structs.replace(plan.header, estimate=estimate)))
    (fact,) = (fact for fact in facts if fact.question == "How precise is it?")
    return fact.answer, " ".join(fact.sentences)


def test_what_was_compared_is_told_in_words_and_fields(plan, decided):
    assert list(choice_lines(decided.choices, 8192))[-4:] == [
        "polynomials in place of activations, by the decisions that they keep on inputs held back:",
        "    4 levels each: depth 20, 97.1% kept, 500 ms per row",
        "    as chosen: depth 24, 99.2% kept, 1.25 s per row",
        "    1 level each: depth 28, 100.0% kept, no parameters",
    ]
    assert choices_fields(decided.choices)["polynomials"] == [msgspec.structs.asdict(trial) for trial in TRIALS]
    assert not any("decisions" in line for line in choice_lines(plan.choices, 8192))
    assert choices_fields(plan.choices)["polynomials"] == []


def test_precision_is_that_of_decisions_first(decided):
    answer, sentences = precision(decided)
    assert answer == "99.2% of decisions kept"
    assert "on 400 inputs they keep 99.2% of the decisions of the network in clear, where 99% were asked" in sentences
    assert "a decision is the class by 'logits'" in sentences
    assert "held back: the polynomials were chosen on others." in sentences
    assert "3 inputs left the interval" in sentences
    assert "of the range that its values have beside the network with polynomials." in sentences
    assert "None of them left the interval" in precision(decided, outside=0)[1]
    assert "chosen on the same inputs" in precision(decided, held_back=False)[1]
    assert "of the right answers that the network in clear gives" in precision(decided, labelled=True)[1]


def test_a_plan_by_precision_does_not_speak_of_decisions(plan, decided):
    words = [" ".join(cautions(which.header, measured=True, unknown=False)) for which in (plan, decided)]
    assert "decisions" not in words[0]
    assert "about 8 of 1,000 decisions, if inputs are like those of the calibration" in words[1]
    # Where none of 400 was lost, it is not none of all.
    none = msgspec.structs.replace(decided.header.estimate, agreement=msgspec.structs.replace(KEPT, kept=1.0))
    all_kept = msgspec.structs.replace(decided.header, estimate=none)
    assert "fewer than 3 of 1,000 decisions" in " ".join(cautions(all_kept, measured=True, unknown=False))
    assert "decisions" not in " ".join(sentence for fact in summary(plan) for sentence in fact.sentences)


def test_the_page_has_the_curve_and_its_table(plan, decided):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    page = hecc.report(decided)
    assert "What do more decisions cost?" in page
    assert "as chosen, 99.2% in 1.25 s; 4 levels, 97.1% in 500 ms" in page
    assert "Polynomials that were compared" in page
    for cell in ("1 level each", "no parameters", "97.1%"):
        assert f">{cell}<" in page
    assert "Polynomials that were compared" not in hecc.report(plan)
    assert "What do more decisions cost?" not in hecc.report(plan)


def test_an_estimate_and_an_inspection_show_the_same_curve(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(network((8,), ("gemm", 6), ("Relu",), ("gemm", 3)))
    np.save("rows.npy", np.random.default_rng(6).normal(size=(300, 8)).clip(-4, 4))
    told = {}
    for words in (
        ["estimate", "model.onnx", "--calibration", "rows.npy", "--accuracy-loss", "5", "--no-advice"],
        ["compile", "model.onnx", "--calibration", "rows.npy", "--accuracy-loss", "5"],
        ["inspect", "plan.bin"],
    ):
        result = CliRunner().invoke(app, [*words, "--json"])
        assert result.exit_code == 0, result.output
        told[words[0]] = json.loads(result.stdout)
    assert told["estimate"]["polynomials"] == told["inspect"]["polynomials"]
    (own,) = (trial for trial in told["inspect"]["polynomials"] if trial["levels"] is None)
    assert own["kept"] == told["inspect"]["agreement"]["kept"] >= 0.95
    assert own["depth"] == told["inspect"]["depth"]
    assert any(trial["levels"] for trial in told["inspect"]["polynomials"])
    # The words on the terminal are those of the table.
    shown = CliRunner().invoke(app, ["inspect", "plan.bin"]).stdout
    assert f"as chosen: depth {own['depth']}, {100 * own['kept']:.1f}% kept" in shown
    assert plan_layers(hecc.Plan.load("plan.bin"))
