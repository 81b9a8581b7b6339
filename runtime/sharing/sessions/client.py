"""The client's side of sessions: it prepares blocks ahead of its inputs, and queries with prepared ones."""

from __future__ import annotations

import hashlib
import math
import socket
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import InputError, SecurityError
from hecc.runtime.figures import count_words
from hecc.runtime.files.atomic import read_regular, replacing, writing
from hecc.runtime.sharing.arithmetic.packing import Field, unpack
from hecc.runtime.sharing.arithmetic.rings import Elements
from hecc.runtime.sharing.material.files import ClientMaterial
from hecc.runtime.sharing.material.ledger import ledger_of
from hecc.runtime.sharing.parties.dealing import MASKS, SHARES, block_tape
from hecc.runtime.sharing.parties.rounds import client_results, uploads
from hecc.runtime.sharing.parties.walk import weight_shapes
from hecc.runtime.sharing.plan.plan import SharingPlan
from hecc.runtime.sharing.sessions.hello import QUERY, Purpose, agree
from hecc.runtime.sharing.sessions.wire import DEADLINE, SocketChannel

__all__ = ["Lease", "SharingClient"]

_NOTE_BYTES = 8


class Lease:
    """Blocks of one session that are reserved on both sides, for its queries.

    Attributes
    ----------
    first
        The first block that no query has used.
    """

    def __init__(self, client: SharingClient, connection: socket.socket, first: int, seeds: Sequence[bytes]) -> None:
        self._client, self._connection = client, connection
        self.first, self._seeds = first, deque(seeds)

    @property
    def left(self) -> int:
        """Examples that can still be asked about."""
        return len(self._seeds)

    def query(self, inputs: Mapping[str, NDArray[np.int64]]) -> dict[str, Elements]:
        """The results of examples, by the outputs' names; inputs are of shape (rows, size).

        Raises
        ------
        InputError
            They are more than blocks are left.
        PeerError
            The server left, was silent, refuses, or sent something else than was due. All of the lease is burnt.
        """
        rows, first = len(next(iter(inputs.values()))), self.first
        if rows > self.left:
            raise InputError(f"{count_words(rows, 'row')}, and {self.left} are leased; ask about fewer, or lease more")
        # Gone before anything is sent: whatever happens, no other query finds them.
        seeds = [self._seeds.popleft() for _ in range(rows)]
        self.first += rows
        try:
            return self._client._asked(self._connection, inputs, first, seeds)
        except BaseException:
            self._seeds.clear()
            raise


class SharingClient:
    """A plan with material, on the client's side.

    Parameters
    ----------
    plan
        Either file of it.
    material
        The client's file of a batch.
    deadline
        Seconds for each message.

    Attributes
    ----------
    batch
        What the material is of.
    sent, received
        Bytes of all sessions so far, with the lengths of messages.

    Raises
    ------
    InputError, FileFormatError, KeyMismatchError
        A file is missing, damaged, of another kind or for another plan.
    """

    def __init__(self, plan: SharingPlan, material: Path, *, deadline: float = DEADLINE) -> None:
        self._checked, self._deadline = plan.checked, deadline
        self._material = ClientMaterial(material, plan.fingerprint)
        self.batch = self._material.batch
        self._ledger = ledger_of(material, self.batch)
        self._model = material.with_name(f"{material.name}.model")
        self._note = material.with_name(f"{material.name}.prepared")
        self.sent = self.received = 0

    @property
    def next(self) -> int:
        """The first block that is not used.

        Raises
        ------
        InputError, FileFormatError
            The ledger is missing, or not the one of this batch.
        """
        return self._ledger.next

    @property
    def prepared(self) -> int:
        """The first block that is neither prepared nor used.

        A note says so, for the user's comfort only: what a server has, only the server knows.
        """
        noted = 0
        if self._note.exists():
            with writing(self._note):
                noted = int.from_bytes(read_regular(self._note, _NOTE_BYTES), "little")
        return min(max(noted, self.next), self.batch.count)

    def prepare(self, connection: socket.socket, first: int, rows: int) -> None:
        """Send the server what it needs of blocks ahead of the inputs.

        Raises
        ------
        PeerError
            The server left, was silent, refuses, or sent something else than was due.
        SecurityError
            The server shows other weights, or masks, than before.
        """
        with self._channel(connection) as channel:
            self._prepare(channel, first, rows)
        if first <= self.prepared < first + rows:
            with replacing(self._note, secret=True) as file:
                file.write((first + rows).to_bytes(_NOTE_BYTES, "little"))

    def _prepare(self, channel: SocketChannel, first: int, rows: int) -> None:
        first = agree(channel, self.batch, Purpose.PREPARATION, rows, first)
        shapes = weight_shapes(self._checked.program)
        fields = {name: (shape, Field(math.prod(shape), ring)) for name, (shape, ring) in shapes.items()}
        data = channel.receive(sum(field.bytes for _, field in fields.values()))
        self._bind(data)
        found, at, raw = {}, 0, np.frombuffer(data, dtype=np.uint8)
        for name, (shape, field) in fields.items():
            found[name] = unpack(raw[at : at + field.bytes], field.size, field.width).reshape(shape)
            at += field.bytes
        seeds = self._material.peek(first, rows)
        tape = block_tape(seeds, MASKS, self.batch, first)
        channel.send(uploads(self._checked, rows, masks=tape, weights=found).tobytes())
        channel.receive(1)

    def query(self, connection: socket.socket, inputs: Mapping[str, NDArray[np.int64]]) -> dict[str, Elements]:
        """The results of examples, by the outputs' names; inputs are of shape (rows, size). That ends the session.

        Raises
        ------
        PeerError
            The server left, was silent, refuses, or sent something else than was due. The blocks are burnt.
        SecurityError
            The server reserved blocks that are gone.
        """
        return self.lease(connection, len(next(iter(inputs.values())))).query(inputs)

    def lease(self, connection: socket.socket, rows: int) -> Lease:
        """Blocks for so many examples, for queries over this connection.

        Raises
        ------
        PeerError, SecurityError
            As :meth:`query`.
        """
        with self._channel(connection) as channel:
            first = agree(channel, self.batch, Purpose.INFERENCE, rows, self._ledger.next)
            first = self._ledger.reserve(rows, first, at_least=False)
            return Lease(self, connection, first, self._material.take(first, rows))

    def _asked(
        self,
        connection: socket.socket,
        inputs: Mapping[str, NDArray[np.int64]],
        first: int,
        seeds: Sequence[bytes],
    ) -> dict[str, Elements]:
        """A query with blocks that are reserved, and used for nothing else."""
        with self._channel(connection) as channel:
            channel.hold(QUERY.pack(len(seeds)))
            return client_results(
                self._checked,
                inputs,
                masks=block_tape(seeds, MASKS, self.batch, first),
                shares=block_tape(seeds, SHARES, self.batch, first),
                channel=channel,
            )

    def close(self) -> None:
        """Close the files."""
        self._material.close()

    @contextmanager
    def _channel(self, connection: socket.socket) -> Iterator[SocketChannel]:
        """A channel whose bytes are counted."""
        channel = SocketChannel(connection, self._deadline)
        try:
            yield channel
        finally:
            self.sent += channel.sent
            self.received += channel.received

    def _bind(self, data: bytes) -> None:
        """See that the server shows what it showed before: of two differences and one block it computes the input."""
        digest = hashlib.sha256(data).digest()
        if not self._model.exists():
            with replacing(self._model, secret=True) as file:
                file.write(digest)
            return
        with writing(self._model):
            known = read_regular(self._model, len(digest))
        if known != digest:
            raise SecurityError(
                f"{self._model}: the server shows other weights than when this material was first prepared, and with "
                "both it could compute inputs; deal new material"
            )
