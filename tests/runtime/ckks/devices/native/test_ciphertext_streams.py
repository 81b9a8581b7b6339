"""SEAL's ciphertext streams without SEAL: the same residues, names of levels and seeds, and damage that is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import zstandard
from tenseal import sealapi

from hecc.runtime.ckks.circuit.security import is_prime, ntt_primes
from hecc.runtime.ckks.devices.native.streams import parms_id, read_ciphertext, write_ciphertext
from hecc.runtime.ckks.devices.seal.streams import load_stream, make_context, save_stream
from hecc.runtime.errors import FileFormatError
from hecc.runtime.native import _evaluator, implementations

DEGREE, LIMBS = 2048, 5
VALUES = np.random.default_rng(1).uniform(-1, 1, (1, 32))
Clients = Callable[[int, int], Any]


def read(stream: bytes, polynomials: int = 2, limbs: int = LIMBS) -> Any:
    return read_ciphertext(stream, ring_degree=DEGREE, limbs=limbs, polynomials=polynomials, where="here")


def native_context(client: Any, threads: int = 2) -> _evaluator.Context:
    return _evaluator.Context(DEGREE, client.data_primes, client.special, client.alpha, threads, "")


def seal_level(context: Any, limbs: int) -> Any:
    data = context.first_context_data()
    while len(data.parms().coeff_modulus()) != limbs:
        data = data.next_context_data()
    return data.parms_id()


def test_the_name_of_every_level_is_seals(hybrid_client: Clients, seal_twin: Any) -> None:
    primes = hybrid_client(1, 1).data_primes
    for limbs in range(1, LIMBS + 1):
        theirs = struct.pack("<4Q", *seal_level(seal_twin.context, limbs))
        assert parms_id(DEGREE, primes[:limbs]) == theirs


def rejecting_primes(degree: int, count: int) -> tuple[int, ...]:
    """Primes of 49 bits whose sampling rejects more than one word of 2^16."""
    primes = []
    candidate = (2**49 // (2 * degree)) * (2 * degree) * 4 // 5 // (2 * degree) * (2 * degree) + 1
    while len(primes) < count:
        if 2**64 % candidate > candidate // 2 and is_prime(candidate):
            primes.append(candidate)
        candidate += 2 * degree
    return tuple(primes)


@pytest.mark.parametrize("implementation", implementations())
@pytest.mark.parametrize("degree", [2048, 8192])
@pytest.mark.parametrize("primes_of", [lambda n: ntt_primes(30, n, 4), lambda n: rejecting_primes(n, 4)])
def test_seeds_expand_to_what_seal_samples(
    degree: int, primes_of: Callable[[int], tuple[int, ...]], implementation: str
) -> None:
    # The second set of primes draws some words again: at N = 8192 about four of the ten times 3 N.
    primes = primes_of(degree)
    seal = make_context(degree, primes, expand=True, enforce_128=False)
    encryptor = sealapi.Encryptor(seal, sealapi.KeyGenerator(seal).secret_key())
    ours = _evaluator.Context(degree, primes[:3], primes[3:], 1, 2, implementation)
    for _ in range(10):
        stream = save_stream(encryptor.encrypt_zero_symmetric(seal.first_parms_id()))
        parsed = read_ciphertext(stream, ring_degree=degree, limbs=3, polynomials=2, where="here")
        assert parsed.residues.shape == (1, 3, degree)
        assert parsed.seed is not None
        expanded = np.empty((3, degree), dtype=np.uint64)
        ours.expand_seed(parsed.seed, expanded)
        ciphertext = sealapi.Ciphertext()
        load_stream(ciphertext, seal, stream)
        whole = read_ciphertext(save_stream(ciphertext), ring_degree=degree, limbs=3, polynomials=2, where="here")
        assert whole.seed is None
        assert np.array_equal(whole.residues[0], parsed.residues[0])
        assert np.array_equal(whole.residues[1], expanded)
        alone = np.empty_like(expanded)
        _evaluator.expand_seed(parsed.seed, primes[:3], alone)
        assert np.array_equal(alone, expanded)


def test_seal_reads_what_is_written(hybrid_client: Clients, seal_twin: Any) -> None:
    client = hybrid_client(1, 1)
    rng = np.random.default_rng(0)
    for polynomials in (2, 3):
        for limbs in (1, 3, LIMBS):
            primes = client.data_primes[:limbs]
            residues = np.stack([rng.integers(0, q, (polynomials, DEGREE), dtype=np.uint64) for q in primes], axis=1)
            stream = write_ciphertext(parms_id(DEGREE, primes), 2.0**30, residues)
            ciphertext = sealapi.Ciphertext()
            load_stream(ciphertext, seal_twin.context, stream)
            assert (ciphertext.size(), ciphertext.coeff_modulus_size()) == (polynomials, limbs)
            assert ciphertext.scale == 2.0**30
            for again in (stream, save_stream(ciphertext)):
                parsed = read(again, polynomials, limbs)
                assert np.array_equal(parsed.residues, residues)
                assert (parsed.scale, parsed.seed) == (2.0**30, None)


@pytest.fixture
def body(hybrid_client: Clients) -> bytes:
    """A seeded ciphertext, unpacked."""
    stream = hybrid_client(1, 1).encrypt(VALUES)[0]
    return zstandard.ZstdDecompressor().decompressobj().decompress(stream[16:])


def packed(body: bytes, *, mode: int = 0, major: int = 4, magic: int = 0xA15E) -> bytes:
    content = zstandard.ZstdCompressor().compress(body) if mode == 2 else body
    return struct.pack("<HBBBBHQ", magic, 16, major, 3, mode, 0, 16 + len(content)) + content


def patched(body: bytes, offset: int, value: bytes) -> bytes:
    return body[:offset] + value + body[offset + len(value) :]


def test_the_unharmed_body_is_accepted(body: bytes) -> None:
    assert len(body) == 73 + 24 + 8 * LIMBS * DEGREE + 81
    for mode in (0, 2):
        assert read(packed(body, mode=mode)).seed is not None


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 17, 72, 73, 74, 96, 97, 98, 1000, -1, -65, -81, -82])
@pytest.mark.parametrize("mode", [0, 2])
def test_truncated_bodies_are_refused(body: bytes, cut: int, mode: int) -> None:
    with pytest.raises(FileFormatError, match=r"^here: "):
        read(packed(body[:cut], mode=mode))


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 17, 100, -1])
def test_truncated_streams_are_refused(body: bytes, cut: int) -> None:
    for mode in (0, 2):
        with pytest.raises(FileFormatError, match=r"^here: "):
            read(packed(body, mode=mode)[:cut])


@pytest.mark.parametrize(
    ("offset", "value", "says"),
    [
        (32, b"\0", "not in NTT form"),
        (33, struct.pack("<Q", 3), "3 polynomials, not 2"),
        (33, struct.pack("<Q", 2**63), "9223372036854775808 polynomials, not 2"),
        (41, struct.pack("<Q", 4096), "ring degree 4096, not 2048"),
        (49, struct.pack("<Q", 4), "4 limbs, not 5"),
        (73, b"\0\0", "not as SEAL writes it"),
        (78, b"\2", "not as SEAL writes it"),
        (81, struct.pack("<Q", 2**64 - 1), "does not hold the residues"),
        (89, struct.pack("<Q", 2**61 + LIMBS * DEGREE), "does not hold the residues"),
        (89, struct.pack("<Q", 0), "does not hold the residues"),
        (89, struct.pack("<Q", 2 * LIMBS * DEGREE), "does not hold the residues"),
        (97 + 8 * LIMBS * DEGREE, b"\0\0", "not as SEAL writes it"),
        (97 + 8 * LIMBS * DEGREE + 8, struct.pack("<Q", 17), "its seed is damaged"),
        (97 + 8 * LIMBS * DEGREE + 16, b"\2", "random generator 2"),
    ],
)
def test_altered_fields_are_refused(body: bytes, offset: int, value: bytes, says: str) -> None:
    for mode in (0, 2):
        with pytest.raises(FileFormatError, match=f"^here: .*{says}"):
            read(packed(patched(body, offset, value), mode=mode))


def test_trailing_bytes_are_refused(body: bytes) -> None:
    for mode in (0, 2):
        with pytest.raises(FileFormatError, match=r"^here: "):
            read(packed(body + b"\0", mode=mode))


def test_other_streams_are_refused(body: bytes) -> None:
    with pytest.raises(FileFormatError, match="unknown compression 1"):
        read(packed(body, mode=1))
    with pytest.raises(FileFormatError, match="written by SEAL 3"):
        read(packed(body, major=3))
    with pytest.raises(FileFormatError, match="not a SEAL stream"):
        read(packed(body, magic=0))
    with pytest.raises(FileFormatError, match="cannot be decompressed"):
        read(struct.pack("<HBBBBHQ", 0xA15E, 16, 4, 3, 2, 0, 16 + len(body)) + body)


def test_a_stream_that_would_unpack_to_gigabytes_is_not_unpacked() -> None:
    bomb = packed(bytes(1 << 28), mode=2)
    assert len(bomb) < 1 << 16
    with pytest.raises(FileFormatError, match=r"^here: "):
        read(bomb)


def test_residues_that_are_not_reduced_are_refused(hybrid_client: Clients) -> None:
    client = hybrid_client(1, 1)
    context = native_context(client)
    for limb, prime in enumerate(client.data_primes):
        residues = np.zeros((2, 2, LIMBS, DEGREE), dtype=np.uint64)
        residues[1, 1, limb, 7] = prime
        with pytest.raises(ValueError, match=f"residue {prime} at flat index .* is not below the modulus {prime}"):
            context.ciphertexts(residues)
        residues[1, 1, limb, 7] = prime - 1
        assert np.array_equal(context.ciphertexts(residues).array(), residues)
