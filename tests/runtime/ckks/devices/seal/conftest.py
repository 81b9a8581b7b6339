"""A stand-in for the client: real SEAL keys at parameters that are insecure, because small rings are fast."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from tenseal import sealapi

from hecc.runtime.ckks.circuit.instructions import Circuit
from hecc.runtime.ckks.circuit.parameters import GaloisElement, KeySpecification, SecurityEvidence
from hecc.runtime.ckks.circuit.security import ntt_primes
from hecc.runtime.ckks.devices.seal.streams import load_stream, make_context, save_stream

DEGREE = 2048
DATA_PRIMES = (*ntt_primes(49, DEGREE, 1), *ntt_primes(40, DEGREE, 2))
SPECIAL_PRIMES = ntt_primes(49, DEGREE, 1, exclude=DATA_PRIMES)


class InsecureClient:
    """Keys for a ring of degree 2048 with a modulus of 178 bits: insecure, for tests only. Also a ``KeySource``."""

    ring_slots = DEGREE // 2

    def __init__(self) -> None:
        self.context = make_context(DEGREE, (*DATA_PRIMES, *SPECIAL_PRIMES), expand=True, enforce_128=False)
        self.generator = sealapi.KeyGenerator(self.context)
        secret = self.generator.secret_key()
        self.encryptor = sealapi.Encryptor(self.context, secret)
        self.decryptor = sealapi.Decryptor(self.context, secret)
        self.encoder = sealapi.CKKSEncoder(self.context)
        self.asked: list[int | str] = []
        self._streams: dict[int | str, bytes] = {}

    def specification(self, circuit: Circuit) -> KeySpecification:
        """Keys for all that the circuit needs, at every level."""
        limbs = len(DATA_PRIMES)
        return KeySpecification(
            ring_degree=DEGREE,
            data_primes=DATA_PRIMES,
            special_primes=SPECIAL_PRIMES,
            relinearization_limbs=limbs,
            galois=tuple(GaloisElement(element, limbs) for element in circuit.galois_uses(DEGREE)),
            security=SecurityEvidence(level=0, adversary="classical", table="none: insecure", log2_limit=0),
        )

    def relinearization(self) -> bytes:
        """The relinearisation key."""
        return self._stream("relinearization", sealapi.RelinKeys, self.generator.create_relin_keys)

    def galois(self, element: int) -> bytes:
        """The key of one Galois element."""
        return self._stream(
            element, sealapi.GaloisKeys, lambda keys: self.generator.create_galois_keys([element], keys)
        )

    def encrypt(
        self, values: np.ndarray, *, limbs: int = len(DATA_PRIMES), scale: float | Fraction = 2.0**40
    ) -> list[bytes]:
        """Ciphertexts of slot values of shape (count, slots)."""
        streams = []
        for vector in values:
            plaintext, ciphertext = sealapi.Plaintext(), sealapi.Ciphertext()
            repeated = np.tile(vector, self.ring_slots // len(vector)).tolist()
            self.encoder.encode(repeated, self._level(limbs), float(scale), plaintext)
            self.encryptor.encrypt_symmetric(plaintext, ciphertext)
            streams.append(save_stream(ciphertext))
        return streams

    def load(self, stream: bytes | memoryview) -> Any:
        """SEAL's ciphertext."""
        ciphertext = sealapi.Ciphertext()
        load_stream(ciphertext, self.context, stream)
        return ciphertext

    def decrypt(self, streams: Sequence[bytes | memoryview], slots: int) -> np.ndarray:
        """Slot values of shape (count, slots), after a check that the ring's slots repeat the logical ones."""
        rows = []
        for stream in streams:
            plaintext = sealapi.Plaintext()
            self.decryptor.decrypt(self.load(stream), plaintext)
            copies = np.array(self.encoder.decode_complex(plaintext)).reshape(-1, slots)
            np.testing.assert_allclose(copies.imag, 0, atol=1e-5)
            np.testing.assert_allclose(copies.real - copies.real[:1], 0, atol=1e-5)
            rows.append(copies[0].real)
        return np.array(rows)

    def _level(self, limbs: int) -> Any:
        data = self.context.first_context_data()
        while len(data.parms().coeff_modulus()) != limbs:
            data = data.next_context_data()
        return data.parms_id()

    def _stream(self, name: int | str, kind: Any, create: Any) -> bytes:
        self.asked.append(name)
        if name not in self._streams:
            keys = kind()
            create(keys)
            self._streams[name] = save_stream(keys)
        return self._streams[name]


@pytest.fixture(scope="session")
def _client() -> InsecureClient:
    return InsecureClient()


@pytest.fixture
def insecure_client(_client: InsecureClient) -> InsecureClient:
    """The session's client, with the list of keys asked for emptied."""
    _client.asked.clear()
    return _client
