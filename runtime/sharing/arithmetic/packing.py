"""Elements of few bits, packed without gaps: what messages and material consist of.

A *field* is a number of elements of one width. Packed, its first element has the lowest bits, and the field ends with
zeros at the next whole byte.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.native.chosen import chosen_kernels
from hecc.runtime.sharing.arithmetic.rings import Elements

__all__ = ["Field", "pack", "unpack"]


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
        return np.packbits(values.astype(np.uint8, copy=False), axis=-1, bitorder="little")
    *rest, count = values.shape
    words = np.ascontiguousarray(values, dtype=np.uint64).reshape(math.prod(rest), count)
    packed = np.empty((len(words), Field(count, width).bytes), dtype=np.uint8)
    chosen_kernels().pack_field(words, packed, width)
    return packed.reshape(*rest, packed.shape[1])


def unpack(data: NDArray[np.uint8], count: int, width: int) -> Elements:
    """What :func:`pack` was given: shape (..., bytes) becomes (..., count)."""
    *rest, size = data.shape
    rows = data.reshape(math.prod(rest), size)
    words = np.empty((len(rows), count), dtype=np.uint64)
    chosen_kernels().unpack_field(rows, words, width)
    return words.reshape(*rest, count)
