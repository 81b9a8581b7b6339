import numpy as np
import pytest

from hecc.runtime.sharing.arithmetic.words import digits_of, look_up, threshold_words, word_bits


@pytest.mark.parametrize("width", range(1, 7))
def test_a_look_up_compares_every_pair_of_digits(width):
    rng = np.random.default_rng(width)
    secret, public = (x.ravel() for x in np.meshgrid(*[np.arange(1 << width, dtype=np.uint64)] * 2))
    word = threshold_words(secret)
    ours = rng.integers(0, 1 << word_bits(width), word.shape, dtype=np.uint64)
    v = public << np.uint64(3)
    found = [look_up(share, v, 3, width, first=first) for share, first in ((ours, True), (ours ^ word, False))]
    np.testing.assert_array_equal(found[0][0] ^ found[1][0], secret > public)
    np.testing.assert_array_equal(found[0][1] ^ found[1][1], secret == public)


def test_digits_begin_with_the_highest():
    assert [d.tolist() for d in digits_of(np.array([0b1_01_110], dtype=np.uint64), (1, 2, 3))] == [[1], [1], [6]]
