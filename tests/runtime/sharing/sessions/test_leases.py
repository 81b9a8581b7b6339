"""Blocks that are leased ahead: used in order and once, burnt when a session ends, and renewed between queries."""

import socket
import struct
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hecc.runtime.errors import FileFormatError, InputError, PeerError
from hecc.runtime.plan.sessions import Address, Ended
from hecc.runtime.sharing.arithmetic.rings import signed
from hecc.runtime.sharing.parties.dealing import deal
from hecc.runtime.sharing.sessions import asking
from hecc.runtime.sharing.sessions.asking import Asking
from hecc.runtime.sharing.sessions.client import SharingClient
from hecc.runtime.sharing.sessions.interactive import INTERACTIVE
from hecc.runtime.sharing.sessions.server import SharingServer

sys.path.insert(0, str(Path(__file__).parent))
from session_thread import Session
from small_plan import PLAN, drawn, in_clear

COUNT = 40
SLACK = np.abs(PLAN.secrets.weights["w"]).sum(axis=1).max()


class Counting(SharingServer):
    """Keeps the blocks of every query."""

    def __init__(self, path):
        super().__init__(PLAN, path, deadline=5.0)
        self.blocks = []

    def _evaluate(self, channel, leased, rows):
        self.blocks.append((leased[0].start, rows) if leased else None)
        return super()._evaluate(channel, leased, rows)


@pytest.fixture
def server(tmp_path):
    deal(PLAN, COUNT, tmp_path / "s", tmp_path / "c")
    made = Counting(tmp_path / "s")
    yield made
    made.close()


@pytest.fixture
def client(server, tmp_path):
    made = SharingClient(PLAN.client(), tmp_path / "c", deadline=5.0)
    yield made
    made.close()


def right(found, x):
    assert np.abs(signed(found["y"], 24) - in_clear(x)).max() <= SLACK


def test_queries_of_a_session_use_the_next_blocks_of_its_lease_and_the_rest_is_burnt(server, client):
    session = Session(server)
    with session as connection:
        client.prepare(connection, 0, COUNT)
        lease = client.lease(connection, 10)
        for number, rows in enumerate((1, 3, 2)):
            right(lease.query({"x": drawn(rows, number)}), drawn(rows, number))
        assert lease.left == 4
        with pytest.raises(InputError, match="5 rows, and 4 are leased"):
            lease.query({"x": drawn(5)})
    assert session.result == Ended(evaluated=6, prepared=COUNT)
    assert server.blocks == [(0, 1), (1, 3), (4, 2)]
    # Gone from both files and both ledgers, whether they were used or not.
    assert client.next == server._ledger.next == 10
    for block in range(10):
        with pytest.raises(FileFormatError, match=f"block {block} is gone"):
            server._material.read(block, 1)
    server._material.read(10, 1)
    with pytest.raises(FileFormatError, match="are gone"):
        client._material.peek(9, 1)


def test_several_leases_of_a_session_are_used_one_after_the_other(server, client):
    session = Session(server)
    with session as connection:
        client.prepare(connection, 0, COUNT)
        first, second = client.lease(connection, 2), client.lease(connection, 3)
        right(first.query({"x": drawn(2)}), drawn(2))
        right(second.query({"x": drawn(3)}), drawn(3))
    assert server.blocks == [(0, 2), (2, 3)]


@pytest.mark.parametrize("rows", [0, 3, 1 << 31])
def test_a_query_for_more_than_is_leased_ends_the_session(server, client, rows):
    session = Session(server)
    with session as connection:
        client.prepare(connection, 0, COUNT)
        client.lease(connection, 2)
        connection.sendall(struct.pack("<II", 4, rows))
        assert connection.recv(1) == b""
    assert isinstance(session.result, PeerError)
    assert "blocks leased" in str(session.result)


def test_a_client_cannot_make_the_server_hold_more_rows_than_it_would(server, client):
    server._rows_at_once = server._blocks_at_once = 4
    with Session(server) as connection, pytest.raises(PeerError, match="no blocks for so many rows"):
        client.prepare(connection, 0, 5)
    session = Session(server)
    with session as connection:
        for first in range(0, 8, 4):
            client.prepare(connection, first, 4)
        lease = client.lease(connection, 8)
        right(lease.query({"x": drawn(4)}), drawn(4))
        with pytest.raises(PeerError):
            client.lease(connection, 8)
    session = Session(server)
    with session as connection:
        client.prepare(connection, 8, 4)
        client.prepare(connection, 12, 4)
        lease = client.lease(connection, 8)
        with pytest.raises(PeerError):
            lease.query({"x": drawn(5)})
    assert "a query of 5 rows, and 4 are evaluated at once" in str(session.result)


def test_a_query_without_a_lease_ends_the_session(server, client):
    session = Session(server)
    with session as connection:
        connection.sendall(struct.pack("<II", 4, 1))
        assert connection.recv(1) == b""
    assert "with 0 blocks leased" in str(session.result)


def test_a_client_that_only_leases_is_told_of(server, client):
    session = Session(server)
    with session as connection:
        client.prepare(connection, 0, COUNT)
    session = Session(server)
    with session as connection:
        client.lease(connection, 5)
    assert "left before it asked for anything; what it leased is burnt" in str(session.result)


def test_a_lease_that_failed_has_nothing_left(server, client):
    session = Session(server)
    with session as connection:
        client.prepare(connection, 0, COUNT)
        lease = client.lease(connection, 5)
        connection.shutdown(socket.SHUT_RDWR)
        with pytest.raises(PeerError):
            lease.query({"x": drawn(1)})
        assert lease.left == 0


@pytest.fixture
def listening(tmp_path):
    deal(PLAN, COUNT, tmp_path / "s", tmp_path / "c")
    ends = []
    service = INTERACTIVE.serve(PLAN, Address("127.0.0.1", 0), material=tmp_path / "s", trust=None, told=ends.append)
    with service:
        INTERACTIVE.prepare(
            PLAN, service.address, material=tmp_path / "c", trust=None, count=None, again=False, progress=None
        )
        yield service, ends


def connected(service, tmp_path, lease):
    return INTERACTIVE.connect(PLAN, service.address, material=tmp_path / "c", trust=None, lease=lease)


def answered(made, rows, seed=0):
    x = drawn(rows, seed)
    answer = made.query({"x": x.astype(float)})
    assert np.abs(answer.outputs["y"] - in_clear(x)).max() <= SLACK
    return answer


def test_a_connection_leases_more_between_queries_until_the_material_ends(listening, tmp_path):
    service, ends = listening
    with connected(service, tmp_path, 8) as made:
        assert isinstance(made, Asking)
        for number in range(20):
            answered(made, 2, number)
            if made._renewing is not None:
                made._renewing.join()
        with pytest.raises(InputError, match="1 row needs a block of material each, and 0 are left"):
            answered(made, 1)
    service.close()
    assert ends[-1].evaluated == COUNT


def test_a_query_on_a_lease_waits_for_nothing_but_the_gates(listening, tmp_path, monkeypatch):
    service, _ = listening
    with connected(service, tmp_path, 20) as made:
        monkeypatch.setattr("os.fsync", lambda _: pytest.fail("a query waited for a disk"))
        answer = answered(made, 1)
        # Payload, with the lengths of messages and the number of rows: no hello.
        cost = PLAN.header.cost
        assert answer.traffic.sent == cost.client_bytes + 3 * 4 + 8
        assert answer.traffic.received == cost.server_bytes + 3 * 4
        monkeypatch.undo()


def test_a_query_larger_than_the_lease_is_answered(listening, tmp_path):
    service, _ = listening
    with connected(service, tmp_path, 3) as made:
        answered(made, 11)


def test_a_connection_that_the_server_may_have_left_is_made_again(listening, tmp_path, monkeypatch):
    service, ends = listening
    with connected(service, tmp_path, 4) as made:
        answered(made, 1)
        monkeypatch.setattr(asking, "IDLE", 0.2)
        time.sleep(0.3)
        answered(made, 1)
    service.close()
    assert [end.evaluated for end in ends if end.evaluated] == [1, 1]


def test_after_a_failure_the_next_query_connects_again(listening, tmp_path):
    service, _ = listening
    with connected(service, tmp_path, 4) as made:
        answered(made, 1)
        made._connection.shutdown(socket.SHUT_RDWR)
        with pytest.raises(PeerError):
            answered(made, 1)
        answered(made, 1)


@pytest.mark.parametrize("lease", [0, -1, 1 << 20])
def test_a_lease_that_makes_no_sense_is_refused(listening, tmp_path, lease):
    service, _ = listening
    with pytest.raises(InputError, match="blocks; give 1 to"):
        connected(service, tmp_path, lease)
