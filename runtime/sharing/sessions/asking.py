"""A client that is connected: queries about any number of rows, with blocks leased ahead of them or as they go.

A lease takes a round trip and waits for the disk on both sides. Made ahead, between queries, it costs these nothing.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.connections.tls import client_context
from hecc.runtime.errors import HeccError, InputError
from hecc.runtime.figures import count_words
from hecc.runtime.plan.sessions import Address, Answer, Connected, Steps, Traffic, Trust
from hecc.runtime.sharing.arithmetic.rings import Elements
from hecc.runtime.sharing.parties.clear import integers_of, values_of
from hecc.runtime.sharing.plan.plan import SharingPlan
from hecc.runtime.sharing.sessions.client import Lease, SharingClient
from hecc.runtime.sharing.sessions.hello import MOST_ROWS
from hecc.runtime.sharing.sessions.listening import connect
from hecc.runtime.sharing.sessions.slices import rows_at_once
from hecc.runtime.sharing.sessions.wire import IDLE
from hecc.runtime.tail.outcomes import finished

__all__ = ["Asking"]


class Asking(Connected):
    """See :class:`hecc.runtime.plan.sessions.Connected`.

    Parameters
    ----------
    lease
        Blocks to lease ahead; ``None`` leases what each part of a query takes, when it takes it, so that a session that
        ends early burns no more than that.

    Raises
    ------
    InputError, FileFormatError, KeyMismatchError, PeerError
        As :class:`SharingClient`; nobody listens there, or no blocks are left.
    """

    def __init__(
        self, plan: SharingPlan, address: Address, *, material: Path, trust: Trust | None, lease: int | None
    ) -> None:
        if lease is not None and not 1 <= lease <= MOST_ROWS:
            raise InputError(f"a lease of {lease} blocks; give 1 to {MOST_ROWS}")
        self._plan, self._address, self._material, self._ahead = plan, address, material, lease
        self._context: ssl.SSLContext | None = None if trust is None else client_context(*trust)
        self._leases: deque[Lease] = deque()
        self._connection: socket.socket | None = None
        self._used = time.monotonic()
        self._lock = threading.Lock()
        self._renewing: threading.Thread | None = None
        self._client = SharingClient(plan, material)
        try:
            if lease is not None:
                self._lease(lease)
        except BaseException:
            self.close()
            raise

    def query(self, rows: Mapping[str, NDArray[np.float64]], *, progress: Steps | None = None) -> Answer:
        """Ask about rows.

        Raises
        ------
        InputError
            There are not so many blocks.
        PeerError
            The server left, was silent, refuses, or sent something else than was due. What was leased is burnt.
        """
        tell = progress or (lambda done, total: None)
        integers = integers_of(self._plan.header, rows)
        total = len(next(iter(integers.values())))
        with self._lock:
            start, before = time.perf_counter(), (self._client.sent, self._client.received)
            self._forget_old()
            self._check_left(total)
            parts, done = [], 0
            while done < total:
                tell(done, total)
                lease = self._next(total - done)
                end = min(total, done + lease.left, done + rows_at_once(self._plan.header.cost))
                found = self._asked(lease, {name: x[done:end] for name, x in integers.items()})
                parts.append(values_of(self._plan.header, self._plan.checked, found))
                done = end
            tell(total, total)
            client = self._client
            traffic = Traffic(client.sent - before[0], client.received - before[1], time.perf_counter() - start)
            left = max(client.prepared - client.next, 0) + sum(each.left for each in self._leases)
        self._renew()
        values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return Answer(finished(self._plan.header, values), left, traffic)

    def close(self) -> None:
        """Leave; what is left of leases is burnt."""
        if self._renewing is not None:
            self._renewing.join()
            self._renewing = None
        self._leave()
        self._client.close()

    def _check_left(self, rows: int) -> None:
        left = self._client.batch.count - self._client.next + sum(lease.left for lease in self._leases)
        if rows > left:
            raise InputError(
                f"{self._material}: {count_words(rows, 'row')} {'needs' if rows == 1 else 'need'} a block of material "
                f"each, and {left} are left; deal another batch"
            )

    def _next(self, rows: int) -> Lease:
        """A lease with at least one block, made now if there is none."""
        while self._leases and not self._leases[0].left:
            self._leases.popleft()
        if not self._leases:
            at_once = rows_at_once(self._plan.header.cost)
            self._lease(min(rows, at_once) if self._ahead is None else max(min(rows, MOST_ROWS), self._ahead))
        return self._leases[0]

    def _lease(self, rows: int) -> None:
        """Lease blocks, as far as there are so many."""
        if self._connection is None:
            self._connection = connect(*self._address, self._context)
        left = self._client.batch.count - self._client.next
        self._leases.append(self._client.lease(self._connection, max(1, min(rows, left))))
        self._used = time.monotonic()

    def _asked(self, lease: Lease, integers: Mapping[str, NDArray[np.int64]]) -> dict[str, Elements]:
        try:
            found = lease.query(integers)
        except BaseException:
            # The connection is in the middle of something, whatever it was.
            self._leave()
            raise
        self._used = time.monotonic()
        return found

    def _renew(self) -> None:
        """Lease more beside what whoever asked does next, if less than half is left."""
        if self._ahead is None or (self._renewing is not None and self._renewing.is_alive()):
            return
        ready = min(self._client.prepared - self._client.next, self._ahead)
        if ready < 1 or 2 * sum(lease.left for lease in self._leases) >= self._ahead:
            return
        self._renewing = threading.Thread(target=self._lease_beside, args=(ready,), name="lease", daemon=True)
        self._renewing.start()

    def _lease_beside(self, rows: int) -> None:
        # What is wrong the next query finds out, and says.
        with self._lock, contextlib.suppress(HeccError):
            self._lease(rows)

    def _forget_old(self) -> None:
        """Leave a server that may have left already; the next lease connects again."""
        if time.monotonic() - self._used > IDLE / 2:
            self._leave()

    def _leave(self) -> None:
        self._leases.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
