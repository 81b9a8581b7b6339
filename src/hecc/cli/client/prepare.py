"""``hecc prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hecc.cli.client.query import PlanOption
from hecc.cli.connections import (
    AuthorityOption,
    CertificateOption,
    DealerOption,
    InsecurePlainOption,
    KeyOption,
    MaterialOption,
    ServerArgument,
    traffic_words,
)
from hecc.cli.console import JsonOption, console

__all__ = ["prepare_command"]


def prepare_command(
    server: ServerArgument,
    plan: PlanOption = Path("plan.client.bin"),
    material: MaterialOption = Path("client.material"),
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="NUMBER",
            show_default="all that are left",
            help="Blocks of material, one for each row.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Prepare what was prepared before, too, if the server lost it.")
    ] = False,
    certificate: CertificateOption = Path("tls/client.pem"),
    key: KeyOption = Path("tls/client.key"),
    authority: AuthorityOption = Path("tls/authority.pem"),
    insecure_plain: InsecurePlainOption = False,
    dealer: DealerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a server what can be sent before there are inputs.

    Then `hecc query` sends little. From now on the material is of the client with this certificate.
    """
    with console(as_json) as out:
        import hecc
        from hecc.runtime.figures import count_words

        with out.steps("preparing blocks") as step:
            made = hecc.prepare(
                server,
                plan=plan,
                material=material,
                count=count,
                again=again,
                certificate=certificate,
                key=key,
                authority=authority,
                insecure_plain=insecure_plain,
                dealer=dealer,
                progress=step,
            )
        traffic = made.traffic
        out.say(
            f"{material}: prepared {count_words(made.count, 'block')}, "
            f"{traffic_words(traffic.sent, traffic.received, traffic.seconds)}; {made.left} are ready"
        )
        out.result(
            first=made.first,
            count=made.count,
            left=made.left,
            sent_bytes=traffic.sent,
            received_bytes=traffic.received,
            seconds=traffic.seconds,
        )
