"""The key of MORE: an invertible matrix S, from the operating system's randomness.

A number m is encoded as ``S diag(m, r, ...) S^-1``. Rounding grows with the condition number of S, so keys are made
with a small one, and others are refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import FileFormatError, InputError, KeyMismatchError
from hecc.runtime.files.container import Container, ContainerWriter, FileSource, Kind
from hecc.runtime.more.arithmetic import Encoded
from hecc.runtime.more.keyfiles import KeyHeader
from hecc.runtime.plan.keyset import EVALUATION, SECRET, KeySet

__all__ = ["MAX_CONDITION", "SecretKey", "check_size", "generate", "random_source", "write_keys"]

Array = NDArray[np.float64]

MAX_CONDITION = 8.0
"""Of keys that are made; the digits that encoding loses are those of this number."""

WORST_CONDITION = 1e4
"""Of keys that are used: with more, four of sixteen digits would be gone."""


def random_source() -> np.random.Generator:
    """Random numbers that begin with the operating system's."""
    return np.random.default_rng(secrets.randbits(256))


@dataclass(frozen=True)
class SecretKey:
    """The matrix S.

    Raises
    ------
    InputError
        It is singular, or so nearly that encoded numbers would lose their digits.
    """

    key_id: str
    matrix: Array

    def __post_init__(self) -> None:
        size = len(self.matrix)
        if self.matrix.shape != (size, size) or not bool(np.isfinite(self.matrix).all()):
            raise InputError("the key is no square matrix of finite numbers; make a new one with hecc keygen")
        condition = float(np.linalg.cond(self.matrix))
        if not condition <= WORST_CONDITION:
            raise InputError(
                f"the key's matrix is singular or nearly so (condition number {condition:.3g}, and {WORST_CONDITION:g} "
                "is the most): encoded numbers would lose their digits; make a new key with hecc keygen"
            )

    @property
    def size(self) -> int:
        """The n of n x n."""
        return len(self.matrix)

    def encode(self, diagonal: Sequence[Array]) -> Encoded:
        """Numbers, and others for the other channels, all of one shape."""
        inverse = np.linalg.inv(self.matrix)
        planes = np.zeros((self.size, self.size, *diagonal[0].shape))
        for i in range(self.size):
            for j in range(self.size):
                for k, values in enumerate(diagonal):
                    planes[i, j] += (self.matrix[i, k] * inverse[k, j]) * values
        return Encoded(planes)

    def decode(self, x: Encoded) -> Array:
        """The numbers."""
        inverse = np.linalg.inv(self.matrix)
        # Whoever decodes looks for numbers that are not finite.
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(np.einsum("i,ij...,j->...", inverse[0], x.planes, self.matrix[:, 0], optimize=True))

    @classmethod
    def load(cls, file: FileSource) -> SecretKey:
        """The key in a file.

        Raises
        ------
        InputError, FileFormatError
            It cannot be read, or is no key.
        """
        container = Container(file, Kind.SECRET_KEY)
        header = container.header(KeyHeader)
        container.require("matrix")
        matrix = container.array("matrix")
        if matrix.shape != (header.size, header.size) or matrix.dtype != np.float64:
            raise FileFormatError(f"{container.where}: the matrix is not of the size that the header says")
        return cls(header.key_id, np.array(matrix))


def generate(size: int) -> SecretKey:
    """A new key: rotations from the left and the right of singular values between 1 and :data:`MAX_CONDITION`."""
    random = random_source()

    def rotation() -> Array:
        return np.asarray(np.linalg.qr(random.normal(size=(size, size)))[0])

    stretch = np.linspace(1.0, random.uniform(2.0, MAX_CONDITION), size)
    return SecretKey(secrets.token_hex(32), rotation() @ np.diag(stretch) @ rotation())


def write_keys(key: SecretKey, folder: Path, *, force: bool) -> KeySet:
    """The files of a key set: the secret one, and one that names the set for the server. There is no public key.

    Raises
    ------
    InputError
        There is a secret key already.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (folder / SECRET).exists() and not force:
        raise InputError(
            f"{folder}: there is a secret key already, and what was encoded with it needs it; choose another folder "
            "with --keys, or replace it with --force"
        )
    for old in (folder / SECRET, folder / EVALUATION):
        if force:
            old.unlink(missing_ok=True)
    header = KeyHeader(key_id=key.key_id, size=key.size)
    with ContainerWriter(folder / EVALUATION, Kind.EVALUATION_KEYS, header, force=force):
        pass
    with ContainerWriter(folder / SECRET, Kind.SECRET_KEY, header, secret=True, force=force) as writer:
        writer.add("matrix", key.matrix)
    return KeySet(key.key_id, folder / SECRET, None, folder / EVALUATION)


def check_size(key: SecretKey, size: int) -> None:
    """Refuse a key for matrices of another size.

    Raises
    ------
    KeyMismatchError
        It is one.
    """
    if key.size != size:
        raise KeyMismatchError(
            f"the key is for matrices of {key.size} x {key.size}, and the plan has {size} x {size}; make keys for it"
        )
