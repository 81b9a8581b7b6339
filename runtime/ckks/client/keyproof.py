"""Whether keys belong together: a public key to its fingerprint, public and evaluation keys to a secret key.

A fingerprint is a commitment: that a public key has it needs no secret. Whoever has the secret key can prove more, for
it decrypts what belongs to it: of a public key ``(b, a)`` it leaves ``b + a s``, and of a row of a switching key
``b + a s - P g_j s'`` (``docs/reference/file-formats.md``), and these are SEAL's errors: centred binomials of 42
bits, the same integers modulo every prime. For any other key they would be uniform modulo the product of the primes.

The error alone does not tell an encryption of zero from small polynomials that were put in its place: ``(e, 0)`` has a
small one, and encrypts nothing. Whoever has no secret can make of encryptions of zero, besides those, only multiples
by small polynomials, whose errors are larger by a factor of 1.4 at least. So the deviation of the error is checked, and
that the random half is none of zeros.

The sparse secret under which ciphertexts are raised is in no file. Whoever has the secret key reads it from the key
back from it, and can then tell that both keys are what they should be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.parameters import Encapsulation, KeySpecification
from hecc.runtime.ckks.client.seal_bridge import public_residues
from hecc.runtime.ckks.devices.native.streams import parsed_switching_key
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, PublicKeyFile, SecretKeyFile, key_fingerprint
from hecc.runtime.ckks.keys.shapes import KEY_FORMATS
from hecc.runtime.ckks.keys.switching_keys import residues
from hecc.runtime.errors import FileFormatError, KeyMismatchError, ParameterError
from hecc.runtime.native import GaloisPermutation, Kernels, NttTables, _evaluator

__all__ = ["LARGEST_ERROR", "opened_public", "prove_evaluation", "prove_public"]

LARGEST_ERROR = 21
"""Of a centred binomial of 42 bits: half of them."""

DEVIATIONS = (2.5, 4.0)
"""Between these is the deviation of a row's error: the root of 10.5, give or take five times its own error in the
smallest ring."""

SMALLEST_DEGREE = 2048
"""Of the transform; below it nothing is secure."""

_Residues = NDArray[np.uint64]


def opened_public(file: PublicKeyFile, *, enforce_128: bool) -> _Residues:
    """Both halves of a public key, shape (2, data primes + 1, N), once their fingerprint is the id in the file.

    Raises
    ------
    FileFormatError
        The file holds no public key of its parameters.
    KeyMismatchError
        The key has another fingerprint.
    """
    spec = file.header.keys
    found = public_residues(spec, file.stream, enforce_128=enforce_128)
    if key_fingerprint(spec, found) != file.header.key_id:
        raise KeyMismatchError(
            f"{file.path or 'the public key'}: this is not the public key of set {file.header.key_id[:8]}, whose id it "
            "bears; get it again from whoever made the keys, and compare its fingerprint"
        )
    return found


def prove_public(file: PublicKeyFile, secret_file: SecretKeyFile, secret: _Residues) -> None:
    """Refuse a public key that does not belong to a secret key.

    Parameters
    ----------
    file
        The public key.
    secret_file, secret
        The secret key, and its residues in NTT form, shape (primes, N).

    Raises
    ------
    FileFormatError
        The file holds no public key of its parameters.
    KeyMismatchError
        It is another secret key's, or encrypts nothing.
    """
    spec, where = file.header.keys, f"{file.path or 'the public key'}"
    found = opened_public(file, enforce_128=False)
    _check_set(where, (file.header.key_id, spec), secret_file)
    proof = _Proof(spec, where)
    for place, prime in enumerate((*spec.data_primes, spec.special_primes[0])):
        proof.add(prime, found[:, place], secret[place], None)
    proof.finish()


def prove_evaluation(file: EvaluationKeyFile, secret_file: SecretKeyFile, secret: _Residues) -> None:
    """Refuse evaluation keys of which one does not switch to a secret key from what it claims.

    Parameters
    ----------
    file
        The evaluation keys.
    secret_file, secret
        The secret key, and its residues in NTT form, shape (primes, N).

    Raises
    ------
    FileFormatError
        A key is damaged.
    KeyMismatchError
        They are another secret key's, or one of them is not what it claims to be.
    """
    header = file.header
    _check_set(file.where, (header.key_id, header.keys), secret_file)
    kernels = Kernels()
    inverse = KEY_FORMATS[header.shape].inverse
    primes = (*header.keys.data_primes, *header.keys.special_primes)
    square = np.empty_like(secret)
    image = np.empty_like(secret)
    try:
        if header.keys.relinearization_limbs:
            for limb, prime in enumerate(primes):
                kernels.multiply(secret[limb], secret[limb], square[limb], prime)
            where = f"{file.where}: the relinearisation key"
            limbs = header.keys.relinearization_limbs
            _prove_key(file, file.relinearization(), 0, limbs, secret, square, where)
        if header.keys.encapsulation is not msgspec.UNSET:
            _prove_raising(file, header.keys.encapsulation, secret)
        for key in header.keys.galois:
            element = pow(key.element, -1, 2 * header.keys.ring_degree) if inverse else key.element
            permutation = GaloisPermutation(header.keys.ring_degree, element)
            for limb in range(len(primes)):
                permutation.apply(kernels, secret[limb], image[limb])
            where = f"{file.where}: the key of Galois element {key.element}"
            under, switched = (image, secret) if inverse else (secret, image)
            _prove_key(file, file.galois(key.element), key.element, key.limbs, under, switched, where)
    finally:
        square.fill(0)
        image.fill(0)


def _check_set(where: str, claimed: tuple[str, KeySpecification], secret: SecretKeyFile) -> None:
    if claimed != (secret.header.key_id, secret.header.keys):
        raise KeyMismatchError(
            f"{where}: of key set {claimed[0][:8]}, and the secret key is of set {secret.header.key_id[:8]}; give the "
            "files of one set"
        )


def _prove_key(
    file: EvaluationKeyFile,
    key: memoryview | NDArray[np.uint8],
    element: int,
    limbs: int,
    under: _Residues,
    switched: _Residues,
    where: str,
) -> None:
    """Check every row of a key: that ``b + a under - P g_j switched`` is a small error."""
    spec = file.header.keys
    data, special = spec.data_primes, spec.special_primes
    if isinstance(key, np.ndarray):
        selected = [*range(limbs), *range(len(data), len(data) + len(special))]
        digits, width, factor = spec.digits(limbs), spec.digit_limbs, math.prod(special)
        rows: Iterator[_Residues] = residues(key, spec.primes(limbs), digits, spec.ring_degree)
    else:
        selected = list(range(len(data) + len(special)))
        digits, width, factor = len(selected) - 1, 1, special[-1]
        rows = _seal_rows(spec, key, element, where)
    primes = [(*data, *special)[place] for place in selected]
    proofs = [_Proof(spec, f"{where}, digit {digit}") for digit in range(digits)]
    for place, (prime, limb) in enumerate(zip(primes, rows, strict=True)):
        for digit, proof in enumerate(proofs):
            own = place < (limbs if isinstance(key, np.ndarray) else digits) and place // width == digit
            target = (switched[selected[place]], factor % prime) if own else None
            proof.add(prime, limb[digit], under[selected[place]], target)
    for proof in proofs:
        proof.finish()


def _prove_raising(file: EvaluationKeyFile, encapsulation: Encapsulation, secret: _Residues) -> None:
    """Check the two keys that raise ciphertexts, through the sparse secret, which the secret key reads from the second.

    That one is ``b + a s = e + P t`` modulo data primes, and ``e`` modulo special ones.
    """
    spec, layout = file.header.keys, file.header.keys.sparse_to_dense(encapsulation.limbs)
    data, first, product = len(spec.data_primes), spec.special_primes[0], math.prod(spec.special_primes)
    back = _Proof(spec, f"{file.where}: the key from the sparse secret")
    rows = [row[0] for row in residues(_packed(file.sparse_to_dense()), layout.primes, 1, spec.ring_degree)]
    for place, prime in enumerate(spec.special_primes):
        back.add(prime, rows[layout.limbs + place], secret[data + place], None)
    back.finish()
    sparse: NDArray[np.int64] | None = None
    try:
        for place in range(layout.limbs):
            found = back.target(spec.data_primes[place], rows[place], secret[place], product)
            sparse, other = (found, None) if sparse is None else (sparse, found)
            if other is not None:
                same = np.array_equal(other, sparse)
                other.fill(0)
                if not same:
                    back.refuse("the secret key does not decrypt it to what it should be")
        assert sparse is not None
        if np.abs(sparse).max() > 1 or np.count_nonzero(sparse) != encapsulation.weight:
            back.refuse(f"what it switches from is no sparse secret of weight {encapsulation.weight}")
        down = _Proof(spec, f"{file.where}: the key to the sparse secret")
        layout = spec.dense_to_sparse
        rows = [row[0] for row in residues(_packed(file.dense_to_sparse()), layout.primes, 1, spec.ring_degree)]
        for prime, row, target in zip(layout.primes, rows, ((secret[0], first % layout.primes[0]), None), strict=True):
            under = (sparse % prime).astype(np.uint64)
            NttTables(spec.ring_degree, prime).forward(under)
            down.add(prime, row, under, target)
            under.fill(0)
        down.finish()
    finally:
        if sparse is not None:
            sparse.fill(0)


def _packed(key: memoryview | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Keys that raise are of the packed shape alone."""
    assert isinstance(key, np.ndarray)
    return key


def _seal_rows(spec: KeySpecification, stream: memoryview, element: int, where: str) -> Iterator[_Residues]:
    """The residues of one of SEAL's own keys, limb by limb, each of shape (digits, 2, N)."""
    primes = (*spec.data_primes, *spec.special_primes)
    places, place = (spec.ring_degree, (element - 1) // 2) if element else (1, 0)
    parsed = parsed_switching_key(
        stream, ring_degree=spec.ring_degree, limbs=len(primes), places=places, place=place, where=where
    )
    rows = np.empty((len(parsed), 2, len(primes), spec.ring_degree), dtype=np.uint64)
    for row, digit in zip(rows, parsed, strict=True):
        row[: len(digit.residues)] = digit.residues
        if digit.seed is not None:
            _evaluator.expand_seed(digit.seed, primes, row[1])
    yield from np.moveaxis(rows, 2, 0)


class _Proof:
    """The error of one row, prime by prime: the same small integers modulo all of them."""

    def __init__(self, spec: KeySpecification, where: str) -> None:
        if spec.ring_degree < SMALLEST_DEGREE:
            raise ParameterError(
                f"{where}: keys of ring degree {spec.ring_degree} are for tests, and are not proved; make keys of ring "
                f"degree {SMALLEST_DEGREE} at least"
            )
        self._degree, self._where = spec.ring_degree, where
        self._kernels = Kernels()
        self._error: NDArray[np.int64] | None = None

    def _phase(self, prime: int, row: _Residues, under: _Residues) -> _Residues:
        """``b + a under``, in NTT form, once the halves are what they may be."""
        b, a = np.ascontiguousarray(row)
        if max(b.max(), a.max()) >= prime:
            raise FileFormatError(f"{self._where} has residues that are not below their prime; make new keys")
        # Uniform residues are zero at no place, or at one.
        if np.count_nonzero(a) < self._degree - self._degree // 64:
            self.refuse("its random half is not random")
        phase: _Residues = np.empty_like(b)
        self._kernels.multiply(a, np.ascontiguousarray(under), phase, prime)
        self._kernels.add(phase, b, phase, prime)
        return phase

    def target(self, prime: int, row: _Residues, under: _Residues, factor: int) -> NDArray[np.int64]:
        """What the row encrypts at another prime, times ``factor``, beside the error that is known: coefficients."""
        phase = self._phase(prime, row, under)
        NttTables(self._degree, prime).inverse(phase)
        assert self._error is not None
        error = (self._error % prime).astype(np.uint64)
        self._kernels.subtract(phase, error, phase, prime)
        self._kernels.multiply_scalar(phase, pow(factor, -1, prime), phase, prime)
        error.fill(0)
        return _centred(phase, prime)

    def add(self, prime: int, row: _Residues, under: _Residues, target: tuple[_Residues, int] | None) -> None:
        """Both halves at one prime, shape (2, N); the secret that they are under, and what they encrypt, times that."""
        phase = self._phase(prime, row, under)
        if target is not None:
            scaled = np.empty_like(phase)
            self._kernels.multiply_scalar(np.ascontiguousarray(target[0]), target[1], scaled, prime)
            self._kernels.subtract(phase, scaled, phase, prime)
            scaled.fill(0)
        NttTables(self._degree, prime).inverse(phase)
        error = _centred(phase, prime)
        if self._error is None:
            self._error = error
        if np.abs(error).max() > LARGEST_ERROR or not np.array_equal(error, self._error):
            self.refuse("the secret key does not decrypt it to what it should be")

    def finish(self) -> None:
        """Check the error as a whole."""
        deviation = 0.0 if self._error is None else float(np.std(self._error))
        if not DEVIATIONS[0] < deviation < DEVIATIONS[1]:
            self.refuse(f"its errors have a deviation of {deviation:.2f}, and not of {math.sqrt(10.5):.2f}")

    def refuse(self, reason: str) -> None:
        """Say that the row is not what it should be, and why."""
        raise KeyMismatchError(
            f"{self._where} does not belong to the secret key ({reason}); make new keys, or get the file again"
        )


def _centred(residues: _Residues, prime: int) -> NDArray[np.int64]:
    """The integers closest to zero; the residues are erased."""
    centred = residues.astype(np.int64)
    centred[centred > prime // 2] -= prime
    residues.fill(0)
    return centred
