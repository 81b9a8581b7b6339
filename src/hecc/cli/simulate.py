"""``hecc simulate``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hecc.cli.console import JsonOption, console
from hecc.cli.options import RawOption
from hecc.runtime.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["simulate_command"]


def simulate_command(
    plan: Annotated[Path, typer.Argument(help="The server's plan file.")],
    inputs: Annotated[Path, typer.Argument(help="As for encrypt: .npy, .npz, .csv, an image or a folder.")],
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="The right class of every row, to measure the accuracy."),
    ] = None,
    raw: RawOption = False,
    no_noise: Annotated[bool, typer.Option("--no-noise", help="Leave out the noise of encryption.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", show_default=False, help="Write the values, as decrypt does."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a plan in clear, with simulated noise.

    It takes no keys, and seconds for a test set. If a value inside the network would overflow under encryption, the
    layer is named.
    """
    with console(as_json) as out:
        import hecc
        from hecc.arrays import check_outputs, load_array, save_outputs
        from hecc.cli.predictions import prediction_fields, show_predictions
        from hecc.inputs import forms, load_inputs
        from hecc.runtime.plan import Plan
        from hecc.runtime.tensors import input_rows
        from hecc.words import count_words, time_words

        truth = None if labels is None else load_array(labels)
        loaded = Plan.load(plan)
        given = input_rows(load_inputs(inputs, forms(loaded.header.inputs), raw=raw).tensors, loaded.header.inputs)
        if output is not None:
            check_outputs(output, loaded.header, len(next(iter(given.values()))))
        start = time.perf_counter()
        outputs = hecc.simulate(loaded, given, noise=not no_noise)
        elapsed = time.perf_counter() - start
        rows = len(next(iter(outputs.values())))
        accuracy = None if truth is None else _accuracy(outputs, truth)
        if output is not None:
            save_outputs(output, outputs)
        noise = "without noise" if no_noise else "with simulated noise"
        out.say(f"{count_words(rows, 'row')} in clear, {noise}, in {time_words(elapsed)}")
        if accuracy is None:
            show_predictions(out, loaded.header, outputs)
        else:
            out.say(f"accuracy {100 * accuracy:.2f}%")
        out.result(
            rows=rows,
            seconds=elapsed,
            noise=not no_noise,
            accuracy=accuracy,
            output=None if output is None else str(output),
            predictions=prediction_fields(outputs),
        )


def _accuracy(outputs: dict[str, NDArray[Any]], labels: NDArray[Any]) -> float:
    from hecc.cli.predictions import prediction_fields

    predictions = prediction_fields(outputs)
    if len(predictions) != 1:
        raise InputError(f"labels were given, but {len(predictions)} outputs look like scores of classes, not one")
    (predicted,) = predictions.values()
    if labels.shape != (len(predicted),) or labels.dtype.kind not in "iu":
        raise InputError(
            f"labels of shape {labels.shape} and dtype {labels.dtype}; give an integer for each of the "
            f"{len(predicted)} rows"
        )
    return float((labels == predicted).mean())
