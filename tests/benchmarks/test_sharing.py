"""Two parties over a network: the relay delays, and the page is that of the figures that are kept."""

import importlib
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
PAGE = ROOT / "docs" / "reference" / "sharing-benchmarks.md"
DELAY = 0.05


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


def test_the_page_is_that_of_the_results_that_are_kept():
    if not PAGE.exists():
        pytest.skip("the page is not in a source distribution")
    module = importlib.import_module("sharing")
    assert module.page(module.RESULTS) == PAGE.read_text(encoding="utf-8"), (
        "run `python benchmarks/sharing.py page docs/reference/sharing-benchmarks.md`"
    )


def test_a_relay_passes_everything_on_and_late():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echoed():
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)

        threading.Thread(target=echoed, daemon=True).start()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [BENCHMARKS / "parties" / "relay.py", f"127.0.0.1:{port}", f"127.0.0.1:{server.getsockname()[1]}"]
        relay = subprocess.Popen([sys.executable, *map(str, command), str(DELAY)], stdout=subprocess.PIPE)
        try:
            assert relay.stdout.readline() == b"ready\n"
            with socket.create_connection(("127.0.0.1", port)) as client:
                start = time.perf_counter()
                client.sendall(b"row")
                assert client.recv(3) == b"row"
                assert time.perf_counter() - start >= 2 * DELAY
                sent = bytes(range(256)) * 4096
                threading.Thread(target=client.sendall, args=(sent,), daemon=True).start()
                found = bytearray()
                while len(found) < len(sent):
                    found += client.recv(1 << 16)
                assert found == sent
        finally:
            relay.kill()
            relay.wait()
            relay.stdout.close()
