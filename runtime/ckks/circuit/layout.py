"""Layouts: where each element of a tensor sits in the slots of an array of ciphertexts.

A layout splits every tensor axis into mixed-radix digits and gives each digit a stride in slots. That covers row-major
tensors, padded rows, and the *multiplexed* layouts of Lee et al. (ICML 2022, section 4), in which the gap that strided
convolutions leave between pixels is filled with other channels: channel ``c`` has digits ``(block, dy, dx)`` with
``dy, dx < gap``, and sits at ``block * plane + (h * gap + dy) * pitch + (w * gap + dx)``.
"""

from __future__ import annotations

import math
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import ParameterError

__all__ = ["WITNESSED", "Digit", "Layout", "image_layout", "vector_layout"]

MAX_ELEMENTS = 1 << 24
"""Largest tensor a layout may describe; a bound on what a header can make us allocate."""

MAX_COUNT = 1 << 16
"""Most ciphertexts of a tensor."""

MAX_RANK = 32
"""Most axes of a tensor, as many as every supported numpy has."""


WITNESSED = 4
"""Beside so few elements there is an empty slot: that it is not zero tells a client that the ciphertext wrapped around
its modulus. Without one, values that wrapped are within the bound, as right ones are, in one of 2 cases where there is
one of them and in one of 11 where there are two: the volume of the bound's cube over that of the coefficients'."""


class Digit(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One mixed-radix digit of an axis: its number of values, and the distance in slots between two neighbours."""

    extent: int
    stride: int


class Layout(msgspec.Struct, frozen=True, dict=True, forbid_unknown_fields=True, omit_defaults=True):
    """The place of every tensor element in ``count`` ciphertexts of ``slots`` slots each.

    With ``batch`` examples in the ciphertexts they are *interleaved*: every logical slot stands for ``lanes`` slots of
    the ring next to one another, of which example ``e`` has the one at ``e``. So no rotation mixes examples. In a
    *batch layout* (CryptoNets, Gilad-Bachrach et al., ICML 2016, section 4) there is one logical slot, and a ciphertext
    for each tensor element.

    Parameters
    ----------
    shape
        Shape of the tensor, without batch dimension where the network has one.
    axes
        For each axis its digits, most significant first; the product of the extents covers the axis.
    slots
        Logical slots of one ciphertext, a power of two. A ring with room for more repeats them.
    count
        Number of ciphertexts.
    period
        The element at slot ``s`` stands again at ``s + period``, ``s + 2 * period``, …; equal to ``slots`` when there
        is just one copy. A layout with several ciphertexts has one copy.
    batch
        Examples that the ciphertexts hold, each in slots of its own.
    """

    shape: tuple[int, ...]
    axes: tuple[tuple[Digit, ...], ...]
    slots: int
    count: int
    period: int
    batch: int = 1

    @property
    def lanes(self) -> int:
        """Slots of the ring for each logical slot, one for each example: a power of two."""
        return 1 << (self.batch - 1).bit_length()

    @property
    def size(self) -> int:
        """Number of tensor elements."""
        return math.prod(self.shape)

    @property
    def image_axes(self) -> tuple[tuple[Digit, ...], ...]:
        """The digits of an image's axes: batch, channels, height and width. A signal is an image of one row."""
        if len(self.axes) == 3:
            return (*self.axes[:2], (Digit(extent=1, stride=1),), self.axes[2])
        return self.axes

    @cached_property
    def positions(self) -> NDArray[np.int64]:
        """Flat position ``ciphertext * slots + slot`` of the first copy of each element, in C order; shape (size,)."""
        total = np.zeros((), dtype=np.int64)
        for extent, digits in zip(self.shape, self.axes, strict=True):
            rest = np.arange(extent, dtype=np.int64)
            along = np.zeros(extent, dtype=np.int64)
            for digit in reversed(digits):
                along += rest % digit.extent * digit.stride
                rest //= digit.extent
            total = total[..., np.newaxis] + along
        positions = total.reshape(-1)
        positions.flags.writeable = False
        return positions

    @property
    def span(self) -> int:
        """One more than the largest flat position in use."""
        return int(self.positions.max()) + 1

    def check(self) -> None:
        """Refuse a layout that cannot be packed.

        Raises
        ------
        ParameterError
            Digits that do not cover an axis, positions outside the ciphertexts, or two elements in one slot.
        """
        if self.slots < 1 or self.slots & (self.slots - 1) or self.slots > 1 << 16:
            raise ParameterError(f"layout: {self.slots} slots is not a power of two up to 65536")
        if not 1 <= self.batch <= 1 << 16 or self.slots * self.lanes > 1 << 16:
            raise ParameterError(f"layout: {self.batch} examples in ciphertexts of {self.slots} slots each")
        if not 1 <= self.count <= MAX_COUNT:
            raise ParameterError(f"layout: {self.count} ciphertexts is out of range")
        if len(self.shape) > MAX_RANK or len(self.axes) != len(self.shape):
            raise ParameterError(f"layout: {len(self.axes)} axes of digits for a shape of {len(self.shape)} axes")
        if not 0 < self.size <= MAX_ELEMENTS or min(self.shape, default=1) < 1:
            raise ParameterError(f"layout: shape {self.shape} is out of range")
        if self.period < 1 or self.slots % self.period or (self.count > 1 and self.period != self.slots):
            raise ParameterError(f"layout: period {self.period} does not fit {self.count} x {self.slots} slots")
        for extent, digits in zip(self.shape, self.axes, strict=True):
            if any(not 1 <= d.extent <= MAX_ELEMENTS or not 0 <= d.stride <= MAX_ELEMENTS for d in digits):
                raise ParameterError("layout: a digit is out of range")
            if math.prod(d.extent for d in digits) < extent or len(digits) > 8:
                raise ParameterError(f"layout: the digits do not cover an axis of {extent}")
        limit = self.count * self.slots if self.count > 1 else self.period
        positions = self.positions
        if int(positions.max()) >= limit:
            raise ParameterError(f"layout: position {int(positions.max())} is outside {limit} slots")
        used = np.zeros(limit, dtype=bool)
        used[positions] = True
        if int(used.sum()) != self.size:
            raise ParameterError("layout: two tensor elements share a slot")

    def pack(self, tensor: NDArray[np.float64]) -> NDArray[np.float64]:
        """Slot values, shape (..., count, slots), of tensors of shape (..., *shape)."""
        batch = tensor.shape[: tensor.ndim - len(self.shape)]
        flat = np.ascontiguousarray(tensor, dtype=np.float64).reshape(*batch, self.size)
        if self.period == self.slots:
            packed = np.zeros((*batch, self.count * self.slots))
            packed[..., self.positions] = flat
            return packed.reshape(*batch, self.count, self.slots)
        packed = np.zeros((*batch, self.period))
        packed[..., self.positions] = flat
        return np.tile(packed, self.slots // self.period).reshape(*batch, 1, self.slots)

    def unpack(self, slots: NDArray[np.float64]) -> NDArray[np.float64]:
        """Tensors of shape (..., *shape) from slot values of shape (..., count, slots)."""
        batch = slots.shape[:-2]
        flat = slots.reshape(*batch, self.count * self.slots)
        return np.ascontiguousarray(flat[..., self.positions]).reshape(*batch, *self.shape)

    def average(self, slots: NDArray[np.float64]) -> NDArray[np.float64]:
        """Tensors as by :meth:`unpack`, but each element the mean of its copies, whose errors partly cancel."""
        repeats = self.slots // self.period
        mean = slots.reshape(*slots.shape[:-1], repeats, self.period).mean(axis=-2)
        return self.unpack(np.tile(mean, repeats))

    @cached_property
    def occupied(self) -> NDArray[np.bool_]:
        """Which slots hold an element (any copy), shape (count, slots)."""
        mask: NDArray[np.bool_] = self.pack(np.ones(self.shape)) != 0.0
        mask.flags.writeable = False
        return mask


def vector_layout(shape: tuple[int, ...], slots: int) -> Layout:
    """Elements in C order from slot 0 on, repeated with the smallest power of two that holds them as period.

    This is the output layout of the *hybrid* embedding (Juvekar et al., GAZELLE, USENIX Security 2018, section 4): a
    matrix with ``m`` rows becomes ``period`` diagonals and a rotate-and-add over the copies.
    """
    size = math.prod(shape)
    period = min(slots, 1 << (size if size <= WITNESSED else size - 1).bit_length())
    count = max(1, -(-size // slots))
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    axes = tuple((Digit(extent, stride),) for extent, stride in zip(shape, strides, strict=True))
    return Layout(shape=shape, axes=axes, slots=slots, count=count, period=period if count == 1 else slots)


def image_layout(
    shape: tuple[int, ...], slots: int, *, gap: tuple[int, int] = (1, 1), pitch: int = 0, plane: int = 0
) -> Layout:
    """Multiplexed layout of an image tensor.

    Parameters
    ----------
    shape
        ``(..., channels, height, width)``; leading axes count as more channels.
    gap
        Distance in rows and columns between neighbouring pixels of one channel; the gap holds
        ``gap[0] * gap[1]`` channels.
    pitch, plane
        Slots from one row of pixels to the next, and from one block of channels to the next; by default as small as
        possible.
    """
    *outer, channels, height, width = shape
    rows, columns = gap
    pitch = max(pitch, width * columns)
    plane = max(plane, (height * rows - 1) * pitch + width * columns)
    blocks = -(-channels // (rows * columns))
    total = math.prod(outer) * blocks
    block_digits: tuple[Digit, ...]
    outer_axes: list[tuple[Digit, ...]] = []
    if plane <= slots and total * plane > slots:
        # Several ciphertexts: blocks do not straddle them.
        per = slots // plane
        if math.prod(outer) == 1:
            block_digits = (Digit(-(-blocks // per), slots), Digit(per, plane))
            outer_axes = [(Digit(1, 0),) for _ in outer]
            count = -(-blocks // per)
        else:
            each = -(-blocks // per)
            block_digits = (Digit(each, slots), Digit(per, plane))
            outer_axes = [(Digit(n, math.prod(outer[i + 1 :]) * each * slots),) for i, n in enumerate(outer)]
            count = math.prod(outer) * each
    else:
        block_digits = (Digit(blocks, plane),)
        outer_axes = [(Digit(n, math.prod(outer[i + 1 :]) * blocks * plane),) for i, n in enumerate(outer)]
        count = max(1, -(-total * plane // slots))
    channel = (*block_digits, Digit(rows, pitch), Digit(columns, 1))
    axes = (*outer_axes, channel, (Digit(height, rows * pitch),), (Digit(width, columns),))
    return Layout(shape=shape, axes=axes, slots=slots, count=count, period=slots)
