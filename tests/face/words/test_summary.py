"""A plan in plain words: right numbers, what can go wrong with this very plan, and commands that can be copied."""

import shlex

import msgspec
import numpy as np
import pytest

import hecc
from hecc.measure.layers import plan_layers
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.words.summary import cautions, steps, summary


def answers(plan, layers=()):
    return {fact.question: (fact.answer, " ".join(fact.sentences)) for fact in summary(plan, layers)}


def estimated(plan, **changes):
    """The plan's header with another estimate."""
    estimate = msgspec.structs.replace(plan.header.estimate, **changes)
    return msgspec.structs.replace(plan.header, estimate=estimate)


def warned(header, measured=False, unknown=False):
    return " ".join(cautions(header, measured=measured, unknown=unknown))


def test_every_question_has_the_plans_own_answer(plan):
    layers = plan_layers(plan)
    found = answers(plan, layers)
    cost = plan.header.estimate
    assert found["What does it do?"][0] == f"a network of {len(layers) - 1} layers"
    assert "From the input 'image' (1x8x8) it computes 'logits' (10), for every row" in found["What does it do?"][1]
    assert found["Is it secure?"][0] == "128 bits"
    assert found["How precise is it?"][0] == f"{cost.precision_bits:.1f} bits"
    assert f"at most about {100 * 2**-cost.precision_bits:.2g}% of the range" in found["How precise is it?"][1]
    slowest = max(layers, key=lambda layer: layer.seconds)
    assert f"{100 * slowest.share:.0f}% of it goes to {slowest.source}." in found["How long does it take?"][1]
    assert all(sentence.endswith(".") for fact in summary(plan, layers) for sentence in fact.sentences)


def test_of_the_clients_plan_the_layers_are_not_spoken_of(plan):
    found = answers(CkksPlan.of(plan.client()))
    assert found["What does it do?"][0] == ""
    assert "% of it goes to" not in found["How long does it take?"][1]


def test_what_can_go_wrong_depends_on_the_plan(plan):
    assert "not within 0 to 1 for 'image'" in warned(plan.header)
    assert "Activations are polynomials" not in warned(plan.header)
    assert "Rows that leave it are at most 2 of 1,000 expected" in warned(estimated(plan, outside_per_thousand=2.0))
    assert "`hecc report --inputs` takes real ones" in warned(plan.header, unknown=True)
    assert "they are not like those of the calibration" in warned(plan.header, measured=True, unknown=True)
    assert "Results are for the client alone" in warned(plan.header)


def test_disclosed_results_are_counted(network):
    plan = hecc.compile(network((4,), ("gemm", 2)), calibration=np.eye(4), disclose=1000)
    assert "Results may be shown to others: 1000 of one key" in warned(plan.header)
    assert "Results are for the client alone" not in warned(plan.header)


@pytest.mark.parametrize(
    ("name", "client"), [("plan.bin", "plan.client.bin"), ("a b;$(rm x).bin", "a b;$(rm x).client.bin")]
)
def test_commands_name_the_plans_files_whatever_they_are_called(plan, name, client):
    commands = [shlex.split(step.command) for step in steps(plan, name)]
    assert [words[:3] for words in commands] == [
        ["hecc", "evaluate", name],
        ["hecc", "keygen", client],
        ["hecc", "encrypt", client],
        ["hecc", "run", name],
        ["hecc", "decrypt", client],
    ]
    # The client's own page knows no other file.
    assert {shlex.split(step.command)[2] for step in steps(CkksPlan.of(plan.client()), client)} == {client}
