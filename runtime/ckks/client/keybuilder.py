"""Hybrid switching keys with several special primes, which SEAL cannot make.

This is the one component besides SEAL that makes something of the secret key. Its rules, so that reading this
file is enough to trust it:

* It permutes, squares, scales and adds residues, and draws sparse secrets. No branch and no memory index depends on
  secret data: what is compared, and what indices are made of, are parameters of the plan. Remainders are corrected, and
  places chosen, with masks. A sparse secret becomes residues by hecc's own transform, which has no branch on data.
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

Ciphertexts are raised under a sparse secret ``t``, as :class:`hecc.runtime.ckks.circuit.parameters.Encapsulation` says.
The key to it, from ``s``, is a sample *under t*, over the first data prime and the first special one, to which that
special prime times ``s`` is added; the key back is a sample under ``s`` over all primes, with ``P t`` added to every
data limb: what it multiplies are small integers, which are one digit. ``t`` is drawn for one key set, is in no file,
and is erased with everything else. Whoever has ``s`` can compute it from the second key.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from tenseal import sealapi

from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.client.seal_bridge import key_context, read_sample, secret_key
from hecc.runtime.ckks.keys.shapes import DENSE_TO_SPARSE, SPARSE_TO_DENSE
from hecc.runtime.closing import Closing
from hecc.runtime.native import NttTables

__all__ = ["KeyBuilder", "galois_permutation", "sparse_secret"]

Residues = NDArray[np.uint64]
_Under = Literal["dense", "sparse"]


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
        self._ready: tuple[_Under, list[int]] = ("dense", [])
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
        # The sparse secret t in NTT form, P t, and the first special prime times s, modulo the first data prime.
        self._sparse = np.empty((0, spec.ring_degree), dtype=np.uint64)
        self._scaled_sparse, self._single = np.empty_like(self._sparse), np.empty_like(self._sparse)
        if spec.encapsulation is not msgspec.UNSET:
            self._prepare_sparse(spec.encapsulation.weight)

    def _prepare_sparse(self, weight: int) -> None:
        spec = self._spec
        primes = (*spec.data_primes, *spec.special_primes)
        self._sparse = np.empty((len(primes), spec.ring_degree), dtype=np.uint64)
        self._scaled_sparse = np.empty((len(spec.data_primes), spec.ring_degree), dtype=np.uint64)
        coefficients = sparse_secret(weight, spec.ring_degree)
        for limb, prime in enumerate(primes):
            signed = coefficients.copy()
            _lift(signed, np.array(prime, dtype=np.int64))
            self._sparse[limb] = signed.view(np.uint64)
            _erase(signed)
            NttTables(spec.ring_degree, prime).forward(self._sparse[limb])
        _erase(coefficients)
        special = math.prod(spec.special_primes)
        for limb, prime in enumerate(spec.data_primes):
            factor = np.full(spec.ring_degree, special % prime, dtype=np.uint64)
            self._scaled_sparse[limb] = _product(self._sparse[limb], factor, prime)
        first = spec.data_primes[0]
        factor = np.full(spec.ring_degree, spec.special_primes[0] % first, dtype=np.uint64)
        self._single = _product(self._secret[0], factor, first)[np.newaxis]

    def relinearization(self) -> Iterator[Residues]:
        """The relinearisation key, from ``s^2`` to ``s``, row by row.

        Each row has shape (2, primes, N); two buffers take turns.
        """
        limbs = self._spec.relinearization_limbs
        return self._rows("dense", self._all_special(limbs), limbs, self._spec.digit_limbs, 1, self._scaled_square)

    def galois(self, element: int) -> Iterator[Residues]:
        """The key of one Galois element of the specification, permuted by its inverse, row by row.

        Each row has shape (2, primes, N); two buffers take turns.
        """
        inverse, limbs = pow(element, -1, 2 * self._spec.ring_degree), self._galois_limbs[element]
        selected = self._all_special(limbs)
        return self._rows("dense", selected, limbs, self._spec.digit_limbs, inverse, self._scaled)

    @property
    def raising(self) -> Mapping[str, Callable[[], Iterator[Residues]]]:
        """What makes the two keys that raise ciphertexts, by name, each of one row; without an encapsulation none."""
        if self._spec.encapsulation is msgspec.UNSET:
            return {}
        limbs, single = self._spec.encapsulation.limbs, [0, len(self._spec.data_primes)]
        return {
            DENSE_TO_SPARSE: lambda: self._rows("sparse", single, 1, 1, 1, self._single),
            SPARSE_TO_DENSE: lambda: self._rows(
                "dense", self._all_special(limbs), limbs, limbs, 1, self._scaled_sparse
            ),
        }

    def close(self) -> None:
        """Erase what was derived from the secret."""
        _erase(self._scaled, self._scaled_square, self._sparse, self._scaled_sparse, self._single)
        self._encryptor = None
        self._ready = "dense", []

    def _all_special(self, limbs: int) -> list[int]:
        """The first ``limbs`` data primes and all special ones, by their places among all primes."""
        data, special = len(self._spec.data_primes), len(self._spec.special_primes)
        return [*range(limbs), *range(data, data + special)]

    def _rows(
        self, under: _Under, selected: list[int], limbs: int, width: int, element: int, target: Residues
    ) -> Iterator[Residues]:
        """Samples under the automorphism of ``element``, with ``target`` added to the limbs of their digits.

        Parameters
        ----------
        under
            Which secret the samples are under.
        selected
            Places of their primes among all, the first ``limbs`` of which are data primes.
        width
            Data primes of a digit.
        """
        spec = self._spec
        order = galois_permutation(element, spec.ring_degree)
        moduli = np.array(spec.data_primes[:limbs], dtype=np.int64)[:, np.newaxis]
        primes = self._prepare(under, selected)
        shape = (2, len(primes), spec.ring_degree)
        sample = np.empty(shape, dtype=np.uint64)
        row, other = np.empty(shape, dtype=np.uint64), np.empty(shape, dtype=np.uint64)
        for first in range(0, limbs, width):
            digit = slice(first, min(first + width, limbs))
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

    def _prepare(self, under: _Under, selected: list[int]) -> Sequence[int]:
        """SEAL's encryptor under a secret over selected primes, which are returned; one is kept at a time."""
        spec = self._spec
        primes = [(*spec.data_primes, *spec.special_primes)[place] for place in selected]
        if (under, selected) != self._ready:
            self._encryptor = None
            context = key_context(spec.ring_degree, primes, self._enforce)
            residues = {"dense": self._secret, "sparse": self._sparse}[under][selected]
            try:
                self._encryptor = sealapi.Encryptor(context, secret_key(context, residues))
            finally:
                _erase(residues)
            self._parms_id = context.key_parms_id()
            self._ready = under, selected
        return primes


def sparse_secret(weight: int, ring_degree: int) -> NDArray[np.int64]:
    """Coefficients of which exactly ``weight`` are not zero, each 1 or -1: uniform among all such, in constant time.

    Place ``i``, from the last to the first, is drawn from those from ``i`` on; if a later one has it already, it
    becomes ``i`` itself, which no later one can have (Floyd's algorithm, Bentley and Floyd, "A sample of brilliance",
    CACM 30, 1987; in constant time, Sendrier, "Secure sampling of constant-weight words", ia.cr/2021/1631, section 3).
    For each place and sign SEAL's generator draws a word of 64 bits, so that no place is more likely than another by
    more than a part of 2^-47. Equal numbers are found, and coefficients written, with masks: every coefficient is
    computed from every place.

    Parameters
    ----------
    weight
        Of the secret, at most ``ring_degree``.
    ring_degree
        N.

    Returns
    -------
    ndarray
        Shape (N,); the caller erases it.
    """
    words = np.array([sealapi.random_uint64() for _ in range(2 * weight)], dtype=np.uint64)
    first = np.arange(weight, dtype=np.int64)
    # Of the words, the upper halves times the number of places, and what the lower halves carry: both fit 64 bits.
    number, half = (ring_degree - first).view(np.uint64), np.uint64(32)
    low, high = words[:weight] << half >> half, words[:weight] >> half
    places = first + ((high * number + (low * number >> half)) >> half).view(np.int64)
    for i in reversed(range(weight)):
        taken = np.bitwise_or.reduce(_equal(places[i + 1 :], places[i]))
        places[i] ^= (places[i] ^ i) & taken
    signs = 1 - 2 * (words[weight:] >> np.uint64(63)).view(np.int64)
    index = np.arange(ring_degree, dtype=np.int64)
    coefficients = np.zeros(ring_degree, dtype=np.int64)
    for i in range(weight):
        coefficients += signs[i] & _equal(index, places[i])
    _erase(words, low, high, places, signs)
    return coefficients


def _equal(numbers: NDArray[np.int64], number: np.int64) -> NDArray[np.int64]:
    """All ones where a number that is not negative equals another such, else zero."""
    return ((numbers ^ number) - 1) >> np.int64(63)


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
