"""A dealer that listens: each half once, pairs that belong together, and peers that do not do what they should."""

import contextlib
import socket
import struct
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from hecc.runtime.errors import HeccError, PeerError
from hecc.runtime.plan.sessions import Address, Dealing, Ended
from hecc.runtime.sharing.material.files import read_batch
from hecc.runtime.sharing.material.ledger import ledger_of
from hecc.runtime.sharing.material.whole import whole_material
from hecc.runtime.sharing.sessions import dealer as dealing
from hecc.runtime.sharing.sessions.client import SharingClient
from hecc.runtime.sharing.sessions.dealer import MAGIC, REQUEST, DealerService
from hecc.runtime.sharing.sessions.fetching import fetch
from hecc.runtime.sharing.sessions.interactive import INTERACTIVE
from hecc.runtime.sharing.sessions.listening import Listener, connect

sys.path.insert(0, str(Path(__file__).parent))
from small_plan import PLAN, drawn, in_clear, plan_of

NAMES = {"server": "server", "client": "client"}
COUNT = 5


@pytest.fixture
def listening():
    """A dealer on the loopback, its service, and how sessions ended."""
    service, ends = DealerService(PLAN, COUNT, NAMES, deadline=0.5), []
    listener = Listener(service, "127.0.0.1", 0, None)
    thread = threading.Thread(target=listener.serve, args=(ends.append,))
    thread.start()
    yield Dealing(Address("127.0.0.1", listener.port), None), service, ends, listener
    listener.close()
    thread.join()


def test_halves_of_one_batch_belong_together_and_evaluate(listening, tmp_path):
    dealer, service, _, _ = listening
    assert fetch(PLAN, "server", tmp_path / "s", dealer) == COUNT
    assert fetch(PLAN.client(), "client", tmp_path / "c", dealer) == COUNT
    halves = [whole_material(tmp_path / name) for name in "sc"]
    assert halves[0].conflict(halves[1]) is None
    assert not any(service._waiting.values())
    with INTERACTIVE.serve(PLAN, Address("127.0.0.1", 0), material=tmp_path / "s", trust=None, told=print) as server:
        client = SharingClient(PLAN.client(), tmp_path / "c")
        with connect("127.0.0.1", server.address.port, None) as connection:
            client.prepare(connection, 0, COUNT)
            found = client.query(connection, {"x": drawn(COUNT)})
        client.close()
    slack = np.abs(PLAN.secrets.weights["w"]).sum(axis=1).max()
    signed = (found["y"].astype(np.int64) ^ (1 << 23)) - (1 << 23)
    assert np.abs(signed - in_clear(drawn(COUNT))).max() <= slack


def test_each_half_is_given_once_and_batches_come_in_order(listening, tmp_path):
    dealer = listening[0]
    for number in range(3):
        fetch(PLAN, "server", tmp_path / f"s{number}", dealer)
    for number in range(4):
        fetch(PLAN, "client", tmp_path / f"c{number}", dealer)
    names = {side: [read_batch(tmp_path / f"{side}{i}").batch for i in range(3)] for side in "sc"}
    assert names["s"] == names["c"]
    assert len({*names["s"], read_batch(tmp_path / "c3").batch}) == 4


def test_material_is_fetched_when_none_is_left_and_not_before(listening, tmp_path):
    dealer = listening[0]
    fetch(PLAN, "client", tmp_path / "c", dealer)
    first = read_batch(tmp_path / "c")
    assert fetch(PLAN, "client", tmp_path / "c", dealer) == 0
    ledger_of(tmp_path / "c", first).reserve(COUNT)
    (tmp_path / "c.prepared").write_bytes(bytes(8))
    assert fetch(PLAN, "client", tmp_path / "c", dealer) == COUNT
    assert read_batch(tmp_path / "c").batch != first.batch
    assert not (tmp_path / "c.prepared").exists()
    assert ledger_of(tmp_path / "c", read_batch(tmp_path / "c")).next == 0


def test_a_half_that_did_not_arrive_is_given_to_nobody(listening, tmp_path):
    dealer, _, ends, _ = listening
    with connect(*dealer.address, None) as connection:
        request = REQUEST.pack(MAGIC, 1, 0, bytes.fromhex(PLAN.fingerprint))
        connection.sendall(struct.pack("<I", len(request)) + request)
    fetch(PLAN, "server", tmp_path / "s", dealer)
    fetch(PLAN, "client", tmp_path / "c1", dealer)
    fetch(PLAN, "client", tmp_path / "c2", dealer)
    batches = [read_batch(tmp_path / name).batch for name in ("s", "c1", "c2")]
    assert batches[0] != batches[1]
    assert batches[0] == batches[2]
    assert any(isinstance(end, HeccError) for end in ends)


def test_another_plan_is_refused(listening, tmp_path):
    with pytest.raises(PeerError, match="it deals for another plan"):
        fetch(plan_of(1), "server", tmp_path / "s", listening[0])
    assert not (tmp_path / "s").exists()


def test_parties_that_fetch_alone_do_not_fill_the_memory(listening, tmp_path, monkeypatch):
    monkeypatch.setattr(dealing, "MOST_WAITING", 2)
    for number in range(2):
        fetch(PLAN, "client", tmp_path / f"c{number}", listening[0])
    with pytest.raises(PeerError, match="too many batches wait for the other party"):
        fetch(PLAN, "client", tmp_path / "c2", listening[0])


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("<I", REQUEST.size) + bytes(REQUEST.size),
        struct.pack("<I", REQUEST.size) + b"HECD",
        b"\xff\xff\xff\xff" * 4,
        b"",
    ],
)
def test_what_asks_for_no_material_is_shown_out_and_the_dealer_goes_on(listening, tmp_path, sent):
    dealer, _, ends, _ = listening
    with connect(*dealer.address, None) as connection:
        connection.sendall(sent)
        connection.settimeout(5)
        # What was sent and not read makes it a reset.
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    assert fetch(PLAN, "server", tmp_path / "s", dealer) == COUNT
    assert isinstance(ends[0], PeerError)


def test_a_role_that_does_not_exist_is_refused(listening):
    with connect(*listening[0].address, None) as connection:
        request = REQUEST.pack(MAGIC, 1, 7, bytes.fromhex(PLAN.fingerprint))
        connection.sendall(struct.pack("<I", len(request)) + request)
        answer = connection.recv(1 << 10)
    assert answer[4] == dealing.Denial.ROLE
    assert not any(answer[5:])


@pytest.mark.parametrize("answer", [b"", b"\0" * 61, struct.pack("<I", 57) + bytes(57), b"\xff" * 80])
def test_a_dealer_that_answers_nonsense_leaves_no_material(tmp_path, answer):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            connection, _ = listening.accept()
            with connection:
                connection.recv(1 << 10)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(PeerError):
            fetch(PLAN, "client", tmp_path / "c", Dealing(Address(*listening.getsockname()), None), deadline=1.0)
        thread.join()
    assert not list(tmp_path.iterdir())


def test_what_a_session_did_is_said(listening, tmp_path):
    dealer, _, ends, listener = listening
    fetch(PLAN, "server", tmp_path / "s", dealer)
    listener.close()
    for _ in range(100):
        if ends:
            break
        threading.Event().wait(0.05)
    assert ends == [Ended(dealt=COUNT, role="server")]
    assert ends[0].words == "dealt the server's half of 5 blocks"
