"""The polynomial that takes multiples away, against the sine and the tables of its design."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hecc.runtime.ckks.bootstrapping.sine import SineReduction

TWELVE = SineReduction(largest=12, double_angles=2, degree=31, phase=Fraction(1, 5), weight=32)
THIRTEEN = SineReduction(largest=13, double_angles=2, degree=31, phase=Fraction(9, 40), weight=32)


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        (TWELVE, {0: -22, 4: -18, 8: -13, 10: -8, 12: -7}),
        (THIRTEEN, {0: -19, 4: -16, 8: -10, 10: -5, 13: -7}),
        (SineReduction(12, 2, 27, Fraction(1, 5), 32), {0: -15, 4: -12, 8: -6, 10: 0, 12: 0}),
        (SineReduction(12, 3, 19, Fraction(1, 5), 32), {0: -19, 4: -17, 8: -11, 10: -11, 12: -4}),
    ],
)
def test_errors_by_multiple(reduction: SineReduction, expected: dict[int, int]) -> None:
    """Of the design: the largest error where the multiple is so large; its table is of s, not normalised."""
    found = np.log2(reduction.errors())
    for multiple, error in expected.items():
        assert found[multiple] == pytest.approx(error, abs=1.0)


def test_levels() -> None:
    assert THIRTEEN.levels == 7
    assert SineReduction(12, 3, 19, Fraction(1, 5), 32).levels == 8


def test_wherever_it_matters_it_is_the_sine() -> None:
    """Most slots have small multiples; for these the error is far below that of a bootstrap."""
    rng = np.random.default_rng(3)
    u = rng.uniform(-1, 1, 1 << 14)
    multiples = np.rint(rng.uniform(-0.5, 0.5, (33, 1 << 14)).sum(axis=0))
    errors = THIRTEEN.approximate(multiples + float(THIRTEEN.phase) * u) - THIRTEEN.exact(u)
    assert errors.std() < 2**-16
    assert THIRTEEN.exact(np.array([-1.0, 0.0, 1.0])) == pytest.approx(np.sin([-0.45 * np.pi, 0, 0.45 * np.pi]))


def test_the_fit_stays_bounded_between_intervals() -> None:
    """A message that is too large folds back; at multiples that are rare it is off by more, but nothing explodes."""
    assert np.abs(THIRTEEN.approximate(np.linspace(-9.5, 9.5, 20001))).max() < 1.05
    assert np.abs(THIRTEEN.approximate(np.linspace(-13.5, 13.5, 20001))).max() < 16


def test_amplitudes() -> None:
    """Each double angle makes of an amplitude the next one."""
    first, second, third = THIRTEEN.amplitudes
    angle = 0.7
    y = first * np.cos(angle)
    y = y * y - second
    assert y == pytest.approx(second * np.cos(2 * angle))
    assert y * y - third == pytest.approx(third * np.cos(4 * angle))
    assert third == 1


def test_coefficients_are_made_once() -> None:
    again = SineReduction(13, 2, 31, Fraction(9, 40), 32)
    assert again.coefficients() is THIRTEEN.coefficients()
    assert not again.coefficients().flags.writeable
