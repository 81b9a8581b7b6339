"""The noise that hides a result's own: as large as the theorem says, of the right distribution, and not granular."""

import math
from collections import Counter

import numpy as np
import pytest

from hecc.runtime.flooding import discrete_gaussian, flooding_factor


def test_the_noise_keeps_what_all_results_tell_below_the_bound():
    # Gaussians of deviation sigma at a distance t have divergence t^2 / (2 sigma^2); Pinsker for all of them together.
    for results, ciphertexts in ((1, 1), (1000, 3)):
        sigma, distance = flooding_factor(results, ciphertexts), math.sqrt(ciphertexts)
        divergence = results * distance**2 / (2 * sigma**2)
        assert math.sqrt(divergence / 2) == pytest.approx(2**-32 / math.sqrt(48))


@pytest.mark.parametrize("deviation", [1, 3])
def test_samples_are_of_the_discrete_gaussian_distribution(deviation):
    # A chi-squared statistic of 10 degrees of freedom is above 40 once in 60,000 times.
    number = 20_000
    found = Counter(discrete_gaussian(deviation, number))
    weights = {y: math.exp(-(y**2) / (2 * deviation**2)) for y in range(-60, 61)}
    total = sum(weights.values())
    middle = range(-5, 6)
    statistic = 0.0
    for y in middle:
        expected = number * weights[y] / total
        statistic += (found[y] - expected) ** 2 / max(expected, 1e-9) if expected > 5 else 0.0
    assert statistic < 40
    assert abs(np.array(list(found.elements())).mean()) < 5 * deviation / math.sqrt(number)


def test_wide_samples_are_gaussian_down_to_the_last_bit():
    deviation, number = 1 << 90, 4000
    samples = discrete_gaussian(deviation, number)
    scaled = np.array([sample / deviation for sample in samples])
    assert scaled.std() == pytest.approx(1, abs=0.06)
    assert abs(scaled.mean()) < 0.08
    assert (scaled**4).mean() == pytest.approx(3, abs=0.7)
    # Doubles of this size are multiples of 2^38.
    for bit in range(0, 40, 5):
        assert abs(sum(sample >> bit & 1 for sample in samples) - number / 2) < 5 * math.sqrt(number) / 2
    assert len(set(samples)) == number
