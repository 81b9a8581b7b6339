import pytest

from hecc.compiler.sharing.digits import digits_for
from hecc.runtime.sharing.gates.comparison import comparison


@pytest.mark.parametrize("bits", range(1, 64))
def test_digits_make_up_the_bits_and_stay_small(bits):
    groups = digits_for(bits)
    assert sum(map(sum, groups)) == bits
    assert max(map(max, groups)) <= 5
    assert max(map(len, groups)) <= 4
    compare = comparison(groups)
    opened = len(compare.inner.opened) + len(compare.outer.opened)
    assert opened <= bits


def test_digits_are_no_dearer_than_those_chosen_by_hand():
    chosen, by_hand = comparison(digits_for(19)), comparison(((3, 3, 3), (3, 3, 4)))

    def bits(compare):
        opened = len(compare.inner.opened) + len(compare.outer.opened)
        products = len(compare.inner.products) + len(compare.outer.products)
        return 4 * opened + opened + products + sum((1 << width) - 1 for width in compare.widths)

    assert bits(chosen) <= bits(by_hand)
