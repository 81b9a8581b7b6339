"""Products of two values, in two messages.

Both factors are opened to the client under masks of the dealer's. With x = alpha + tau and y = beta + sigma, where the
Greek letters of what is open are public (:mod:`hecc.runtime.sharing.gates.extension`), what is left of

    x y - t = alpha beta + alpha sigma + tau beta + (tau sigma - t)

is linear in shares that the dealer has dealt (Beaver, CRYPTO 1991, with masks that the values have anyway): the client
sends its part, and only the server adds both up. Whether sums with masks wrap is decided by U, so the parts of tau and
of tau sigma that depend on that are shared by themselves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hecc.runtime.sharing.arithmetic.packing import Field
from hecc.runtime.sharing.arithmetic.rings import Elements, element, reduced, signed
from hecc.runtime.sharing.gates.extension import Opened, extended, slack_of
from hecc.runtime.sharing.gates.gate import Gate
from hecc.runtime.sharing.gates.parties import (
    Clear,
    Client,
    Cost,
    Dealer,
    Mask,
    Message,
    Preparing,
    Role,
    Server,
    Types,
    receive,
    send,
)
from hecc.runtime.sharing.program.instructions import Product

__all__ = ["ProductGate"]

ONE = np.uint64(1)


class _Shape(NamedTuple):
    """A product as numbers.

    Attributes
    ----------
    bits
        Of the factors that are opened: of a square, of one.
    ring
        Of the result.
    """

    bits: tuple[int, ...]
    ring: int

    @property
    def grown(self) -> tuple[int, ...]:
        """By how many bits the ring is larger than each factor's."""
        return tuple(max(self.ring - bits, 0) for bits in self.bits)

    @property
    def both(self) -> int:
        """Bits of a part that depends on both factors' wraps."""
        return max(self.ring - self.bits[0] - self.bits[-1], 0)

    def widths(self) -> list[int]:
        """Of all that is shared, in order; zero bits are not."""
        masks = [width for grown in self.grown for width in (self.ring, grown)]
        both = self.both if len(self.bits) == 2 else 0
        return [*masks, self.ring, *self.grown, both]


def _shape(ins: Product) -> _Shape:
    return _Shape((ins.x_bits,) if ins.x == ins.y else (ins.x_bits, ins.y_bits), ins.ring)


class ProductGate(Gate[Product]):
    """See :class:`Product`."""

    def deal(self, dealer: Dealer, ins: Product, types: Types, *masks: Elements) -> Elements:
        shape = _shape(ins)
        fresh = dealer.secrets.take(types.result.size, shape.ring)
        known = [reduced(mask, bits) for mask, bits in zip(masks, shape.bits, strict=False)]
        tops = [mask >> element(bits - 1, 64) for mask, bits in zip(known, shape.bits, strict=True)]
        parts = [part for mask, top in zip(known, tops, strict=True) for part in (mask, top)]
        parts.append(known[0] * known[-1] - fresh)
        parts += [tops[0] * known[-1], known[0] * tops[-1]][: len(known)]
        parts.append(tops[0] * tops[-1])
        for part, width in zip(parts, shape.widths(), strict=True):
            if width:
                dealer.share(reduced(part, width), width)
        return fresh

    def mask(self, client: Preparing | Client, ins: Product, types: Types, *masks: Mask) -> None:
        return None

    def client(self, client: Client, ins: Product, types: Types, *masks: Mask) -> None:
        shape, rows, size = _shape(ins), client.rows, types.result.size
        shares = _take(client, shape, size)
        opened = receive(client.channel, *(((rows, size), bits) for bits in shape.bits))
        send(client.channel, (_part(_extended(opened, shape), shares, shape), shape.ring))

    def server(self, server: Server, ins: Product, types: Types, *held: Elements) -> Elements:
        shape, rows, size = _shape(ins), server.rows, types.result.size
        shares = _take(server, shape, size)
        opened = [reduced(x, bits) for x, bits in zip(held, shape.bits, strict=False)]
        send(server.channel, *zip(opened, shape.bits, strict=True))
        (part,) = receive(server.channel, ((rows, size), shape.ring))
        known = _extended(opened, shape)
        return reduced(part + _part(known, shares, shape) + known[0].alpha * known[-1].alpha, shape.ring)

    def clear(self, clear: Clear, ins: Product, types: Types, *values: Elements) -> Elements:
        x, y = (
            signed(reduced(value, bits), bits).view(np.uint64)
            for value, bits in zip(values, (ins.x_bits, ins.y_bits), strict=True)
        )
        return reduced(x * y, ins.ring)

    def cost(self, ins: Product, types: Types) -> Cost:
        shape, size = _shape(ins), types.result.size
        messages = (
            Message(Role.SERVER, tuple(Field(size, bits) for bits in shape.bits)),
            Message(Role.CLIENT, (Field(size, shape.ring),)),
        )
        return Cost(messages=messages, dealt=tuple(Field(size, width) for width in shape.widths() if width))


def _take(party: Client | Server, shape: _Shape, size: int) -> list[Elements]:
    """A party's shares; zeros where nothing is shared."""
    nothing = np.zeros((party.rows, size), dtype=np.uint64)
    return [party.shares.take(size, width) if width else nothing for width in shape.widths()]


def _extended(opened: list[Elements], shape: _Shape) -> list[Opened]:
    return [
        extended(u, bits, shape.ring, slack_of(bits) if grown else None)
        for u, bits, grown in zip(opened, shape.bits, shape.grown, strict=True)
    ]


def _part(known: list[Opened], shares: list[Elements], shape: _Shape) -> Elements:
    """A party's share of the product, but for what is public."""
    factors = len(shape.bits)
    wraps = [
        (ONE - x.q) << element(bits, 64) if grown else np.uint64(0) * x.q
        for x, bits, grown in zip(known, shape.bits, shape.grown, strict=True)
    ]
    masks = [shares[2 * i] - wraps[i] * shares[2 * i + 1] for i in range(factors)]
    rest, *crossed, both = shares[2 * factors :]
    if factors == 1:
        # t_top t is in both factors, and t_top t_top is t_top.
        crossed, both = crossed * 2, shares[1]
    product = rest - wraps[0] * crossed[0] - wraps[-1] * crossed[-1] + wraps[0] * wraps[-1] * both
    return reduced(known[0].alpha * masks[-1] + known[-1].alpha * masks[0] + product, shape.ring)
