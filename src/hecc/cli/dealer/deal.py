"""``hecc deal``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hecc.cli.connections import AuthorityOption, CertificateOption, InsecurePlainOption, KeyOption
from hecc.cli.console import Console, JsonOption, console
from hecc.cli.outputs import check_targets
from hecc.cli.usage import FILES, OUTPUT, SECURITY
from hecc.runtime.errors import InputError

if TYPE_CHECKING:
    from hecc.runtime.plan.sessions import Ended, Service

__all__ = ["deal_command"]


def deal_command(
    plan: Annotated[Path, typer.Argument(help="Either plan file; the client's is enough.")],
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="NUMBER",
            show_default="with --listen 1000 in each batch",
            help="Blocks of material, one for each row.",
        ),
    ] = None,
    server_material: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The server's material, with a ledger beside it.", rich_help_panel=FILES),
    ] = Path("server.material"),
    client_material: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The client's material, with a ledger beside it.", rich_help_panel=FILES),
    ] = Path("client.material"),
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            show_default=False,
            help="Write no files, but listen, and give each party its half when it comes (--dealer of `hecc prepare`, "
            "`query` and `serve`).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    server: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="With --listen: the name on the server's certificate.", rich_help_panel=SECURITY
        ),
    ] = "server",
    client: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="With --listen: the name on the client's certificate.", rich_help_panel=SECURITY
        ),
    ] = "client",
    certificate: CertificateOption = Path("tls/dealer.pem"),
    key: KeyOption = Path("tls/dealer.key"),
    authority: AuthorityOption = Path("tls/authority.pem"),
    insecure_plain: InsecurePlainOption = False,
    as_json: JsonOption = False,
) -> None:
    """Deal material: random numbers that client and server of a plan use up.

    For plans of the scheme sharing. Each file has a ledger beside it, which says what is used; each party gets its two
    files, and the dealer keeps none. With --listen parties fetch their halves over TLS 1.3, and no file is written.
    Whoever deals must help neither party: with the server he could read inputs, and with the client weights. So do it
    on somebody else's machine.
    """
    with console(as_json) as out:
        if listen is None:
            if count is None:
                raise InputError("how many blocks? give --count, one for each row, or --listen to deal as parties ask")
            _write(out, plan, count, server_material, client_material)
            return
        import hecc
        from hecc.sessions.dealing import COUNT

        ends: list[Ended] = []

        def told(end: Ended) -> None:
            ends.append(end)
            out.say(end.words)

        with hecc.dealer(
            plan,
            listen,
            count=COUNT if count is None else count,
            server=server,
            client=client,
            certificate=certificate,
            key=key,
            authority=authority,
            insecure_plain=insecure_plain,
            told=told,
        ) as service:
            secured = "in plain, which is insecure" if insecure_plain else "by TLS 1.3"
            out.say(f"{plan}: dealing on {service.address}, {secured}; Ctrl-C ends it")
            _wait(out, service, ends)


def _wait(out: Console, service: Service, ends: list[Ended]) -> None:
    try:
        service.wait()
    finally:
        service.close()
        out.result(
            address=str(service.address),
            sessions=len(ends),
            halves=sum(end.dealt > 0 for end in ends),
            failed=[str(end.error) for end in ends if end.error is not None],
        )


def _write(out: Console, plan: Path, count: int, server_material: Path, client_material: Path) -> None:
    """Write both files."""
    import hecc
    from hecc.runtime.figures import count_words, size_words, time_words

    check_targets({"--server-material": server_material, "--client-material": client_material}, [plan])
    start = time.perf_counter()
    with out.steps("dealing blocks") as step:
        dealt = hecc.deal(plan, count, server_material=server_material, client_material=client_material, progress=step)
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
