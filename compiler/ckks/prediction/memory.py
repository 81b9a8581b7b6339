"""The memory model: bytes of keys and ciphertexts, and of a session when it needs most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hecc.compiler.ckks.prediction.workload import polynomials, transform_rotations
from hecc.runtime.ckks.circuit.instructions import Circuit, LinearTransform, MatrixProduct, kinds_with
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.circuit.polynomials import expand_polynomials
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.ckks.devices.device import DEFAULT_MEMORY
from hecc.runtime.ckks.devices.streaming import AHEAD, plan_stream
from hecc.runtime.ckks.keys.switching_keys import packed_bytes, switching_key_bytes
from hecc.runtime.reading import Reading

__all__ = ["MemoryUse", "ciphertext_bytes", "encoded_bytes", "evaluation_key_bytes", "memory_use", "peak_memory"]

ROTATION_BYTES = 1 << 25
GIANT_BYTES = 1 << 25
"""What the native evaluator's linear transform takes at a time where that is enough."""

PROGRAM_BYTES = 56 << 20
"""Python, numpy, the evaluator and its tables, measured."""


def ciphertext_bytes(ring_degree: int, limbs: int, *, seeded: bool = False) -> int:
    """A ciphertext of two polynomials; one of them is a seed when the client encrypts with its secret key."""
    return (1 if seeded else 2) * 8 * ring_degree * limbs


def evaluation_key_bytes(keys: KeySpecification, evaluator: str) -> int:
    """All switching keys in memory.

    SEAL's have a digit for every prime but one, over all primes; the native evaluator's end where they are used.
    """
    if evaluator == "seal":
        primes = len(keys.data_primes) + len(keys.special_primes)
        number = len(keys.galois) + (1 if keys.relinearization_limbs else 0)
        return number * (primes - 1) * ciphertext_bytes(keys.ring_degree, primes)
    used = [element.limbs for element in keys.galois]
    used += [keys.relinearization_limbs] if keys.relinearization_limbs else []
    return sum(number * switching_key_bytes(keys, limbs) for limbs, number in Counter(used).items())


def encoded_bytes(circuit: Circuit, limbs: Sequence[int], keys: KeySpecification, evaluator: str) -> int:
    """Bytes of all diagonals once encoded: what a session that runs many rows keeps, as far as its memory allows."""
    total = 0
    for i, ins in circuit.every(LinearTransform):
        values = len(circuit.diagonals(ins))
        if evaluator == "seal":
            total += values * 8 * keys.ring_degree * limbs[i]
        else:
            total += values * circuit.period * sum(map(packed_bytes, keys.primes(limbs[i])))
    return total


@dataclass(frozen=True)
class MemoryUse:
    """Bytes that a session needs at its worst, by what they hold.

    Attributes
    ----------
    program
        Python, its libraries and their tables.
    evaluation_keys, weights, encoded_weights
        For as long as the session lives.
    ciphertexts
        With what linear transforms work in, at the instruction that needs most.
    """

    program: int
    evaluation_keys: int
    weights: int
    encoded_weights: int
    ciphertexts: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.program + self.evaluation_keys + self.weights + self.encoded_weights + self.ciphertexts


def peak_memory(circuit: Circuit, limbs: Sequence[int], keys: KeySpecification, evaluator: str) -> int:
    """Bytes that a session needs at its worst: keys, weights plain and encoded, ciphertexts, and the program itself.

    The native evaluator keeps freed ciphertexts for the next ones, up to a quarter more than were ever alive at once.
    """
    return memory_use(circuit, limbs, keys, evaluator).total


def memory_use(circuit: Circuit, limbs: Sequence[int], keys: KeySpecification, evaluator: str) -> MemoryUse:
    """What a session's memory holds when it needs most.

    Parameters
    ----------
    limbs
        Of every instruction's result.
    """
    weights = encoded_bytes(circuit, limbs, keys, evaluator)
    constants = sum(a.nbytes for a in circuit.constants.values())
    expanded = expand_polynomials(circuit, limbs)
    circuit, limbs = expanded.circuit, expanded.limbs
    last, counts = circuit.last_uses(), circuit.counts()
    native = evaluator != "seal"
    sizes = polynomials(circuit)
    inputs, products = dict(circuit.inputs()), dict(circuit.every(MatrixProduct))
    live: dict[int, int] = {}
    worst = read = first = 0
    stream = plan_stream(circuit, limbs, sizes, keys.ring_degree) if native else None
    if stream is not None:
        # In blocks; what is read ahead of them, and their weights, which are kept.
        ahead = max(ciphertext_bytes(keys.ring_degree, limbs[i]) for i, ins in circuit.inputs()) * AHEAD
        entries = sum(len(circuit.matrix(ins).values) for i, ins in products.items() if i <= stream.end)
        constants += 8 * entries
        # Buffers that are lent again may be an eighth larger than what they then hold.
        worst, first = stream.peak * 45 // 32 + ahead, stream.end
    for i, ins in enumerate(circuit.instructions[first:], first):
        live[i] = counts[i] * ciphertext_bytes(keys.ring_degree, limbs[i]) * sizes[i] // 2
        working = 0
        if i in inputs and native:
            # Read into an array of its own first.
            read = max(read, live[i] * inputs[i].ciphertexts // inputs[i].count)
        if Trait.WEIGHTS in ins.traits and not (i in products and stream is not None and i <= stream.end):
            working = _WORKING.of(ins)(_Place(circuit, keys, limbs[i], counts, native), ins)
        alive = sum(live.values())
        worst = max(worst, (alive + alive // 4 if native else alive) + working)
        live = {v: size for v, size in live.items() if last.get(v, -1) > i}
    kept = min(DEFAULT_MEMORY // 2 if native else DEFAULT_MEMORY, weights)
    return MemoryUse(PROGRAM_BYTES, evaluation_key_bytes(keys, evaluator), constants, kept, worst + read)


@dataclass(frozen=True)
class _Place:
    """Where an instruction is: its limbs, the ciphertexts of all values, and whether native kernels run it."""

    circuit: Circuit
    keys: KeySpecification
    limbs: int
    counts: Sequence[int]
    native: bool


def _transform_working(place: _Place, ins: LinearTransform) -> int:
    keys = place.keys
    babies, giants = transform_rotations(place.circuit.diagonals(ins))
    babies += place.counts[ins.x]
    if not place.native:
        return (babies + ins.count + 1) * ciphertext_bytes(keys.ring_degree, place.limbs)
    # Rotations limb by limb, the sums that all giant steps need, and rows.
    pair = ciphertext_bytes(keys.ring_degree, place.limbs + len(keys.special_primes))
    groups = giants + ins.count
    rotations = max(babies * ciphertext_bytes(keys.ring_degree, 1), min(ROTATION_BYTES, babies * pair))
    return rotations + (groups + ins.count) * pair + min(GIANT_BYTES, 3 * groups * pair)


def _product_working(place: _Place, ins: MatrixProduct) -> int:
    """Its weights as residues, and as the integers that they are made from."""
    return place.circuit.weights(ins) * 8 * (place.limbs + 1)


_WORKING: Reading[Callable[[_Place, Any], int]] = Reading(
    "the bytes that a product with weights works in",
    kinds_with(Trait.WEIGHTS),
    {LinearTransform: _transform_working, MatrixProduct: _product_working},
)
