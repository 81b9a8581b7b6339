"""What a session keeps of the weights of linear transforms, and in how many bytes.

A diagonal of a linear transform is real, so that one half of its residues, or of its coefficients, says it all
(``docs/explanation/native.md``). Those of a Fourier transform's factors are complex, and repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hecc.runtime.ckks.circuit.instructions import Circuit, FourierFactor, LinearTransform
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.keys.switching_keys import packed_bytes

__all__ = ["COEFFICIENT_BYTES", "SMALLEST_SLOTS", "Weights", "factor_owners", "share_memory"]

SMALLEST_SLOTS = 64
"""Diagonals of fewer slots are encoded as repetitions with so many."""

COEFFICIENT_BYTES = 8
"""Of one coefficient of a diagonal, of which it has as many as there are slots before it repeats."""


@dataclass
class Weights:
    """The diagonals of one linear transform.

    Attributes
    ----------
    number
        Of diagonals.
    residues, coefficients
        Bytes of one diagonal ready to be multiplied with, and one that is still to be transformed.
    granted
        Bytes that the transform may keep.
    """

    number: int
    residues: int
    coefficients: int
    granted: int = 0

    @property
    def encoded(self) -> int:
        """Diagonals that are kept ready: as many as leave room for the coefficients of the others."""
        spare = self.granted - self.number * self.coefficients
        gain = self.residues - self.coefficients
        return self.number if gain <= 0 else max(0, min(self.number, spare // gain))

    @property
    def embedded(self) -> int:
        """Diagonals of which only the coefficients are kept."""
        left = self.granted - self.encoded * self.residues
        return min(self.number - self.encoded, left // self.coefficients)


def factor_owners(circuit: Circuit, limbs: Sequence[int]) -> dict[int, int]:
    """For each factor of a Fourier transform the first one of the same weights, by their numbers.

    The bootstraps of a circuit are all alike, and so are their factors: they are encoded once.
    """
    first: dict[tuple[object, ...], int] = {}
    owners = {}
    for index, ins in circuit.every(FourierFactor):
        weights = ins.slots, ins.first, ins.stop, ins.inverse, ins.gain, ins.scale, limbs[index]
        owners[index] = first.setdefault(weights, index)
    return owners


def share_memory(circuit: Circuit, limbs: Sequence[int], spec: KeySpecification, memory: int) -> dict[int, Weights]:
    """Share memory out among the linear transforms of a circuit, and the factors of Fourier transforms.

    A diagonal of which the coefficients are kept costs half a transform per limb each time, one of which nothing is
    kept a Fourier transform as well: coefficients come first.

    Parameters
    ----------
    limbs
        Of every instruction's result.
    memory
        Bytes for all of them.

    Returns
    -------
    dict
        By the instruction's number; of factors that are alike by that of the first.
    """
    words = {
        index: (len(circuit.diagonals(instruction)), max(circuit.period, SMALLEST_SLOTS))
        for index, instruction in circuit.every(LinearTransform)
    }
    owners = set(factor_owners(circuit, limbs).values())
    for index, factor in circuit.every(FourierFactor):
        if index in owners:
            words[index] = len(factor.pairs), 2 * max(1 << factor.stop, SMALLEST_SLOTS)
    shares: dict[int, Weights] = {}
    for index, (number, own) in sorted(words.items()):
        share = Weights(number, own * sum(map(packed_bytes, spec.primes(limbs[index]))), own * COEFFICIENT_BYTES)
        share.granted = min(memory, number * min(share.residues, share.coefficients))
        memory -= share.granted
        shares[index] = share
    for share in shares.values():
        more = min(memory, share.number * share.residues - share.granted)
        share.granted += more
        memory -= more
    return shares
