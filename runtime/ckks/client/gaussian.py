"""Discrete Gaussian noise, drawn in a time that does not depend on it.

Whoever learns the noise of a result takes it off again, and the time that a sampler takes is learnt easily. Samplers
that throw candidates away take longer for some samples than for others. Here a sample is a sum,

``x_0 + 4 x_1 + 16 x_2 + ... + 4^m x_m``,

of samples of narrow distributions, each of which is found by comparing a random number with *every* entry of a table of
cumulative probabilities. What is computed, and in which order, follows from the deviation and the number of samples
alone: comparisons, sums and shifts of arrays of 64-bit integers, without a branch or an index that depends on them.

That the sum has the right distribution is the convolution theorem for discrete Gaussians (Micciancio and Peikert,
CRYPTO 2013, theorem 3; Micciancio and Walter, CRYPTO 2017, section 4). Let s and t be deviations, both at least
``sqrt(2) 4 eta / sqrt(2 pi)``, where ``eta = sqrt(ln(2 + 2 / epsilon) / pi)`` is the smoothing parameter of the
integers. A sample of the one plus 4 times a sample of the other is within a factor 1 +- epsilon a sample of deviation
``sqrt(s^2 + 16 t^2)``. With :data:`NARROW` epsilon is below 2^-128, and tables have 128 bits; all samples that any key
ever shows (2^40 results of 2^16 coefficients) are then told from exact ones with probability 2^-56 at most.
"""

from __future__ import annotations

import itertools
import math
import secrets
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["discrete_gaussian"]

NARROW = 12.5
"""Deviation of the narrow distributions: above ``4 sqrt(2) eta / sqrt(2 pi)``, which is 12.06 for epsilon = 2^-128."""

TAIL = 14
"""Deviations up to which there are samples: beyond lies a part of 2^-140."""

DIGITS = 60
"""Decimal digits of the exponentials that tables are made of."""

PIECE = 1 << 9
"""Samples that are drawn together, so that they stay in the processor's cache."""

LIMB = 32
"""Bits of a sample's limbs, which lie in 64: the terms that meet in one never fill it."""

Limbs = NDArray[np.int64]


def discrete_gaussian(deviation: int, count: int) -> Limbs:
    """Independent samples of the discrete Gaussian distribution around zero.

    Parameters
    ----------
    deviation
        At least one. It is met exactly; the time depends on it.
    count
        Of samples.

    Returns
    -------
    ndarray
        Shape (limbs, count), the least significant limbs first: a sample is the sum of ``limb * 2^(32 i)``. All limbs
        are from 0 to ``2^32 - 1`` but the last, which has the sign. Their number follows from the deviation.
    """
    levels, variance = _levels(deviation)
    tables = [_table(Fraction(NARROW) ** 2)] * levels + [_table(variance)]
    # Two bits of sign and carry, and the bits of the largest sample.
    limbs = 1 + (2 * levels + len(tables[-1]).bit_length() + 2) // LIMB
    samples = np.zeros((limbs, count), dtype=np.int64)
    for start in range(0, count, PIECE):
        part = samples[:, start : start + PIECE]
        for level, table in enumerate(tables):
            limb, shift = divmod(2 * level, LIMB)
            part[limb] += _narrow(table, part.shape[1]) << shift
    return _carried(samples)


def _levels(deviation: int) -> tuple[int, Fraction]:
    """How many narrow distributions there are below the last one, and the variance of that, which is wide enough."""
    variance, narrow = Fraction(deviation) ** 2, Fraction(NARROW) ** 2
    levels = 0
    while (rest := (variance - narrow) / 16) >= narrow:
        variance, levels = rest, levels + 1
    return levels, variance


@lru_cache(maxsize=64)
def _table(variance: Fraction) -> NDArray[np.uint64]:
    """128-bit thresholds of magnitudes 1, 2, ... of a discrete Gaussian, shape (magnitudes, high and low 64 bits).

    A random number of 128 bits is below the first with the probability of a zero.
    """
    last = math.ceil(TAIL * math.sqrt(variance)) + 1
    with localcontext() as context:
        context.prec = DIGITS
        exponent = Decimal(variance.denominator) / (2 * Decimal(variance.numerator))
        weights = [(1 if x == 0 else 2) * (-exponent * x * x).exp() for x in range(last + 1)]
        total, reached = sum(weights), Decimal(0)
        thresholds = []
        for weight in weights[:-1]:
            reached += weight
            thresholds.append(min(int(reached / total * (1 << 128)), (1 << 128) - 1))
    table = np.array([divmod(threshold, 1 << 64) for threshold in thresholds], dtype=np.uint64)
    table.flags.writeable = False
    return table


def _narrow(table: NDArray[np.uint64], count: int) -> Limbs:
    """Samples of a distribution given by its table: the sign, and how many thresholds a random number reaches."""
    high, low = np.frombuffer(secrets.token_bytes(16 * count), dtype=np.uint64).reshape(2, count)
    signs = np.frombuffer(secrets.token_bytes(count), dtype=np.uint8).astype(np.int64) & 1
    highs, lows = table.T[:, :, np.newaxis]
    magnitudes = np.add.reduce((high > highs) | ((high == highs) & (low >= lows)), axis=0, dtype=np.int64)
    # Minus is the complement, and one.
    return np.asarray((magnitudes ^ -signs) + signs)


def _carried(samples: Limbs) -> Limbs:
    """Limbs from 0 to 2^32 - 1 but for the last, by arithmetic shifts."""
    for lower, higher in itertools.pairwise(samples):
        higher += lower >> LIMB
        lower &= (1 << LIMB) - 1
    return samples
