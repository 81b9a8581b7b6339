import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hecc.runtime.sharing.arithmetic.packing import Field, pack, unpack


@given(st.integers(1, 64), st.integers(0, 40), st.integers(1, 3), st.integers(0, 1 << 32))
def test_what_is_packed_is_unpacked(width, count, rows, seed):
    values = np.random.default_rng(seed).integers(0, (1 << width) - 1, (rows, count), dtype=np.uint64, endpoint=True)
    packed = pack(values, width)
    assert packed.shape == (rows, Field(count, width).bytes)
    np.testing.assert_array_equal(unpack(packed, count, width), values)


def test_elements_lie_without_gaps_from_the_lowest_bit():
    assert pack(np.array([5, 2, 7, 1], dtype=np.uint64), 3).tolist() == [0b11010101, 0b0011]
    assert pack(np.array([0x0102, 0x0304], dtype=np.uint64), 16).tolist() == [2, 1, 4, 3]


@pytest.mark.parametrize("width", [3, 20, 23])
def test_large_fields_are_numbers_in_base_two_to_the_width(width):
    values = np.random.default_rng(0).integers(0, 1 << width, (2, 1001), dtype=np.uint64)
    whole = np.array([[sum(int(v) << (width * i) for i, v in enumerate(row))] for row in values], dtype=object)
    packed = pack(values, width)
    for row, number in zip(packed, whole[:, 0], strict=True):
        assert row.tobytes() == number.to_bytes(len(row), "little")
    np.testing.assert_array_equal(unpack(packed, 1001, width), values)


@settings(max_examples=20)
@given(st.integers(1, 63))
def test_bits_above_the_width_are_not_written(width):
    values = np.full((1, 9), (1 << 64) - 1, dtype=np.uint64)
    assert unpack(pack(values, width), 9, width).max() == (1 << width) - 1
