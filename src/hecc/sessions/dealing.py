"""``hecc.deal``: material for a plan, made by somebody who is neither its client nor its server."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hecc.runtime.errors import InputError
from hecc.runtime.files.container import FileSource
from hecc.runtime.plan.plan import Plan
from hecc.runtime.plan.sessions import Address, Ended, Service, Steps, load_sessions
from hecc.sessions.trusting import AUTHORITY, FOLDER, File, trust

__all__ = ["CLIENT_MATERIAL", "SERVER_MATERIAL", "Dealt", "deal", "dealer"]

COUNT = 1000
"""Blocks of each batch that a dealer who listens draws, unless told otherwise."""

SERVER_MATERIAL, CLIENT_MATERIAL = "server.material", "client.material"
"""What the files are called, unless told otherwise."""


@dataclass(frozen=True)
class Dealt:
    """A batch of material.

    Attributes
    ----------
    count
        Blocks.
    server, client
        The files. Each goes to its party, with the ``.ledger`` beside it, and stays nowhere else.
    """

    count: int
    server: Path
    client: Path


def deal(
    plan: Plan | FileSource,
    count: int,
    *,
    server_material: str | os.PathLike[str] = SERVER_MATERIAL,
    client_material: str | os.PathLike[str] = CLIENT_MATERIAL,
    progress: Steps | None = None,
) -> Dealt:
    """Deal a batch of material: random numbers that client and server use up, a block for each row.

    Whoever deals must help neither party: with the server he could read inputs, and with the client weights. So deal on
    a machine of somebody else, send each party its two files, and delete them.

    Parameters
    ----------
    plan
        Either plan, or its file; the client's is enough.
    count
        Blocks, one for each row that is going to be evaluated.
    server_material, client_material
        The files to write, each with a ledger beside it that says which blocks are gone.
    progress
        Called with the blocks that are dealt, and all of them.

    Raises
    ------
    InputError
        A file is there already, or cannot be written; or plans of this scheme use no material.
    """
    plan = Plan.of(plan)
    server, client = Path(server_material), Path(client_material)
    if server.resolve() == client.resolve():
        raise InputError(f"{server}: one file for both parties; give two names")
    load_sessions(plan.header.scheme).deal(plan, count, server, client, progress=progress)
    return Dealt(count, server, client)


def dealer(
    plan: Plan | FileSource,
    listen: str,
    *,
    count: int = COUNT,
    server: str = "server",
    client: str = "client",
    certificate: File = f"{FOLDER}/dealer.pem",
    key: File = f"{FOLDER}/dealer.key",
    authority: File = AUTHORITY,
    insecure_plain: bool = False,
    told: Callable[[Ended], None] | None = None,
) -> Service:
    """Deal to both parties over TLS 1.3: each fetches its half of a batch, with ``dealer`` of the other verbs.

    It listens from now on, in threads of its own. Batches are drawn when they are asked for, each half is given away
    once, to whoever has the certificate of that party, and is then gone from this process; nothing is ever on its disk.
    What :func:`hecc.deal` says of whoever deals is true here, too.

    Parameters
    ----------
    plan
        Either plan, or its file; the client's is enough.
    listen
        Where, as "localhost:7001"; port 0 is any that is free, which ``service.address`` says.
    count
        Blocks of each batch.
    server, client
        The common names on the certificates of both parties: who gets which half.
    certificate, key
        By which parties know this dealer, PEM files.
    authority
        Who certifies parties, a PEM file.
    insecure_plain
        Without TLS, and without any certificate that would say who gets which half: for tests on the loopback addresses
        of one machine, others are refused.
    told
        Called after each session, in its thread, with how it ended.

    Raises
    ------
    InputError, FileFormatError
        A file is missing or damaged; nobody can listen there; both parties have one name; or plans of this scheme use
        no material.
    """
    plan = Plan.of(plan)
    return load_sessions(plan.header.scheme).serve_dealer(
        plan,
        Address.of(listen),
        count=count,
        names={"server": server, "client": client},
        trust=trust(certificate, key, authority, insecure_plain),
        told=told or (lambda _: None),
    )
