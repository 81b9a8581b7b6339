"""Sessions over sockets: with files of material, in parallel, and with peers that do not do what they should."""

import contextlib
import shutil
import socket
import struct
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hecc.runtime.errors import FileFormatError, HeccError, PeerError, SecurityError
from hecc.runtime.plan.sessions import Ended
from hecc.runtime.sharing.arithmetic.rings import signed
from hecc.runtime.sharing.parties.dealing import deal
from hecc.runtime.sharing.parties.walk import program_cost
from hecc.runtime.sharing.plan.plan import SharingPlan
from hecc.runtime.sharing.sessions.client import SharingClient
from hecc.runtime.sharing.sessions.server import SharingServer

sys.path.insert(0, str(Path(__file__).parent))
from session_thread import Session
from small_plan import PLAN, PROGRAM, drawn, in_clear, plan_of

COUNT = 40
LAST = 4
"""The number of a client's last message: hello, the input, and two of the gate."""


@pytest.fixture
def material(tmp_path):
    deal(PLAN.client(), COUNT, tmp_path / "s", tmp_path / "c")
    return tmp_path / "s", tmp_path / "c"


@pytest.fixture
def server(material):
    made = SharingServer(PLAN, material[0], deadline=5.0)
    yield made
    made.close()


@pytest.fixture
def client(material):
    made = SharingClient(PLAN.client(), material[1], deadline=5.0)
    yield made
    made.close()


def prepared(server, client, first=0, rows=COUNT):
    with Session(server) as connection:
        client.prepare(connection, first, rows)


def asked(server, client, x):
    session = Session(server)
    with session as connection:
        found = client.query(connection, {"x": x})
    assert session.result == Ended(evaluated=len(x))
    return signed(found["y"], 24)


def right(found, x):
    assert np.abs(found - in_clear(x)).max() <= np.abs(PLAN.secrets.weights["w"]).sum(axis=1).max()


def test_queries_are_answered_until_the_material_is_gone(server, client):
    prepared(server, client)
    for number, rows in enumerate((1, 5, 30, 4)):
        x = drawn(rows, number)
        right(asked(server, client, x), x)
    with pytest.raises(PeerError, match="no blocks for so many rows"):
        asked(server, client, drawn(1))


def test_blocks_are_prepared_when_they_are_needed(server, client):
    with pytest.raises(PeerError, match="none that are prepared"):
        asked(server, client, drawn(1))
    prepared(server, client, 0, 3)
    right(asked(server, client, drawn(3)), drawn(3))
    prepared(server, client, 3, 4)
    prepared(server, client, 3, 6)
    right(asked(server, client, drawn(5)), drawn(5))


def test_sessions_run_in_parallel(server, client, material):
    prepared(server, client)
    results = {}

    def run(seed):
        own = SharingClient(PLAN.client(), material[1], deadline=10.0)
        try:
            results[seed] = asked(server, own, drawn(2, seed))
        except HeccError as error:
            results[seed] = error
        finally:
            own.close()

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answered = {seed: found for seed, found in results.items() if not isinstance(found, HeccError)}
    for seed, found in answered.items():
        right(found, drawn(2, seed))
    # Clients that share a file may meet at one block: one of them is refused, and none gets a wrong answer.
    assert answered
    assert all(
        isinstance(found, SecurityError | PeerError | FileFormatError)
        for s, found in results.items()
        if s not in answered
    )
    right(asked(server, client, drawn(1)), drawn(1))


def test_ledgers_that_are_older_copies_are_refused(server, client, material, tmp_path):
    """Each alone does no harm: the larger number counts."""
    prepared(server, client)
    ledgers = [path.with_name(f"{path.name}.ledger") for path in material]
    old = [path.read_bytes() for path in ledgers]
    right(asked(server, client, drawn(3)), drawn(3))
    ledgers[0].write_bytes(old[0])
    right(asked(server, client, drawn(2)), drawn(2))
    ledgers[1].write_bytes(old[1])
    right(asked(server, client, drawn(2)), drawn(2))
    # Both: then what was used is gone from the files, at least.
    for path, content in zip(ledgers, old, strict=True):
        path.write_bytes(content)
    with pytest.raises(HeccError):
        asked(server, client, drawn(1))


def test_another_plan_or_batch_is_refused(server, client, material, tmp_path):
    prepared(server, client)
    deal(PLAN, 3, tmp_path / "s2", tmp_path / "c2")
    other = SharingClient(PLAN.client(), tmp_path / "c2", deadline=5.0)
    with pytest.raises(PeerError, match="material is of another batch"):
        asked(server, other, drawn(1))
    other.close()
    retrained = plan_of(1)
    deal(retrained, 3, tmp_path / "s3", tmp_path / "c3")
    other = SharingClient(retrained.client(), tmp_path / "c3", deadline=5.0)
    with pytest.raises(PeerError, match="it has another plan"):
        asked(server, other, drawn(1))
    other.close()
    right(asked(server, client, drawn(1)), drawn(1))


def test_a_server_that_shows_other_weights_for_the_same_blocks_is_refused(server, client, material):
    """The second of two differences E is not answered: d' - d = (E' - E) r would tell the server r."""
    prepared(server, client, 0, 2)
    changed = replace(PLAN.secrets, weights={**PLAN.secrets.weights, "v": PLAN.secrets.weights["v"] + 1})
    broken = SharingServer(SharingPlan(PLAN.header, PROGRAM, changed), material[0], deadline=5.0)
    with pytest.raises(SecurityError, match="shows other weights"):
        prepared(broken, client, 0, 2)
    broken.close()


def test_a_client_that_prepares_a_block_differently_is_refused(server, client, material):
    prepared(server, client, 0, 2)
    session = Session(server)
    with session as connection:
        hello = struct.pack(
            "<4sHHI32s16sQ", b"HECS", 2, 2, 1, bytes.fromhex(PLAN.fingerprint), bytes.fromhex(client.batch.batch), 0
        )
        connection.sendall(struct.pack("<I", len(hello)) + hello)
        size = program_cost(PLAN.checked).upload_bytes
        connection.recv(1 << 16)
        connection.sendall(struct.pack("<I", size) + bytes(size))
        assert connection.recv(1 << 16) is not None
        while connection.recv(1 << 16):
            pass
    assert isinstance(session.result, SecurityError)
    right(asked(server, client, drawn(2)), drawn(2))


class Meddling:
    """A connection that does something else at one of its messages."""

    def __init__(self, connection, at, meddle):
        self._connection, self._left, self._meddle = connection, at, meddle

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def send(self, data):
        self._left -= 1
        self._connection.sendall(data) if self._left else self._meddle(self._connection, bytes(data))
        return len(data)


def leave(connection, data):
    connection.shutdown(socket.SHUT_RDWR)


def leave_halfway(connection, data):
    connection.sendall(data[: len(data) // 2])
    connection.shutdown(socket.SHUT_RDWR)


def stall(connection, data):
    connection.sendall(data[:-1])


def lengthen(connection, data):
    connection.sendall(struct.pack("<I", len(data)) + data[4:] + b"\0\0\0\0")


def repeat(connection, data):
    connection.sendall(data + data)


def promise_gigabytes(connection, data):
    connection.sendall(b"\xff\xff\xff\xff")


@pytest.mark.parametrize("meddle", [leave, leave_halfway, stall, lengthen, repeat, promise_gigabytes])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_client_that_misbehaves_burns_its_block_and_the_server_serves_on(server, client, material, meddle, at):
    server._deadline = client._deadline = 0.4
    prepared(server, client)
    session = Session(server)
    # What comes behind the last message of a query the client does not see: it has its answer.
    answered = meddle is repeat and at == LAST
    with session as connection, contextlib.nullcontext() if answered else pytest.raises(HeccError):
        client.query(Meddling(connection, at, meddle), {"x": drawn(1)})
    assert isinstance(session.result, PeerError)
    server._deadline = client._deadline = 5.0
    right(asked(server, client, drawn(2)), drawn(2))


@pytest.mark.parametrize("content", [b"", b"GET / HTTP/1.1\r\n\r\n", bytes(200)])
def test_what_does_not_speak_the_protocol_is_shown_out(server, client, content):
    prepared(server, client)
    session = Session(server)
    with session as connection:
        connection.sendall(content)
    assert isinstance(session.result, PeerError)
    right(asked(server, client, drawn(1)), drawn(1))


def test_no_file_of_one_party_has_anything_of_the_other(server, client, material, tmp_path):
    """In folders of their own, after preparation and queries: what is random in one is not in the other."""
    prepared(server, client)
    asked(server, client, drawn(3))
    sides = {}
    for side in ("s", "c"):
        folder = tmp_path / f"{side} folder"
        folder.mkdir()
        for path in tmp_path.glob(f"{side}*"):
            # Ledgers say the same on both sides: which blocks are gone.
            if path.is_file() and path.suffix != ".ledger":
                shutil.copy(path, folder)
        sides[side] = b"".join(path.read_bytes() for path in sorted(folder.iterdir()))
    for one, other in (("s", "c"), ("c", "s")):
        for start in range(0, len(sides[one]) - 32, 32):
            part = sides[one][start : start + 32]
            # Both are called by the same plan and batch, and bound to it.
            if len(set(part)) > 16 and b'"' not in part and not part.isascii():
                assert part not in sides[other]
