"""``hecc simulate``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from hecc.cli.console import INCOMPLETE, JsonOption, console
from hecc.cli.options import ClipOption, ForceOption, RawOption, SkipOption, TruthOption
from hecc.cli.outputs import check_targets
from hecc.cli.security import say_insecurity
from hecc.cli.usage import FILES, SECURITY

__all__ = ["simulate_command"]


def simulate_command(
    plan: Annotated[Path, typer.Argument(help="The server's plan file.")],
    inputs: Annotated[Path, typer.Argument(help="As for encrypt: .npy, .npz, .csv, .parquet, an image or a folder.")],
    labels: TruthOption = None,
    raw: RawOption = False,
    clip: ClipOption = False,
    skip_bad_rows: SkipOption = False,
    noise: Annotated[
        bool,
        typer.Option("--noise/--no-noise", help="Add noise as large as that of encryption.", rich_help_panel=SECURITY),
    ] = True,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=False,
            help="Write the values, as decrypt does.",
            rich_help_panel=FILES,
        ),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run a plan in clear, with simulated noise.

    It takes no keys, and seconds for a test set. Rows in which a value inside the network would overflow under
    encryption, or leaves the interval of a polynomial, are named with the layer. Those that overflow are lost, and the
    exit code is 3.
    """
    with console(as_json) as out:
        import hecc
        from hecc.cli.client.predictions import prediction_fields, show_predictions
        from hecc.inputs.arrays import check_outputs, save_outputs
        from hecc.inputs.sources import forms, load_inputs
        from hecc.measure.scoring import scoring
        from hecc.runtime.figures import count_words, time_words
        from hecc.runtime.inputs.tensors import input_rows
        from hecc.runtime.plan.plan import Plan

        check_targets({} if output is None else {"--output": output}, [plan, inputs, labels])
        loaded = Plan.load(plan)
        given = load_inputs(inputs, forms(loaded.header.inputs), raw=raw, clip=clip, skip_bad_rows=skip_bad_rows)
        given.warn()
        rows = len(next(iter(input_rows(given.tensors, loaded.header.inputs).values())))
        left_out = tuple(given.left_out)
        measured = None
        if labels is not None:
            measured = scoring(loaded.header.outputs, labels, (), rows + len(left_out)).without(left_out)
        if output is not None:
            check_outputs(output, loaded.header, rows, force=force)
        start = time.perf_counter()
        outputs = hecc.simulate(loaded, given, noise=noise)
        elapsed = time.perf_counter() - start
        if output is not None:
            save_outputs(output, outputs, loaded.header, force=force)
        how = "with simulated noise" if noise else "without noise"
        out.say(f"{count_words(rows, 'row')} in clear, {how}, in {time_words(elapsed)}")
        say_insecurity(out, loaded)
        score = None if measured is None else measured.score(outputs[measured.signature.name])
        regression = measured is not None and measured.task == "regression"
        if score is None:
            show_predictions(out, loaded.header, outputs)
        else:
            out.say(f"mean absolute error {score:.4g}" if regression else f"accuracy {100 * score:.2f}%")
        out.result(
            rows=rows,
            seconds=elapsed,
            noise=noise,
            accuracy=None if regression else score,
            mean_absolute_error=score if regression else None,
            output=None if output is None else str(output),
            predictions=prediction_fields(outputs),
            lost_rows=list(outputs.lost),
            outside_rows=list(outputs.outside),
            index=list(outputs.index) or None,
        )
        if outputs.lost:
            raise typer.Exit(INCOMPLETE)
