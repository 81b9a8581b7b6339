"""Tapes: material of several examples, read or written field by field in the order of the program.

Whoever deals writes the fields that whoever computes reads: the same kinds, sizes and order, because both walk through
the same program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import FileFormatError
from hecc.runtime.sharing.arithmetic.packing import Field, pack, unpack
from hecc.runtime.sharing.arithmetic.rings import Elements
from hecc.runtime.sharing.material.streams import Stream

__all__ = ["BlockTape", "BlockWriter", "StreamTape", "Tape"]


class Tape(Protocol):
    """A source of fields, one of each kind for every example."""

    def take(self, count: int, width: int) -> Elements:
        """The next field: shape (rows, count), elements of ``width`` bits."""


class StreamTape:
    """Fields from random streams, one stream for each example."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = tuple(streams)

    def take(self, count: int, width: int) -> Elements:
        """See :class:`Tape`."""
        size = Field(count, width).bytes
        return unpack(np.stack([each.read(size) for each in self._streams]), count, width)


class BlockTape:
    """Fields from blocks of bytes: an array of shape (rows, bytes)."""

    def __init__(self, blocks: NDArray[np.uint8]) -> None:
        self._blocks, self._at = blocks, 0

    def take(self, count: int, width: int) -> Elements:
        """See :class:`Tape`.

        Raises
        ------
        FileFormatError
            The blocks end before.
        """
        end = self._at + Field(count, width).bytes
        if end > self._blocks.shape[1]:
            raise FileFormatError(
                "blocks of material that are shorter than the plan needs; deal material for this plan"
            )
        field, self._at = self._blocks[:, self._at : end], end
        return unpack(field, count, width)

    def check_end(self) -> None:
        """See that nothing is left.

        Raises
        ------
        FileFormatError
            The blocks go on.
        """
        if self._at != self._blocks.shape[1]:
            raise FileFormatError("blocks of material that are longer than the plan needs; deal material for this plan")


class BlockWriter:
    """Makes blocks for a :class:`BlockTape`."""

    def __init__(self) -> None:
        self._fields: list[NDArray[np.uint8]] = []

    def put(self, values: Elements | NDArray[np.uint8], width: int) -> None:
        """Write a field of shape (rows, count)."""
        self._fields.append(pack(values, width))

    def blocks(self, rows: int) -> NDArray[np.uint8]:
        """All fields, shape (rows, bytes)."""
        return np.concatenate([np.empty((rows, 0), dtype=np.uint8), *self._fields], axis=1)
