"""Messages over a socket: four bytes of length, and as many bytes as are due, before a deadline.

Whoever receives knows how long a message has to be, so nothing else is read, and nothing is allocated for it before its
length has come. A peer that sends another length, leaves, is silent, or does not take what is sent to it ends the
session, by one sentence.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Sequence

from hecc.runtime.errors import PeerError

__all__ = ["DEADLINE", "IDLE", "SocketChannel"]

DEADLINE = 30.0
"""Seconds for each message, from its first byte that is waited for to the last, whatever comes in between."""

IDLE = 300.0
"""Seconds that a client may take between two queries of one session."""

_LENGTH = struct.Struct("<I")


class SocketChannel:
    """One end of a connection; see :class:`hecc.runtime.sharing.gates.parties.Channel`.

    Parameters
    ----------
    connection
        Connected, with TLS or without.
    deadline
        Seconds for each message.

    Attributes
    ----------
    sent, received
        Bytes in each direction, with the lengths.
    """

    def __init__(self, connection: socket.socket, deadline: float = DEADLINE) -> None:
        self._connection, self._deadline = connection, deadline
        self._held = b""
        self.sent = self.received = 0

    def hold(self, data: bytes) -> None:
        """A message that leaves together with the next one, in one packet if there is room."""
        self._held += _LENGTH.pack(len(data)) + data

    def send(self, data: bytes) -> None:
        """Send a message.

        Raises
        ------
        PeerError
            The other party does not take all of it before the deadline.
        """
        # In one write: a length by itself would be a packet.
        whole, self._held = self._held + _LENGTH.pack(len(data)) + data, b""
        end = time.monotonic() + self._deadline
        view = memoryview(whole)
        try:
            while view.nbytes:
                # Not sendall: that of TLS gives every piece a deadline of its own.
                self._wait(end)
                view = view[self._connection.send(view) :]
        except OSError as error:
            raise self._failed("the other party takes no message", error) from None
        self.sent += len(whole)

    def receive(self, size: int) -> bytes:
        """The next message.

        Raises
        ------
        PeerError
            It has another length, does not come in time, or the other party left.
        """
        end = time.monotonic() + self._deadline
        return self._message((size,), self._read(_LENGTH.size, end), end)

    def receive_unless_over(self, sizes: Sequence[int], seconds: float) -> bytes | None:
        """The next message, or nothing if the other party closes the connection instead.

        Parameters
        ----------
        sizes
            That it may have.
        seconds
            That it may take until the message begins.

        Raises
        ------
        PeerError
            As :meth:`receive`.
        """
        head = bytearray(_LENGTH.size)
        got = self._fill(memoryview(head), time.monotonic() + seconds)
        if not got:
            return None
        end = time.monotonic() + self._deadline
        return self._message(sizes, bytes(head[:got]) + self._read(_LENGTH.size - got, end), end)

    def _message(self, sizes: Sequence[int], head: bytes, end: float) -> bytes:
        (length,) = _LENGTH.unpack(head)
        if length not in sizes:
            due = " or ".join(map(str, sizes))
            raise PeerError(
                f"a message of {length} bytes where one of {due} is due; the other party runs another plan or version"
            )
        data = self._read(length, end)
        self.received += _LENGTH.size + length
        return data

    def _read(self, size: int, end: float) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        while view.nbytes:
            got = self._fill(view, end)
            if not got:
                raise self._failed("the other party left in the middle")
            view = view[got:]
        return bytes(data)

    def _fill(self, view: memoryview, end: float) -> int:
        """How much of a buffer was filled; nothing if the other party left."""
        try:
            self._wait(end)
            return self._connection.recv_into(view)
        except OSError as error:
            raise self._failed("no message from the other party", error) from None

    def _wait(self, end: float) -> None:
        """Let the next call on the socket take what is left of the time.

        Raises
        ------
        TimeoutError
            There is nothing left.
        """
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)

    def _failed(self, what: str, error: OSError | None = None) -> PeerError:
        because = "" if error is None else f" ({_why(error)})"
        # By TLS 1.3 a side that connects learns only now that its certificate was refused, if the alert comes through.
        if isinstance(self._connection, ssl.SSLSocket) and self.received == 0:
            if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
                return PeerError(
                    f"the other party refuses this side's certificate ({error.reason}); give one that its authority "
                    "has certified, with its key"
                )
            if not isinstance(error, TimeoutError):
                return PeerError(f"{what}{because}; perhaps it refuses this side's certificate")
        return PeerError(f"{what}{because}; start again with new blocks")


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "it was silent for too long"
    return error.strerror or type(error).__name__
