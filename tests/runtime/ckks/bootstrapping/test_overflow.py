"""How large multiples of the smallest prime become, against sums, integrals and a published table."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from hecc.runtime.ckks.bootstrapping.overflow import density, log2_failure_probability, spread

HALF = Fraction(1, 2)


def tail(weight: int, x: Fraction) -> Fraction:
    """P(S > x) by the distribution's own formula, not by its density."""
    n = weight + 1
    rest = Fraction(n, 2) - x
    terms = ((-1) ** k * math.comb(n, k) * (rest - k) ** n for k in range(math.ceil(rest)))
    return sum(terms, Fraction(0)) / math.factorial(n)


def log2(value: Fraction) -> float:
    return math.log2(value.numerator) - math.log2(value.denominator)


@pytest.mark.parametrize(
    ("weight", "largest", "expected"),
    [(32, 10, -20.6), (32, 11, -28.8), (32, 12, -38.8), (32, 13, -51.6), (48, 16, -44.5), (64, 20, -52.0)],
)
def test_the_failure_probability_is_below_the_published_bound(weight: int, largest: int, expected: float) -> None:
    """The bound is of a sum beyond K + 1/4, which is a fixed message less than what is counted here."""
    bound = 15 + log2(tail(weight, largest + Fraction(1, 4)))
    assert bound == pytest.approx(expected, abs=0.6)
    exact = log2_failure_probability(weight, largest, Fraction(9, 40), 1 << 14)
    assert bound - 8 < exact < bound


def test_set_r_fails_less_than_once_in_2_to_the_52() -> None:
    """19 bootstraps of 2^14 coefficients each, as in ResNet-20."""
    assert log2_failure_probability(32, 13, Fraction(9, 40), 19 << 14) < -52


@pytest.mark.parametrize("weight", [3, 8, 32])
def test_over_all_messages_the_probability_is_that_of_the_sum(weight: int) -> None:
    """Where m is uniform too, what is beyond K is the tail of S beyond K + 1/2."""
    largest = 1
    nodes, weights = np.polynomial.legendre.leggauss(20)
    found = 0.0
    for node, share in zip(nodes.tolist(), weights.tolist(), strict=True):
        # Both halves of the messages, each a polynomial between its ends.
        for low in (-HALF, Fraction(0)):
            message = low + Fraction(node + 1) / 4
            found += share / 4 * sum(float(density(weight, i + message)) for i in range(largest + 1, weight + 2))
    assert found == pytest.approx(float(tail(weight, largest + HALF)), rel=1e-9)


def test_drawn_sums() -> None:
    """A rare event that is not too rare to be drawn."""
    weight, largest, phase = 6, 1, Fraction(9, 40)
    rng = np.random.default_rng(7)
    residues = rng.uniform(-0.5, 0.5, (weight, 1 << 18))
    # The last residue is what makes the message: the sum is I + rho exactly.
    partial = residues.sum(axis=0)
    multiple = np.rint(partial - float(phase))
    seen = np.mean(np.abs(multiple) > largest)
    assert seen == pytest.approx(2 ** log2_failure_probability(weight, largest, phase, 1), rel=0.02)
    assert multiple.std() == pytest.approx(spread(weight), rel=0.05)


def test_what_cannot_happen_has_no_probability() -> None:
    assert log2_failure_probability(8, 5, Fraction(9, 40), 1) == -math.inf
    assert density(8, Fraction(5)) == 0
