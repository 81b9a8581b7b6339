"""The options of commands that talk to another party."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hecc.cli.usage import FILES, SECURITY

__all__ = [
    "AuthorityOption",
    "CertificateOption",
    "DealerOption",
    "InsecurePlainOption",
    "KeyOption",
    "MaterialOption",
    "ServerArgument",
    "traffic_words",
]

ServerArgument = Annotated[
    str, typer.Argument(metavar="HOST:PORT", help="Where the server listens, as localhost:7000.")
]
MaterialOption = Annotated[
    Path,
    typer.Option(
        "--material",
        metavar="FILE",
        help="This side's material, as `hecc deal` made it; its ledger lies beside it.",
        rich_help_panel=FILES,
    ),
]
CertificateOption = Annotated[
    Path,
    typer.Option(
        "--certificate",
        metavar="FILE",
        help="The certificate of this side, PEM; `hecc authority` makes some for tests.",
        rich_help_panel=SECURITY,
    ),
]
KeyOption = Annotated[
    Path,
    typer.Option("--key", metavar="FILE", help="The key of that certificate, PEM.", rich_help_panel=SECURITY),
]
AuthorityOption = Annotated[
    Path,
    typer.Option("--authority", metavar="FILE", help="Who certifies the other side, PEM.", rich_help_panel=SECURITY),
]
InsecurePlainOption = Annotated[
    bool,
    typer.Option(
        "--insecure-plain",
        help="No TLS: for tests on the loopback addresses of one machine; others are refused.",
        rich_help_panel=SECURITY,
    ),
]


DealerOption = Annotated[
    str | None,
    typer.Option(
        "--dealer",
        metavar="HOST:PORT",
        show_default=False,
        help="Where a dealer listens (`hecc deal --listen`): fetch material there first, if none is left.",
        rich_help_panel=FILES,
    ),
]


def traffic_words(sent: int, received: int, seconds: float) -> str:
    """What went over the network."""
    from hecc.runtime.figures import size_words, time_words

    return f"{size_words(sent)} sent and {size_words(received)} received in {time_words(seconds)}"
