"""Threshold words: a secret digit as the bits [digit >= 1], [digit >= 2], ..., so that a comparison is a look-up.

Two parties hold XOR-shares of the word of a secret digit t. For a public digit v, each finds its shares of [t > v] and
of [t = v] at a place of its word that depends on v alone: nothing is sent, and no secret decides where is looked. Such
tables are one-time truth tables (Ishai, Kushilevitz, Meldgaard, Orlandi and Paskin-Cherniavsky, TCC 2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.native.chosen import chosen_kernels
from hecc.runtime.sharing.arithmetic.rings import Elements, low

__all__ = ["MOST_DIGIT", "digits_of", "look_up", "threshold_words", "word_bits"]

MOST_DIGIT = 6
"""Bits of the largest digit: its word has 63."""

ONE = np.uint64(1)

Bytes: TypeAlias = NDArray[np.uint8]


def word_bits(width: int) -> int:
    """Bits of the word of a digit of ``width`` bits."""
    return (1 << width) - 1


def digits_of(x: Elements, widths: Sequence[int]) -> list[Elements]:
    """Digits from the highest to the lowest; the widths make up all bits of ``x`` that count."""
    shift, digits = sum(widths), []
    for width in widths:
        shift -= width
        digits.append((x >> np.uint64(shift)) & low(width))
    return digits


def threshold_words(digit: Elements) -> Elements:
    """Bit ``i`` of the word is [digit >= i + 1]."""
    return (ONE << digit) - ONE


def look_up(word: Elements, v: Elements, shift: int, width: int, *, first: bool) -> tuple[Bytes, Bytes]:
    """Shares of [t > d] and [t = d], from a share of the word of t.

    Parameters
    ----------
    word
        This party's share.
    v
        Public; d is the digit of it above the ``shift`` lowest bits.
    width
        Bits of the digit.
    first
        Whether this is the party whose share holds the constants: exactly one of the two is.
    """
    above, equal = (np.empty(word.shape, dtype=np.uint8) for _ in range(2))
    words, places = (np.ascontiguousarray(each).reshape(-1) for each in (word, v))
    chosen_kernels().look_up(words, places, above.reshape(-1), equal.reshape(-1), shift, width, first)
    return above, equal
