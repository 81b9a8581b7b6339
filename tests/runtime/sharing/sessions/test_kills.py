"""A party that is killed, at every write and every synchronisation, never sends an input under a mask that it used."""

import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from hecc.runtime.errors import HeccError
from hecc.runtime.sharing.parties.dealing import deal
from hecc.runtime.sharing.sessions.listening import Listener
from hecc.runtime.sharing.sessions.server import SharingServer

sys.path.insert(0, str(Path(__file__).parent))
from small_plan import PLAN

CLIENT = """
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from small_plan import PLAN, drawn
    from hecc.runtime.sharing.sessions.client import SharingClient
    from hecc.runtime.sharing.sessions.listening import connect

    deadly, here, port, prepares = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    points = 0

    def point():
        global points
        points += 1
        if points == deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(call):
        def called(*args):
            point()
            result = call(*args)
            point()
            return result
        return called

    client = SharingClient(PLAN.client(), here)
    if prepares:
        with connect("127.0.0.1", port, None) as connection:
            client.prepare(connection, 0, prepares)
    for name in ("write", "pwrite", "fsync", "ftruncate"):
        setattr(os, name, watched(getattr(os, name)))
    with connect("127.0.0.1", port, None) as connection:
        lease = client.lease(connection, 2)
        for number in range(2):
            lease.query({{"x": drawn(1, number)}})
    print(points)
"""
COUNT = 120


class Watching(SharingServer):
    """Keeps the blocks for which an input came, and forgets its own ledger: only the client's is left to keep order."""

    def __init__(self, path):
        super().__init__(PLAN, path, deadline=5.0)
        self.blocks, self._copy = [], None
        self._file = path.with_name(f"{path.name}.ledger")
        self._copy = self._file.read_bytes()

    def session(self, connection):
        self._file.write_bytes(self._copy)
        self._watched = _Watched(connection)
        return super().session(self._watched)

    def _evaluate(self, channel, leased, rows):
        block, before = leased[0].start, self._watched.received
        try:
            return super()._evaluate(channel, leased, rows)
        finally:
            # Behind the number of rows, which came already, is the masked input.
            if self._watched.received > before:
                self.blocks.append(block)


class _Watched:
    def __init__(self, connection):
        self._connection, self.received = connection, 0

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def recv_into(self, view):
        got = self._connection.recv_into(view)
        self.received += got
        return got


@pytest.fixture
def server(tmp_path):
    deal(PLAN, COUNT, tmp_path / "s", tmp_path / "c")
    made, ends = Watching(tmp_path / "s"), []
    listener = Listener(made, "127.0.0.1", 0, None, sessions=1)
    thread = threading.Thread(target=listener.serve, args=(ends.append,))
    thread.start()
    yield made, listener.port, ends
    listener.close()
    thread.join()
    made.close()


def test_no_input_leaves_twice_under_one_mask(server, tmp_path):
    made, port, ends = server
    text = textwrap.dedent(CLIENT.format(tests=str(Path(__file__).parent)))

    def run(deadly, prepares=0):
        arguments = [str(deadly), tmp_path / "c", str(port), str(prepares)]
        return subprocess.run([sys.executable, "-c", text, *arguments], capture_output=True, text=True, check=False)

    points = int(run(0, COUNT).stdout)
    assert points >= 10
    assert made.blocks == [0, 1]
    for deadly in range(1, points + 1):
        assert run(deadly).returncode == -signal.SIGKILL
    assert run(0).returncode == 0
    assert len(made.blocks) >= 2
    assert len(set(made.blocks)) == len(made.blocks)
    assert any(isinstance(end, HeccError) for end in ends)


def test_an_older_copy_of_both_ledgers_is_noticed_by_the_files(server, tmp_path):
    """The last line of defence: what was used is gone from both files."""
    made, port, _ = server
    text = textwrap.dedent(CLIENT.format(tests=str(Path(__file__).parent)))
    ledger = tmp_path / "c.ledger"
    old = ledger.read_bytes()
    for number in range(2):
        ledger.write_bytes(old)
        arguments = ["0", tmp_path / "c", str(port), "5" if number == 0 else "0"]
        done = subprocess.run([sys.executable, "-c", text, *arguments], capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == (number == 0)
    assert "the seeds of blocks before 2 are gone" in done.stderr
    assert made.blocks == [0, 1]
