"""``hecc train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hecc.cli.console import Console, JsonOption, console
from hecc.cli.options import ForceOption, RawOption, ResumeOption, TruthOption
from hecc.cli.outputs import check_targets
from hecc.cli.security import say_insecurity
from hecc.cli.usage import FILES, INPUTS, TRAINING
from hecc.runtime.errors import InputError

if TYPE_CHECKING:
    from hecc.runtime.plan.plan import Plan

__all__ = ["train_command"]


def train_command(
    plan: Annotated[Path, typer.Argument(help="The server's plan file, compiled with --train.")],
    rows: Annotated[
        list[Path],
        typer.Argument(
            metavar="ROWS...",
            help="The client's encrypted rows, with labels; with --in-clear rows: .npy, a table, or images.",
        ),
    ],
    in_clear: Annotated[
        bool,
        typer.Option(
            "--in-clear",
            help="Train on rows and --labels in clear, unprotected, for comparison: whoever runs it sees all of them.",
            rich_help_panel=INPUTS,
        ),
    ] = False,
    labels: TruthOption = None,
    raw: RawOption = False,
    epochs: Annotated[
        int, typer.Option(metavar="NUMBER", help="How often all rows are seen.", rich_help_panel=TRAINING)
    ] = 1,
    batch_size: Annotated[int, typer.Option(metavar="ROWS", help="Rows of a step.", rich_help_panel=TRAINING)] = 64,
    optimizer: Annotated[
        Literal["sgd", "momentum", "adam"], typer.Option(help="As PyTorch has it.", rich_help_panel=TRAINING)
    ] = "adam",
    learning_rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            show_default="0.1, 0.01 or 0.001 for the three",
            help="Of the first step.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    schedule: Annotated[
        Literal["constant", "cosine", "linear"],
        typer.Option(help="How the learning rate goes to zero, or not.", rich_help_panel=TRAINING),
    ] = "constant",
    seed: Annotated[
        int, typer.Option(metavar="NUMBER", help="Of the order of the rows in each epoch.", rich_help_panel=TRAINING)
    ] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default="trained.bin, or trained.onnx with --in-clear",
            help="The encrypted weights.",
            rich_help_panel=FILES,
        ),
    ] = None,
    resume: ResumeOption = True,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a network on encoded rows: the server's step. It needs no key, and returns encoded weights.

    The scheme more, the only one that trains, is an encoding without a security level, no encryption. After every epoch
    what training can go on from is beside the output, in OUTPUT.checkpoint. `hecc decrypt --model` makes an ONNX file
    of the weights, for who has the key.
    """
    with console(as_json) as out:
        from hecc.runtime.plan.plan import Plan

        settings = {
            "epochs": epochs,
            "batch_size": batch_size,
            "optimizer": optimizer,
            "learning_rate": learning_rate,
            "schedule": schedule,
            "seed": seed,
        }
        target = output or Path("trained.onnx" if in_clear else "trained.bin")
        check_targets({"--output": target}, [plan, *rows, labels])
        loaded = Plan.load(plan)
        if in_clear:
            _train_in_clear(out, loaded, rows, labels, target, raw, force, settings)
            return
        if labels is not None or raw or len(rows) != 1:
            raise InputError(
                "encrypted rows are one file, with their labels in it; --labels, --raw and several files are for "
                "--in-clear"
            )
        _train(out, loaded, rows[0], target, {**settings, "resume": resume, "force": force})


def _train(out: Console, plan: Plan, encrypted: Path, output: Path, settings: dict[str, Any]) -> None:
    import hecc
    from hecc.runtime.figures import count_words, size_words, time_words

    losses: list[str] = []
    with out.steps("training") as step:

        def progress(done: int, total: int, loss: str) -> None:
            losses.append(loss)
            step(done, total)

        done = hecc.train(plan, encrypted, output, progress=progress, **settings)
    size = output.stat().st_size
    out.say(f"{output}: {count_words(done.steps, 'step')} in {time_words(done.seconds)}, {size_words(size)}")
    if losses:
        out.say(f"  loss      {losses[0]} in the first step, {losses[-1]} in the last, by channel")
    say_insecurity(out, plan)
    out.result(output=str(output), steps=done.steps, seconds=done.seconds, bytes=size)


def _train_in_clear(
    out: Console,
    plan: Plan,
    rows: list[Path],
    labels: Path | None,
    output: Path,
    raw: bool,
    force: bool,
    settings: dict[str, Any],
) -> None:
    import hecc
    from hecc.inputs.models import is_model
    from hecc.runtime.figures import count_words, size_words
    from hecc.runtime.files.atomic import write_file

    if labels is None:
        raise InputError("training in clear needs the right answers: give --labels")
    with out.steps("training in clear") as step:
        model, losses = hecc.train_in_clear(
            plan,
            rows[0] if len(rows) == 1 else rows,
            labels,
            raw=raw,
            progress=lambda done, total, _: step(done, total),
            **settings,
        )
    write_file(output, model, own=is_model, kind="an ONNX model", force=force)
    out.say(f"{output}: the trained network in {size_words(len(model))}, after {count_words(len(losses), 'step')}")
    out.say(f"  loss      {losses[0]:.4g} in the first step, {losses[-1]:.4g} in the last")
    out.say("  security  none: trained in clear, unprotected, for comparison")
    out.result(output=str(output), steps=len(losses), bytes=len(model), losses=losses.tolist())
