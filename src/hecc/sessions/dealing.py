"""``hecc.deal``: material for a plan, made by somebody who is neither its client nor its server."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hecc.runtime.errors import InputError
from hecc.runtime.files.container import FileSource
from hecc.runtime.plan.plan import Plan
from hecc.runtime.plan.sessions import Steps, load_sessions

__all__ = ["CLIENT_MATERIAL", "SERVER_MATERIAL", "Dealt", "deal"]

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
