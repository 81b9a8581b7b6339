"""``hecc keygen``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from hecc.cli.client.keys import KeysOption, MinSecurityOption, read_passphrase
from hecc.cli.console import JsonOption, console
from hecc.cli.options import DeviceOption, VerboseOption
from hecc.cli.outputs import check_overwriting, key_files
from hecc.cli.security import say_insecurity
from hecc.cli.usage import FILES, SECURITY
from hecc.runtime.errors import InputError

__all__ = ["keygen_command"]

LARGE = 2_000_000_000
"""Bytes of keys that are not made without being asked for."""


def keygen_command(
    plans: Annotated[
        list[Path],
        typer.Argument(metavar="PLAN...", help="Either plan file; the client's is enough. Several share the keys."),
    ],
    keys: KeysOption = Path("keys"),
    device: DeviceOption = None,
    passphrase: Annotated[
        bool,
        typer.Option(
            "--passphrase",
            help="Ask for a passphrase that protects the secret key, or read it as a line of input.",
            rich_help_panel=SECURITY,
        ),
    ] = False,
    keyring: Annotated[
        bool,
        typer.Option(
            "--keyring",
            help="Keep the passphrase in the system's keyring. Without --passphrase one is made that nobody sees: "
            "whoever loses the keyring then loses the keys.",
            rich_help_panel=SECURITY,
        ),
    ] = False,
    min_security: MinSecurityOption = "128",
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace keys. What was encrypted with the old ones can never be decrypted again.",
            rich_help_panel=FILES,
        ),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Make keys of more than 2 GB without asking.", rich_help_panel=FILES),
    ] = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a set of keys for a plan, or for several that were compiled with one chain (`hecc compile --chain-of`).

    secret.bin stays with you and decrypts; public.bin may go to whoever encrypts for you; evaluation.bin goes to the
    server, which can compute with it but not decrypt.

    Under the scheme more, which is an encoding without a security level, a key protects nothing.
    """
    with console(as_json) as out:
        from hecc.client import Client
        from hecc.runtime.figures import size_words, time_words
        from hecc.runtime.files.container import Container, Kind

        for file in key_files(keys):
            check_overwriting({"--keys": file}, plans)
        client = Client(plans[0], min_security=min_security)
        size = client.key_bytes(device=device, others=plans[1:])
        _agree(size, yes)
        chosen = read_passphrase("Passphrase for the secret key", twice=True) if passphrase else None
        start = time.perf_counter()
        with out.steps("making evaluation keys") as step:

            def progress(done: int, total: int) -> None:
                if (verbose or size > LARGE) and not done:
                    out.note(f"the keys will take up to {size_words(size)} in {keys}")
                step(done, total)

            made = client.keygen(
                keys,
                device=device,
                passphrase=chosen,
                keyring=keyring,
                force=force,
                others=plans[1:],
                progress=progress,
            )
        elapsed = time.perf_counter() - start
        described = client.plan.scheme.verifier.describe(Container(made.evaluation, Kind.EVALUATION_KEYS))
        out.say(f"key set {made.key_id[:8]} in {time_words(elapsed)}")
        uses = ("stays with you", "may go to whoever encrypts for you", "goes to the server")
        files = (made.secret, made.public, made.evaluation)
        out.facts(
            [
                (str(file), f"{size_words(file.stat().st_size)}, {use}")
                for file, use in zip(files, uses, strict=True)
                if file is not None
            ]
        )
        say_insecurity(out, client.plan)
        if verbose:
            out.facts([("fingerprint", made.key_id), *described.facts])
        out.result(
            key_id=made.key_id,
            seconds=elapsed,
            secret=str(made.secret),
            public=None if made.public is None else str(made.public),
            evaluation=str(made.evaluation),
            evaluation_bytes=made.evaluation.stat().st_size,
            protected=chosen is not None or keyring,
            keyring=keyring,
            **described.fields,
        )


def _agree(size: int, yes: bool) -> None:
    """Ask before keys of much space and time are made; without a terminal, refuse.

    Raises
    ------
    InputError
        Nobody agreed.
    """
    if size <= LARGE or yes:
        return
    from hecc.runtime.figures import size_words

    if _is_terminal():
        if not typer.confirm(f"The keys will take up to {size_words(size)}. Make them?", err=True):
            raise InputError("no keys were made; compile with --key-budget to have smaller ones")
        return
    raise InputError(
        f"keys of up to {size_words(size)} are not made without being asked for; add --yes, or compile with "
        "--key-budget to have smaller ones"
    )


def _is_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin is not None and sys.stdin.isatty()
