"""Elements of few bits, packed without gaps: what messages and material consist of.

A *field* is a number of elements of one width. Packed, its first element has the lowest bits, and the field ends with
zeros at the next whole byte.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.sharing.arithmetic.rings import MOST_BITS, Elements

__all__ = ["Field", "pack", "unpack"]

WORD = MOST_BITS // 8
BITS = 1 << 22
"""Spread out at a time, a byte for each: they stay in the cache."""


class Field(NamedTuple):
    """So many elements of so many bits."""

    size: int
    width: int

    @property
    def bits(self) -> int:
        """Before the rest of the last byte is filled."""
        return self.size * self.width

    @property
    def bytes(self) -> int:
        """Packed."""
        return -(-self.bits // 8)


def pack(values: Elements | NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Pack along the last axis: shape (..., count) becomes (..., bytes)."""
    if width == 1:
        return np.packbits(values.astype(np.uint8), axis=-1, bitorder="little")
    *rest, count = values.shape
    if count == 0:
        return np.zeros((*rest, 0), dtype=np.uint8)
    words = np.ascontiguousarray(values, dtype="<u8").view(np.uint8).reshape(-1, count, WORD)
    if width % 8 == 0:
        return np.ascontiguousarray(words[..., : width // 8]).reshape(*rest, -1)
    packed = np.empty((len(words), Field(count, width).bytes), dtype=np.uint8)
    step = _step(width)
    for start in range(0, count, step):
        bits = np.unpackbits(words[:, start : start + step], axis=-1, bitorder="little", count=width)
        first = start * width // 8
        made = np.packbits(bits.reshape(len(words), -1), axis=-1, bitorder="little")
        packed[:, first : first + made.shape[1]] = made
    return packed.reshape(*rest, -1)


def unpack(data: NDArray[np.uint8], count: int, width: int) -> Elements:
    """What :func:`pack` was given: shape (..., bytes) becomes (..., count)."""
    *rest, _ = data.shape
    if count == 0:
        return np.zeros((*rest, 0), dtype=np.uint64)
    rows = np.ascontiguousarray(data).reshape(-1, data.shape[-1])
    if width == 1:
        return np.unpackbits(rows, axis=-1, bitorder="little", count=count).reshape(*rest, count).astype(np.uint64)
    words = np.zeros((len(rows), count, WORD), dtype=np.uint8)
    if width % 8 == 0:
        words[..., : width // 8] = rows.reshape(len(rows), count, width // 8)
    else:
        step = _step(width)
        for start in range(0, count, step):
            some = min(step, count - start)
            first = start * width // 8
            part = np.ascontiguousarray(rows[:, first : first + Field(some, width).bytes])
            bits = np.unpackbits(part, axis=-1, bitorder="little", count=some * width).reshape(-1, some, width)
            made = np.packbits(bits, axis=-1, bitorder="little")
            words[:, start : start + some, : made.shape[-1]] = made
    return words.view("<u8").astype(np.uint64, copy=False).reshape(*rest, count)


def _step(width: int) -> int:
    """Elements at a time; a multiple of eight, so that each part begins at a whole byte."""
    return max(8, BITS // width // 8 * 8)
