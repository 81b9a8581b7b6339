import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hecc.runtime.sharing.arithmetic.products import matrix_product
from hecc.runtime.sharing.arithmetic.rings import bit, element, low, reduced, signed


@given(st.integers(1, 64), st.integers(-(1 << 70), 1 << 70))
def test_elements_are_integers_modulo_the_ring(bits, value):
    x = np.array([element(value, bits)])
    assert int(x[0]) == value % (1 << bits)
    assert (int(signed(x, bits)[0]) - value) % (1 << bits) == 0
    assert -(1 << (bits - 1)) <= int(signed(x, bits)[0]) < 1 << (bits - 1)
    assert int(bit(x, bits - 1)[0]) == (value >> (bits - 1)) & 1


def test_reducing_keeps_the_low_bits():
    x = np.array([(1 << 64) - 1], dtype=np.uint64)
    assert [int(reduced(x, bits)[0]) for bits in (1, 20, 64)] == [1, (1 << 20) - 1, (1 << 64) - 1]
    assert low(64) == (1 << 64) - 1


@given(st.integers(1, 64), st.integers(0, 1 << 32))
def test_products_are_exact_at_the_ends_of_the_ring(bits, seed):
    rng = np.random.default_rng(seed)
    top = (1 << bits) - 1
    x = rng.choice(np.array([0, 1, top // 2, top - 1, top], dtype=np.uint64), (2, 3, 17))
    w = rng.choice(np.array([0, 1, top // 2, top - 1, top], dtype=np.uint64), (2, 17, 5))
    expected = (x.astype(object) @ w.astype(object)) % (1 << bits)
    assert (matrix_product(x, w, bits).astype(object) == expected).all()


def test_long_products_are_exact():
    x = np.full((1, 5000), (1 << 64) - 1, dtype=np.uint64)
    assert int(matrix_product(x, x.T, 64)[0, 0]) == 5000
    assert int(matrix_product(reduced(x, 33), reduced(x.T, 33), 33)[0, 0]) == 5000
