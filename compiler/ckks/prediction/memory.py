"""The memory model: bytes of keys and ciphertexts, and of a session when it needs most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hecc.compiler.ckks.prediction.workload import polynomials, transform_rotations
from hecc.runtime.ckks.circuit.instructions import Circuit, Input, LinearTransform, MatrixProduct
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.circuit.polynomials import expand_polynomials
from hecc.runtime.ckks.devices.device import DEFAULT_MEMORY
from hecc.runtime.ckks.devices.streaming import AHEAD, plan_stream
from hecc.runtime.ckks.keys.switching_keys import packed_bytes, switching_key_bytes

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
    for i, ins in enumerate(circuit.instructions):
        if isinstance(ins, LinearTransform):
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
    extra = len(keys.special_primes) if native else 0
    sizes = polynomials(circuit)
    live: dict[int, int] = {}
    worst = read = first = 0
    stream = plan_stream(circuit, limbs, sizes, keys.ring_degree) if native else None
    if stream is not None:
        # In blocks; what is read ahead of them, and their weights, which are kept.
        streamed = circuit.instructions[: stream.end + 1]
        ahead = max(ciphertext_bytes(keys.ring_degree, limbs[i]) for i, ins in circuit.inputs()) * AHEAD
        entries = sum(len(circuit.matrix(ins).values) for ins in streamed if isinstance(ins, MatrixProduct))
        constants += 8 * entries
        # Buffers that are lent again may be an eighth larger than what they then hold.
        worst, first = stream.peak * 45 // 32 + ahead, stream.end
    for i, ins in enumerate(circuit.instructions[first:], first):
        live[i] = counts[i] * ciphertext_bytes(keys.ring_degree, limbs[i]) * sizes[i] // 2
        working = 0
        if isinstance(ins, Input) and native:
            # Read into an array of its own first.
            read = max(read, live[i] * ins.ciphertexts // ins.count)
        if isinstance(ins, LinearTransform):
            diagonals = circuit.diagonals(ins)
            babies, giants = transform_rotations(diagonals)
            babies += counts[ins.x]
            pair = ciphertext_bytes(keys.ring_degree, limbs[i] + extra)
            if native:
                # Rotations limb by limb, the sums that all giant steps need, and rows.
                groups = giants + ins.count
                rotations = max(babies * ciphertext_bytes(keys.ring_degree, 1), min(ROTATION_BYTES, babies * pair))
                working = rotations + (groups + ins.count) * pair + min(GIANT_BYTES, 3 * groups * pair)
            else:
                working = (babies + ins.count + 1) * pair
        elif isinstance(ins, MatrixProduct) and (stream is None or i > stream.end):
            # Its weights as residues, and as the integers that they are made from.
            working = len(circuit.matrix(ins).values) * 8 * (limbs[i] + 1)
        alive = sum(live.values())
        worst = max(worst, (alive + alive // 4 if native else alive) + working)
        live = {v: size for v, size in live.items() if last.get(v, -1) > i}
    kept = min(DEFAULT_MEMORY // 2 if native else DEFAULT_MEMORY, weights)
    return MemoryUse(PROGRAM_BYTES, evaluation_key_bytes(keys, evaluator), constants, kept, worst + read)
