"""Sessions as the verbs have them: any number of rows, cut into sessions that fit into memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.connections.tls import client_context, server_context
from hecc.runtime.errors import HeccError, InputError
from hecc.runtime.figures import count_words
from hecc.runtime.plan.sessions import Address, Answer, Ended, Interactive, Prepared, Service, Steps, Traffic, Trust
from hecc.runtime.sharing.material.ledger import ledger_path
from hecc.runtime.sharing.parties.clear import integers_of, values_of
from hecc.runtime.sharing.parties.dealing import deal
from hecc.runtime.sharing.plan.plan import SharingPlan
from hecc.runtime.sharing.sessions.client import SharingClient
from hecc.runtime.sharing.sessions.listening import Listener, connect
from hecc.runtime.sharing.sessions.server import SharingServer
from hecc.runtime.sharing.sessions.slices import blocks_at_once, rows_at_once
from hecc.runtime.tail.outcomes import finished

__all__ = ["INTERACTIVE"]


class _Listening(Service):
    """See :class:`hecc.runtime.plan.sessions.Service`."""

    def __init__(self, server: SharingServer, listener: Listener, host: str, told: Callable[[Ended], None]) -> None:
        self._server, self._listener = server, listener
        self._address, self._closed = Address(host, listener.port), False
        self._thread = threading.Thread(
            target=listener.serve, args=(lambda end: told(_ended(end)),), name="listener", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> Address:
        return self._address

    def wait(self) -> None:
        self._thread.join()

    def close(self) -> None:
        """Listen no more, and end the sessions that are going on, whose blocks are burnt."""
        if not self._closed:
            self._closed = True
            self._listener.close()
            self._thread.join()
            self._server.close()


def _ended(end: Ended | HeccError) -> Ended:
    return Ended(error=end) if isinstance(end, HeccError) else end


class _Sharing:
    """See :class:`hecc.runtime.plan.sessions.Interactive`."""

    def deal(self, plan: SharingPlan, count: int, server: Path, client: Path, *, progress: Steps | None) -> None:
        """Write a batch of material."""
        if count < 1:
            raise InputError(f"{count} blocks of material; deal at least one")
        # Material in use must not be replaced: its ledger, and what is prepared of it, would be of another batch.
        for path in (server, client):
            for each in (path, ledger_path(path)):
                if each.exists():
                    raise InputError(f"{each}: this is there already, perhaps in use; give another name, or remove it")
        deal(plan, count, server, client, progress=progress)

    def prepare(
        self,
        plan: SharingPlan,
        address: Address,
        *,
        material: Path,
        trust: Trust | None,
        count: int | None,
        again: bool,
        progress: Steps | None,
    ) -> Prepared:
        """Send a server its part of blocks, which depends on no input."""
        tell = progress or (lambda done, total: None)
        with _client(plan, material) as client:
            first = client.next if again else client.prepared
            left = client.batch.count - first
            if count is not None and not 1 <= count <= left:
                raise InputError(
                    f"{material}: {count_words(count, 'block')} to prepare, and {left} of the batch are not prepared; "
                    "give --count from 1 to that, or deal another batch"
                )
            total = left if count is None else count
            at_once = blocks_at_once(plan.header.cost)
            context = None if trust is None else client_context(*trust)
            start = time.perf_counter()
            for begin in range(0, total, at_once):
                tell(begin, total)
                with connect(*address, context) as connection:
                    client.prepare(connection, first + begin, min(at_once, total - begin))
            tell(total, total)
            return Prepared(first, total, client.prepared - client.next, _traffic(client, start))

    def serve(
        self,
        plan: SharingPlan,
        address: Address,
        *,
        material: Path,
        trust: Trust | None,
        told: Callable[[Ended], None],
    ) -> Service:
        """Listen, with one batch of material."""
        context = None if trust is None else server_context(*trust)
        server = SharingServer(plan, material)
        try:
            listener = Listener(server, address.host, address.port, context)
        except BaseException:
            server.close()
            raise
        return _Listening(server, listener, address.host, told)

    def query(
        self,
        plan: SharingPlan,
        address: Address,
        rows: Mapping[str, NDArray[np.float64]],
        *,
        material: Path,
        trust: Trust | None,
        progress: Steps | None,
    ) -> Answer:
        """Ask a server about rows, with a block of material for each."""
        tell = progress or (lambda done, total: None)
        integers = integers_of(plan.header, rows)
        total = len(next(iter(integers.values())))
        at_once = rows_at_once(plan.header.cost)
        context = None if trust is None else client_context(*trust)
        parts: list[dict[str, NDArray[np.float64]]] = []
        with _client(plan, material) as client:
            left = client.batch.count - client.next
            if total > left:
                raise InputError(
                    f"{material}: {count_words(total, 'row')} need a block of material each, and {left} are left; "
                    "deal another batch"
                )
            start = time.perf_counter()
            for begin in range(0, total, at_once):
                tell(begin, total)
                some = {name: values[begin : begin + at_once] for name, values in integers.items()}
                with connect(*address, context) as connection:
                    found = client.query(connection, some)
                parts.append(values_of(plan.header, plan.checked, found))
            tell(total, total)
            traffic, prepared = _traffic(client, start), max(client.prepared - client.next, 0)
        values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return Answer(finished(plan.header, values), prepared, traffic)


@contextmanager
def _client(plan: SharingPlan, material: Path) -> Iterator[SharingClient]:
    client = SharingClient(plan, material)
    try:
        yield client
    finally:
        client.close()


def _traffic(client: SharingClient, start: float) -> Traffic:
    return Traffic(client.sent, client.received, time.perf_counter() - start)


INTERACTIVE: Interactive = _Sharing()
