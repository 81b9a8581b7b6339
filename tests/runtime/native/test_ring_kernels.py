"""The kernels modulo powers of two of every implementation, against NumPy's wrapping integers, to the bit."""

import numpy as np
import pytest

from hecc.runtime.native import Kernels, implementations

IMPLEMENTATIONS = implementations()
SIZES = [(1, 1, 1), (4, 3, 64), (5, 7, 65), (3, 25, 130), (8, 64, 33), (13, 2, 200)]


def words(seed, shape, bits=64):
    return np.random.default_rng(seed).integers(0, (1 << bits) - 1, shape, dtype=np.uint64, endpoint=True)


@pytest.fixture(params=IMPLEMENTATIONS)
def kernels(request):
    return Kernels(request.param)


def places(terms, columns):
    return np.arange(terms, dtype=np.uint64) * np.uint64(columns), np.arange(columns, dtype=np.uint64)


@pytest.mark.parametrize("bits", [1, 7, 31, 32, 33, 63, 64])
@pytest.mark.parametrize("size", SIZES)
def test_products_wrap_as_numpys(kernels, size, bits):
    rows, terms, columns = size
    a, b = words(1, (2, rows, terms)), words(2, (3, 2, terms * columns))
    out = np.empty((3, 2, rows, columns), dtype=np.uint64)
    kernels.ring_product(a, b, *places(terms, columns), out, bits)
    expected = a @ b.reshape(3, 2, terms, columns)
    np.testing.assert_array_equal(out, expected & np.uint64((1 << bits) - 1))


@pytest.mark.parametrize("bits", [32, 64])
def test_elements_may_lie_anywhere(kernels, bits):
    rng = np.random.default_rng(bits)
    a, b = words(3, (1, 6, 40)), words(4, (2, 1, 500))
    down, across = (rng.integers(0, 250, size, dtype=np.uint64) for size in (40, 150))
    out = np.empty((2, 1, 6, 150), dtype=np.uint64)
    kernels.ring_product(a, b, down, across, out, bits)
    matrices = b[:, :, down[:, np.newaxis] + across]
    np.testing.assert_array_equal(out, (a @ matrices) & np.uint64((1 << bits) - 1))


def test_sums_of_nothing_are_zero(kernels):
    out = np.ones((1, 1, 2, 3), dtype=np.uint64)
    none = np.empty(0, dtype=np.uint64)
    kernels.ring_product(words(0, (1, 2, 0)), words(0, (1, 1, 0)), none, np.arange(3, dtype=np.uint64), out, 8)
    assert not out.any()


@pytest.mark.parametrize("width", range(1, 65))
def test_fields_are_numbers_in_base_two_to_the_width(kernels, width):
    for count in (0, 1, 7, 8, 9, 64, 131):
        values = words(width, (2, count))
        packed = np.full((2, (count * width + 7) // 8), 255, dtype=np.uint8)
        kernels.pack_field(values, packed, width)
        low = values & np.uint64((1 << width) - 1)
        for row, numbers in zip(packed, low, strict=True):
            whole = sum(int(number) << (width * i) for i, number in enumerate(numbers))
            assert row.tobytes() == whole.to_bytes(len(row), "little")
        found = np.empty((2, count), dtype=np.uint64)
        # Rows that lie apart, between bytes that are no part of them.
        apart = np.full((2, packed.shape[1] + 5), 255, dtype=np.uint8)
        apart[:, 2:-3] = packed
        kernels.unpack_field(apart[:, 2:-3], found, width)
        np.testing.assert_array_equal(found, low)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("width", range(1, 7))
def test_look_ups_read_two_neighbouring_bits(kernels, width, first):
    share, v = words(width, 333, (1 << width) - 1), words(width + 9, 333)
    above, equal = np.empty(333, dtype=np.uint8), np.empty(333, dtype=np.uint8)
    for shift in (0, 5, 64 - width):
        kernels.look_up(share, v, above, equal, shift, width, first)
        digits = (v >> np.uint64(shift)) & np.uint64((1 << width) - 1)
        bits = [
            [((int(word) << 1) | first) >> place & 1 for place in (int(digit), int(digit) + 1)]
            for word, digit in zip(share, digits, strict=True)
        ]
        np.testing.assert_array_equal(above, [greater for _, greater in bits])
        np.testing.assert_array_equal(equal, [greater ^ reached for reached, greater in bits])


def test_what_would_leave_the_arrays_is_refused(kernels):
    a, b, out = words(0, (1, 2, 3)), words(0, (1, 1, 12)), np.empty((1, 1, 2, 4), dtype=np.uint64)
    down, across = places(3, 4)
    with pytest.raises(ValueError, match="offsets lead out"):
        kernels.ring_product(a, b, down + np.uint64(1), across, out, 8)
    with pytest.raises(ValueError, match="offsets lead out"):
        kernels.ring_product(a, b, down + np.uint64((1 << 64) - 1), across, out, 8)
    with pytest.raises(ValueError, match="overlaps"):
        kernels.ring_product(a, b, down, across, b[:, :, :8].reshape(1, 1, 2, 4), 8)
    for bits in (0, 65):
        with pytest.raises(ValueError, match="from 1 to 64"):
            kernels.ring_product(a, b, down, across, out, bits)
        with pytest.raises(ValueError, match="from 1 to 64"):
            kernels.pack_field(a[0], np.empty((2, 3), dtype=np.uint8), bits)
    with pytest.raises(ValueError, match="must have shape"):
        kernels.pack_field(a[0], np.empty((2, 2), dtype=np.uint8), 8)
    with pytest.raises(ValueError, match="must have shape"):
        kernels.unpack_field(np.empty((2, 2), dtype=np.uint8), np.empty((2, 3), dtype=np.uint64), 8)
    with pytest.raises(ValueError, match="neighbours"):
        kernels.unpack_field(np.empty((2, 6), dtype=np.uint8)[:, ::2], np.empty((2, 3), dtype=np.uint64), 8)
    byte = np.empty(4, dtype=np.uint8)
    with pytest.raises(ValueError, match="from 1 to 6"):
        kernels.look_up(down, down, byte[:3], byte[:3].copy(), 0, 7, True)
    with pytest.raises(ValueError, match="shift"):
        kernels.look_up(down, down, byte[:3], byte[:3].copy(), 64, 1, True)
