"""``hecc deal``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from hecc.cli.console import JsonOption, console
from hecc.cli.outputs import check_targets
from hecc.cli.usage import FILES

__all__ = ["deal_command"]


def deal_command(
    plan: Annotated[Path, typer.Argument(help="Either plan file; the client's is enough.")],
    count: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Blocks of material, one for each row.")],
    server_material: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The server's material, with a ledger beside it.", rich_help_panel=FILES),
    ] = Path("server.material"),
    client_material: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The client's material, with a ledger beside it.", rich_help_panel=FILES),
    ] = Path("client.material"),
    as_json: JsonOption = False,
) -> None:
    """Deal material: random numbers that client and server of a plan use up.

    For plans of the scheme sharing. Each file has a ledger beside it, which says what is used; each party gets its two
    files, and the dealer keeps none. Whoever deals must help neither party: with the server he could read inputs, and
    with the client weights. So do it on somebody else's machine.
    """
    with console(as_json) as out:
        import hecc
        from hecc.runtime.figures import count_words, size_words, time_words

        check_targets({"--server-material": server_material, "--client-material": client_material}, [plan])
        start = time.perf_counter()
        with out.steps("dealing blocks") as step:
            dealt = hecc.deal(
                plan, count, server_material=server_material, client_material=client_material, progress=step
            )
        elapsed = time.perf_counter() - start
        sizes = dealt.server.stat().st_size, dealt.client.stat().st_size
        out.say(
            f"{dealt.server} ({size_words(sizes[0])}) for the server and {dealt.client} ({size_words(sizes[1])}) for "
            f"the client: {count_words(count, 'block')} in {time_words(elapsed)}"
        )
        out.say("send each with its .ledger to its party, and delete them here")
        out.result(
            server_material=str(dealt.server),
            client_material=str(dealt.client),
            count=count,
            server_bytes=sizes[0],
            client_bytes=sizes[1],
            seconds=elapsed,
        )
