"""``hecc encrypt``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from hecc.cli.console import JsonOption, console
from hecc.cli.keys import KeysOption, MinSecurityOption, open_client
from hecc.cli.options import ResumeOption

__all__ = ["encrypt_command"]


def encrypt_command(
    plan: Annotated[Path, typer.Argument(help="Either plan file; the client's is enough.")],
    inputs: Annotated[
        Path,
        typer.Argument(help="A .npy file with one example or several rows, or an .npz file with an array per input."),
    ],
    keys: KeysOption = Path("keys"),
    output: Annotated[Path, typer.Option(metavar="FILE", help="The encrypted rows.")] = Path("encrypted.bin"),
    public: Annotated[bool, typer.Option("--public", help="Use the public key only, for twice the upload.")] = False,
    resume: ResumeOption = True,
    min_security: MinSecurityOption = 128,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            show_default=False,
            help="Processes that encrypt. By default one per processor where there is much to encrypt.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Encrypt inputs.

    Values outside the range that the plan was compiled for are refused: the network would compute nonsense.
    """
    with console(as_json) as out:
        from hecc.cli.arrays import load_arrays
        from hecc.words import rows_words, size_words, time_words

        client = open_client(plan, keys, public=public, min_security=min_security)
        arrays = load_arrays(inputs)
        start = time.perf_counter()
        with out.steps("encrypting") as step:
            encrypted = client.encrypt_to(output, arrays, processes=processes, progress=step, resume=resume)
        elapsed = time.perf_counter() - start
        rows, size = encrypted.header.rows, output.stat().st_size
        out.say(
            f"{output}: {rows_words(encrypted)} in {size_words(size)}, encrypted in {time_words(elapsed)} "
            f"with the {'public' if public else 'secret'} key of set {client.key_id[:8]}"
        )
        out.result(
            output=str(output), rows=rows, batches=encrypted.batches, bytes=size, seconds=elapsed, key_id=client.key_id
        )
