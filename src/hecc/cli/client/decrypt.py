"""``hecc decrypt``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hecc.cli.client.keys import KeyringOption, KeysOption, MinSecurityOption, open_client
from hecc.cli.console import INCOMPLETE, JsonOption, console
from hecc.cli.options import ForceOption, VerboseOption
from hecc.cli.outputs import check_targets, key_files
from hecc.cli.security import say_insecurity
from hecc.cli.usage import FILES, NETWORK, SECURITY

if TYPE_CHECKING:
    from hecc.cli.console import Console
    from hecc.client import Client

__all__ = ["decrypt_command"]


def decrypt_command(
    plan: Annotated[Path, typer.Argument(help="Either plan file; the client's is enough.")],
    result: Annotated[Path, typer.Argument(help="The server's encrypted results.")],
    keys: KeysOption = Path("keys"),
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default="output.npy, or output.npz of several outputs",
            help="The values: .npy for one output, .npz, or .csv or .parquet with a line per row.",
            rich_help_panel=FILES,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="FILE",
            show_default=False,
            help="Of what `hecc train` made: decode the weights, and write the trained network here, an ONNX file.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    disclose: Annotated[
        bool,
        typer.Option(
            "--disclose",
            help="The values are to be shown to others: add the noise that the plan was compiled for, and count them.",
            rich_help_panel=SECURITY,
        ),
    ] = False,
    request: Annotated[
        str | None,
        typer.Option(
            "--request",
            metavar="FILE",
            show_default="the last rows that were encrypted with these keys",
            help="What the result has to answer: the encrypted rows, or their fingerprint (encrypt --verbose).",
            rich_help_panel=SECURITY,
        ),
    ] = None,
    keyring: KeyringOption = False,
    min_security: MinSecurityOption = "128",
    force: ForceOption = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Decrypt results, and show the predictions.

    The result has to answer the last rows that were encrypted with these keys, or those that --request names: others,
    and swapped rows, are refused. An overflow during the evaluation is noticed. The rows that are lost by it are named
    and written as NaN, the others are right, and the exit code is 3; where all are lost, nothing is written. Do not
    tell a server that you do not trust.

    Under the scheme more, which is an encoding without a security level, --model writes the network that was trained.
    """
    with console(as_json) as out:
        from hecc.cli.client.predictions import prediction_fields, show_predictions, top_fields
        from hecc.inputs.arrays import check_outputs, save_outputs
        from hecc.runtime.figures import count_words, shortened, time_words

        client = open_client(plan, keys, keyring=keyring, min_security=min_security)
        if model is not None:
            _write_model(out, client, result, model, [plan, result, *key_files(keys)], force)
            return
        if output is None:
            output = Path("output.npy" if len(client.plan.header.outputs) == 1 else "output.npz")
        asked = None if request is None else Path(request)
        check_targets({"--output": output}, [plan, result, asked, *key_files(keys)])
        encrypted = client.plan.scheme.result(result)
        check_outputs(output, client.plan.header, encrypted.rows, force=force)
        start = time.perf_counter()
        outputs = client.decrypt(encrypted, disclose=disclose, request=request)
        elapsed = time.perf_counter() - start
        save_outputs(output, outputs, client.plan.header, force=force)
        rows = len(next(iter(outputs.values())))
        out.say(f"{output}: {count_words(rows, 'row')}, decrypted in {time_words(elapsed)}")
        if outputs.index and output.suffix.lower() not in (".csv", ".parquet"):
            named = shortened([str(label) for label in outputs.index])
            out.warn(f"{output} holds rows {named} of the inputs without their names; a .csv or .parquet file has them")
        say_insecurity(out, client.plan)
        header = client.plan.header
        if verbose:
            out.facts([("answers", f"request {request or 'that was encrypted last'}"), ("key set", encrypted.key_id)])
        show_predictions(out, header, outputs)
        left = client.disclosures_left if disclose else None
        if left is not None:
            more = count_words(left, "result")
            out.say(f"these values may be shown to others; {more} of this key are left to disclose")
        out.result(
            output=str(output),
            rows=rows,
            seconds=elapsed,
            disclosures_left=left,
            values={name: values.tolist() for name, values in outputs.items()},
            predictions=prediction_fields(outputs),
            top=top_fields(header, outputs),
            lost_rows=list(outputs.lost),
            index=list(outputs.index) or None,
        )
        if outputs.lost:
            raise typer.Exit(INCOMPLETE)


def _write_model(out: Console, client: Client, trained: Path, model: Path, inputs: list[Path], force: bool) -> None:
    """The trained network as an ONNX file."""
    from hecc.inputs.models import is_model
    from hecc.runtime.figures import count_words, size_words
    from hecc.runtime.files.atomic import write_file
    from hecc.training import trained_model

    check_targets({"--model": model}, inputs)
    content, losses = trained_model(client, trained)
    write_file(model, content, own=is_model, kind="an ONNX model", force=force)
    out.say(f"{model}: the trained network in {size_words(len(content))}, after {count_words(len(losses), 'step')}")
    out.say(f"  loss      {losses[0]:.4g} in the first step, {losses[-1]:.4g} in the last")
    say_insecurity(out, client.plan)
    out.result(model=str(model), bytes=len(content), steps=len(losses), losses=losses.tolist())
