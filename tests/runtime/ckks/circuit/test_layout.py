"""Layouts: where tensors sit in slots, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hecc.runtime.ckks.circuit.layout import WITNESSED, Digit, Layout, image_layout, vector_layout
from hecc.runtime.errors import ParameterError

settings.register_profile("deterministic", derandomize=True, deadline=None, max_examples=200, database=None)
PROFILE = settings.get_profile("deterministic")

shapes = st.lists(st.integers(1, 7), min_size=1, max_size=4).map(tuple)
slot_counts = st.integers(0, 9).map(lambda k: 1 << k)


@st.composite
def image_layouts(draw: Any) -> Layout:
    shape = tuple(draw(st.integers(1, limit)) for limit in (2, 7, 6, 6))
    gap = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pitch = draw(st.integers(0, 24))
    plane = draw(st.integers(0, 150))
    return image_layout(shape, draw(slot_counts), gap=gap, pitch=pitch, plane=plane)


def check_packing(layout: Layout) -> None:
    """Every element has a slot of its own; the others are zero; copies are where the period says."""
    layout.check()
    positions = layout.positions
    assert len(np.unique(positions)) == layout.size == len(positions)
    assert positions.min() >= 0
    assert layout.span == positions.max() + 1 <= layout.count * layout.slots
    # Numbers that are not zero, so that an element lost in packing is noticed.
    tensors = np.arange(1.0, 2 * layout.size + 1).reshape(2, *layout.shape)
    packed = layout.pack(tensors)
    assert packed.shape == (2, layout.count, layout.slots)
    np.testing.assert_array_equal(layout.unpack(packed), tensors)
    np.testing.assert_array_equal(packed[0] != 0, layout.occupied)
    copies = layout.slots // layout.period if layout.count == 1 else 1
    assert int(layout.occupied.sum()) == copies * layout.size
    if layout.count == 1:
        np.testing.assert_array_equal(np.roll(packed, layout.period, axis=-1), packed)


@settings(PROFILE)
@given(image_layouts())
def test_image_layouts_pack_and_unpack(layout: Layout) -> None:
    check_packing(layout)


@settings(PROFILE)
@given(shapes, slot_counts)
def test_vector_layouts_pack_and_unpack_in_c_order(shape: tuple[int, ...], slots: int) -> None:
    layout = vector_layout(shape, slots)
    check_packing(layout)
    np.testing.assert_array_equal(layout.positions, np.arange(math.prod(shape)))


@settings(PROFILE)
@given(shapes, slot_counts)
def test_a_vector_repeats_with_the_smallest_power_of_two_that_holds_it(shape: tuple[int, ...], slots: int) -> None:
    layout, size = vector_layout(shape, slots), math.prod(shape)
    if size > slots:
        assert (layout.count, layout.period) == (-(-size // slots), slots)
    else:
        assert layout.count == 1
        # Beside few elements there is an empty slot, if there is room for one.
        least = size + 1 if size <= WITNESSED else size
        assert layout.period == min(slots, 1 << (least - 1).bit_length())


@settings(PROFILE)
@given(image_layouts())
def test_pixels_of_an_image_are_rows_apart_and_channels_fill_the_gap(layout: Layout) -> None:
    """The formula of the docstring, wherever the blocks are."""
    dy, dx = layout.axes[1][-2:]
    (row,), (column,) = layout.axes[2:]
    grid = layout.positions.reshape(layout.shape)
    first = grid[:, :, :1, :1]
    height, width = layout.shape[2:]
    pixels = np.arange(height)[:, np.newaxis] * row.stride + np.arange(width) * column.stride
    np.testing.assert_array_equal(grid - first, np.broadcast_to(pixels, grid.shape))
    assert (column.stride, row.stride) == (dx.extent, dy.extent * dy.stride)
    channel = np.arange(min(layout.shape[1], dx.extent * dy.extent))
    inside = channel % dx.extent + channel // dx.extent * dy.stride
    np.testing.assert_array_equal(first[0, : len(channel), 0, 0], inside)


def test_blocks_do_not_straddle_ciphertexts_where_one_holds_a_whole_plane() -> None:
    layout = image_layout((1, 7, 4, 4), 32)
    assert layout.count == 4
    planes = layout.positions.reshape(7, 16) // 32
    assert all(len(set(plane)) == 1 for plane in planes.tolist())


def test_a_plane_larger_than_a_ciphertext_runs_over_several() -> None:
    layout = image_layout((1, 2, 8, 8), 16)
    layout.check()
    assert layout.count == 8
    assert len(set((layout.positions[:64] // 16).tolist())) == 4


GOOD = vector_layout((3, 5), 32)

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "slots not a power of two": ({"slots": 24}, "24 slots is not a power of two"),
    "no slots": ({"slots": 0}, "0 slots is not a power of two"),
    "too many slots": ({"slots": 1 << 17}, "is not a power of two up to 65536"),
    "no ciphertext": ({"count": 0}, "0 ciphertexts is out of range"),
    "too many ciphertexts": ({"count": (1 << 16) + 1}, "65537 ciphertexts is out of range"),
    "too few axes": ({"axes": GOOD.axes[:1]}, "1 axes of digits for a shape of 2 axes"),
    "too many axes": (
        {"shape": (1,) * 33, "axes": ((Digit(1, 0),),) * 33},
        "33 axes of digits for a shape of 33 axes",
    ),
    "empty shape": ({"shape": (0, 5)}, "is out of range"),
    "negative shape": ({"shape": (-3, -5)}, "is out of range"),
    "too many elements": ({"shape": (1 << 13, 1 << 13)}, "is out of range"),
    "no period": ({"period": 0}, "period 0 does not fit"),
    "a period that does not divide": ({"period": 12}, "period 12 does not fit"),
    "copies in several ciphertexts": ({"count": 2}, "period 16 does not fit 2 x 32 slots"),
    "an empty digit": ({"axes": ((Digit(0, 5),), GOOD.axes[1])}, "a digit is out of range"),
    "a huge digit": ({"axes": ((Digit(1 << 30, 5),), GOOD.axes[1])}, "a digit is out of range"),
    "a negative stride": ({"axes": ((Digit(3, -5),), GOOD.axes[1])}, "a digit is out of range"),
    "a huge stride": ({"axes": ((Digit(3, 1 << 30),), GOOD.axes[1])}, "a digit is out of range"),
    "an axis not covered": ({"axes": ((Digit(2, 5),), GOOD.axes[1])}, "do not cover an axis of 3"),
    "too many digits": ({"axes": ((Digit(3, 5), *[Digit(1, 0)] * 8), GOOD.axes[1])}, "do not cover an axis of 3"),
    "outside the period": ({"period": 8}, "position 14 is outside 8 slots"),
    "outside the ciphertexts": ({"axes": ((Digit(3, 20),), GOOD.axes[1]), "period": 32}, "position 44 is outside 32"),
    "two elements in one slot": ({"axes": ((Digit(3, 4),), GOOD.axes[1])}, "two tensor elements share a slot"),
}


@pytest.mark.parametrize("fault", BAD)
def test_check_refuses(fault: str) -> None:
    GOOD.check()
    changes, sentence = BAD[fault]
    with pytest.raises(ParameterError, match=f"^layout: .*{sentence}"):
        msgspec.structs.replace(GOOD, **changes).check()


def test_two_images_of_several_ciphertexts_each() -> None:
    check_packing(image_layout((2, 5, 4, 4), 32))
