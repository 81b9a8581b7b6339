"""Hybrid switching keys with several special primes, which SEAL cannot make.

This is the one component besides SEAL that makes something of the secret key. Its rules, so that reading this
file is enough to trust it:

* It permutes, squares, scales and adds residues, and nothing else. No branch and no memory index depends on secret
  data: what is compared, and what indices are made of, are parameters of the plan. Remainders are corrected with masks.
* Every row is one sample that it asks SEAL for itself: a symmetric encryption of zero over all primes of the key. It
  accepts no sample, for two rows made from one would reveal the secret. SEAL gives the random half of a sample as the
  seed that it made it from, which is public as that half is.
* Only the client loads it.

A switching key from ``s'`` to the secret ``s`` has one row per digit (Han and Ki, "Better bootstrapping for
approximate homomorphic encryption", CT-RSA 2020, section 3). With P the product of the special primes, and ``g_j``
equal to 1 modulo the primes of digit j and to 0 modulo all others, row j is ::

    b_j = -a_j s + e_j + P g_j s',    a_j

A Galois key, of ``s' = sigma(s)`` for ``sigma: X -> X^element``, is stored under the inverse of ``sigma``: the server
then multiplies the digits before it rotates, and rotates two sums instead of every digit. What is added to the
permuted sample is ``sigma^-1(P g_j sigma(s)) = P g_j s``: the same for all elements.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tenseal import sealapi

from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.client.seal_bridge import key_context, read_sample, secret_key
from hecc.runtime.closing import Closing

__all__ = ["KeyBuilder", "galois_permutation"]

Residues = NDArray[np.uint64]


class KeyBuilder(Closing):
    """Makes the evaluation keys of shape "native" from a secret key; a context manager, which erases what it derived.

    Parameters
    ----------
    spec
        Parameters, checked by the caller.
    secret
        The secret in NTT form, shape (primes, N), data primes first, as SEAL made it.
    enforce_128
        Whether SEAL shall refuse insecure parameters too, as far as its table goes.
    """

    def __init__(self, spec: KeySpecification, secret: Residues, *, enforce_128: bool) -> None:
        self._spec = spec
        self._enforce = enforce_128
        self._secret = secret
        self._limbs = 0
        self._encryptor: Any = None
        self._parms_id: list[int] = []
        self._galois_limbs = {key.element: key.limbs for key in spec.galois}
        # P s and P s^2 modulo the data primes: no row ever gets anything else added.
        self._scaled = np.empty((len(spec.data_primes), spec.ring_degree), dtype=np.uint64)
        self._scaled_square = np.empty_like(self._scaled)
        special = math.prod(spec.special_primes)
        for limb, prime in enumerate(spec.data_primes):
            factor = np.full(spec.ring_degree, special % prime, dtype=np.uint64)
            self._scaled[limb] = _product(secret[limb], factor, prime)
            self._scaled_square[limb] = _product(self._scaled[limb], secret[limb], prime)

    def relinearization(self) -> Iterator[Residues]:
        """The relinearisation key, from ``s^2`` to ``s``, row by row.

        Each row has shape (2, primes, N); two buffers take turns.
        """
        return self._rows(self._spec.relinearization_limbs, 1, self._scaled_square)

    def galois(self, element: int) -> Iterator[Residues]:
        """The key of one Galois element of the specification, permuted by its inverse, row by row.

        Each row has shape (2, primes, N); two buffers take turns.
        """
        inverse = pow(element, -1, 2 * self._spec.ring_degree)
        return self._rows(self._galois_limbs[element], inverse, self._scaled)

    def close(self) -> None:
        """Erase what was derived from the secret."""
        self._scaled.fill(0)
        self._scaled_square.fill(0)
        self._encryptor = None
        self._limbs = 0

    def _rows(self, limbs: int, element: int, target: Residues) -> Iterator[Residues]:
        """Samples under the automorphism of ``element``, with ``target`` added to the limbs of their digits."""
        spec = self._spec
        order = galois_permutation(element, spec.ring_degree)
        moduli = np.array(spec.data_primes[:limbs], dtype=np.int64)[:, np.newaxis]
        primes = spec.primes(limbs)
        self._prepare(limbs, primes)
        shape = (2, len(primes), spec.ring_degree)
        sample = np.empty(shape, dtype=np.uint64)
        row, other = np.empty(shape, dtype=np.uint64), np.empty(shape, dtype=np.uint64)
        for first in range(0, limbs, spec.digit_limbs):
            digit = slice(first, min(first + spec.digit_limbs, limbs))
            try:
                read_sample(self._encryptor.encrypt_zero_symmetric(self._parms_id), primes, sample)
                # All indices are valid; in any other mode numpy copies the result once more.
                np.take(sample, order, axis=2, out=row, mode="clip")
                _add(row[0, digit], target[digit], moduli[digit])
            finally:
                # A sample and the row made from it differ by the secret.
                _erase(sample)
            yield row
            row, other = other, row

    def _prepare(self, limbs: int, primes: tuple[int, ...]) -> None:
        """SEAL's encryptor over the first ``limbs`` data primes and the special ones; one is kept at a time."""
        if limbs != self._limbs:
            data, special = len(self._spec.data_primes), len(self._spec.special_primes)
            selected = [*range(limbs), *range(data, data + special)]
            self._encryptor = None
            context = key_context(self._spec.ring_degree, primes, self._enforce)
            secret = self._secret[selected]
            try:
                self._encryptor = sealapi.Encryptor(context, secret_key(context, secret))
            finally:
                _erase(secret)
            self._parms_id = context.key_parms_id()
            self._limbs = limbs


def galois_permutation(element: int, ring_degree: int) -> NDArray[np.intp]:
    """Where the automorphism ``X -> X^element`` takes NTT values from, in SEAL's order.

    Value ``i`` of a polynomial is taken at ``root ** (2 r(i) + 1)``, where ``r`` reverses the log2(N) bits of an index.
    So value ``i`` of the image is value ``p(i)`` of the polynomial, with ``2 r(p(i)) + 1 = element (2 r(i) + 1)``
    modulo 2N.

    Parameters
    ----------
    element
        Odd, between 1 and 2N - 1.
    ring_degree
        N.

    Returns
    -------
    ndarray
        ``p``, of shape (N,): ``image = values[p]``.
    """
    reversed_bits = np.zeros(1, dtype=np.intp)
    for _ in range(ring_degree.bit_length() - 1):
        reversed_bits = np.concatenate((2 * reversed_bits, 2 * reversed_bits + 1))
    exponents = element * (2 * reversed_bits + 1) % (2 * ring_degree)
    return reversed_bits[exponents // 2]


def _product(x: Residues, y: Residues, prime: int) -> Residues:
    """``x * y`` modulo a prime q below 2^50, without a division or a branch.

    The factors are exact as doubles. With u = 2^-53, the estimate ``x * y * (1 / q)`` of the quotient has a relative
    error below (1 + u)^3 - 1 < 3.01 u, and the quotient is below 2^50: an absolute error below 0.38. Cut off to an
    integer it is thus the true quotient or one off, so that the remainder is in [-q, 2q): exact in 64 bits, wherever
    the product and the multiple of q wrap around. Two masked corrections bring it to [0, q).
    """
    estimate, other = x.view(np.int64).astype(np.float64), y.view(np.int64).astype(np.float64)
    estimate *= other
    estimate *= 1.0 / prime
    multiple = estimate.astype(np.int64).view(np.uint64)
    multiple *= np.uint64(prime)
    remainder = x * y
    remainder -= multiple
    signed, modulus = remainder.view(np.int64), np.array(prime, dtype=np.int64)
    _lift(signed, modulus)
    signed -= modulus
    _lift(signed, modulus)
    _erase(estimate, other, multiple)
    return remainder


def _add(total: Residues, term: Residues, primes: NDArray[np.int64]) -> None:
    """``total + term`` in place, both shape (limbs, N), modulo one prime per limb."""
    signed = total.view(np.int64)
    signed += term.view(np.int64)
    signed -= primes
    _lift(signed, primes)


def _lift(signed: NDArray[np.int64], primes: NDArray[np.int64]) -> None:
    """Add the prime where ``signed`` is negative: there its sign bit, shifted down, is a mask of ones."""
    mask = signed >> np.int64(63)
    mask &= primes
    signed += mask
    _erase(mask)


def _erase(*arrays: NDArray[Any]) -> None:
    for array in arrays:
        array.fill(0)
