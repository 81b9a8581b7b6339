"""Clients with hybrid keys, at parameters that are insecure, because small rings are fast."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.instructions import Circuit
from hecc.runtime.ckks.circuit.parameters import GaloisElement, KeySpecification, SecurityEvidence
from hecc.runtime.ckks.circuit.security import ntt_primes
from hecc.runtime.ckks.client.keybuilder import KeyBuilder, galois_permutation
from hecc.runtime.ckks.client.seal_bridge import KeyMaker, LevelCipher
from hecc.runtime.ckks.devices.native.streams import parms_id, write_ciphertext
from hecc.runtime.ckks.devices.seal.streams import make_context
from hecc.runtime.ckks.keys.switching_keys import packed_key

DEGREE = 2048
DATA = (*ntt_primes(49, DEGREE, 1), *ntt_primes(40, DEGREE, 4))
SPECIAL = ntt_primes(49, DEGREE, 3, exclude=DATA)
INSECURE = SecurityEvidence(level=0, adversary="classical", table="INSECURE test parameters", log2_limit=0)


class HybridClient:
    """A secret and its hybrid keys; also a ``KeySource`` of the shape "native".

    Insecure: N = 2048 with 209 bits of data primes.
    """

    ring_slots = DEGREE // 2

    def __init__(self, alpha: int, special: int, data_primes: tuple[int, ...] = DATA) -> None:
        self.alpha, self.special, self.data_primes = alpha, SPECIAL[:special], data_primes
        self.secret = KeyMaker(self.specification_of([]), enforce_128=False).secret_residues()
        self.keys: dict[int, NDArray[np.uint64]] = {}
        self.asked: list[int] = []
        self._ciphers: dict[int, LevelCipher] = {}

    def specification_of(self, elements: Iterable[int], limbs: int | None = None) -> KeySpecification:
        """Keys for the Galois elements and for relinearisation, at all limbs or so many."""
        limbs = len(self.data_primes) if limbs is None else limbs
        return KeySpecification(
            ring_degree=DEGREE,
            data_primes=self.data_primes,
            special_primes=self.special,
            digit_limbs=self.alpha,
            relinearization_limbs=limbs,
            galois=tuple(GaloisElement(element, limbs) for element in sorted(elements)),
            security=INSECURE,
        )

    def specification(self, circuit: Circuit) -> KeySpecification:
        """Keys for all that the circuit needs, at every level."""
        return self.specification_of(circuit.galois_uses(DEGREE))

    def relinearization(self) -> NDArray[np.uint8]:
        """The relinearisation key."""
        return self.packed(self.rows(0))

    def galois(self, element: int) -> NDArray[np.uint8]:
        """The key of one Galois element."""
        return self.packed(self.rows(element))

    def packed(self, rows: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """A key of all limbs from its rows."""
        return packed_key(rows, self.specification_of([]), len(self.data_primes))

    def cipher(self, limbs: int) -> LevelCipher:
        """Encryption and decryption at so many limbs."""
        if limbs not in self._ciphers:
            spec = self.specification_of([])
            self._ciphers[limbs] = LevelCipher(spec, limbs, enforce_128=False, secret=self.secret)
        return self._ciphers[limbs]

    def encrypt(
        self, values: NDArray[np.float64], *, limbs: int | None = None, scale: float | Fraction = 2.0**40
    ) -> list[bytes]:
        """Seeded ciphertexts of slot values of shape (count, slots)."""
        cipher = self.cipher(len(self.data_primes) if limbs is None else limbs)
        repeated = np.tile(values, (1, self.ring_slots // values.shape[1]))
        return [cipher.encrypt(vector, float(scale)) for vector in repeated]

    def decrypt(self, streams: Sequence[bytes], slots: int, *, limbs: int, scale: float | Fraction) -> Any:
        """Slot values of shape (count, slots), after a check that the ring's slots repeat the logical ones."""
        rows = []
        for stream in streams:
            copies = self.cipher(limbs).decrypt(stream, float(scale)).reshape(-1, slots)
            np.testing.assert_allclose(copies.imag, 0, atol=1e-5)
            np.testing.assert_allclose(copies.real - copies.real[:1], 0, atol=1e-5)
            # As the client does: the noise model is of the mean of the copies.
            rows.append(copies.real.mean(axis=0))
        return np.array(rows)

    def rows(self, element: int) -> NDArray[np.uint64]:
        """The rows of the relinearisation key, for element 0, or of a Galois key: (digits, 2, primes, N)."""
        self.asked.append(element)
        if element not in self.keys:
            limbs = len(self.data_primes)
            spec = self.specification_of([])
            if element:
                spec = KeySpecification(
                    **{
                        **{name: getattr(spec, name) for name in spec.__struct_fields__},
                        "galois": (GaloisElement(element, limbs),),
                    }
                )
            with KeyBuilder(spec, self.secret, enforce_128=False) as builder:
                rows = builder.galois(element) if element else builder.relinearization()
                self.keys[element] = np.array([row.copy() for row in rows])
        return self.keys[element]


class SealTwin:
    """The same keys for SEAL's evaluator: of a client with one prime per digit and one special prime."""

    def __init__(self, client: HybridClient) -> None:
        assert (client.alpha, len(client.special)) == (1, 1)
        self._client = client
        self._primes = (*client.data_primes, *client.special)
        self.context = make_context(DEGREE, self._primes, expand=True, enforce_128=False)

    def relinearization(self) -> bytes:
        """SEAL's stream of ``RelinKeys``."""
        return self._stream([self._client.rows(0)])

    def galois(self, element: int) -> bytes:
        """SEAL's stream of ``GaloisKeys`` with one key, no longer permuted."""
        key = self._client.rows(element)[..., galois_permutation(element, DEGREE)]
        return self._stream([None] * ((element - 1) // 2) + [key])

    def _stream(self, keys: Sequence[NDArray[np.uint64] | None]) -> bytes:
        identity = parms_id(DEGREE, self._primes)
        body = identity + struct.pack("<Q", len(keys))
        for key in keys:
            rows = [] if key is None else [write_ciphertext(identity, 1.0, row) for row in key]
            body += struct.pack("<Q", len(rows)) + b"".join(rows)
        return struct.pack("<HBBBBHQ", 0xA15E, 16, 4, 3, 0, 0, 16 + len(body)) + body


@functools.cache
def _client(alpha: int, special: int) -> HybridClient:
    return HybridClient(alpha, special)


@pytest.fixture(scope="session")
def hybrid_client() -> Callable[[int, int], HybridClient]:
    """A client by digit limbs and number of special primes."""
    return _client


@pytest.fixture(scope="session")
def deep_client() -> HybridClient:
    """Keys of SEAL's shape for seven data primes: six levels."""
    return HybridClient(1, 1, (*ntt_primes(49, DEGREE, 1), *ntt_primes(40, DEGREE, 6)))


@pytest.fixture(scope="session")
def deep_twin(deep_client: HybridClient) -> SealTwin:
    """SEAL's evaluator with the keys of ``deep_client``."""
    return SealTwin(deep_client)


@pytest.fixture(scope="session")
def seal_twin() -> SealTwin:
    """SEAL's evaluator with the keys of ``hybrid_client(1, 1)``."""
    return SealTwin(_client(1, 1))
