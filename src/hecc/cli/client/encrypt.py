"""``hecc encrypt``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from hecc.cli.client.keys import KeyringOption, KeysOption, MinSecurityOption, open_client
from hecc.cli.console import JsonOption, console
from hecc.cli.options import ClipOption, ForceOption, RawOption, ResumeOption, SkipOption, TruthOption, VerboseOption
from hecc.cli.outputs import check_targets, key_files
from hecc.cli.security import say_insecurity
from hecc.cli.usage import FILES, SECURITY, SPEED
from hecc.runtime.errors import KeyMismatchError

__all__ = ["encrypt_command"]


def encrypt_command(
    plan: Annotated[Path, typer.Argument(help="Either plan file; the client's is enough.")],
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH",
            help="A .npy file with one example or several rows; .npz with an array per input; a .csv or .parquet "
            "table; or images, or a folder of them, one row each.",
        ),
    ],
    raw: RawOption = False,
    clip: ClipOption = False,
    skip_bad_rows: SkipOption = False,
    labels: TruthOption = None,
    keys: KeysOption = Path("keys"),
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The encrypted rows.", rich_help_panel=FILES)
    ] = Path("encrypted.bin"),
    public: Annotated[
        bool, typer.Option("--public", help="Use the public key only, for twice the upload.", rich_help_panel=SECURITY)
    ] = False,
    fingerprint: Annotated[
        str | None,
        typer.Option(
            metavar="DIGITS",
            show_default=False,
            help="Refuse a key with another fingerprint: what the owner of the keys says, all 64 digits.",
            rich_help_panel=SECURITY,
        ),
    ] = None,
    resume: ResumeOption = True,
    keyring: KeyringOption = False,
    min_security: MinSecurityOption = "128",
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="NUMBER",
            show_default=False,
            help="Processes that encrypt. By default one per processor where there is much to encrypt.",
            rich_help_panel=SPEED,
        ),
    ] = None,
    force: ForceOption = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Encrypt inputs.

    Images and tables are preprocessed as the plan says; arrays are the network's own inputs, unless they are --raw. The
    rows of a folder are its images in the order of their names.

    Values outside the range that the plan was compiled for are refused, by row and column: the network would compute
    nonsense. With --clip they are moved to the nearest end, with --skip-bad-rows such rows are left out; both are told,
    and decrypt keeps the numbers that the rows had.

    Of a plan that trains (`hecc compile --train`), the right answers are encrypted with the rows: --labels.
    Such plans are of the scheme more, an encoding without a security level: their rows are encoded, not encrypted.
    """
    with console(as_json) as out:
        from hecc.inputs.sources import check_readable, forms, load_inputs
        from hecc.runtime.figures import size_words, time_words
        from hecc.runtime.files.container import Kind, check_kind
        from hecc.runtime.plan.facts import rows_words

        check_targets({"--output": output}, [plan, *inputs, labels, *key_files(keys)])
        check_kind(output, Kind.CIPHERTEXT, force=force)
        check_readable(inputs)
        client = open_client(plan, keys, public=public, keyring=keyring, min_security=min_security)
        if fingerprint is not None and fingerprint.lower() != client.key_id:
            raise KeyMismatchError(
                f"{keys}: the key has the fingerprint {client.key_id}, and not the one that was given; get the key "
                "again from whoever is to decrypt, and give all 64 digits"
            )
        source = inputs[0] if len(inputs) == 1 else inputs
        with out.steps("reading images") as step:
            loaded = load_inputs(
                source,
                forms(client.plan.header.inputs),
                raw=raw,
                clip=clip,
                skip_bad_rows=skip_bad_rows,
                progress=step,
            )
        loaded.warn()
        start = time.perf_counter()
        with out.steps("encrypting") as step:
            encrypted = client.encrypt_to(
                output, loaded, labels=labels, processes=processes, progress=step, resume=resume, force=force
            )
        elapsed = time.perf_counter() - start
        rows, size = encrypted.rows, output.stat().st_size
        done = client.plan.scheme.verb
        out.say(f"{output}: {rows_words(encrypted)} in {size_words(size)}, {done} in {time_words(elapsed)}")
        say_insecurity(out, client.plan)
        if verbose:
            with_key = f"the {'public' if public else 'secret'} key of set {client.key_id}"
            out.facts([("encrypted with", with_key), ("request", encrypted.fingerprint)])
        out.result(
            output=str(output),
            request=encrypted.fingerprint,
            rows=rows,
            batches=encrypted.batches,
            bytes=size,
            seconds=elapsed,
            key_id=client.key_id,
            files=list(loaded.files),
            clipped={"values": loaded.clipped.values, "rows": loaded.clipped.rows},
            left_out=[{"row": row, "why": why} for row, why in loaded.left_out.items()],
            index=list(loaded.labels) or None,
        )
