"""Who takes part in a gate, and with what: the dealer, the client, the server, and whoever computes in clear."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.sharing.arithmetic.packing import Field, pack, unpack
from hecc.runtime.sharing.arithmetic.rings import Elements, reduced
from hecc.runtime.sharing.material.tapes import BlockWriter, Tape
from hecc.runtime.sharing.program.instructions import Value
from hecc.runtime.sharing.program.maps import Constants

__all__ = [
    "Bits",
    "Channel",
    "Clear",
    "Client",
    "Cost",
    "Dealer",
    "Mask",
    "Message",
    "Preparing",
    "Role",
    "Run",
    "Server",
    "Types",
    "Weights",
    "as_bits",
    "receive",
    "send",
    "total",
]

Bits: TypeAlias = NDArray[np.uint8]
"""Bits, one in each byte: shape (rows, planes, count)."""

Mask: TypeAlias = Elements | None
"""What the client has of a value: the mask, where it is its own."""

Weights: TypeAlias = Mapping[str, Elements]
"""Numbers in the place of the weights, by name: the weights themselves, their masks, or what is left of them."""


class Types(NamedTuple):
    """What the operands of an instruction are, and its result."""

    operands: tuple[Value, ...]
    result: Value


class Run(NamedTuple):
    """A party that walks through a program, and what the instructions' values are, by their numbers."""

    party: Any
    types: Sequence[Types]


class Role(Enum):
    """Who sends a message."""

    CLIENT = "client"
    SERVER = "server"


class Message(NamedTuple):
    """What is sent at once, for one example."""

    sender: Role
    fields: tuple[Field, ...]

    def bytes(self, rows: int) -> int:
        """Of all examples together."""
        return sum(Field(rows * field.size, field.width).bytes for field in self.fields)


@dataclass(frozen=True)
class Cost:
    """What an instruction makes parties write.

    Attributes
    ----------
    messages
        Online, in order.
    dealt
        From the dealer to the server, for one example.
    uploaded
        From the client to the server ahead of the input, for one example.
    """

    messages: tuple[Message, ...] = ()
    dealt: tuple[Field, ...] = ()
    uploaded: tuple[Field, ...] = ()


class Channel(Protocol):
    """Bytes to and from the other party, in order."""

    def send(self, data: bytes) -> None:
        """Send one message."""

    def receive(self, size: int) -> bytes:
        """The other's next message, which has exactly so many bytes."""


@dataclass(frozen=True)
class Dealer:
    """Who knows every mask, and neither inputs nor weights.

    Attributes
    ----------
    rows
        Examples that are dealt for at once.
    masks, shares
        What the client derives from its seed: its masks, and its shares of what is dealt.
    secrets
        What the dealer alone knows.
    block
        What the server gets.
    weights
        Masks of the weights.
    """

    rows: int
    masks: Tape
    shares: Tape
    secrets: Tape
    block: BlockWriter
    weights: Weights
    constants: Constants

    def share(self, values: Elements, width: int) -> None:
        """Share ring elements, shape (rows, count): the server gets what the client's share lacks."""
        share = self.shares.take(values.shape[-1], width)
        self.block.put(reduced(values - share, width), width)

    def share_words(self, words: Elements, width: int) -> None:
        """Share words bit by bit, shape (rows, count)."""
        self.block.put(words ^ self.shares.take(words.shape[-1], width), width)

    def share_bits(self, bits: Bits) -> None:
        """Share bits, shape (rows, planes, count)."""
        flat = bits.reshape(self.rows, -1)
        self.share_words(flat.astype(np.uint64), 1)

    def secret_bits(self, planes: int, count: int) -> Bits:
        """Fresh bits that the dealer alone knows."""
        return _planes(self.secrets, self.rows, planes, count)


@dataclass(frozen=True)
class Preparing:
    """The client ahead of its input.

    Attributes
    ----------
    masks
        As the dealer has them.
    upload
        What the server gets; nothing is written where there is none.
    weights
        Weights less their masks.
    """

    rows: int
    masks: Tape
    upload: BlockWriter
    weights: Weights
    constants: Constants


@dataclass(frozen=True)
class Client:
    """The client with its input."""

    rows: int
    masks: Tape
    shares: Tape
    channel: Channel
    constants: Constants

    def shared_bits(self, planes: int, count: int) -> Bits:
        """Shares of bits, shape (rows, planes, count)."""
        return _planes(self.shares, self.rows, planes, count)


@dataclass(frozen=True)
class Server:
    """The server. ``shares`` are the dealer's blocks, ``upload`` is what the client sent ahead of the input."""

    rows: int
    shares: Tape
    upload: Tape
    channel: Channel
    weights: Weights
    biases: Weights
    constants: Constants

    def shared_bits(self, planes: int, count: int) -> Bits:
        """Shares of bits, shape (rows, planes, count)."""
        return _planes(self.shares, self.rows, planes, count)


@dataclass(frozen=True)
class Clear:
    """Who computes in clear. ``coins`` decides about the rounding: elements of so many bits, shape (rows, count)."""

    rows: int
    coins: Tape
    weights: Weights
    biases: Weights
    constants: Constants


def send(channel: Channel, *fields: tuple[Elements | Bits, int]) -> None:
    """Send fields in one message: arrays, and bits of each element."""
    channel.send(b"".join(pack(values.reshape(-1), width).tobytes() for values, width in fields))


def receive(channel: Channel, *fields: tuple[tuple[int, ...], int]) -> list[Elements]:
    """Receive what :func:`send` sent: shapes, and bits of each element."""
    packed = [Field(math.prod(shape), width) for shape, width in fields]
    data = np.frombuffer(channel.receive(sum(field.bytes for field in packed)), dtype=np.uint8)
    found, at = [], 0
    for (shape, width), field in zip(fields, packed, strict=True):
        found.append(unpack(data[at : at + field.bytes], field.size, width).reshape(shape))
        at += field.bytes
    return found


def as_bits(values: Elements) -> Bits:
    """Elements of one bit as bits."""
    return values.astype(np.uint8)


def _planes(tape: Tape, rows: int, planes: int, count: int) -> Bits:
    return as_bits(tape.take(planes * count, 1)).reshape(rows, planes, count)


def total(parts: Sequence[Elements], bits: int) -> Elements:
    """The sum of one or more arrays in a ring."""
    found = parts[0]
    for part in parts[1:]:
        found = found + part
    return reduced(found, bits)
