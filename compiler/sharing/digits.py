"""Digits to compare by: few bits online, and no more from the dealer than they are worth."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations_with_replacement

from hecc.runtime.sharing.arithmetic.words import word_bits
from hecc.runtime.sharing.gates.comparison import comparison

__all__ = ["digits_for"]

ONLINE = 2.0
"""What a bit of a message is worth in bits from the dealer."""

MOST_WIDTH, MOST_GROUP = 5, 4
"""Bits of a digit and digits of a group that are tried."""


@lru_cache(maxsize=64)
def digits_for(bits: int) -> tuple[tuple[int, ...], ...]:
    """Groups of digits of so many bits together: the cheapest of all with digits of nearly one width."""
    best: tuple[float, tuple[tuple[int, ...], ...]] | None = None
    for count in range(-(-bits // MOST_WIDTH), min(bits, MOST_GROUP**2) + 1):
        narrow, wide = divmod(bits, count)
        widths = (*(narrow,) * (count - wide), *(narrow + 1,) * wide)
        for groups in range(-(-count // MOST_GROUP), min(count, MOST_GROUP) + 1):
            for sizes in combinations_with_replacement(range(1, MOST_GROUP + 1), groups):
                if sum(sizes) == count:
                    grouped = _grouped(widths, sizes)
                    offer = (_price(grouped), grouped)
                    best = offer if best is None or offer < best else best
    assert best is not None, "sixteen digits of five bits are more than any ring has"
    return best[1]


def _grouped(widths: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    groups, at = [], 0
    for size in sizes:
        groups.append(widths[at : at + size])
        at += size
    return tuple(groups)


def _price(groups: tuple[tuple[int, ...], ...]) -> float:
    compare = comparison(groups)
    opened = len(compare.inner.opened) + len(compare.outer.opened)
    products = len(compare.inner.products) + len(compare.outer.products)
    return ONLINE * 2 * opened + opened + products + sum(map(word_bits, compare.widths))
