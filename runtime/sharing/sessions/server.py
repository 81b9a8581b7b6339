"""The server's side of sessions: each on a connection of its own, several at a time, with one batch of material."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from collections import deque
from functools import partial
from pathlib import Path

import numpy as np

from hecc.runtime.errors import InputError, PeerError
from hecc.runtime.files.atomic import read_regular, writing
from hecc.runtime.plan.sessions import Ended
from hecc.runtime.sharing.arithmetic.packing import pack
from hecc.runtime.sharing.gates.parties import Weights
from hecc.runtime.sharing.material.files import ServerMaterial
from hecc.runtime.sharing.material.ledger import ledger_of
from hecc.runtime.sharing.material.tapes import BlockTape
from hecc.runtime.sharing.material.uploads import Uploads
from hecc.runtime.sharing.parties.dealing import weight_tape
from hecc.runtime.sharing.parties.rounds import as_elements, differences, serve, weight_masks
from hecc.runtime.sharing.parties.walk import program_cost, weight_shapes
from hecc.runtime.sharing.plan.plan import SharingPlan
from hecc.runtime.sharing.sessions.hello import HELLO_BYTES, MOST_ROWS, QUERY, Hello, Purpose, answer, read_hello
from hecc.runtime.sharing.sessions.slices import blocks_at_once, rows_at_once
from hecc.runtime.sharing.sessions.wire import DEADLINE, IDLE, SocketChannel

__all__ = ["SharingServer", "uploads_path"]


def uploads_path(material: Path) -> Path:
    """The file beside the server's material that keeps what clients sent ahead."""
    return material.with_name(f"{material.name}.uploads")


class SharingServer:
    """A plan with material, made ready to serve.

    Parameters
    ----------
    plan
        The server's.
    material
        The server's file of a batch.
    deadline
        Seconds for each message.

    Raises
    ------
    InputError, FileFormatError, KeyMismatchError
        A file is missing, damaged, of another kind or for another plan.
    """

    def __init__(self, plan: SharingPlan, material: Path, *, deadline: float = DEADLINE) -> None:
        plan.require_program()
        assert plan.secrets is not None, "the plan is the server's"
        self._checked, self._secrets, self._deadline = plan.checked, plan.secrets, deadline
        # Whoever is certified may not fill the memory all the same.
        self._rows_at_once, self._blocks_at_once = rows_at_once(plan.header.cost), blocks_at_once(plan.header.cost)
        self._material = ServerMaterial(material, plan.fingerprint)
        batch = self._material.batch
        self._ledger = ledger_of(material, batch)
        self._uploads = Uploads(uploads_path(material), program_cost(self._checked).upload_bytes)
        self._owner = material.with_name(f"{material.name}.owner")
        self._shapes = weight_shapes(self._checked.program)
        masks = weight_masks(self._shapes, weight_tape(self._material.weight_seed, batch))
        self._differences: Weights = differences(self._shapes, as_elements(self._secrets.weights), masks)

    def session(self, connection: socket.socket) -> Ended:
        """Serve one client until it leaves; for several threads at once.

        It says hello for each lease of blocks, and for each preparation; queries use what is leased.

        Returns
        -------
        Ended
            What was evaluated or prepared; nothing if the client was refused.

        Raises
        ------
        PeerError
            The client left, was silent, or sent something else than was due. Its blocks are burnt.
        """
        channel = SocketChannel(connection, self._deadline)
        leased: deque[range] = deque()
        evaluated = prepared = refused = 0
        try:
            while not refused:
                begun = evaluated or prepared or leased
                asked = channel.receive_unless_over((QUERY.size, HELLO_BYTES), IDLE if begun else self._deadline)
                if asked is None:
                    break
                if len(asked) == QUERY.size:
                    evaluated += self._evaluate(channel, leased, *QUERY.unpack(asked))
                    continue
                room = MOST_ROWS - sum(map(len, leased))
                agreed = answer(
                    channel,
                    read_hello(asked),
                    self._material.batch,
                    partial(self._reserve, room=room),
                    lambda: self._is_owner(connection),
                )
                if agreed is None:
                    refused = 1
                elif agreed[0].purpose is Purpose.PREPARATION:
                    prepared += self._prepare(channel, agreed[1], agreed[0].rows)
                else:
                    leased.append(range(agreed[1], agreed[1] + agreed[0].rows))
        finally:
            # What is left of leases is burnt.
            for blocks in leased:
                self._material.discard(blocks.start, len(blocks))
        if not (evaluated or prepared or refused):
            raise PeerError("the client left before it asked for anything; what it leased is burnt")
        return Ended(evaluated=evaluated, prepared=prepared)

    def _evaluate(self, channel: SocketChannel, leased: deque[range], rows: int) -> int:
        """Answer a query about so many rows, with the next blocks of the oldest lease."""
        blocks = leased[0] if leased else range(0)
        if not 1 <= rows <= len(blocks):
            raise PeerError(f"a query of {rows} rows with {len(blocks)} blocks leased; the client runs another version")
        if rows > self._rows_at_once:
            raise PeerError(f"a query of {rows} rows, and {self._rows_at_once} are evaluated at once")
        leased[0] = blocks[rows:]
        if not leased[0]:
            leased.popleft()
        try:
            serve(
                self._checked,
                rows,
                shares=BlockTape(self._material.read(blocks.start, rows)),
                upload=BlockTape(self._uploads.read(blocks.start, rows)),
                channel=channel,
                weights=self._secrets.weights,
                biases=self._secrets.biases,
            )
        finally:
            self._material.discard(blocks.start, rows)
        return rows

    def close(self) -> None:
        """Close the files."""
        self._material.close()

    def _is_owner(self, connection: socket.socket) -> bool:
        """Whether the batch is of whoever is at the other end: of the first certificate that it was used with.

        Somebody else, who knows its name, could burn its blocks, or prepare them with numbers of his own.
        """
        certificate = connection.getpeercert(True) if isinstance(connection, ssl.SSLSocket) else None
        identity = hashlib.sha256(certificate or b"nobody: a plain connection").digest()
        with writing(self._owner):
            try:
                handle = os.open(self._owner, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                return read_regular(self._owner, len(identity)) == identity
            try:
                os.write(handle, identity)
                os.fsync(handle)
            finally:
                os.close(handle)
        return True

    def _reserve(self, hello: Hello, room: int) -> int:
        if hello.rows > room:
            raise InputError("a session leases no more blocks at once")
        if hello.purpose is Purpose.PREPARATION:
            if hello.rows > self._blocks_at_once:
                raise InputError("more blocks than are prepared at once")
            if hello.proposal + hello.rows > self._material.batch.count:
                raise InputError("there are not so many blocks")
            return hello.proposal
        # Blocks that are not prepared are not burnt, unless another session takes those before in this moment.
        self._check_prepared(max(self._ledger.next, hello.proposal), hello.rows)
        first = self._ledger.reserve(hello.rows, hello.proposal)
        self._check_prepared(first, hello.rows)
        return first

    def _check_prepared(self, first: int, rows: int) -> None:
        if not self._uploads.has(first, rows):
            raise InputError(f"blocks from {first} on are not prepared; let the client prepare them")

    def _prepare(self, channel: SocketChannel, first: int, rows: int) -> int:
        """Give the client the weights less their masks, and keep what it makes of them."""
        parts = [pack(self._differences[name].reshape(-1), ring) for name, (_, ring) in self._shapes.items()]
        channel.send(b"".join(part.tobytes() for part in parts))
        size = program_cost(self._checked).upload_bytes
        data = np.frombuffer(channel.receive(rows * size), dtype=np.uint8)
        self._uploads.store(first, data.reshape(rows, size))
        channel.send(b"\0")
        return rows
