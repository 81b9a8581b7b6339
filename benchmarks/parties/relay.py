"""A relay: passes on what comes, each piece a stated time after it came.

    python relay.py HOST:PORT HOST:PORT SECONDS

The first is where it listens, the second where it connects to. It works with threads: an event loop waits in whole
milliseconds, which is as long as the whole round trip of a LAN.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from queue import SimpleQueue

PIECE = 1 << 16


def pass_on(source: socket.socket, target: socket.socket, delay: float) -> None:
    """Pass on one direction until it ends."""
    waiting: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
    threading.Thread(target=send_due, args=(waiting, target), daemon=True).start()
    piece = b"begin"
    while piece:
        try:
            piece = source.recv(PIECE)
        except OSError:
            piece = b""
        waiting.put((time.monotonic() + delay, piece))


def send_due(waiting: SimpleQueue[tuple[float, bytes]], target: socket.socket) -> None:
    """Send pieces when they are due, and say the end when it is."""
    with contextlib.suppress(OSError):
        while True:
            due, piece = waiting.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if not piece:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(piece)


def relay(listening: tuple[str, int], target: tuple[str, int], delay: float) -> None:
    """Take connections for ever."""
    with socket.create_server(listening) as server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            one, _ = server.accept()
            other = socket.create_connection(target)
            for each in (one, other):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink in ((one, other), (other, one)):
                threading.Thread(target=pass_on, args=(source, sink, delay), daemon=True).start()


def address(text: str) -> tuple[str, int]:
    """The host and the port of a text."""
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    relay(address(sys.argv[1]), address(sys.argv[2]), float(sys.argv[3]))
