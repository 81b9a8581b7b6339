"""``hecc estimate``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from hecc.cli.console import JsonOption, console
from hecc.cli.options import ModelArgument
from hecc.cli.plans.flags import Given, stated, takes_options
from hecc.options.table import CompileOptions

if TYPE_CHECKING:
    from hecc.estimation import Estimation

__all__ = ["estimate_command"]

OTHERS: Mapping[str, str] = MappingProxyType(
    {
        "more": "hecc.cli.plans.schemes.more_layers:show_estimation",
        "sharing": "hecc.cli.plans.schemes.sharing_layers:show_estimation",
    }
)
"""What shows the estimates of another scheme than CKKS, by its name."""


@takes_options(CompileOptions)
def estimate_command(
    model: ModelArgument,
    options: Given,
    advice: Annotated[
        bool, typer.Option("--advice/--no-advice", help="Compile variants of the network, too, to find cheaper ones.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Say what a network will cost, layer by layer, and what would make it cheaper.

    Nothing is written, and no key is made. Advice comes from compiling changed networks: each takes about as long as
    the network itself. There is none for the scheme more, which is an encoding without a security level.
    Nor is there for sharing, of which bytes, messages, and seconds over two networks are said.
    """
    with console(as_json) as out:
        import hecc

        asked = options()
        with out.stages(f"estimating {model}") as stage:
            found = hecc.estimate(model, advice=advice, progress=stage, **stated(options))
        calibration = "synthetic" if asked["calibration"] is None else "given"
        if found.plan.header.scheme in OTHERS:
            module, _, name = OTHERS[found.plan.header.scheme].partition(":")
            fields = getattr(importlib.import_module(module), name)(out, found)
            out.result(calibration=calibration, **fields)
            return
        from hecc.runtime.ckks.plan.facts import plan_facts, plan_fields
        from hecc.words.sentences import TRIAL_COLUMNS, layer_fields, polynomial_trials, trial_fields, trial_words

        out.facts(plan_facts(found.plan.header))
        out.say()
        out.table(*_table(found))
        if trials := polynomial_trials(found.plan.choices):
            out.say()
            out.table(TRIAL_COLUMNS, [trial_words(trial) for trial in trials])
        if advice:
            out.say()
            for advised in found.advice:
                out.say(f"  advice: {advised.text}")
            if not found.advice:
                out.say("  no change that was tried would make the network much faster")
        out.result(
            calibration=calibration,
            **plan_fields(found.plan.header),
            layers=[
                {**layer_fields(layer), "merged": list(merged)}
                for layer, merged in zip(found.layers, found.merged, strict=True)
            ],
            polynomials=trial_fields(found.plan.choices),
            advice=[
                {
                    "kind": advice.kind,
                    "layer": advice.layer,
                    "text": advice.text,
                    "speedup": advice.speedup,
                    "ring_degree": advice.ring_degree,
                }
                for advice in found.advice
            ],
        )


def _table(found: Estimation) -> tuple[list[str], list[list[str]]]:
    """A row per layer."""
    from hecc.runtime.figures import bits_words

    columns = ["layer", "time", "share", "rotations", "diagonals", "limbs", "precision", "with"]
    rows = [
        [
            layer.source,
            f"{1000 * layer.seconds:.2f} ms",
            f"{100 * layer.share:.1f}%",
            str(layer.rotations),
            str(layer.diagonals),
            str(layer.limbs),
            bits_words(layer.precision_bits),
            ", ".join([layer.polynomial, *merged] if layer.polynomial else merged),
        ]
        for layer, merged in zip(found.layers, found.merged, strict=True)
    ]
    return columns, rows
