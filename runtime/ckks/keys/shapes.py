"""What evaluation keys of each shape are: their bytes, and how a file holds them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.parameters import KeyLayout, KeyShape, KeySpecification
from hecc.runtime.ckks.keys.switching_keys import layout_bytes
from hecc.runtime.files.container import Container

__all__ = ["DENSE_TO_SPARSE", "GALOIS", "KEY_FORMATS", "RELINEARIZATION", "SPARSE_TO_DENSE", "KeyFormat", "key_layouts"]

RELINEARIZATION, GALOIS = "relinearization", "galois/"
DENSE_TO_SPARSE, SPARSE_TO_DENSE = "dense_to_sparse", "sparse_to_dense"
"""What the keys of a set are called; the name of a Galois key ends in its element."""


class KeyFormat(ABC):
    """Evaluation keys of one shape."""

    inverse: ClassVar[bool]
    """Whether Galois keys are stored under the inverse automorphism, from its image of the secret to the secret."""

    seeded: ClassVar[bool]
    """Whether one half of each key is random, and a seed in a file: then the file has half the bytes, at most."""

    raises: ClassVar[bool]
    """Whether there are keys that raise ciphertexts among them."""

    @abstractmethod
    def memory(self, spec: KeySpecification, layout: KeyLayout) -> int:
        """Bytes of a switching key in memory."""

    @abstractmethod
    def entry(self, spec: KeySpecification, layout: KeyLayout) -> tuple[str, tuple[int, ...]]:
        """Type and shape of such a key's entry in a file."""

    @abstractmethod
    def read(self, container: Container, name: str) -> memoryview | NDArray[np.uint8]:
        """The key in an entry of a file."""

    @abstractmethod
    def ordered(self, keys: Mapping[str, KeyLayout]) -> dict[str, KeyLayout]:
        """Names of keys and their layouts in the order of the file."""

    def all_memory(self, spec: KeySpecification) -> list[int]:
        """Bytes of each switching key of a specification in memory."""
        return [self.memory(spec, layout) for layout in key_layouts(spec).values()]

    def all_stored(self, spec: KeySpecification) -> int:
        """Bytes of all switching keys of a specification in a file, at most."""
        return sum(self.all_memory(spec)) // (2 if self.seeded else 1)


class SealFormat(KeyFormat):
    """SEAL's own keys: a digit for every prime but one, over all primes, untruncated."""

    inverse, seeded = False, True
    raises = False

    def memory(self, spec: KeySpecification, layout: KeyLayout) -> int:
        primes = len(spec.data_primes) + len(spec.special_primes)
        return 16 * (primes - 1) * primes * spec.ring_degree

    def entry(self, spec: KeySpecification, layout: KeyLayout) -> tuple[str, tuple[int, ...]]:
        return "bytes", ()

    def read(self, container: Container, name: str) -> memoryview:
        return container.bytes(name)

    def ordered(self, keys: Mapping[str, KeyLayout]) -> dict[str, KeyLayout]:
        return dict(keys)


class PackedFormat(KeyFormat):
    """Hybrid keys, packed (:mod:`hecc.runtime.ckks.keys.switching_keys`), each cut down to the limbs it is used at."""

    inverse, seeded = True, False
    raises = True

    def memory(self, spec: KeySpecification, layout: KeyLayout) -> int:
        return layout_bytes(layout, spec.ring_degree)

    def entry(self, spec: KeySpecification, layout: KeyLayout) -> tuple[str, tuple[int, ...]]:
        return "|u1", (layout_bytes(layout, spec.ring_degree),)

    def read(self, container: Container, name: str) -> NDArray[np.uint8]:
        return container.array(name)

    def ordered(self, keys: Mapping[str, KeyLayout]) -> dict[str, KeyLayout]:
        """Keys of the same limbs stand together: what makes them then needs each of SEAL's contexts once."""
        return dict(sorted(keys.items(), key=lambda item: -item[1].limbs))


KEY_FORMATS: Mapping[KeyShape, KeyFormat] = MappingProxyType({"native": PackedFormat(), "seal": SealFormat()})
"""By shape."""

if set(KEY_FORMATS) != set(get_args(KeyShape)):
    raise TypeError(f"key shapes without a format: {set(get_args(KeyShape)) ^ set(KEY_FORMATS)}")


def key_layouts(spec: KeySpecification) -> dict[str, KeyLayout]:
    """All switching keys of a specification, by name."""
    keys = {RELINEARIZATION: spec.hybrid(spec.relinearization_limbs)} if spec.relinearization_limbs else {}
    keys.update((f"{GALOIS}{key.element}", spec.hybrid(key.limbs)) for key in spec.galois)
    if spec.encapsulation is not msgspec.UNSET:
        keys[SPARSE_TO_DENSE] = spec.sparse_to_dense(spec.encapsulation.limbs)
        keys[DENSE_TO_SPARSE] = spec.dense_to_sparse
    return keys
