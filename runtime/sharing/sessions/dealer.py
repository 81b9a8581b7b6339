"""A dealer that listens: each party fetches its half of a batch over a connection of its own, once.

Whoever comes first for a plan has a batch drawn, and its other half waits for the other party, as 96 bytes of seeds in
this process's memory and nowhere else. With the second half they are gone. A half is given away when it begins to be
sent: if that fails, nobody gets it any more, and with it the batch.

Which half somebody gets is decided by the name on the certificate, and by nothing that they say. So a server cannot
fetch a client's half, with which it would read inputs, nor a client a server's, with which it would know weights.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Mapping
from enum import IntEnum

import numpy as np
from cryptography import x509
from cryptography.x509.oid import NameOID

from hecc.runtime.errors import PeerError
from hecc.runtime.plan.sessions import Ended
from hecc.runtime.sharing.material.streams import SEED_BYTES
from hecc.runtime.sharing.parties.dealing import Draw
from hecc.runtime.sharing.plan.plan import SharingPlan
from hecc.runtime.sharing.sessions.wire import DEADLINE, SocketChannel

__all__ = ["ANSWER", "MAGIC", "MOST_WAITING", "REQUEST", "ROLES", "VERSION", "DealerService", "Denial"]

MAGIC, VERSION = b"HECD", 1

ROLES = ("server", "client")

REQUEST = struct.Struct("<4sHH32s")
"""Magic, version, the number of a role, and the plan's fingerprint."""

ANSWER = struct.Struct(f"<B16sQ{SEED_BYTES}s")
"""A denial or none, the batch, its blocks, and a seed: the client's, or that of the masks of the weights."""

MOST_WAITING = 64
"""Batches of which one half was fetched and the other was not."""


class Denial(IntEnum):
    """Why a dealer gives nothing; nobody is told more."""

    NONE = 0
    VERSION = 1
    PLAN = 2
    ROLE = 3
    WAITING = 4


class DealerService:
    """What a dealer's listener serves.

    Parameters
    ----------
    plan
        Either file of it.
    count
        Blocks of each batch.
    names
        The common name on the certificate of each party, by its role. Over plain connections, which are for tests,
        everybody gets what they say they are.
    deadline
        Seconds for each message.
    """

    def __init__(self, plan: SharingPlan, count: int, names: Mapping[str, str], *, deadline: float = DEADLINE) -> None:
        self._plan, self._count, self._names, self._deadline = plan, count, dict(names), deadline
        self._waiting: dict[str, deque[Draw]] = {role: deque() for role in ROLES}
        self._lock = threading.Lock()

    def session(self, connection: socket.socket) -> Ended:
        """Give one party its half of a batch.

        Raises
        ------
        PeerError
            What connects is no party, or it left before it had all of it: then that half is gone.
        """
        channel = SocketChannel(connection, self._deadline)
        magic, version, number, fingerprint = REQUEST.unpack(channel.receive(REQUEST.size))
        if magic != MAGIC:
            raise PeerError("what connects does not ask for material")
        role = ROLES[number] if number < len(ROLES) else ""
        denial, draw = self._asked(connection, version, role, fingerprint), None
        if denial is Denial.NONE:
            draw = self._draw(role)
            denial = denial if draw is not None else Denial.WAITING
        if draw is None:
            channel.send(ANSWER.pack(denial, bytes(16), 0, bytes(SEED_BYTES)))
            return Ended()
        seed = draw.seed if role == "client" else draw.weight_seed
        channel.send(ANSWER.pack(Denial.NONE, bytes.fromhex(draw.batch.batch), draw.batch.count, seed))
        if role == "server":
            for rows in draw.blocks():
                channel.send(np.ascontiguousarray(rows).tobytes())
        channel.receive(1)
        return Ended(dealt=draw.batch.count, role=role)

    def _asked(self, connection: socket.socket, version: int, role: str, fingerprint: bytes) -> Denial:
        if version != VERSION:
            return Denial.VERSION
        if fingerprint != bytes.fromhex(self._plan.fingerprint):
            return Denial.PLAN
        if role not in ROLES or not _is_called(connection, self._names[role]):
            return Denial.ROLE
        return Denial.NONE

    def _draw(self, role: str) -> Draw | None:
        """The oldest batch of which the other party has its half, or a new one; it waits for the other party, then."""
        other = ROLES[1 - ROLES.index(role)]
        with self._lock:
            if self._waiting[role]:
                return self._waiting[role].popleft()
            if len(self._waiting[other]) >= MOST_WAITING:
                return None
            draw = Draw(self._plan, self._count)
            self._waiting[other].append(draw)
            return draw


def _is_called(connection: socket.socket, name: str) -> bool:
    """Whether the certificate of whoever is at the other end has a common name."""
    if not isinstance(connection, ssl.SSLSocket):
        return True
    certificate = connection.getpeercert(True)
    if certificate is None:
        return False
    found = x509.load_der_x509_certificate(certificate).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return [attribute.value for attribute in found] == [name]
