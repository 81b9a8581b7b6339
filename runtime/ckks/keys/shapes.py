"""What evaluation keys of each shape are: their bytes, and how a file holds them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.parameters import KeyShape, KeySpecification
from hecc.runtime.ckks.keys.switching_keys import switching_key_bytes
from hecc.runtime.files.container import Container

__all__ = ["KEY_FORMATS", "KeyFormat"]


class KeyFormat(ABC):
    """Evaluation keys of one shape."""

    inverse: ClassVar[bool]
    """Whether Galois keys are stored under the inverse automorphism, from its image of the secret to the secret."""

    seeded: ClassVar[bool]
    """Whether one half of each key is random, and a seed in a file: then the file has half the bytes, at most."""

    @abstractmethod
    def memory(self, spec: KeySpecification, limbs: int) -> int:
        """Bytes of a switching key in memory that is used at up to ``limbs`` limbs."""

    @abstractmethod
    def layout(self, spec: KeySpecification, limbs: int) -> tuple[str, tuple[int, ...]]:
        """Type and shape of such a key's entry in a file."""

    @abstractmethod
    def read(self, container: Container, name: str) -> memoryview | NDArray[np.uint8]:
        """The key in an entry of a file."""

    @abstractmethod
    def ordered(self, keys: Mapping[str, int]) -> dict[str, int]:
        """Names of keys and their limbs in the order of the file."""

    def all_memory(self, spec: KeySpecification) -> list[int]:
        """Bytes of each switching key of a specification in memory."""
        return [self.memory(spec, limbs) for limbs in _limbs(spec)]

    def all_stored(self, spec: KeySpecification) -> int:
        """Bytes of all switching keys of a specification in a file, at most."""
        return sum(self.all_memory(spec)) // (2 if self.seeded else 1)


class SealFormat(KeyFormat):
    """SEAL's own keys: a digit for every prime but one, over all primes, untruncated."""

    inverse, seeded = False, True

    def memory(self, spec: KeySpecification, limbs: int) -> int:
        primes = len(spec.data_primes) + len(spec.special_primes)
        return 16 * (primes - 1) * primes * spec.ring_degree

    def layout(self, spec: KeySpecification, limbs: int) -> tuple[str, tuple[int, ...]]:
        return "bytes", ()

    def read(self, container: Container, name: str) -> memoryview:
        return container.bytes(name)

    def ordered(self, keys: Mapping[str, int]) -> dict[str, int]:
        return dict(keys)


class PackedFormat(KeyFormat):
    """Hybrid keys, packed (:mod:`hecc.runtime.ckks.keys.switching_keys`), each cut down to the limbs it is used at."""

    inverse, seeded = True, False

    def memory(self, spec: KeySpecification, limbs: int) -> int:
        return switching_key_bytes(spec, limbs)

    def layout(self, spec: KeySpecification, limbs: int) -> tuple[str, tuple[int, ...]]:
        return "|u1", (switching_key_bytes(spec, limbs),)

    def read(self, container: Container, name: str) -> NDArray[np.uint8]:
        return container.array(name)

    def ordered(self, keys: Mapping[str, int]) -> dict[str, int]:
        """Keys of the same limbs stand together: what makes them then needs each of SEAL's contexts once."""
        return dict(sorted(keys.items(), key=lambda item: -item[1]))


KEY_FORMATS: Mapping[KeyShape, KeyFormat] = MappingProxyType({"native": PackedFormat(), "seal": SealFormat()})
"""By shape."""

if set(KEY_FORMATS) != set(get_args(KeyShape)):
    raise TypeError(f"key shapes without a format: {set(get_args(KeyShape)) ^ set(KEY_FORMATS)}")


def _limbs(spec: KeySpecification) -> list[int]:
    """Of each switching key."""
    limbs = [key.limbs for key in spec.galois]
    return limbs + [spec.relinearization_limbs] * (spec.relinearization_limbs > 0)
