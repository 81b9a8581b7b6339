"""Networks between two parties, as far as time depends on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hecc.runtime.sharing.gates.parties import Message

__all__ = ["LAN", "LINKS", "WAN", "Link"]

FRAME = 4 + 22
"""Bytes around each message: its length, and a record of TLS 1.3."""


@dataclass(frozen=True)
class Link:
    """A network.

    Attributes
    ----------
    name
        What tables call it.
    rate
        Bytes per second, in each direction.
    round_trip
        Seconds there and back.
    words
        Both, for people.
    """

    name: str
    rate: float
    round_trip: float
    words: str

    def seconds(self, messages: Iterable[Message], rows: int = 1) -> float:
        """From the first byte that leaves to the last that arrives, of messages that answer one another."""
        return sum(self.round_trip / 2 + (message.bytes(rows) + FRAME) / self.rate for message in messages)


LAN = Link("LAN", 1e9 / 8, 1e-3, "1 Gbit/s, 1 ms there and back")
WAN = Link("WAN", 1e8 / 8, 40e-3, "100 Mbit/s, 40 ms there and back")

LINKS = (LAN, WAN)
"""Those that predictions are made for, the ones of `benchmarks/sharing.py`."""
