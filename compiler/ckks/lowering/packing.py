"""Packing: how many examples the ciphertexts of a plan hold at a time, and how."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Packing"]


@dataclass(frozen=True)
class Packing:
    """One way to fill ciphertexts.

    Attributes
    ----------
    batch
        Examples that are evaluated at once. Each logical slot stands for as many slots of the ring.
    elementwise
        A ciphertext for each tensor element, so that no rotation is ever needed (CryptoNets, Gilad-Bachrach et al.,
        ICML 2016, section 4). Otherwise tensors fill the logical slots, and a linear layer is a matrix of diagonals.
    """

    batch: int = 1
    elementwise: bool = False

    @property
    def lanes(self) -> int:
        """Slots of the ring for each logical slot, a power of two."""
        return 1 << (self.batch - 1).bit_length()

    def slots(self, ring_degree: int) -> int:
        """The most logical slots that a ciphertext of a ring may have."""
        return 1 if self.elementwise else max(1, ring_degree // 2 // self.lanes)
