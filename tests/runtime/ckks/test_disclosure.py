"""The noise that hides a result's own is as large as the theorem says."""

import math

import pytest

from hecc.runtime.ckks.disclosure import flooding_factor


def test_the_noise_keeps_what_all_results_tell_below_the_bound():
    # Gaussians of deviation sigma at a distance t have divergence t^2 / (2 sigma^2); Pinsker for all of them together.
    for results, ciphertexts in ((1, 1), (1000, 3)):
        sigma, distance = flooding_factor(results, ciphertexts), math.sqrt(ciphertexts)
        divergence = results * distance**2 / (2 * sigma**2)
        assert math.sqrt(divergence / 2) == pytest.approx(2**-32 / math.sqrt(48))
