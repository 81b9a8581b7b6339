"""``hecc authority``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hecc.cli.console import JsonOption, console
from hecc.cli.usage import SECURITY

__all__ = ["authority_command"]


def authority_command(
    folder: Annotated[Path, typer.Argument(help="A new folder for the files.")] = Path("tls"),
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="NAME",
            show_default=False,
            help="A name or address of the server beside localhost; may be given several times.",
            rich_help_panel=SECURITY,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an authority for tests, and certificates for a server, a client and a dealer.

    Nobody else trusts it, its key is forgotten, and all ends after thirty days. In earnest certificates come from where
    your organisation has its others from.
    """
    with console(as_json) as out:
        import hecc

        files = hecc.authority(folder, hosts=host or ())
        out.say(f"{folder}: {', '.join(path.name for path in files)}")
        out.say("each party gets authority.pem, and the two files of its name")
        out.result(folder=str(folder), files=[str(path) for path in files])
