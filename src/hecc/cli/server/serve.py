"""``hecc serve``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hecc.cli.connections import (
    AuthorityOption,
    CertificateOption,
    DealerOption,
    InsecurePlainOption,
    KeyOption,
    MaterialOption,
)
from hecc.cli.console import JsonOption, console
from hecc.cli.usage import OUTPUT

if TYPE_CHECKING:
    from hecc.runtime.plan.sessions import Ended

__all__ = ["serve_command"]


def serve_command(
    plan: Annotated[Path, typer.Argument(help="The server's plan file.")],
    listen: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help="Where to listen; with port 0 where it is free, which the first line says.",
            rich_help_panel=OUTPUT,
        ),
    ] = "localhost:7000",
    material: MaterialOption = Path("server.material"),
    certificate: CertificateOption = Path("tls/server.pem"),
    key: KeyOption = Path("tls/server.key"),
    authority: AuthorityOption = Path("tls/authority.pem"),
    insecure_plain: InsecurePlainOption = False,
    dealer: DealerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve a plan to clients that ask over the network, until it is interrupted.

    For plans of the scheme sharing. Connections are TLS 1.3, and both sides are certified. Each session is a line; one
    that ends early costs its client the blocks of material, and the server goes on.
    """
    with console(as_json) as out:
        import hecc

        ends: list[Ended] = []

        def told(end: Ended) -> None:
            ends.append(end)
            out.say(end.words)

        with hecc.serve(
            plan,
            listen,
            material=material,
            certificate=certificate,
            key=key,
            authority=authority,
            insecure_plain=insecure_plain,
            dealer=dealer,
            told=told,
        ) as service:
            secured = "in plain, which is insecure" if insecure_plain else "by TLS 1.3"
            out.say(f"{plan}: listening on {service.address}, {secured}; Ctrl-C ends it")
            try:
                service.wait()
            finally:
                service.close()
                out.result(
                    address=str(service.address),
                    sessions=len(ends),
                    evaluated=sum(end.evaluated for end in ends),
                    prepared=sum(end.prepared for end in ends),
                    failed=[str(end.error) for end in ends if end.error is not None],
                )
