"""The client's keys as the command line finds them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hecc.cli.usage import FILES, SECURITY
from hecc.runtime.errors import InputError

if TYPE_CHECKING:
    from hecc.client import Client
    from hecc.runtime.plan.plan import Plan

__all__ = [
    "KeyringOption",
    "KeysOption",
    "MinSecurityOption",
    "ask_passphrase",
    "open_client",
    "read_passphrase",
]

KeysOption = Annotated[
    Path, typer.Option("--keys", metavar="FOLDER", help="Folder of the keys.", rich_help_panel=FILES)
]
KeyringOption = Annotated[
    bool,
    typer.Option(
        "--keyring",
        help="Take the passphrase from the system's keyring, where `keygen --keyring` put it.",
        rich_help_panel=SECURITY,
    ),
]
MinSecurityOption = Annotated[
    str,
    typer.Option(
        "--min-security",
        metavar="BITS[-quantum]",
        help="Refuse plans below this: 128, 192 or 256 bits, and with -quantum also against quantum computers.",
        rich_help_panel=SECURITY,
    ),
]


def open_client(
    plan: Path, keys: Path, *, public: bool = False, keyring: bool = False, min_security: str = "128"
) -> Client:
    """The client of a plan file and a folder of keys; asks for the passphrase of a protected secret key."""
    from hecc.client import Client
    from hecc.runtime.plan.plan import Plan

    loaded = Plan.load(plan)
    passphrase = None if public or keyring else ask_passphrase(loaded, keys)
    return Client(loaded, keys, passphrase=passphrase, keyring=keyring, public=public, min_security=min_security)


def ask_passphrase(plan: Plan, keys: Path) -> str | None:
    """The passphrase of the secret key in a folder, asked for; ``None`` if there is none to ask for."""
    if not plan.scheme.is_protected(keys):
        return None
    return read_passphrase("Passphrase of the secret key")


def read_passphrase(title: str, *, twice: bool = False) -> str:
    """A passphrase that is asked for on the terminal, or is the first line of standard input where there is none.

    Raises
    ------
    InputError
        There is neither.
    """
    if sys.stdin is not None and sys.stdin.isatty():
        return str(typer.prompt(title, hide_input=True, confirmation_prompt=twice, err=True))
    line = "" if sys.stdin is None else sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise InputError(
            "there is no terminal to ask for the passphrase on; give it as the first line of standard input, from a "
            "file that only you can read: `hecc ... < passphrase.txt`"
        )
    return line
