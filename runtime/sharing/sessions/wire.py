"""Messages over a socket: four bytes of length, and as many bytes as are due, before a deadline.

Whoever receives knows how long a message has to be, so nothing else is read, and nothing is allocated for it. A peer
that sends another length, leaves or is silent ends the session, by one sentence.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time

from hecc.runtime.errors import PeerError

__all__ = ["DEADLINE", "SocketChannel"]

DEADLINE = 30.0
"""Seconds for each message, from its first byte that is waited for to the last, whatever comes in between."""

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
        self.sent = self.received = 0

    def send(self, data: bytes) -> None:
        """Send a message.

        Raises
        ------
        PeerError
            The other party does not take it.
        """
        self._connection.settimeout(self._deadline)
        try:
            # In one write: a length by itself would be a packet.
            self._connection.sendall(_LENGTH.pack(len(data)) + data)
        except OSError as error:
            raise self._failed("the other party takes no message", error) from None
        self.sent += _LENGTH.size + len(data)

    def receive(self, size: int) -> bytes:
        """The next message.

        Raises
        ------
        PeerError
            It has another length, does not come in time, or the other party left.
        """
        end = time.monotonic() + self._deadline
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, end))
        if length != size:
            raise PeerError(
                f"a message of {length} bytes where one of {size} is due; the other party runs another plan or version"
            )
        data = self._read(size, end)
        self.received += _LENGTH.size + size
        return data

    def _read(self, size: int, end: float) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        while view.nbytes:
            left = end - time.monotonic()
            try:
                if left <= 0:
                    raise TimeoutError
                self._connection.settimeout(left)
                got = self._connection.recv_into(view)
            except OSError as error:
                raise self._failed("no message from the other party", error) from None
            if not got:
                raise self._failed("the other party left in the middle")
            view = view[got:]
        return bytes(data)

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
