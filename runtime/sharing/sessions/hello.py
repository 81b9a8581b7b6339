"""How a session begins: the client says which plan and batch it is about, and both agree on blocks that nobody used.

The client proposes the first block that its ledger has not, the server reserves that or a later one and says which, and
the client reserves just these. Each reservation is on the disk before the message behind it leaves. Only then does the
first masked number. So many blocks at once are a *lease*: a query takes the next ones of it, and waits neither for an
answer nor for a disk. What is left of a lease when its session ends is burnt.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from hecc.runtime.errors import HeccError, PeerError
from hecc.runtime.sharing.gates.parties import Channel
from hecc.runtime.sharing.material.files import Batch

__all__ = ["HELLO_BYTES", "MOST_ROWS", "QUERY", "Hello", "Purpose", "Refusal", "agree", "answer", "read_hello"]

MAGIC, VERSION = b"HECS", 2

MOST_ROWS = 1 << 16
"""Blocks of one session."""

_HELLO = struct.Struct("<4sHHI32s16sQ")
HELLO_BYTES = _HELLO.size

_ANSWER = struct.Struct("<BQ")

QUERY = struct.Struct("<I")
"""What a query begins with: its rows. They use the next blocks of the session's lease."""


class Purpose(IntEnum):
    """What a session is for: queries with blocks that it leases, or the preparation of blocks."""

    INFERENCE = 1
    PREPARATION = 2


class Refusal(IntEnum):
    """Why a server takes no session; a peer is told no more."""

    NONE = 0
    VERSION = 1
    PLAN = 2
    BATCH = 3
    BLOCKS = 4
    CLIENT = 5


_WORDS = {
    Refusal.VERSION: "it runs another version of hecc; use the same on both sides",
    Refusal.PLAN: "it has another plan; give the client's plan that was compiled with the server's",
    Refusal.BATCH: "its material is of another batch; give the two files that were dealt together",
    Refusal.CLIENT: "its material belongs to the client who used it first; use that one's certificate",
    Refusal.BLOCKS: "it has no blocks for so many rows, or none that are prepared; deal or prepare more",
}


class Hello(NamedTuple):
    """What a client begins with.

    Attributes
    ----------
    rows
        Blocks that are leased, one for each example of all queries of the session; or blocks to prepare.
    proposal
        The first block that the client has not used.
    """

    purpose: Purpose
    rows: int
    plan: bytes
    batch: bytes
    proposal: int


def agree(channel: Channel, batch: Batch, purpose: Purpose, rows: int, proposal: int) -> int:
    """The client's part: say hello, and learn which blocks the server has reserved.

    Raises
    ------
    PeerError
        The server refuses, or its answer makes no sense.
    """
    plan, name = bytes.fromhex(batch.plan), bytes.fromhex(batch.batch)
    channel.send(_HELLO.pack(MAGIC, VERSION, purpose, rows, plan, name, proposal))
    code, first = _ANSWER.unpack(channel.receive(_ANSWER.size))
    if code != Refusal.NONE:
        words = _WORDS.get(code, "it gives no reason that this version knows")
        raise PeerError(f"the server takes no session: {words}")
    if not proposal <= first <= batch.count - rows:
        raise PeerError(
            f"the server reserved block {first}, and {proposal} was proposed; its ledger is not of this batch"
        )
    return int(first)


def read_hello(data: bytes) -> Hello | Refusal:
    """The server's part: what a client wants, or why that cannot be had.

    Parameters
    ----------
    data
        :data:`HELLO_BYTES` of them.

    Raises
    ------
    PeerError
        What comes is no hello.
    """
    magic, version, purpose, rows, plan, batch, proposal = _HELLO.unpack(data)
    if magic != MAGIC:
        raise PeerError("what connects does not speak this protocol")
    if version != VERSION or purpose not in set(Purpose):
        return Refusal.VERSION
    if not 1 <= rows <= MOST_ROWS:
        return Refusal.BLOCKS
    return Hello(Purpose(purpose), rows, plan, batch, proposal)


def answer(
    channel: Channel,
    hello: Hello | Refusal,
    batch: Batch,
    reserve: Callable[[Hello], int],
    admits: Callable[[], bool] = lambda: True,
) -> tuple[Hello, int] | None:
    """The server's answer: the blocks that it reserved, or a refusal.

    Parameters
    ----------
    reserve
        Reserves blocks for a hello that fits, or refuses by an exception.
    admits
        Whether the batch is the client's.

    Returns
    -------
    tuple or None
        What was agreed on; nothing if the client was refused.
    """
    refusal, first = (hello if isinstance(hello, Refusal) else _fits(hello, batch)), 0
    if refusal is Refusal.NONE and not admits():
        refusal = Refusal.CLIENT
    if refusal is Refusal.NONE and isinstance(hello, Hello):
        try:
            first = reserve(hello)
        except HeccError:
            refusal = Refusal.BLOCKS
    channel.send(_ANSWER.pack(refusal, first))
    return (hello, first) if refusal is Refusal.NONE and isinstance(hello, Hello) else None


def _fits(hello: Hello, batch: Batch) -> Refusal:
    if hello.plan != bytes.fromhex(batch.plan):
        return Refusal.PLAN
    return Refusal.NONE if hello.batch == bytes.fromhex(batch.batch) else Refusal.BATCH
