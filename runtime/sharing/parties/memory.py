"""Two ends of a channel in one process: for simulations, and for whoever runs both parties in two threads."""

from __future__ import annotations

from queue import SimpleQueue

__all__ = ["MemoryChannel", "memory_channels"]

TIMEOUT = 30.0
"""Seconds that the other end may take for a message."""


class MemoryChannel:
    """One end. ``sent`` keeps the sizes of the messages that left it."""

    def __init__(self, out: SimpleQueue[bytes], into: SimpleQueue[bytes]) -> None:
        self._out, self._into = out, into
        self.sent: list[int] = []

    def send(self, data: bytes) -> None:
        """See :class:`hecc.runtime.sharing.gates.parties.Channel`."""
        self.sent.append(len(data))
        self._out.put(data)

    def receive(self, size: int) -> bytes:
        """See :class:`hecc.runtime.sharing.gates.parties.Channel`."""
        data = self._into.get(timeout=TIMEOUT)
        if len(data) != size:
            raise ValueError(f"a message of {len(data)} bytes where one of {size} was due")
        return data


def memory_channels() -> tuple[MemoryChannel, MemoryChannel]:
    """Two ends that talk to each other."""
    there: SimpleQueue[bytes] = SimpleQueue()
    back: SimpleQueue[bytes] = SimpleQueue()
    return MemoryChannel(there, back), MemoryChannel(back, there)
