"""The cost model: seconds and bytes of a Circuit under given parameters, before anything is encrypted.

Times are for SEAL's evaluator on one core, as a number of limb transforms (NTT) each: key switching of a ciphertext
with ``l`` limbs needs about ``l^2 + 3 l`` of them, which reproduces what was measured at N = 2^13, 2^14 and 2^15
within 15%. One limb transform takes 0.78 ns x N log2 N on the machine that the model was fitted to; another machine
changes that one number and leaves the choices the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.circuit import (
    Add,
    AddPlain,
    Circuit,
    Diagonals,
    Fold,
    LinearTransform,
    Multiply,
    MultiplyPlain,
    Relinearize,
    Rescale,
    Rotate,
    Square,
    Subtract,
)
from hecc.runtime.evaluator import DEFAULT_MEMORY
from hecc.runtime.parameters import KeySpecification

__all__ = [
    "CostModel",
    "ciphertext_bytes",
    "circuit_seconds",
    "encoded_bytes",
    "evaluation_key_bytes",
    "peak_memory",
    "transform_rotations",
]

SECONDS_PER_BUTTERFLY = 0.78e-9
SECONDS_PER_PRODUCT = 2.4e-9


@dataclass(frozen=True)
class CostModel:
    """Seconds of the primitive operations in one ring."""

    ring_degree: int

    @property
    def transform(self) -> float:
        """NTT of one limb."""
        return SECONDS_PER_BUTTERFLY * self.ring_degree * (self.ring_degree.bit_length() - 1)

    @property
    def product(self) -> float:
        """Pointwise product of one limb of one polynomial."""
        return SECONDS_PER_PRODUCT * self.ring_degree

    def key_switch(self, limbs: int) -> float:
        """Rotation or relinearisation."""
        return (limbs * limbs + 3 * limbs) * self.transform

    def plain_product(self, limbs: int) -> float:
        """Ciphertext times encoded plaintext."""
        return 2 * limbs * self.product

    def encode(self, limbs: int) -> float:
        """A slot vector to a plaintext: a complex Fourier transform and an NTT per limb."""
        return (limbs + 3) * self.transform

    def rescale(self, limbs: int) -> float:
        """Division by the last prime."""
        return 2 * limbs * self.transform

    def diagonal(self, limbs: int) -> float:
        """One diagonal of a linear transform: encode, multiply, add."""
        return self.encode(limbs) + 1.3 * self.plain_product(limbs)


def circuit_seconds(circuit: Circuit, limbs: Sequence[int], ring_degree: int) -> float:
    """Predicted seconds of one run on one core.

    Parameters
    ----------
    limbs
        Of every instruction's result.
    """
    model = CostModel(ring_degree)
    counts = circuit.counts()
    total = 0.0
    for i, ins in enumerate(circuit.instructions):
        level, count = limbs[i], counts[i]
        if isinstance(ins, LinearTransform):
            diagonals = circuit.diagonals(ins)
            total += transform_rotations(diagonals) * model.key_switch(level) + len(diagonals) * model.diagonal(level)
        elif isinstance(ins, Fold):
            total += count * len(ins.steps) * model.key_switch(level)
        elif isinstance(ins, Rotate | Relinearize):
            total += count * model.key_switch(level)
        elif isinstance(ins, Square | Multiply):
            total += count * 4 * level * model.product
        elif isinstance(ins, MultiplyPlain):
            total += count * (model.encode(level) + model.plain_product(level))
        elif isinstance(ins, AddPlain):
            total += count * model.encode(level)
        elif isinstance(ins, Rescale):
            total += count * model.rescale(level + ins.limbs)
        elif isinstance(ins, Add | Subtract):
            total += count * level * model.product
    return total


def circuit_rotations(circuit: Circuit) -> int:
    """Rotations of one run, each a key switch."""
    counts = circuit.counts()
    total = 0
    for i, ins in enumerate(circuit.instructions):
        if isinstance(ins, LinearTransform):
            total += transform_rotations(circuit.diagonals(ins))
        elif isinstance(ins, Fold):
            total += counts[i] * len(ins.steps)
        elif isinstance(ins, Rotate):
            total += counts[i]
    return total


def transform_rotations(diagonals: Diagonals) -> int:
    """Rotations of a linear transform: babies for each argument ciphertext, giants for each result ciphertext."""
    return len(_pairs(diagonals.column, diagonals.baby)) + len(_pairs(diagonals.row, diagonals.giant))


def _pairs(ciphertext: NDArray[np.int32], step: NDArray[np.int32]) -> NDArray[np.int64]:
    """Distinct (ciphertext, step) with a step that is not zero."""
    used = step > 0
    return np.unique((ciphertext[used].astype(np.int64) << 20) + step[used])


def ciphertext_bytes(ring_degree: int, limbs: int, *, seeded: bool = False) -> int:
    """A ciphertext of two polynomials; one of them is a seed when the client encrypts with its secret key."""
    return (1 if seeded else 2) * 8 * ring_degree * limbs


def evaluation_key_bytes(keys: KeySpecification) -> int:
    """All switching keys in memory, in SEAL's shape: one digit per data prime, every digit over all primes."""
    digits, primes = len(keys.data_primes), len(keys.data_primes) + len(keys.special_primes)
    switching_keys = len(keys.galois) + (1 if keys.relinearization_limbs else 0)
    return switching_keys * digits * ciphertext_bytes(keys.ring_degree, primes)


def peak_memory(circuit: Circuit, limbs: Sequence[int], keys: KeySpecification) -> int:
    """Bytes that a session needs at its worst: keys, weights plain and encoded, ciphertexts, and the program itself."""
    last, counts = circuit.last_uses(), circuit.counts()
    live: dict[int, int] = {}
    worst = 0
    for i, ins in enumerate(circuit.instructions):
        live[i] = counts[i] * ciphertext_bytes(keys.ring_degree, limbs[i])
        working = 0
        if isinstance(ins, LinearTransform):
            diagonals = circuit.diagonals(ins)
            babies = len(_pairs(diagonals.column, diagonals.baby)) + counts[ins.x]
            working = (babies + ins.count + 1) * ciphertext_bytes(keys.ring_degree, limbs[ins.x])
        worst = max(worst, sum(live.values()) + working)
        live = {v: size for v, size in live.items() if last.get(v, -1) > i}
    constants = sum(a.nbytes for a in circuit.constants.values())
    plaintexts = min(DEFAULT_MEMORY, encoded_bytes(circuit, limbs, keys.ring_degree))
    return PROGRAM_BYTES + evaluation_key_bytes(keys) + constants + plaintexts + worst


def encoded_bytes(circuit: Circuit, limbs: Sequence[int], ring_degree: int) -> int:
    """Bytes of all diagonals once encoded: what a session that runs many rows keeps, as far as its memory allows."""
    return sum(
        len(circuit.diagonals(ins)) * 8 * ring_degree * limbs[i]
        for i, ins in enumerate(circuit.instructions)
        if isinstance(ins, LinearTransform)
    )


PROGRAM_BYTES = 120 << 20
"""Python, numpy and SEAL with its tables, measured."""
