"""The kernels against Microsoft SEAL: rescale, rotation and relinearisation to the bit, encoding to the last place."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zstandard
from tenseal import sealapi

from hecc.runtime.ckks.circuit.parameters import galois_element
from hecc.runtime.ckks.circuit.security import ntt_primes
from hecc.runtime.ckks.devices.seal.streams import make_context, save_stream
from hecc.runtime.ckks.keys.switching_keys import RUN, packed_bytes
from hecc.runtime.native import (
    BasisConversion,
    Encoder,
    GaloisPermutation,
    Kernels,
    ModDown,
    NttTables,
    _native,
    implementations,
)

Words = npt.NDArray[np.uint64]

DEGREE = 2048
HEADER = struct.Struct("<HBBBBHQ")  # magic, header size, version, compression, reserved, size
CIPHERTEXT = struct.Struct("<32s?QQQdQ")  # parms_id, is_ntt, polynomials, degree, limbs, scale, correction factor


def content(stream: bytes) -> bytes:
    """What SEAL saved, without its header."""
    magic, header_size, _, _, compression, _, size = HEADER.unpack_from(stream)
    assert (magic, header_size, size) == (0xA15E, 16, len(stream))
    assert compression in {0, 2}
    body = stream[16:]
    return zstandard.ZstdDecompressor().decompressobj().decompress(body) if compression == 2 else body


def ciphertext_words(body: bytes) -> Words:
    """Residues of shape (polynomials, limbs, degree)."""
    _, is_ntt, polynomials, degree, limbs, _, _ = CIPHERTEXT.unpack_from(body)
    assert is_ntt
    words = np.frombuffer(body[-8 * polynomials * limbs * degree :], dtype="<u8")
    return words.reshape(polynomials, limbs, degree).astype(np.uint64)


def key_rows(body: bytes) -> Words:
    """The rows of the only switching key among SEAL's, of shape (digits, 2, limbs, degree)."""
    offset = 32
    (entries,) = struct.unpack_from("<Q", body, offset)
    offset += 8
    found = []
    for _ in range(entries):
        (rows,) = struct.unpack_from("<Q", body, offset)
        offset += 8
        for _ in range(rows):
            size = HEADER.unpack_from(body, offset)[-1]
            found.append(ciphertext_words(content(body[offset : offset + size])))
            offset += size
    return np.stack(found)


def plaintext_words(plaintext: Any, limbs: int) -> Words:
    body = content(save_stream(plaintext))
    return np.frombuffer(body[-8 * limbs * DEGREE :], dtype="<u8").reshape(limbs, DEGREE).astype(np.uint64)


@dataclass(frozen=True)
class Seal:
    """SEAL with parameters that are insecure, for tests only: three data primes and a special one, of three sizes."""

    primes: tuple[int, ...]
    context: Any
    evaluator: Any
    encryptor: Any
    encoder: Any
    generator: Any

    def parms_id(self, limbs: int) -> Any:
        data = self.context.first_context_data()
        while len(data.parms().coeff_modulus()) != limbs:
            data = data.next_context_data()
        return data.parms_id()

    def encrypt(self, seed: int, limbs: int = 3) -> Any:
        values = np.random.default_rng(seed).uniform(-1, 1, DEGREE // 2).tolist()
        plaintext, ciphertext = sealapi.Plaintext(), sealapi.Ciphertext()
        self.encoder.encode(values, self.parms_id(limbs), 2.0**24, plaintext)
        self.encryptor.encrypt_symmetric(plaintext, ciphertext)
        return ciphertext


@pytest.fixture(scope="module")
def seal() -> Seal:
    first = ntt_primes(50, DEGREE, 1)
    middle = ntt_primes(40, DEGREE, 1)
    last = ntt_primes(45, DEGREE, 1)
    primes = (*first, *middle, *last, *ntt_primes(50, DEGREE, 1, exclude=first))
    context = make_context(DEGREE, primes, expand=True, enforce_128=False)
    generator = sealapi.KeyGenerator(context)
    return Seal(
        primes,
        context,
        sealapi.Evaluator(context),
        sealapi.Encryptor(context, generator.secret_key()),
        sealapi.CKKSEncoder(context),
        generator,
    )


@pytest.fixture(params=implementations())
def kernels(request: pytest.FixtureRequest) -> Kernels:
    return Kernels(request.param)


def tables_of(kernels: Kernels, primes: tuple[int, ...]) -> list[NttTables]:
    return [NttTables(DEGREE, prime, kernels.implementation) for prime in primes]


@pytest.mark.parametrize("limbs", [2, 3])
def test_rescale_is_seals(kernels: Kernels, seal: Seal, limbs: int) -> None:
    tables = tables_of(kernels, seal.primes[:limbs])
    rescale = ModDown(kernels, tables[:-1], tables[-1:])
    for seed in range(4):
        before, after = seal.encrypt(seed, limbs), sealapi.Ciphertext()
        seal.evaluator.rescale_to_next(before, after)
        expected = ciphertext_words(content(save_stream(after)))
        for polynomial, theirs in zip(ciphertext_words(content(save_stream(before))), expected, strict=True):
            ours = np.empty_like(theirs)
            rescale.apply(polynomial, ours)
            assert np.array_equal(ours, theirs)


def packed(rows: Words, prime: int) -> npt.NDArray[np.uint8]:
    """One limb of a key, of shape (digits, 2, degree), as key_products reads it."""
    digits, runs = len(rows), DEGREE // RUN
    words = np.ascontiguousarray(rows.reshape(digits, 2, runs, RUN).transpose(2, 0, 1, 3)).reshape(-1, RUN)
    out = np.empty((len(words), RUN * packed_bytes(prime)), dtype=np.uint8)
    _native.pack(words, out, prime)
    return out.reshape(runs, digits, 2, -1)


def switch_key(kernels: Kernels, primes: tuple[int, ...], limbs: int, polynomial: Words, rows: Words) -> Words:
    """Key switching as SEAL does it, a digit per limb and one special prime, out of the kernels alone."""
    chosen = (*primes[:limbs], primes[-1])
    tables = tables_of(kernels, chosen)
    coefficients = polynomial.copy()
    for limb, table in zip(coefficients, tables, strict=False):
        table.inverse(limb)
    digits = np.empty((limbs + 1, limbs, DEGREE), dtype=np.uint64)  # by modulus, then by digit
    for digit in range(limbs):
        others = [j for j in range(limbs + 1) if j != digit]
        converted = np.empty((limbs, DEGREE), dtype=np.uint64)
        conversion = BasisConversion(kernels, [primes[digit]], [chosen[j] for j in others], centred=False)
        conversion.convert(coefficients[digit : digit + 1], converted)
        for j, limb in zip(others, converted, strict=True):
            tables[j].forward(limb)
            digits[j, digit] = limb
        digits[digit, digit] = polynomial[digit]
    columns = [*range(limbs), len(primes) - 1]
    sums = np.empty((limbs + 1, 2, DEGREE), dtype=np.uint64)
    for j, column in enumerate(columns):
        kernels.key_products(digits[j], packed(rows[:limbs, :, column], chosen[j]), None, 0, sums[j], chosen[j])
    out = np.empty((2, limbs, DEGREE), dtype=np.uint64)
    for half in range(2):
        ModDown(kernels, tables[:-1], tables[-1:]).apply(np.ascontiguousarray(sums[:, half]), out[half])
    return out


def add(kernels: Kernels, primes: tuple[int, ...], a: Words, b: Words) -> Words:
    out = np.empty_like(a)
    for x, y, z, prime in zip(a, b, out, primes, strict=False):
        kernels.add(x, y, z, prime)
    return out


@pytest.mark.parametrize("limbs", [1, 2, 3])
@pytest.mark.parametrize("step", [1, 5, DEGREE // 4, 0])
def test_rotation_is_seals(kernels: Kernels, seal: Seal, step: int, limbs: int) -> None:
    element = galois_element(step, DEGREE) if step else 2 * DEGREE - 1  # and conjugation
    keys = sealapi.GaloisKeys()
    seal.generator.create_galois_keys([element], keys)
    before, after = seal.encrypt(step, limbs), sealapi.Ciphertext()
    seal.evaluator.apply_galois(before, element, keys, after)
    expected = ciphertext_words(content(save_stream(after)))

    permutation = GaloisPermutation(DEGREE, element)
    source = ciphertext_words(content(save_stream(before)))
    rotated = np.empty_like(source)
    for polynomial in range(2):
        for limb in range(limbs):
            permutation.apply(kernels, source[polynomial, limb], rotated[polynomial, limb])
    switched = switch_key(kernels, seal.primes, limbs, rotated[1], key_rows(content(save_stream(keys))))
    assert np.array_equal(add(kernels, seal.primes, rotated[0], switched[0]), expected[0])
    assert np.array_equal(switched[1], expected[1])


@pytest.mark.parametrize("limbs", [1, 2, 3])
def test_multiplication_and_relinearisation_are_seals(kernels: Kernels, seal: Seal, limbs: int) -> None:
    keys = sealapi.RelinKeys()
    seal.generator.create_relin_keys(keys)
    a, b = seal.encrypt(1, limbs), seal.encrypt(2, limbs)
    product, after = sealapi.Ciphertext(), sealapi.Ciphertext()
    seal.evaluator.multiply(a, b, product)
    seal.evaluator.relinearize(product, keys, after)
    expected = ciphertext_words(content(save_stream(product)))

    x, y = (ciphertext_words(content(save_stream(ciphertext))) for ciphertext in (a, b))
    ours = np.empty_like(expected)
    for limb, prime in enumerate(seal.primes[:limbs]):
        kernels.multiply(x[0, limb], y[0, limb], ours[0, limb], prime)
        left, right = np.stack([x[0, limb], x[1, limb]]), np.stack([y[1, limb], y[0, limb]])
        kernels.inner_product(left, right, ours[1, limb], prime)
        kernels.multiply(x[1, limb], y[1, limb], ours[2, limb], prime)
    assert np.array_equal(ours, expected)

    switched = switch_key(kernels, seal.primes, limbs, ours[2], key_rows(content(save_stream(keys))))
    result = np.stack([add(kernels, seal.primes, ours[i], switched[i]) for i in range(2)])
    assert np.array_equal(result, ciphertext_words(content(save_stream(after))))


# SEAL's transform and ours round in different places. Both are within a few units in the last place of the largest
# coefficient; far below 2^53 that moves a coefficient over a half now and then, and above it shows directly.
@pytest.mark.parametrize(
    ("log_scale", "largest_difference", "share"), [(20, 1, 1e-3), (40, 1, 0.01), (60, 2**8, 1.0), (100, 2**48, 1.0)]
)
@pytest.mark.parametrize("slots", [DEGREE // 2, 64, 1])
@pytest.mark.parametrize("kind", ["float64", "complex128"])
def test_encoding_is_seals_up_to_rounding(
    kernels: Kernels, seal: Seal, kind: str, slots: int, log_scale: int, largest_difference: int, share: float
) -> None:
    generator = np.random.default_rng(log_scale)
    values: Any = generator.uniform(-1, 1, slots)
    if kind == "complex128":
        values = values + 1j * generator.uniform(-1, 1, slots)
    theirs = sealapi.Plaintext()
    seal.encoder.encode(np.tile(values, DEGREE // 2 // slots).tolist(), seal.parms_id(3), 2.0**log_scale, theirs)
    expected = plaintext_words(theirs, 3)
    tables = tables_of(kernels, seal.primes[:3])
    ours = np.empty_like(expected)
    Encoder(kernels, DEGREE).encode(values, 2.0**log_scale, tables, ours)
    differences = []
    for prime, table, a, b in zip(seal.primes, tables, ours, expected, strict=False):
        table.inverse(a)
        table.inverse(b)
        kernels.subtract(a, b, a, prime)
        differences.append(a.astype(np.int64))
        differences[-1][a > prime // 2] -= prime
    if log_scale <= 60:  # then a difference is the same number in every limb
        assert np.array_equal(differences[0], differences[1])
        assert np.array_equal(differences[0], differences[2])
        assert np.abs(differences[0]).max() <= largest_difference
        assert np.count_nonzero(differences[0]) <= share * DEGREE
    else:
        whole = [combine(d, seal.primes) for d in zip(*(d.tolist() for d in differences), strict=True)]
        assert max(map(abs, whole)) <= largest_difference


def combine(residues: tuple[int, ...], primes: tuple[int, ...]) -> int:
    """The integer of least magnitude with these residues."""
    product = primes[0] * primes[1] * primes[2]
    total = sum(r * (product // p) * pow(product // p, -1, p) for r, p in zip(residues, primes, strict=False)) % product
    return total - product if total > product // 2 else total
