"""Functions that are polynomials between knots, in four messages, however many knots there are.

The argument u is opened under the dealer's mask, and compared with all knots at once: every comparison looks up the
same threshold words at another place. With b_m = [u >= knot m], opened as beta_m = b_m xor rho_m, the result is

    P_0(u) + sum over m of b_m D_m(u) - r',   D_m = P_m - P_(m-1),   b_m = beta_m + (1 - 2 beta_m) rho_m.

With u = alpha + tau (:mod:`hecc.runtime.sharing.gates.extension`) each polynomial is a sum of powers of tau with public
coefficients. So the dealer shares the powers of tau, and their products with rho_m; the parties add up their shares.
What powers of tau have more where the sum with the mask is known to wrap is a multiple of 2^k, and shared by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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
from hecc.runtime.sharing.program.instructions import Spline

__all__ = ["SplineGate"]

NOTHING = np.uint64(0)


class _Comparisons(NamedTuple):
    """A party's comparisons with all knots at once; bits are of shape (rows, planes, count), knot by knot.

    Attributes
    ----------
    tops
        The top bit of the opened argument less each knot.
    bits
        Shares of what was looked up, for each knot.
    """

    compare: Comparison
    tops: Bits
    bits: list[Bits]
    inner: list[MaskShares]
    outer: list[MaskShares]
    first: bool

    def masked_inner(self) -> Bits:
        """What is sent of the bits inside of groups."""
        pairs = zip(self.bits, self.inner, strict=True)
        return np.concatenate([self.compare.inner.masked(bits, shares) for bits, shares in pairs], axis=1)

    def groups(self, opened: Bits) -> list[Bits]:
        """Shares of the groups' results."""
        parts = np.split(opened, len(self.bits), axis=1)
        return [
            self.compare.inner.evaluate(bits, part, shares, first=self.first)
            for bits, part, shares in zip(self.bits, parts, self.inner, strict=True)
        ]

    def masked_outer(self, groups: list[Bits]) -> Bits:
        """What is sent of the groups' results."""
        pairs = zip(groups, self.outer, strict=True)
        return np.concatenate([self.compare.outer.masked(bits, shares) for bits, shares in pairs], axis=1)

    def reached(self, groups: list[Bits], opened: Bits, top: Bits) -> Bits:
        """Shares of [u >= knot] for each knot, shape (rows, knots, count)."""
        parts = np.split(opened, len(groups), axis=1)
        greater = [
            self.compare.outer.evaluate(bits, part, shares, first=self.first)
            for bits, part, shares in zip(groups, parts, self.outer, strict=True)
        ]
        known = self.tops ^ np.uint8(1) if self.first else np.uint8(0)
        return np.concatenate(greater, axis=1) ^ top ^ known


class _Shares(NamedTuple):
    """A party's shares: powers of tau from the first on, the same times each rho from the zeroth on, and the mask."""

    powers: list[Elements]
    wraps: list[Elements]
    flips: list[list[Elements]]
    flip_wraps: list[list[Elements]]
    mask: Elements


class SplineGate(Gate[Spline]):
    """See :class:`Spline`."""

    def deal(self, dealer: Dealer, ins: Spline, types: Types, mask: Elements) -> Elements:
        compare, count, ring = comparison(ins.digits), types.result.size, ins.ring
        fresh = (dealer.secrets if ins.hidden else dealer.masks).take(count, ring)
        known = reduced(mask, ins.bits)
        top = known >> element(ins.bits - 1, 64)
        compare.deal_words(dealer, known & low(ins.bits - 1))
        for _ in ins.knots:
            compare.inner.deal(dealer, count)
            compare.outer.deal(dealer, count)
        rho = dealer.secret_bits(len(ins.knots), count)
        dealer.share_bits(np.concatenate([as_bits(top)[:, np.newaxis], rho], axis=1))
        tau = known if ins.grown == 0 else known - (top << element(ins.bits, 64))
        powers = list(_powers(tau, ins.degree))
        wraps = [top * each for each in _quotients(known, ins.bits, ins.degree)] if ins.grown else []
        _share(dealer, powers[1:], ring)
        _share(dealer, wraps, ins.grown)
        for knot in range(len(ins.knots)):
            flip = rho[:, knot].astype(np.uint64)
            _share(dealer, [flip * power for power in powers], ring)
            _share(dealer, [flip * wrap for wrap in wraps], ins.grown)
        _share(dealer, [NOTHING - fresh], ring)
        return fresh

    def mask(self, client: Preparing | Client, ins: Spline, types: Types, mask: Mask) -> Mask:
        return None if ins.hidden else client.masks.take(types.result.size, ins.ring)

    def client(self, client: Client, ins: Spline, types: Types, mask: Mask) -> Mask:
        rows, count, knots = client.rows, types.result.size, len(ins.knots)
        words, inner, outer, bits, shares = _take(client, ins, count)
        compare = comparison(ins.digits)
        within = (rows, knots * len(compare.inner.opened), count)
        u, theirs = receive(client.channel, ((rows, count), ins.bits), (within, 1))
        made = _compared(ins, compare, u, words, inner, outer, first=True)
        ours = made.masked_inner()
        groups = made.groups(ours ^ as_bits(theirs))
        ours_outer = made.masked_outer(groups)
        send(client.channel, (ours, 1), (ours_outer, 1))
        theirs_outer, beta_theirs = receive(client.channel, (ours_outer.shape, 1), ((rows, knots, count), 1))
        reached = made.reached(groups, ours_outer ^ as_bits(theirs_outer), bits[:, :1])
        beta_ours = reached ^ bits[:, 1:]
        part, _ = _parts(ins, shares, _extended(ins, u), as_bits(beta_theirs) ^ beta_ours)
        send(client.channel, (beta_ours, 1), (part, ins.ring))
        return self.mask(client, ins, types, mask)

    def server(self, server: Server, ins: Spline, types: Types, held: Elements) -> Elements:
        rows, count, knots = server.rows, types.result.size, len(ins.knots)
        words, inner, outer, bits, shares = _take(server, ins, count)
        compare = comparison(ins.digits)
        u = reduced(held, ins.bits)
        made = _compared(ins, compare, u, words, inner, outer, first=False)
        ours = made.masked_inner()
        send(server.channel, (u, ins.bits), (ours, 1))
        across = (rows, knots * len(compare.outer.opened), count)
        theirs, theirs_outer = receive(server.channel, (ours.shape, 1), (across, 1))
        groups = made.groups(ours ^ as_bits(theirs))
        ours_outer = made.masked_outer(groups)
        reached = made.reached(groups, ours_outer ^ as_bits(theirs_outer), bits[:, :1])
        beta_ours = reached ^ bits[:, 1:]
        send(server.channel, (ours_outer, 1), (beta_ours, 1))
        beta_theirs, theirs_part = receive(server.channel, ((rows, knots, count), 1), ((rows, count), ins.ring))
        part, public = _parts(ins, shares, _extended(ins, u), as_bits(beta_theirs) ^ beta_ours)
        return reduced(theirs_part + part + public, ins.ring)

    def clear(self, clear: Clear, ins: Spline, types: Types, x: Elements) -> Elements:
        u = signed(reduced(x, ins.bits), ins.bits)
        piece = np.sum([u >= knot for knot in ins.knots], axis=0)
        coefficients = np.array([[element(c, 64) for c in each] for each in ins.pieces], dtype=np.uint64)
        result = np.zeros_like(x)
        for power in range(ins.degree, -1, -1):
            result = result * u.view(np.uint64) + coefficients[piece, power]
        return reduced(result, ins.ring)

    def cost(self, ins: Spline, types: Types) -> Cost:
        compare, count, knots = comparison(ins.digits), types.result.size, len(ins.knots)
        inner = Field(knots * len(compare.inner.opened) * count, 1)
        outer = Field(knots * len(compare.outer.opened) * count, 1)
        beta, ring = Field(knots * count, 1), Field(count, ins.ring)
        wraps = [Field(count, ins.grown)] * (ins.degree if ins.grown else 0)
        dealt = (
            *compare.word_fields(count),
            *(*compare.inner.fields(count), *compare.outer.fields(count)) * knots,
            Field((1 + knots) * count, 1),
            *[ring] * ins.degree,
            *wraps,
            *[*[ring] * (ins.degree + 1), *wraps] * knots,
            ring,
        )
        messages = (
            Message(Role.SERVER, (Field(count, ins.bits), inner)),
            Message(Role.CLIENT, (inner, outer)),
            Message(Role.SERVER, (outer, beta)),
            Message(Role.CLIENT, (beta, ring)),
        )
        return Cost(messages=messages, dealt=dealt)


def _powers(x: Elements, degree: int) -> Iterator[Elements]:
    """From the zeroth on."""
    power = np.ones_like(x)
    for _ in range(degree + 1):
        yield power
        power = power * x


def _quotients(t: Elements, bits: int, degree: int) -> Iterator[Elements]:
    """``(t^j - (t - 2^bits)^j) / 2^bits`` for j from the first power on, without dividing."""
    ahead, behind = (list(_powers(x, degree)) for x in (t, t - element(1 << bits, 64)))
    for j in range(1, degree + 1):
        terms = [ahead[i] * behind[j - 1 - i] for i in range(j)]
        yield np.add.reduce(terms)


def _share(dealer: Dealer, values: Sequence[Elements], width: int) -> None:
    for each in values:
        dealer.share(reduced(each, width), width)


def _take(
    party: Client | Server, ins: Spline, count: int
) -> tuple[list[Elements], list[MaskShares], list[MaskShares], Bits, _Shares]:
    compare = comparison(ins.digits)
    words = compare.take_words(party, count)
    pairs = [(compare.inner.take(party, count), compare.outer.take(party, count)) for _ in ins.knots]
    bits = party.shared_bits(1 + len(ins.knots), count)
    wraps = ins.degree if ins.grown else 0

    def taken(number: int, width: int) -> list[Elements]:
        return [party.shares.take(count, width) for _ in range(number)]

    own = taken(ins.degree, ins.ring), taken(wraps, ins.grown)
    flips, flip_wraps = [], []
    for _ in ins.knots:
        flips.append(taken(ins.degree + 1, ins.ring))
        flip_wraps.append(taken(wraps, ins.grown))
    (mask,) = taken(1, ins.ring)
    inner, outer = ([pair[i] for pair in pairs] for i in range(2))
    return words, inner, outer, bits, _Shares(*own, flips, flip_wraps, mask)


def _compared(
    ins: Spline,
    compare: Comparison,
    u: Elements,
    words: list[Elements],
    inner: list[MaskShares],
    outer: list[MaskShares],
    *,
    first: bool,
) -> _Comparisons:
    less = [reduced(u - element(knot, 64), ins.bits) for knot in ins.knots]
    bits = [compare.look_up(words, ~each & low(ins.bits - 1), first=first) for each in less]
    tops = np.stack([bit(each, ins.bits - 1) for each in less], axis=1)
    return _Comparisons(compare, tops, bits, inner, outer, first)


def _extended(ins: Spline, u: Elements) -> Opened:
    return extended(u, ins.bits, ins.ring, slack_of(ins.bits) if ins.grown else None)


def _parts(ins: Spline, shares: _Shares, known: Opened, beta: Bits) -> tuple[Elements, Elements]:
    """A party's share of the result, and what both know of it."""
    steps = [
        [np.full((1, 1), element(after - before, 64)) for before, after in zip(*pair, strict=True)]
        for pair in zip(ins.pieces, ins.pieces[1:], strict=False)
    ]
    coefficients = [np.full_like(known.alpha, element(c, 64)) for c in ins.pieces[0]]
    for knot, step in enumerate(steps):
        chosen = beta[:, knot].astype(np.uint64)
        coefficients = [c + chosen * s for c, s in zip(coefficients, step, strict=True)]
    alphas = list(_powers(known.alpha, ins.degree))
    public, *factors = _around(coefficients, alphas)
    part = shares.mask
    for factor, power in zip(factors, _wrapped(ins, shares.powers, shares.wraps, known), strict=True):
        part = part + factor * power
    for knot, step in enumerate(steps):
        zeroth, *flips = shares.flips[knot]
        turned = np.where(beta[:, knot] != 0, element(-1, 64), np.uint64(1))
        powers = [zeroth, *_wrapped(ins, flips, shares.flip_wraps[knot], known)]
        total = np.add.reduce([f * power for f, power in zip(_around(step, alphas), powers, strict=True)])
        part = part + turned * total
    return reduced(part, ins.ring), public


def _around(coefficients: Sequence[Elements], alphas: list[Elements]) -> list[Elements]:
    """The coefficients of a polynomial of alpha + tau, as one of tau."""
    degree = len(coefficients) - 1
    return [
        np.add.reduce([coefficients[i] * np.uint64(math.comb(i, j)) * alphas[i - j] for i in range(j, degree + 1)])
        for j in range(degree + 1)
    ]


def _wrapped(ins: Spline, powers: list[Elements], wraps: list[Elements], known: Opened) -> list[Elements]:
    """Shares of the powers of tau, with what they have more where the sum wraps."""
    if not wraps:
        return powers
    place = element(ins.bits, 64)
    return [power + known.q * (wrap << place) for power, wrap in zip(powers, wraps, strict=True)]
