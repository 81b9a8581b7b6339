"""Rings of integers modulo 2^bits, bits at most 64; elements lie in the low bits of uint64."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_BITS", "Elements", "bit", "element", "low", "reduced", "signed"]

MOST_BITS = 64
"""Of the largest ring: those of a machine word."""

Elements: TypeAlias = NDArray[np.uint64]
"""Elements of a ring, each in the low bits of a word; the others are zero."""


def low(bits: int) -> np.uint64:
    """The word whose low ``bits`` bits are one."""
    return np.uint64((1 << bits) - 1)


def reduced(x: Elements, bits: int) -> Elements:
    """What ``x`` is modulo 2^bits."""
    return x if bits == MOST_BITS else x & low(bits)


def element(value: int, bits: int) -> np.uint64:
    """An integer of any size and sign as an element of the ring."""
    return np.uint64(value & ((1 << bits) - 1))


def signed(x: Elements, bits: int) -> NDArray[np.int64]:
    """The integers from -2^(bits-1) to 2^(bits-1) - 1 that elements stand for."""
    shift = np.uint64(MOST_BITS - bits)
    return (x << shift).view(np.int64) >> np.int64(MOST_BITS - bits)


def bit(x: NDArray[Any], position: int) -> NDArray[np.uint8]:
    """One bit of each element."""
    return ((x >> np.uint64(position)) & np.uint64(1)).astype(np.uint8)
