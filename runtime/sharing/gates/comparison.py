"""Comparison of a secret number with a public one, in shares: look-ups in threshold words, and two levels of products.

Each digit gives shares of [t > v] and [t = v] without a message. A group of digits is greater if its first digit is, or
the first is equal and the second greater, and so on; groups are put together in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from hecc.runtime.sharing.arithmetic.packing import Field
from hecc.runtime.sharing.arithmetic.rings import Elements
from hecc.runtime.sharing.arithmetic.words import digits_of, look_up, threshold_words, word_bits
from hecc.runtime.sharing.gates.conjunction import Conjunction, Term
from hecc.runtime.sharing.gates.parties import Bits, Client, Dealer, Server

__all__ = ["Comparison", "comparison"]


@dataclass(frozen=True)
class Comparison:
    """By which digits numbers are compared.

    Attributes
    ----------
    groups
        Bits of the digits, from the highest.
    """

    groups: tuple[tuple[int, ...], ...]

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Bits of all digits."""
        return tuple(width for group in self.groups for width in group)

    @cached_property
    def inner(self) -> Conjunction:
        """Of the bits [t > v], [t = v] of each digit: for each group whether it is greater; but the last, if equal."""
        outputs, at = [], 0
        for index, group in enumerate(self.groups):
            greater = [2 * (at + digit) for digit in range(len(group))]
            equal = [2 * (at + digit) + 1 for digit in range(len(group))]
            outputs.append(_greater(greater, equal))
            if index < len(self.groups) - 1:
                outputs.append((tuple(equal),))
            at += len(group)
        return Conjunction(tuple(outputs))

    @cached_property
    def outer(self) -> Conjunction:
        """Of what :attr:`inner` says of the groups: whether the number is greater."""
        groups = range(len(self.groups))
        return Conjunction((_greater([2 * group for group in groups], [2 * group + 1 for group in groups]),))

    def word_fields(self, count: int) -> tuple[Field, ...]:
        """What is dealt of a number."""
        return tuple(Field(count, word_bits(width)) for width in self.widths)

    def deal_words(self, dealer: Dealer, t: Elements) -> None:
        """Share the threshold words of secret numbers."""
        for digit, width in zip(digits_of(t, self.widths), self.widths, strict=True):
            dealer.share_words(threshold_words(digit), word_bits(width))

    def take_words(self, party: Client | Server, count: int) -> list[Elements]:
        """A party's shares of the words."""
        return [party.shares.take(count, word_bits(width)) for width in self.widths]

    def look_up(self, words: Sequence[Elements], v: Elements, *, first: bool) -> Bits:
        """Shares of [t > v] and [t = v] for each digit in turn, shape (rows, 2 digits, count)."""
        found: list[Bits] = []
        shift = sum(self.widths)
        for word, width in zip(words, self.widths, strict=True):
            shift -= width
            found += look_up(word, v, shift, width, first=first)
        return np.stack(found, axis=1)


@lru_cache(maxsize=256)
def comparison(groups: tuple[tuple[int, ...], ...]) -> Comparison:
    """The comparison by some digits; what is derived from them is derived once."""
    return Comparison(groups)


def _greater(greater: Sequence[int], equal: Sequence[int]) -> tuple[Term, ...]:
    """One is greater, and all before it are equal."""
    return tuple((*equal[:index], bit) for index, bit in enumerate(greater))
