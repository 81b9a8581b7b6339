"""Disclosure: a result is shown to others, behind noise that hides its own (flooding).

A decrypted polynomial is ``m + e``, and its error ``e`` is a function of the secret key. Li, Micciancio, Schultz and
Sorrell ("Securing approximate homomorphic encryption using differential privacy", CRYPTO 2022) add discrete Gaussian
noise to every coefficient, of standard deviation ``sqrt(12 Q) 2^(nu / 2) t`` for Q results (Corollary 2; without its
factor sqrt(2 n), which belongs to another norm). The argument is short. Noise of deviation sigma around two centres at
a distance of at most t has a Kullback-Leibler divergence of at most ``t^2 / (2 sigma^2) = 2^-nu / (24 Q)``; divergences
of results add up, however the inputs of later ones depend on earlier ones, to ``2^-nu / 24``; and by Pinsker's
inequality whoever sees all Q results tells them from results without any error by ``2^(-nu / 2 - 2.8)`` at most. That
holds for any attacker, and what is done with a flooded polynomial afterwards, decoding included, changes nothing.

The distance t is Euclidean, over the coefficients of all ciphertexts of one result. By Parseval's identity the
coefficients of a polynomial have at most the norm of its largest slot, which
:mod:`hecc.runtime.ckks.readings.noise_bound` bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hecc.runtime.ckks.plan.header import CkksOutput

__all__ = ["MAX_RESULTS", "STATISTICAL_BITS", "deviations", "flooding_factor", "value_deviation"]

STATISTICAL_BITS = 64
"""nu, the bits of statistical security."""

MAX_RESULTS = 1 << 40
"""Results per key, at most."""


def flooding_factor(results: int, ciphertexts: int) -> float:
    """Standard deviation of the noise of a coefficient, relative to the largest slot of the error.

    Parameters
    ----------
    results
        Q, how many results of one key may be disclosed.
    ciphertexts
        That one result consists of, all outputs together.
    """
    return math.sqrt(12 * results * ciphertexts) * 2 ** (STATISTICAL_BITS / 2)


def deviations(results: int, outputs: Sequence[CkksOutput], errors: Sequence[float]) -> tuple[float, ...]:
    """Standard deviation of the noise of a coefficient, as an integer's, for each output.

    Parameters
    ----------
    errors
        Largest error of a slot of each output, in units of the value.
    """
    factor = flooding_factor(results, sum(signature.layout.count for signature in outputs))
    return tuple(factor * error * float(s.scale) for s, error in zip(outputs, errors, strict=True))


def value_deviation(signature: CkksOutput, deviation: float) -> float:
    """What noise of this deviation in every coefficient becomes in a value of an output.

    The client takes the mean of all copies of a value, which keeps two coefficients for each different slot.
    """
    return deviation * math.sqrt(signature.layout.period * signature.layout.lanes) / float(signature.scale)
