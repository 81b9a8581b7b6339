"""Real processes over TCP with mutual TLS 1.3, each in a folder of its own."""

import shutil
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from hecc.runtime.connections.tls import AUTHORITY, client_context, make_test_authority, server_context
from hecc.runtime.errors import InputError, PeerError
from hecc.runtime.sharing.parties.dealing import deal
from hecc.runtime.sharing.sessions.client import SharingClient
from hecc.runtime.sharing.sessions.listening import Listener, connect
from hecc.runtime.sharing.sessions.server import SharingServer

sys.path.insert(0, str(Path(__file__).parent))
from small_plan import PLAN, drawn


@pytest.fixture
def authority(tmp_path):
    make_test_authority(tmp_path / "tls")
    return tmp_path / "tls"


def contexts(folder, client="client"):
    trusted = folder / AUTHORITY
    return (
        server_context(folder / "server.pem", folder / "server.key", trusted),
        client_context(folder / f"{client}.pem", folder / f"{client}.key", trusted),
    )


class Echo:
    """Serves a byte."""

    def session(self, connection):
        connection.sendall(connection.recv(1))
        return 1


@pytest.fixture
def listening():
    """Starts listeners, and collects how their sessions ended."""
    started = []

    def start(context, server=None, host="127.0.0.1"):
        listener, ends = Listener(server or Echo(), host, 0, context), []
        thread = threading.Thread(target=listener.serve, args=(ends.append,))
        thread.start()
        started.append((listener, thread))
        return listener, ends

    yield start
    for listener, thread in started:
        listener.close()
        thread.join()


def test_both_sides_are_certified_and_speak_tls_1_3(authority, listening):
    theirs, ours = contexts(authority)
    listener, _ = listening(theirs)
    with connect("127.0.0.1", listener.port, ours) as connection:
        assert connection.version() == "TLSv1.3"
        connection.sendall(b"a")
        assert connection.recv(1) == b"a"


def answered(connection):
    """Whether a server echoes a byte; those that hang up do not."""
    try:
        connection.sendall(b"a" * 100)
        return connection.recv(1) == b"a"
    except OSError:
        return False


def test_who_is_not_certified_is_not_served(authority, listening, tmp_path):
    theirs, ours = contexts(authority)
    listener, ends = listening(theirs)
    make_test_authority(tmp_path / "others")
    stranger = client_context(
        tmp_path / "others" / "client.pem", tmp_path / "others" / "client.key", authority / AUTHORITY
    )
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.load_verify_locations(authority / AUTHORITY)
    # In TLS 1.3 a client learns that it was refused when it reads.
    for context in (stranger, nobody):
        with connect("127.0.0.1", listener.port, context) as connection:
            assert not answered(connection)
    with socket.create_connection(("127.0.0.1", listener.port)) as connection:
        assert not answered(connection)
    with connect("127.0.0.1", listener.port, ours) as connection:
        connection.sendall(b"a")
        assert connection.recv(1) == b"a"
    assert [type(end) for end in ends[:3]] == [PeerError] * 3


def test_a_server_that_is_not_certified_gets_no_client(authority, listening, tmp_path):
    make_test_authority(tmp_path / "others")
    theirs, _ = contexts(tmp_path / "others")
    _, ours = contexts(authority)
    listener, _ = listening(theirs)
    with pytest.raises(PeerError, match="no server there that can be trusted"):
        connect("127.0.0.1", listener.port, ours)


def test_a_batch_is_of_the_client_who_used_it_first(tmp_path, listening):
    """Another client whom the authority has certified, and who has a copy of the material, burns no blocks of it."""
    make_test_authority(tmp_path / "tls", ("server", "client", "client of others"))
    deal(PLAN.client(), 4, tmp_path / "s", tmp_path / "c")
    theirs, ours = contexts(tmp_path / "tls")
    _, others = contexts(tmp_path / "tls", "client of others")
    server, client = SharingServer(PLAN, tmp_path / "s"), SharingClient(PLAN.client(), tmp_path / "c")
    listener, _ = listening(theirs, server)
    with connect("127.0.0.1", listener.port, ours) as connection:
        client.prepare(connection, 0, 2)
    for act in (lambda c: client.prepare(c, 2, 1), lambda c: client.query(c, {"x": drawn(1)})):
        with (
            connect("127.0.0.1", listener.port, others) as connection,
            pytest.raises(PeerError, match="belongs to the"),
        ):
            act(connection)
    with connect("127.0.0.1", listener.port, ours) as connection:
        found = client.query(connection, {"x": drawn(2)})["y"]
    assert found.shape == (2, 3)
    server.close()
    client.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org"])
def test_plain_connections_stay_on_the_machine(host):
    with pytest.raises(InputError, match="loopback addresses only"):
        Listener(Echo(), host, 0, None)
    with pytest.raises(InputError, match="loopback addresses only"):
        connect(host, 1, None)


def test_files_that_are_no_certificates_are_refused(authority):
    (authority / "client.key").write_text("nothing")
    with pytest.raises(InputError, match="are not a certificate, its key and an authority"):
        contexts(authority)
    (authority / "client.key").unlink()
    with pytest.raises(InputError, match=r"client\.key"):
        contexts(authority)


COMMON = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from small_plan import PLAN, drawn, in_clear
    from hecc.runtime.connections.tls import AUTHORITY, client_context, server_context
    here = Path(sys.argv[1])
"""
SERVER = (
    COMMON
    + """
    from hecc.runtime.sharing.sessions.listening import Listener
    from hecc.runtime.sharing.sessions.server import SharingServer
    context = server_context(here / "server.pem", here / "server.key", here / AUTHORITY)
    listener = Listener(SharingServer(PLAN, here / "s"), "127.0.0.1", 0, context)
    print(listener.port, flush=True)
    listener.serve(lambda end: print(end.words, flush=True))
"""
)
CLIENT = (
    COMMON
    + """
    import numpy as np
    from hecc.runtime.sharing.arithmetic.rings import signed
    from hecc.runtime.sharing.sessions.client import SharingClient
    from hecc.runtime.sharing.sessions.listening import connect
    context = client_context(here / "client.pem", here / "client.key", here / AUTHORITY)
    client, port = SharingClient(PLAN.client(), here / "c"), int(sys.argv[2])
    with connect("127.0.0.1", port, context) as connection:
        client.prepare(connection, 0, 8)
    for seed in range(2):
        x = drawn(4, seed)
        with connect("127.0.0.1", port, context) as connection:
            y = signed(client.query(connection, {{"x": x}})["y"], 24)
        print(float(np.abs(y - in_clear(x)).max()))
"""
)
DEALER = (
    COMMON
    + """
    from hecc.runtime.sharing.parties.dealing import deal
    deal(PLAN.client(), 8, here / "s", here / "c")
"""
)


def program(text):
    return [sys.executable, "-c", textwrap.dedent(text.format(tests=str(Path(__file__).parent)))]


def test_three_processes_in_folders_of_their_own(authority, tmp_path):
    folders = {name: tmp_path / name for name in ("dealer", "server", "client")}
    for folder in folders.values():
        folder.mkdir()
    subprocess.run([*program(DEALER), folders["dealer"]], check=True)
    for role in ("server", "client"):
        for path in folders["dealer"].glob(f"{role[0]}*"):
            shutil.move(path, folders[role])
        for name in (AUTHORITY, f"{role}.pem", f"{role}.key"):
            shutil.copy(authority / name, folders[role])
    # The dealer has kept nothing.
    assert not list(folders["dealer"].iterdir())
    server = subprocess.Popen([*program(SERVER), folders["server"]], stdout=subprocess.PIPE, text=True)
    try:
        port = server.stdout.readline().strip()
        done = subprocess.run(
            [*program(CLIENT), folders["client"], port], capture_output=True, text=True, timeout=60, check=True
        )
        errors = [float(line) for line in done.stdout.split()]
        assert [server.stdout.readline().strip() for _ in range(3)] == [
            "prepared 8 blocks of material",
            "evaluated 4 rows",
            "evaluated 4 rows",
        ]
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    assert len(errors) == 2
    # Of scores of many thousands: each of six hidden numbers is off by less than one, times a weight below 100.
    assert max(errors) < 600
