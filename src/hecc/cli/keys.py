"""The client's keys as the command line finds them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hecc.client import Client

__all__ = ["KeysOption", "MinSecurityOption", "ask_passphrase", "open_client"]

KeysOption = Annotated[Path, typer.Option("--keys", metavar="FOLDER", help="Folder of the keys.")]
MinSecurityOption = Annotated[
    int, typer.Option("--min-security", metavar="BITS", help="Refuse plans below this: 128, 192 or 256 bits.")
]


def open_client(plan: Path, keys: Path, *, public: bool = False, min_security: int = 128) -> Client:
    """The client of a plan file and a folder of keys; asks for the passphrase of a protected secret key."""
    from hecc.client import Client
    from hecc.runtime.plan import Plan

    loaded = Plan.load(plan)
    passphrase = None if public else ask_passphrase(keys)
    return Client(loaded, keys, passphrase=passphrase, public=public, min_security=min_security)


def ask_passphrase(keys: Path) -> str | None:
    """The passphrase of the secret key in a folder, asked for; ``None`` if there is none to ask for."""
    from hecc.runtime.client.keygen import SECRET
    from hecc.runtime.keyfiles import SecretKeyFile

    secret = keys / SECRET
    if not secret.exists() or SecretKeyFile.load(secret).header.protection is None:
        return None
    return str(typer.prompt("Passphrase of the secret key", hide_input=True, err=True))
