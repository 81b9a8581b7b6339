"""A party that fetches its half of a batch of material from a dealer that listens."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hecc.runtime.connections.tls import client_context
from hecc.runtime.errors import PeerError
from hecc.runtime.plan.sessions import Dealing
from hecc.runtime.sharing.material.files import Batch, Bytes, write_client, write_server
from hecc.runtime.sharing.material.ledger import ledger_of
from hecc.runtime.sharing.material.whole import left_of
from hecc.runtime.sharing.parties.dealing import together
from hecc.runtime.sharing.parties.walk import program_cost
from hecc.runtime.sharing.plan.plan import SharingPlan
from hecc.runtime.sharing.sessions.dealer import ANSWER, MAGIC, REQUEST, ROLES, VERSION, Denial
from hecc.runtime.sharing.sessions.listening import connect
from hecc.runtime.sharing.sessions.wire import DEADLINE, SocketChannel

__all__ = ["BESIDE", "MOST_BLOCKS", "fetch"]

MOST_BLOCKS = 1 << 24
"""Of a batch that is fetched."""

BESIDE = (".ledger", ".prepared", ".model", ".uploads", ".owner")
"""What lies beside a file of material, by the ends of its name."""

_WORDS = {
    Denial.VERSION: "it runs another version of hecc; use the same everywhere",
    Denial.PLAN: "it deals for another plan; give it the client's plan that was compiled with this one",
    Denial.ROLE: "this side's certificate does not have the name that it knows the {role} by (--server and --client of "
    "`hecc deal`)",
    Denial.WAITING: "too many batches wait for the other party, which has to fetch its halves first",
}


def fetch(plan: SharingPlan, role: str, path: Path, dealer: Dealing, *, deadline: float = DEADLINE) -> int:
    """Fetch a half if there is no material, or none of it is left; the number of blocks, or none.

    Raises
    ------
    PeerError
        Nobody deals there whom the authority certifies; or the dealer refuses, leaves, or sends something else than is
        due.
    InputError
        The file cannot be written, or what is there is no material.
    """
    if path.exists() and left_of(path):
        return 0
    context: ssl.SSLContext | None = None if dealer.trust is None else client_context(*dealer.trust)
    with connect(*dealer.address, context, deadline=deadline) as connection:
        channel = SocketChannel(connection, deadline)
        channel.send(REQUEST.pack(MAGIC, VERSION, ROLES.index(role), bytes.fromhex(plan.fingerprint)))
        code, name, count, seed = ANSWER.unpack(channel.receive(ANSWER.size))
        if code != Denial.NONE:
            words = _WORDS.get(code, "it gives no reason that this version knows").format(role=role)
            raise PeerError(f"the dealer gives no material: {words}")
        if not 1 <= count <= MOST_BLOCKS:
            raise PeerError(f"the dealer sends a batch of {count} blocks, and at most {MOST_BLOCKS} are taken")
        batch = Batch(
            batch=name.hex(),
            plan=plan.fingerprint,
            role="server" if role == "server" else "client",
            count=count,
            block_bytes=program_cost(plan.checked).block_bytes,
        )
        for end in BESIDE:
            path.with_name(f"{path.name}{end}").unlink(missing_ok=True)
        if role == "server":
            write_server(path, batch, seed, _blocks(channel, batch))
        else:
            write_client(path, batch, seed)
        ledger_of(path, batch).create()
        channel.send(b"\0")
    return int(count)


def _blocks(channel: SocketChannel, batch: Batch) -> Iterator[Bytes]:
    for rows in together(batch):
        data = channel.receive(rows * batch.block_bytes)
        yield np.frombuffer(data, dtype=np.uint8).reshape(rows, batch.block_bytes)
