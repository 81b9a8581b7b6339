"""Sums of products of shared bits, any number of factors in one exchange.

Each bit that occurs in a product is opened once, under a mask bit of its own, which is used for nothing else: two
openings under one mask would show the sum of two secrets. The dealer shares the products of mask bits that the products
of bits expand to (multi-input AND as in Ohata and Nuida, FC 2020, and ABY2.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np

from hecc.runtime.sharing.arithmetic.packing import Field
from hecc.runtime.sharing.gates.parties import Bits, Client, Dealer, Server

__all__ = ["Conjunction", "MaskShares"]

Term = tuple[int, ...]


class MaskShares(NamedTuple):
    """A party's shares of mask bits and of their products, each of shape (rows, planes, count)."""

    bits: Bits
    products: Bits


@dataclass(frozen=True)
class Conjunction:
    """What is computed of some bits.

    Attributes
    ----------
    outputs
        For each result the products that are added up, each of which names its factors by their numbers.
    """

    outputs: tuple[tuple[Term, ...], ...]

    @cached_property
    def opened(self) -> tuple[int, ...]:
        """Bits that occur in a product."""
        return tuple(sorted({bit for terms in self.outputs for term in terms if len(term) > 1 for bit in term}))

    @cached_property
    def products(self) -> tuple[Term, ...]:
        """Those of mask bits that are dealt."""
        terms = {term for terms in self.outputs for term in terms if len(term) > 1}
        return tuple(sorted({part for term in terms for part in _parts(term) if len(part) > 1}))

    def fields(self, count: int) -> tuple[Field, ...]:
        """What is dealt."""
        return Field(len(self.opened) * count, 1), Field(len(self.products) * count, 1)

    def deal(self, dealer: Dealer, count: int) -> None:
        """Draw masks, and share them and their products."""
        masks = dealer.secret_bits(len(self.opened), count)
        place = {bit: index for index, bit in enumerate(self.opened)}
        products = [np.bitwise_and.reduce([masks[:, place[bit]] for bit in term], axis=0) for term in self.products]
        dealer.share_bits(masks)
        dealer.share_bits(np.stack(products, axis=1) if products else masks[:, :0])

    def take(self, party: Client | Server, count: int) -> MaskShares:
        """A party's shares of what was dealt."""
        bits = party.shared_bits(len(self.opened), count)
        return MaskShares(bits, party.shared_bits(len(self.products), count))

    def masked(self, bits: Bits, shares: MaskShares) -> Bits:
        """What a party sends of its shares of the bits, shape (rows, bits, count)."""
        return bits[:, list(self.opened)] ^ shares.bits

    def evaluate(self, bits: Bits, opened: Bits, shares: MaskShares, *, first: bool) -> Bits:
        """A party's shares of the results, shape (rows, outputs, count).

        Parameters
        ----------
        opened
            The sum of what both sent.
        first
            Whether this is the party that adds the products of what is public.
        """
        place = {bit: index for index, bit in enumerate(self.opened)}
        found: dict[Term, Bits] = {(bit,): shares.bits[:, index] for bit, index in place.items()}
        found |= {term: shares.products[:, index] for index, term in enumerate(self.products)}
        results = [self._sum(terms, bits, opened, place, found, first) for terms in self.outputs]
        return np.stack(results, axis=1)

    def _sum(
        self,
        terms: Sequence[Term],
        bits: Bits,
        opened: Bits,
        place: dict[int, int],
        found: dict[Term, Bits],
        first: bool,
    ) -> Bits:
        result = np.zeros_like(bits[:, 0])
        for term in terms:
            if len(term) == 1:
                result ^= bits[:, term[0]]
                continue
            for part in _parts(term):
                public = [opened[:, place[bit]] for bit in term if bit not in part]
                factors = [*public, found[part]] if part else public if first else []
                if factors:
                    result ^= np.bitwise_and.reduce(factors, axis=0)
        return result


def _parts(term: Term) -> list[Term]:
    """All subsets."""
    return list(chain.from_iterable(combinations(term, size) for size in range(len(term) + 1)))
