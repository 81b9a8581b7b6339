"""Deadlines: a peer that is slow, or takes nothing of what is sent to it, ends its session and nobody else's."""

import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from hecc.runtime.connections.tls import AUTHORITY, client_context, make_test_authority, server_context
from hecc.runtime.errors import PeerError
from hecc.runtime.plan.sessions import Ended
from hecc.runtime.sharing.parties.dealing import deal
from hecc.runtime.sharing.sessions import listening
from hecc.runtime.sharing.sessions.client import SharingClient
from hecc.runtime.sharing.sessions.listening import Listener, connect
from hecc.runtime.sharing.sessions.server import SharingServer
from hecc.runtime.sharing.sessions.wire import SocketChannel

sys.path.insert(0, str(Path(__file__).parent))
from small_plan import PLAN, drawn

DEADLINE = 0.5
LARGE = bytes(1 << 24)
"""More than the buffers of a socket hold."""


@pytest.fixture
def pair():
    """Both ends of a connection with small buffers, plain."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def secured(tmp_path):
    """Both ends of a connection by TLS."""
    make_test_authority(tmp_path / "tls")
    files = [(tmp_path / "tls" / f"{side}.pem", tmp_path / "tls" / f"{side}.key") for side in ("server", "client")]
    trusted = tmp_path / "tls" / AUTHORITY
    found = []
    with socket.create_server(("127.0.0.1", 0)) as accepting:
        address = accepting.getsockname()

        def accept():
            connection, _ = accepting.accept()
            found.append(server_context(*files[0], trusted).wrap_socket(connection, server_side=True))

        thread = threading.Thread(target=accept)
        thread.start()
        ours = connect(*address, client_context(*files[1], trusted))
        thread.join()
    with ours, found[0]:
        yield found[0], ours


@pytest.mark.parametrize("ends", ["pair", "secured"])
def test_a_message_that_nobody_takes_is_given_up_at_its_deadline(ends, request):
    sender, _ = request.getfixturevalue(ends)
    start = time.monotonic()
    with pytest.raises(PeerError, match="takes no message"):
        SocketChannel(sender, DEADLINE).send(LARGE)
    assert DEADLINE / 2 < time.monotonic() - start < 10 * DEADLINE


@pytest.mark.parametrize("ends", ["pair", "secured"])
def test_a_message_that_is_taken_byte_by_byte_is_given_up_all_the_same(ends, request):
    """A deadline for each piece would never end."""
    sender, receiver = request.getfixturevalue(ends)
    stopped = threading.Event()

    def sip():
        while not stopped.wait(DEADLINE / 10):
            receiver.recv(1)

    thread = threading.Thread(target=sip)
    thread.start()
    try:
        with pytest.raises(PeerError, match="takes no message"):
            SocketChannel(sender, DEADLINE).send(LARGE)
    finally:
        sender.close()
        stopped.set()
        thread.join()


@pytest.mark.parametrize("ends", ["pair", "secured"])
def test_a_message_that_comes_byte_by_byte_is_given_up_all_the_same(ends, request):
    receiver, sender = request.getfixturevalue(ends)
    stopped = threading.Event()

    def drip():
        sender.sendall((1000).to_bytes(4, "little"))
        while not stopped.wait(DEADLINE / 10):
            sender.sendall(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        with pytest.raises(PeerError, match="silent for too long"):
            SocketChannel(receiver, DEADLINE).receive(1000)
    finally:
        stopped.set()
        thread.join()


def test_a_client_that_stops_reading_ends_its_session_and_the_server_serves_others(tmp_path, monkeypatch):
    deal(PLAN, 8, tmp_path / "s", tmp_path / "c")
    server, ends = SharingServer(PLAN, tmp_path / "s", deadline=DEADLINE), []
    monkeypatch.setattr("hecc.runtime.sharing.sessions.server.IDLE", 2 * DEADLINE)
    listener = Listener(server, "127.0.0.1", 0, None, sessions=1)
    thread = threading.Thread(target=listener.serve, args=(ends.append,))
    thread.start()
    client = SharingClient(PLAN.client(), tmp_path / "c", deadline=5.0)
    try:
        with connect("127.0.0.1", listener.port, None) as connection:
            client.prepare(connection, 0, 8)
        with connect("127.0.0.1", listener.port, None) as deaf:
            lease = client.lease(deaf, 1)
            assert lease.left == 1
            # Nothing more is read or sent.
            start = time.monotonic()
            with connect("127.0.0.1", listener.port, None) as other:
                client.query(other, {"x": drawn(1)})
            # The one session that this server has was given free at its deadline.
            assert time.monotonic() - start < 20 * DEADLINE
    finally:
        listener.close()
        thread.join()
        server.close()
        client.close()
    assert [type(end) for end in ends if not isinstance(end, Ended)] == [PeerError]
    assert sum(end.evaluated for end in ends if isinstance(end, Ended)) == 1


def test_what_is_held_leaves_with_the_next_message(pair):
    sender, receiver = pair
    channel = SocketChannel(sender, DEADLINE)
    channel.hold(b"rows")
    channel.send(b"input")
    assert receiver.recv(1 << 10) == b"\4\0\0\0rows\5\0\0\0input"
    assert channel.sent == 17


def test_the_end_of_a_connection_is_told_from_one_that_breaks_off(pair):
    sender, receiver = pair
    channel = SocketChannel(receiver, DEADLINE)
    sender.sendall(b"\4\0\0\0rows\4\0")
    assert channel.receive_unless_over((4, 9), DEADLINE) == b"rows"
    sender.shutdown(socket.SHUT_WR)
    with pytest.raises(PeerError, match="left in the middle"):
        channel.receive_unless_over((4, 9), DEADLINE)
    assert channel.receive_unless_over((4, 9), DEADLINE) is None


class Echo:
    """Serves a byte."""

    def session(self, connection):
        connection.sendall(connection.recv(1))
        return Ended(evaluated=1)


@pytest.fixture
def guarded(tmp_path):
    """A listener with one session at a time, who lets in whom an authority has certified; and a client's context."""
    make_test_authority(tmp_path / "tls")
    trusted = tmp_path / "tls" / AUTHORITY
    theirs, ours = (
        make(tmp_path / "tls" / f"{side}.pem", tmp_path / "tls" / f"{side}.key", trusted)
        for make, side in ((server_context, "server"), (client_context, "client"))
    )
    listener = Listener(Echo(), "127.0.0.1", 0, theirs, sessions=1)
    thread = threading.Thread(target=listener.serve)
    thread.start()
    yield listener, ours
    listener.close()
    thread.join()


def echoed(port, context):
    """Seconds until a certified client has its answer."""
    start = time.monotonic()
    with connect("127.0.0.1", port, context) as connection:
        connection.sendall(b"a")
        assert connection.recv(1) == b"a"
    return time.monotonic() - start


def test_who_connects_and_says_nothing_keeps_no_session_from_others(guarded):
    listener, context = guarded
    silent = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(listening.HANDSHAKES - 1)]
    try:
        for each in silent[:4]:
            each.sendall(b"\x16\x03\x01")
        assert echoed(listener.port, context) < listening.HANDSHAKE_DEADLINE
    finally:
        for each in silent:
            each.close()


def drip(connection):
    """Begin a handshake, byte by byte."""
    for byte in b"\x16\x03\x01\x01\x00" + bytes(400):
        connection.sendall(bytes([byte]))
        time.sleep(DEADLINE / 20)


def test_a_handshake_has_a_deadline_as_a_whole(guarded, monkeypatch):
    listener, context = guarded
    monkeypatch.setattr(listening, "HANDSHAKE_DEADLINE", DEADLINE)
    with socket.create_connection(("127.0.0.1", listener.port)) as slow:
        slow.settimeout(10)
        start = time.monotonic()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            drip(slow)
        assert time.monotonic() - start < 10 * DEADLINE
    echoed(listener.port, context)


def test_there_are_only_so_many_connections_and_they_come_free_again(guarded):
    listener, context = guarded
    listener._room = threading.Semaphore(2)
    first, second = (socket.create_connection(("127.0.0.1", listener.port)) for _ in range(2))
    time.sleep(DEADLINE)
    with socket.create_connection(("127.0.0.1", listener.port)) as third:
        third.settimeout(5)
        assert third.recv(1) == b""
    first.close()
    second.close()
    time.sleep(DEADLINE)
    echoed(listener.port, context)
