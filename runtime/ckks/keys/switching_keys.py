"""How a hybrid switching key lies in a file and in memory: in the order in which inner products read it, packed.

A key switch multiplies every digit with both polynomials of its row, limb by limb. So for every limb, for every
:data:`RUN` coefficients, for every digit, the key has a run of residues of the one polynomial and then of the other:
one inner product reads one stream from its first byte to its last. A run is packed into as many bytes per residue as
its prime needs (:func:`packed_bytes`): first the low four bytes of every residue, then the others, little-endian.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.parameters import KeyLayout, KeySpecification

__all__ = ["RUN", "PackedKey", "layout_bytes", "packed_bytes", "packed_key", "residues", "switching_key_bytes"]

RUN = 32
"""Residues of one polynomial of one digit that lie side by side."""


def packed_bytes(prime: int) -> int:
    """Bytes of a residue below ``prime``, which has at most 50 bits: 4, 5, 6 or 8."""
    bits = (prime - 1).bit_length()
    return 4 if bits <= 32 else 5 if bits <= 40 else 6 if bits <= 48 else 8


def switching_key_bytes(spec: KeySpecification, limbs: int) -> int:
    """Bytes of the key of a rotation or of relinearisation that is used at up to ``limbs`` limbs."""
    return layout_bytes(spec.hybrid(limbs), spec.ring_degree)


def layout_bytes(layout: KeyLayout, ring_degree: int) -> int:
    """Bytes of a switching key, packed."""
    return sum(2 * layout.digits * ring_degree * packed_bytes(prime) for prime in layout.primes)


class PackedKey:
    """A switching key that is packed row by row.

    Parameters
    ----------
    layout
        Its primes and digits.
    ring_degree
        N.

    Attributes
    ----------
    array
        uint8, shape (:func:`layout_bytes`,); complete after :meth:`finish`.
    """

    def __init__(self, layout: KeyLayout, ring_degree: int) -> None:
        self.array = np.empty(layout_bytes(layout, ring_degree), dtype=np.uint8)
        self._digits = layout.digits
        self._shape = (2, len(layout.primes), ring_degree)
        self._limbs = _limbs(self.array, layout.primes, layout.digits, ring_degree)
        self._rows = 0

    def add(self, row: NDArray[np.uint64]) -> None:
        """Pack the row of the next digit: residues of shape (2, primes, N).

        Raises
        ------
        ValueError
            There are more rows than digits, or this one has another shape or dtype.
        """
        if self._rows == self._digits or row.shape != self._shape or row.dtype != np.uint64:
            self._refuse()
        for limb, part in enumerate(self._limbs):
            words = row[:, limb].reshape(2, -1, RUN).transpose(1, 0, 2)
            target, width = part[:, self._rows], part.shape[-1] // RUN
            if width == 8:
                target[...] = np.ascontiguousarray(words, dtype="<u8").view(np.uint8)
                continue
            target[..., : 4 * RUN] = words.astype("<u4").view(np.uint8)
            if width > 4:
                target[..., 4 * RUN :] = (words >> np.uint64(32)).astype(f"<u{width - 4}").view(np.uint8)
        self._rows += 1

    def finish(self) -> None:
        """Check that all rows are there.

        Raises
        ------
        ValueError
            They are not.
        """
        if self._rows != self._digits:
            self._refuse()

    def _refuse(self) -> NoReturn:
        raise ValueError(f"the rows of a switching key are not {self._digits} arrays of uint64 of shape {self._shape}")


def packed_key(
    rows: Iterable[NDArray[np.uint64]], spec: KeySpecification, layout: KeyLayout | int
) -> NDArray[np.uint8]:
    """A switching key from all its rows; see :class:`PackedKey`. A number of limbs stands for a hybrid key's layout."""
    key = PackedKey(spec.hybrid(layout) if isinstance(layout, int) else layout, spec.ring_degree)
    for row in rows:
        key.add(row)
    key.finish()
    return key.array


def residues(
    key: NDArray[np.uint8], primes: Sequence[int], digits: int, ring_degree: int
) -> Iterator[NDArray[np.uint64]]:
    """The residues of a packed key, limb by limb.

    Yields
    ------
    ndarray
        Shape (digits, 2, N), one per prime.
    """
    for part in _limbs(key, primes, digits, ring_degree):
        width = part.shape[-1] // RUN
        if width == 8:
            words = np.ascontiguousarray(part).view("<u8").astype(np.uint64)
        else:
            words = np.ascontiguousarray(part[..., : 4 * RUN]).view("<u4").astype(np.uint64)
            if width > 4:
                high = np.ascontiguousarray(part[..., 4 * RUN :]).view(f"<u{width - 4}")
                words |= high.astype(np.uint64) << np.uint64(32)
        yield words.transpose(1, 2, 0, 3).reshape(digits, 2, ring_degree)


def _limbs(key: NDArray[np.uint8], primes: Sequence[int], digits: int, ring_degree: int) -> list[NDArray[np.uint8]]:
    """A view per limb, of shape (runs, digits, 2, bytes of a run)."""
    views, start = [], 0
    for prime in primes:
        shape = (ring_degree // RUN, digits, 2, RUN * packed_bytes(prime))
        size = int(np.prod(shape))
        views.append(key[start : start + size].reshape(shape))
        start += size
    return views
