"""What raising the modulus adds: multiples of the smallest prime, and how large they become.

A ciphertext modulo q0 decrypts to m; read modulo a larger modulus it decrypts to ``m + q0 I`` with integers I. Modulo
q0 a ciphertext is as good as random: every coefficient of ``c0 + c1 t`` is a sum of h + 1 residues that are uniform
within [-q0/2, q0/2), for a secret t with h signs. Over q0 it is ``S = I + m/q0``, the sum of h + 1 uniform numbers in
[-1/2, 1/2], which has the Irwin-Hall distribution: exact here, and not approximated by a normal one, whose tail is
heavier by many bits.
"""

from __future__ import annotations

import math
from fractions import Fraction

__all__ = ["density", "log2_failure_probability", "spread"]


def spread(weight: int) -> float:
    """Standard deviation of the multiple I for a secret of so many signs."""
    return math.sqrt((weight + 1) / 12)


def density(weight: int, x: Fraction) -> Fraction:
    """Density of the sum of ``weight + 1`` uniform numbers in [-1/2, 1/2], exactly.

    ``f(x) = sum over k of (-1)^k C(n, k) (n/2 - x - k)^(n - 1) / (n - 1)!`` over the k for which the base is positive
    (Irwin; Hall, Biometrika 19, 1927); in fractions, because the terms cancel.
    """
    n = weight + 1
    rest = Fraction(n, 2) - abs(x)
    terms = ((-1) ** k * math.comb(n, k) * (rest - k) ** (n - 1) for k in range(max(0, math.ceil(rest))))
    return sum(terms, Fraction(0)) / math.factorial(n - 1)


def log2_failure_probability(weight: int, largest: int, phase: Fraction, coefficients: int) -> float:
    """log2 of the probability that a bootstrap meets a multiple beyond those for which the sine is approximated.

    The fraction of S is uniform, so that the density of S at ``I + m/q0`` is the probability of I where m is given. It
    is summed over all I beyond ``largest``, at the message for which it is most, and counted for every coefficient
    (the union bound).

    Parameters
    ----------
    weight
        Signs of the secret.
    largest
        K: multiples from -K to K are approximated.
    phase
        Largest part of q0 that a message takes, rho.
    coefficients
        How many hold a message.
    """
    beyond = range(largest + 1, (weight + 1) // 2 + 2)
    lost = sum((density(weight, i - phase) + density(weight, i + phase) for i in beyond), Fraction(0))
    if lost <= 0:
        return -math.inf
    return math.log2(coefficients) + math.log2(lost.numerator) - math.log2(lost.denominator)
