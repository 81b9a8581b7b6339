"""``hecc decrypt``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from hecc.cli.console import JsonOption, console
from hecc.cli.keys import KeysOption, MinSecurityOption, open_client

__all__ = ["decrypt_command"]


def decrypt_command(
    plan: Annotated[Path, typer.Argument(help="Either plan file; the client's is enough.")],
    result: Annotated[Path, typer.Argument(help="The server's encrypted results.")],
    keys: KeysOption = Path("keys"),
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="The values: .npy, or .npz when the network has several outputs.")
    ] = Path("output.npy"),
    min_security: MinSecurityOption = 128,
    as_json: JsonOption = False,
) -> None:
    """Decrypt results, and show the predictions.

    An overflow during the evaluation is noticed and refused; do not tell a server that you do not trust.
    """
    with console(as_json) as out:
        from hecc.arrays import save_outputs
        from hecc.cli.predictions import prediction_fields, show_predictions, top_fields
        from hecc.words import count_words, time_words

        client = open_client(plan, keys, min_security=min_security)
        start = time.perf_counter()
        outputs = client.decrypt(result)
        elapsed = time.perf_counter() - start
        if len(outputs) > 1 and output == Path("output.npy"):
            output = Path("output.npz")
        save_outputs(output, outputs)
        rows = len(next(iter(outputs.values())))
        out.say(f"{output}: {count_words(rows, 'row')}, decrypted in {time_words(elapsed)}")
        header = client.plan.header
        show_predictions(out, header, outputs)
        out.result(
            output=str(output),
            rows=rows,
            seconds=elapsed,
            values={name: values.tolist() for name, values in outputs.items()},
            predictions=prediction_fields(outputs),
            top=top_fields(header, outputs),
        )
