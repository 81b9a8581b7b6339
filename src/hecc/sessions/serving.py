"""``hecc.serve``: a server that listens to clients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hecc.runtime.files.container import FileSource
from hecc.runtime.plan.plan import Plan
from hecc.runtime.plan.sessions import Address, Ended, Service, load_sessions
from hecc.sessions.dealing import SERVER_MATERIAL
from hecc.sessions.fetching import fetched
from hecc.sessions.trusting import AUTHORITY, FOLDER, File, trust

__all__ = ["serve"]


def serve(
    plan: Plan | FileSource,
    listen: str,
    *,
    material: File = SERVER_MATERIAL,
    certificate: File = f"{FOLDER}/server.pem",
    key: File = f"{FOLDER}/server.key",
    authority: File = AUTHORITY,
    insecure_plain: bool = False,
    dealer: str | None = None,
    told: Callable[[Ended], None] | None = None,
) -> Service:
    """Serve a plan to clients, over TLS 1.3 with certificates on both sides.

    It listens from now on, in threads of its own: ``with hecc.serve(...) as service``, or ``service.wait()``. A client
    that leaves, is silent or sends something else than is due loses its blocks of material, and nobody else notices.

    Parameters
    ----------
    plan
        The server's plan, or its file.
    listen
        Where, as "localhost:7000"; port 0 is any that is free, which ``service.address`` says.
    material
        The server's file, as :func:`hecc.deal` made it.
    certificate, key
        By which clients know this server, PEM files.
    authority
        Who certifies clients, a PEM file.
    insecure_plain
        Without TLS: for tests on the loopback addresses of one machine, others are refused.
    dealer
        Where a dealer listens, as "localhost:7001", who is certified by the same authority: if there is no material, or
        none of it is left, the server's half of a new batch is fetched first.
    told
        Called after each session, in its thread, with how it ended.

    Raises
    ------
    InputError, FileFormatError, KeyMismatchError, PeerError
        A file is missing, damaged, of another kind or for another plan; the dealer refuses; nobody can listen there;
        plain connections would leave the machine; or plans of this scheme are not served.
    """
    plan = Plan.of(plan)
    plan.require_program()
    shown = trust(certificate, key, authority, insecure_plain)
    address = Address.of(listen)
    fetched(plan, "server", Path(material), dealer, shown)
    return load_sessions(plan.header.scheme).serve(
        plan,
        address,
        material=Path(material),
        trust=shown,
        told=told or (lambda _: None),
    )
