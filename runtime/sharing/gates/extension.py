"""Opened values in larger rings: which of them the sum with the mask wraps around is known but for a bit of the mask.

Both parties know U = u - t modulo 2^k, and u is wanted modulo 2^ring. As integers, u = U + t - 2^k [the sum wraps].
Where the top bit of u is known to be zero, the sum wraps if U or t has it (the extension with known sign of SIRNN:
Rathee et al., IEEE S&P 2021). So

    u = alpha + tau,   alpha = U - 2^k q,   tau = t - 2^k (1 - q) t_top,   q the top bit of U,

where alpha is public, and for each q the dealer knows tau. Signed numbers below 2^(k-2) are raised by that much first.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hecc.runtime.sharing.arithmetic.packing import Field
from hecc.runtime.sharing.arithmetic.rings import Elements, element, reduced, signed
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
from hecc.runtime.sharing.program.instructions import Extend

__all__ = ["ExtendGate", "Opened", "extended", "slack_of"]

ONE = np.uint64(1)


class Opened(NamedTuple):
    """What both parties know of an opened value in a larger ring.

    Attributes
    ----------
    alpha
        The public part.
    q
        One where the sum is known to wrap, whatever the mask is.
    """

    alpha: Elements
    q: Elements


def slack_of(bits: int) -> int:
    """What makes signed numbers of ``bits`` bits, of which one is to spare, non-negative."""
    return 1 << (bits - 2)


def extended(u: Elements, bits: int, ring: int, slack: int | None) -> Opened:
    """Bring an opened value into another ring.

    Parameters
    ----------
    u
        The value less its mask, modulo 2^bits.
    slack
        What is added so that the top bit is zero; ``None`` if the ring does not grow.
    """
    if slack is None:
        return Opened(reduced(u, ring), np.zeros_like(u))
    raised = reduced(u + element(slack, bits), bits)
    q = raised >> element(bits - 1, 64)
    return Opened(reduced(raised - element(slack, 64) - (q << element(bits, 64)), ring), q)


class ExtendGate(Gate[Extend]):
    """See :class:`Extend`. Of the argument only q is opened: a bit, and the server adds the rest of alpha itself."""

    def deal(self, dealer: Dealer, ins: Extend, types: Types, mask: Elements) -> Elements:
        fresh = dealer.masks.take(types.result.size, ins.ring)
        known = reduced(mask, ins.bits)
        top = known >> element(ins.bits - 1, 64)
        dealer.share(reduced(known - fresh, ins.ring), ins.ring)
        dealer.share(reduced(top, ins.ring - ins.bits), ins.ring - ins.bits)
        return fresh

    def mask(self, client: Preparing | Client, ins: Extend, types: Types, mask: Mask) -> Elements:
        return client.masks.take(types.result.size, ins.ring)

    def client(self, client: Client, ins: Extend, types: Types, mask: Mask) -> Elements:
        size = types.result.size
        shares = [client.shares.take(size, width) for width in (ins.ring, ins.ring - ins.bits)]
        (q,) = receive(client.channel, ((client.rows, size), 1))
        send(client.channel, (_part(q, shares, ins), ins.ring))
        return self.mask(client, ins, types, mask)

    def server(self, server: Server, ins: Extend, types: Types, held: Elements) -> Elements:
        size = types.result.size
        shares = [server.shares.take(size, width) for width in (ins.ring, ins.ring - ins.bits)]
        known = extended(reduced(held, ins.bits), ins.bits, ins.ring, slack_of(ins.bits))
        send(server.channel, (known.q, 1))
        (part,) = receive(server.channel, ((server.rows, size), ins.ring))
        return reduced(part + _part(known.q, shares, ins) + known.alpha, ins.ring)

    def clear(self, clear: Clear, ins: Extend, types: Types, x: Elements) -> Elements:
        return reduced(signed(reduced(x, ins.bits), ins.bits).view(np.uint64), ins.ring)

    def cost(self, ins: Extend, types: Types) -> Cost:
        size = types.result.size
        messages = (
            Message(Role.SERVER, (Field(size, 1),)),
            Message(Role.CLIENT, (Field(size, ins.ring),)),
        )
        return Cost(messages=messages, dealt=(Field(size, ins.ring), Field(size, ins.ring - ins.bits)))


def _part(q: Elements, shares: list[Elements], ins: Extend) -> Elements:
    """A party's share of tau less the new mask."""
    mask, top = shares
    return reduced(mask - (((ONE - q) * top) << element(ins.bits, 64)), ins.ring)
