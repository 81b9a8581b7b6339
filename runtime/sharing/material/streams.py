"""Random streams: AES-256 in counter mode under keys that HKDF-SHA256 derives, both as `cryptography` has them.

A stream is named by what it is bound to (plan, batch, block) and by its purpose; it is read once, from the front. So no
two masks ever come from the same place: there is no position to get wrong.
"""

from __future__ import annotations

import hashlib

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

__all__ = ["SEED_BYTES", "Stream", "next_seed", "stream"]

SEED_BYTES = 32


class Stream:
    """Random bytes that a key decides."""

    def __init__(self, key: bytes) -> None:
        # Each key makes one stream, so the counter may begin at zero.
        self._cipher = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def read(self, size: int) -> NDArray[np.uint8]:
        """The next so many bytes."""
        return np.frombuffer(self._cipher.update(bytes(size)), dtype=np.uint8)


def stream(seed: bytes, purpose: str, bound: bytes) -> Stream:
    """The stream of a seed for one purpose.

    Parameters
    ----------
    seed
        Secret, uniform.
    purpose
        "masks", "shares".
    bound
        What the stream is used for and nothing else: fingerprints and numbers of fixed length.
    """
    info = purpose.encode("ascii") + b"\0" + bound
    return Stream(HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(seed))


def next_seed(seed: bytes) -> bytes:
    """The seed of the next block; from it nobody finds the way back."""
    return hashlib.sha256(b"next\0" + seed).digest()
