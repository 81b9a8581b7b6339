"""Functions of two lines, such as ReLU, with a change of the ring, in four messages.

The argument u (less the threshold) is opened to the client under the dealer's mask t: both know U = u - t modulo 2^k.
The sign of u is the top bit of U + t, which is that of U, that of t, and the carry [t_low > not U_low]: a comparison of
a secret number with a public one (:mod:`hecc.runtime.sharing.gates.comparison`). With b = [u >= 0] shared bit by bit,
beta = b xor rho is opened for a random bit rho, of which the dealer has shared all products that the result needs:

    left(u) + b (right(u) - left(u)) - r',   b = beta + (1 - 2 beta) rho,

is for known U and beta linear in what was dealt. Into a larger ring u is brought without another comparison
(:mod:`hecc.runtime.sharing.gates.extension`): its top bit is zero where b = 1, which is all that ReLU needs; two lines
that both have slopes need |u| < 2^(k-2).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hecc.runtime.sharing.arithmetic.packing import Field
from hecc.runtime.sharing.arithmetic.rings import Elements, bit, element, low, reduced, signed
from hecc.runtime.sharing.gates.comparison import Comparison, comparison
from hecc.runtime.sharing.gates.conjunction import MaskShares
from hecc.runtime.sharing.gates.extension import Opened, extended, slack_of
from hecc.runtime.sharing.gates.gate import Gate
from hecc.runtime.sharing.gates.parties import (
    Bits,
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
    as_bits,
    receive,
    send,
)
from hecc.runtime.sharing.program.instructions import Knot

__all__ = ["KnotGate"]

ONE = np.uint64(1)


class _Shape(NamedTuple):
    """What a gate is, in numbers that all parties derive from the instruction.

    Attributes
    ----------
    k, ring
        Bits of the argument and of the result.
    slope, constant
        Of the left line, of u.
    slopes, constants
        By how much the right line has more.
    slack
        What is added to u so that its top bit is zero; ``None`` where none has to be, as rings do not grow.
    """

    k: int
    ring: int
    slope: int
    constant: int
    slopes: int
    constants: int
    slack: int | None

    @property
    def extra(self) -> int:
        """Bits by which the ring grows, as far as that matters."""
        return 0 if self.slack is None else self.ring - self.k


def _shape(ins: Knot) -> _Shape:
    k, ring = ins.bits, ins.ring
    left, right = ins.left, ins.right
    level = left.constant + left.slope * ins.threshold
    step = right.constant + right.slope * ins.threshold - level
    grows = ring > k and (left.slope or right.slope)
    slack = None if not grows else 0 if left.slope == 0 else slack_of(k)
    return _Shape(k, ring, left.slope, level, right.slope - left.slope, step, slack)


class _Open(NamedTuple):
    """What both parties know once the argument is opened.

    Attributes
    ----------
    below
        What the mask is compared with.
    top
        The top bit, shape (rows, 1, count).
    u
        The argument in the ring of the result.
    """

    below: Elements
    top: Bits
    u: Opened


def _open(u: Elements, shape: _Shape) -> _Open:
    below, top = ~u & low(shape.k - 1), bit(u, shape.k - 1)[:, np.newaxis]
    return _Open(below, top, extended(u, shape.k, shape.ring, shape.slack))


class _Shares(NamedTuple):
    """A party's shares of all that is dealt for a gate.

    Attributes
    ----------
    rho
        In the ring of the result; ``None`` where both lines have one slope.
    base
        For beta = 0 and 1, for a sum that does not wrap.
    wrap
        By how many multiples of 2^k more it is for one that does; ``None`` where rings do not grow.
    """

    words: list[Elements]
    inner: MaskShares
    outer: MaskShares
    bits: Bits
    rho: Elements | None
    base: list[Elements]
    wrap: list[Elements] | None


class KnotGate(Gate[Knot]):
    """See :class:`Knot`."""

    def deal(self, dealer: Dealer, ins: Knot, types: Types, mask: Elements) -> Elements:
        shape, compare, count = _shape(ins), comparison(ins.digits), types.result.size
        fresh = (dealer.secrets if ins.hidden else dealer.masks).take(count, shape.ring)
        mask = reduced(mask, shape.k)
        top = mask >> element(shape.k - 1, 64)
        compare.deal_words(dealer, mask & low(shape.k - 1))
        compare.inner.deal(dealer, count)
        compare.outer.deal(dealer, count)
        rho = dealer.secret_bits(1, count)
        dealer.share_bits(np.concatenate([as_bits(top)[:, np.newaxis], rho], axis=1))
        flips = rho[:, 0].astype(np.uint64)
        if shape.slopes:
            dealer.share(flips, shape.ring)
        # For a sum that does not wrap in the open part, it wraps if the mask has the top bit.
        tau = mask if shape.slack is None else mask - (top << element(shape.k, 64))
        chosen = [flips, ONE - flips]  # b for beta = 0 and 1
        steps = [flips, np.uint64(0) - flips]  # (1 - 2 beta) rho
        for b, step in zip(chosen, steps, strict=True):
            line = (element(shape.slope, 64) + b * element(shape.slopes, 64)) * tau
            dealer.share(reduced(line + step * element(shape.constants, 64) - fresh, shape.ring), shape.ring)
        if shape.extra:
            for b in chosen:
                more = (element(shape.slope, 64) + b * element(shape.slopes, 64)) * top
                dealer.share(reduced(more, shape.extra), shape.extra)
        return fresh

    def mask(self, client: Preparing | Client, ins: Knot, types: Types, mask: Mask) -> Mask:
        return None if ins.hidden else client.masks.take(types.result.size, ins.ring)

    def client(self, client: Client, ins: Knot, types: Types, operand: Mask) -> Mask:
        shape, compare = _shape(ins), comparison(ins.digits)
        rows, count = client.rows, types.result.size
        plane = (rows, 1, count)
        shares = _take(client, shape, compare, count)
        inner, outer = compare.inner, compare.outer
        u, theirs = receive(client.channel, ((rows, count), shape.k), ((rows, len(inner.opened), count), 1))
        known = _open(u, shape)
        bits = compare.look_up(shares.words, known.below, first=True)
        ours = inner.masked(bits, shares.inner)
        groups = inner.evaluate(bits, ours ^ as_bits(theirs), shares.inner, first=True)
        ours_outer = outer.masked(groups, shares.outer)
        send(client.channel, (ours, 1), (ours_outer, 1))
        theirs_outer, beta_theirs = receive(client.channel, ((rows, len(outer.opened), count), 1), (plane, 1))
        greater = outer.evaluate(groups, ours_outer ^ as_bits(theirs_outer), shares.outer, first=True)
        beta_ours = greater ^ known.top ^ np.uint8(1) ^ shares.bits[:, :1] ^ shares.bits[:, 1:]
        part = _part(shape, shares, known, as_bits(beta_theirs) ^ beta_ours)
        send(client.channel, (beta_ours, 1), (part, shape.ring))
        return self.mask(client, ins, types, operand)

    def server(self, server: Server, ins: Knot, types: Types, held: Elements) -> Elements:
        shape, compare = _shape(ins), comparison(ins.digits)
        rows, count = server.rows, types.result.size
        shares = _take(server, shape, compare, count)
        inner, outer = compare.inner, compare.outer
        u = reduced(held - element(ins.threshold, 64), shape.k)
        known = _open(u, shape)
        bits = compare.look_up(shares.words, known.below, first=False)
        ours = inner.masked(bits, shares.inner)
        send(server.channel, (u, shape.k), (ours, 1))
        theirs, theirs_outer = receive(
            server.channel, ((rows, len(inner.opened), count), 1), ((rows, len(outer.opened), count), 1)
        )
        groups = inner.evaluate(bits, ours ^ as_bits(theirs), shares.inner, first=False)
        ours_outer = outer.masked(groups, shares.outer)
        greater = outer.evaluate(groups, ours_outer ^ as_bits(theirs_outer), shares.outer, first=False)
        beta_ours = greater ^ shares.bits[:, :1] ^ shares.bits[:, 1:]
        send(server.channel, (ours_outer, 1), (beta_ours, 1))
        beta_theirs, part = receive(server.channel, ((rows, 1, count), 1), ((rows, count), shape.ring))
        beta = as_bits(beta_theirs) ^ beta_ours
        chosen = beta[:, 0].astype(np.uint64)
        slopes = element(shape.slope, 64) + chosen * element(shape.slopes, 64)
        public = slopes * known.u.alpha + element(shape.constant, 64) + chosen * element(shape.constants, 64)
        return reduced(part + _part(shape, shares, known, beta) + public, shape.ring)

    def clear(self, clear: Clear, ins: Knot, types: Types, x: Elements) -> Elements:
        shape = _shape(ins)
        u = signed(reduced(x - element(ins.threshold, 64), shape.k), shape.k)
        right = (u >= 0).astype(np.uint64)
        slopes = element(shape.slope, 64) + right * element(shape.slopes, 64)
        constants = element(shape.constant, 64) + right * element(shape.constants, 64)
        return reduced(slopes * u.view(np.uint64) + constants, shape.ring)

    def cost(self, ins: Knot, types: Types) -> Cost:
        shape, compare, count = _shape(ins), comparison(ins.digits), types.result.size
        inner, outer = Field(len(compare.inner.opened) * count, 1), Field(len(compare.outer.opened) * count, 1)
        one, ring = Field(count, 1), Field(count, shape.ring)
        dealt = (
            *compare.word_fields(count),
            *compare.inner.fields(count),
            *compare.outer.fields(count),
            Field(2 * count, 1),
            *[ring] * (3 if shape.slopes else 2),
            *[Field(count, shape.extra)] * (2 if shape.extra else 0),
        )
        messages = (
            Message(Role.SERVER, (Field(count, shape.k), inner)),
            Message(Role.CLIENT, (inner, outer)),
            Message(Role.SERVER, (outer, one)),
            Message(Role.CLIENT, (one, ring)),
        )
        return Cost(messages=messages, dealt=dealt)


def _take(party: Client | Server, shape: _Shape, compare: Comparison, count: int) -> _Shares:
    words = compare.take_words(party, count)
    inner, outer = compare.inner.take(party, count), compare.outer.take(party, count)
    bits = party.shared_bits(2, count)
    rho = party.shares.take(count, shape.ring) if shape.slopes else None
    base = [party.shares.take(count, shape.ring) for _ in range(2)]
    wrap = [party.shares.take(count, shape.extra) for _ in range(2)] if shape.extra else None
    return _Shares(words, inner, outer, bits, rho, base, wrap)


def _part(shape: _Shape, shares: _Shares, known: _Open, beta: Bits) -> Elements:
    """A party's share of the result, but for what is public."""
    flipped = beta[:, 0] != 0
    part = np.where(flipped, shares.base[1], shares.base[0])
    if shares.wrap is not None:
        more = np.where(flipped, shares.wrap[1], shares.wrap[0]) << element(shape.k, 64)
        part = part + known.u.q * more
    if shares.rho is not None:
        turned = np.where(flipped, np.uint64(0) - shares.rho, shares.rho)
        part = part + turned * known.u.alpha * element(shape.slopes, 64)
    return reduced(part, shape.ring)
