"""The memory model: bytes of keys and ciphertexts, and of a session when it needs most."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hecc.compiler.ckks.prediction.workload import polynomials, transform_rotations
from hecc.runtime.ckks.circuit.bootstraps import expand_macros
from hecc.runtime.ckks.circuit.instructions import (
    Bootstrap,
    Circuit,
    Conjugate,
    DropLimbs,
    Fold,
    FourierFactor,
    Instruction,
    LinearTransform,
    MatrixProduct,
    PairedInput,
    Polynomial,
    Raise,
    Relinearize,
    Rescale,
    Rotate,
    kinds_with,
)
from hecc.runtime.ckks.circuit.parameters import KeyShape, KeySpecification
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.ckks.devices.device import DEFAULT_MEMORY
from hecc.runtime.ckks.devices.native.weights import factor_owners
from hecc.runtime.ckks.devices.streaming import AHEAD, plan_stream
from hecc.runtime.ckks.keys.shapes import KEY_FORMATS
from hecc.runtime.ckks.keys.switching_keys import packed_bytes
from hecc.runtime.reading import Reading

__all__ = ["MemoryModel", "MemoryUse", "NativeMemory", "SealMemory", "ciphertext_bytes"]

ROTATION_BYTES = 1 << 19
GIANT_BYTES = 1 << 25
"""What the native evaluator's linear transform takes at a time where that is enough."""

SUM_BYTES = DIGIT_BYTES = 1 << 25
"""What its key switching takes at a time for the sums of several ciphertexts, and for their digits."""

PROGRAM_BYTES = 56 << 20
"""`hecc run` with Python, numpy and the evaluator, measured; a server in Python takes a quarter less."""

TABLE_WORDS = 2
"""Of each prime's transform, per coefficient: a power of its root of unity, and the quotient to multiply by it."""


def ciphertext_bytes(ring_degree: int, limbs: int, *, seeded: bool = False) -> int:
    """A ciphertext of two polynomials; one of them is a seed when the client encrypts with its secret key."""
    return (1 if seeded else 2) * 8 * ring_degree * limbs


@dataclass(frozen=True)
class MemoryUse:
    """Bytes that an engine with one session needs at its worst, by what they hold.

    Attributes
    ----------
    program
        Python, its libraries and their tables.
    evaluation_keys
        For as long as the session lives. Every further session has its own, mapped from their file.
    weights, encoded_weights
        For as long as the engine lives, once for all its sessions.
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


class MemoryModel(ABC):
    """Bytes of an engine and one session on a device."""

    shape: ClassVar[KeyShape]
    """Of the evaluation keys."""

    pooled: ClassVar[bool]
    """Whether freed ciphertexts are kept for the next ones, up to a quarter more than were ever alive at once."""

    streamed: ClassVar[bool]
    """Whether the beginning is evaluated in blocks where that needs less, and inputs are read apart."""

    caches: ClassVar[int]
    """Bytes that encoded weights may take."""

    @abstractmethod
    def diagonal(self, slots: int, keys: KeySpecification, limbs: int) -> int:
        """A real diagonal that repeats after so many slots, encoded."""

    @abstractmethod
    def switch(self, keys: KeySpecification, limbs: int, count: int) -> int:
        """What switching the keys of so many ciphertexts works in."""

    @abstractmethod
    def divide(self, keys: KeySpecification, count: int) -> int:
        """What dividing so many polynomials by their last prime works in."""

    @abstractmethod
    def lift(self, keys: KeySpecification, limbs: int) -> int:
        """What raising ciphertexts to so many limbs works in."""

    @abstractmethod
    def transform(self, keys: KeySpecification, limbs: int, columns: int, babies: int, giants: int, rows: int) -> int:
        """What a linear transform of so many ciphertexts works in that makes so many rotations and rows."""

    def evaluation_keys(self, keys: KeySpecification) -> int:
        """All switching keys."""
        return sum(KEY_FORMATS[self.shape].all_memory(keys))

    def encoded(self, circuit: Circuit, limbs: Sequence[int], keys: KeySpecification) -> int:
        """All diagonals of a circuit without macros, once encoded: what an engine keeps as far as its memory allows."""
        owners = set(factor_owners(circuit, limbs).values())
        return sum(
            len(circuit.diagonals(ins)) * self.diagonal(circuit.period, keys, limbs[i])
            for i, ins in circuit.every(LinearTransform)
        ) + sum(
            # Complex diagonals have two halves; factors that are alike are encoded once.
            2 * len(ins.pairs) * self.diagonal(1 << ins.stop, keys, limbs[i])
            for i, ins in circuit.every(FourierFactor)
            if i in owners
        )

    def use(self, circuit: Circuit, limbs: Sequence[int], keys: KeySpecification) -> MemoryUse:
        """What memory holds when an engine with one session needs most.

        Parameters
        ----------
        limbs
            Of every instruction's result.
        """
        constants = sum(a.nbytes for a in circuit.constants.values())
        expanded = expand_macros(circuit, limbs)
        circuit, limbs = expanded.circuit, expanded.limbs
        weights = self.encoded(circuit, limbs, keys)
        last, counts = circuit.last_uses(), circuit.counts()
        sizes = polynomials(circuit)
        inputs, products = dict(circuit.inputs()), dict(circuit.every(MatrixProduct))
        live: dict[int, int] = {}
        worst = read = first = 0
        stream = plan_stream(circuit, limbs, sizes, keys.ring_degree) if self.streamed else None
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
            if i in inputs and self.streamed:
                # Read into an array of its own first.
                read = max(read, live[i] * inputs[i].ciphertexts // inputs[i].count)
            if type(ins) in _WORKING and not (i in products and stream is not None and i <= stream.end):
                working = _WORKING.of(ins)(_Place(self, circuit, keys, limbs[i], counts[i], sizes[i], counts), ins)
            used = sum(live.values()) + working
            worst = max(worst, used * 5 // 4 if self.pooled else used)
            live = {v: size for v, size in live.items() if last.get(v, -1) > i}
        # A row's or a batch's ciphertexts in their file, which is mapped.
        read += sum(ins.ciphertexts * ciphertext_bytes(keys.ring_degree, limbs[i]) for i, ins in circuit.inputs())
        kept = min(self.caches, weights)
        primes = len(keys.data_primes) + len(keys.special_primes)
        program = PROGRAM_BYTES + TABLE_WORDS * 8 * keys.ring_degree * primes
        return MemoryUse(program, self.evaluation_keys(keys), constants, kept, worst + read)


class NativeMemory(MemoryModel):
    """The native evaluator: diagonals packed, transforms limb by limb, freed ciphertexts kept."""

    shape = "native"
    pooled = streamed = True
    caches = DEFAULT_MEMORY // 2

    def diagonal(self, slots: int, keys: KeySpecification, limbs: int) -> int:
        """Half of its residues, packed, over all primes of a key switch."""
        return slots * sum(map(packed_bytes, keys.primes(limbs)))

    def switch(self, keys: KeySpecification, limbs: int, count: int) -> int:
        """The sums of some ciphertexts at a time, and their digits or what the division by the special primes takes."""
        pair = ciphertext_bytes(keys.ring_degree, limbs + len(keys.special_primes))
        return self._switch_at_once(keys, limbs, min(count, max(1, SUM_BYTES // pair)))

    def divide(self, keys: KeySpecification, count: int) -> int:
        """A limb of each."""
        return 8 * keys.ring_degree * count

    def lift(self, keys: KeySpecification, limbs: int) -> int:
        """The sums of one ciphertext, and what the division by the special primes takes; coefficients, and a limb."""
        special, polynomial = len(keys.special_primes), 8 * keys.ring_degree
        return polynomial * (2 * (limbs + special) + 2 * (special + (limbs if special > 1 else 0)) + 5)

    def transform(self, keys: KeySpecification, limbs: int, columns: int, babies: int, giants: int, rows: int) -> int:
        """Rotations limb by limb and what they are made from, the sums that all giant steps need, and rows."""
        pair = ciphertext_bytes(keys.ring_degree, limbs + len(keys.special_primes))
        source = columns * 8 * keys.ring_degree * (limbs + keys.digits(limbs))
        made = columns + babies
        rotations = max(made * ciphertext_bytes(keys.ring_degree, 1), min(ROTATION_BYTES, made * pair))
        at_once = min(giants, max(1, GIANT_BYTES // (3 * pair)))
        return source + rotations + (giants + 2 * rows) * pair + self._switch_at_once(keys, limbs, at_once)

    def _switch_at_once(self, keys: KeySpecification, limbs: int, count: int) -> int:
        """Sums, and digits or what the division by the special primes takes."""
        special, digits, polynomial = len(keys.special_primes), keys.digits(limbs), 8 * keys.ring_degree
        width = limbs + special
        converted = min(count, max(1, DIGIT_BYTES // (digits * width * polynomial))) * width
        numbers = count * limbs * 2 + digits * (converted if keys.digit_limbs > 1 else 1)
        divided = 2 * count * (special + (limbs if special > 1 else 0))
        return polynomial * (2 * count * width + max(numbers, divided))


class SealMemory(MemoryModel):
    """SEAL's evaluator: diagonals as plaintexts, all rotations of a transform at once."""

    shape = "seal"
    pooled = streamed = False
    caches = DEFAULT_MEMORY

    def diagonal(self, slots: int, keys: KeySpecification, limbs: int) -> int:
        """A polynomial."""
        return 8 * keys.ring_degree * limbs

    def switch(self, keys: KeySpecification, limbs: int, count: int) -> int:
        """Next to nothing: one ciphertext at a time."""
        return 0

    def divide(self, keys: KeySpecification, count: int) -> int:
        """As much."""
        return 0

    def lift(self, keys: KeySpecification, limbs: int) -> int:
        """Nothing: SEAL has no bootstrapping, and its engine refuses circuits that raise."""
        return 0

    def transform(self, keys: KeySpecification, limbs: int, columns: int, babies: int, giants: int, rows: int) -> int:
        """Rotations, rows and a sum."""
        return (columns + babies + rows + 1) * ciphertext_bytes(keys.ring_degree, limbs)


@dataclass(frozen=True)
class _Place:
    """Where an instruction is: on which device, and how large its result and all values are.

    Attributes
    ----------
    limbs, count, polynomials
        Of the instruction's result: limbs, ciphertexts, and polynomials of each.
    counts
        Ciphertexts of all values.
    """

    model: MemoryModel
    circuit: Circuit
    keys: KeySpecification
    limbs: int
    count: int
    polynomials: int
    counts: Sequence[int]


def _transform_working(place: _Place, ins: LinearTransform) -> int:
    babies, giants = transform_rotations(place.circuit.diagonals(ins))
    return place.model.transform(place.keys, place.limbs, place.counts[ins.x], babies, giants, ins.count)


def _factor_working(place: _Place, ins: FourierFactor) -> int:
    return place.model.transform(place.keys, place.limbs, 1, *ins.rotations, 1)


def _product_working(place: _Place, ins: MatrixProduct) -> int:
    """Its weights as residues, and as the integers that they are made from."""
    return place.circuit.weights(ins) * 8 * (place.limbs + 1)


def _switch_working(place: _Place, ins: Instruction) -> int:
    return place.model.switch(place.keys, place.limbs, place.count)


def _raise_working(place: _Place, ins: Raise) -> int:
    return place.model.lift(place.keys, place.limbs)


def _rescale_working(place: _Place, ins: Rescale) -> int:
    """One prime after the other; what is left after each but the last is a value of its own."""
    between = 2 if ins.limbs > 2 else ins.limbs - 1
    whole = place.count * place.polynomials
    return (1 + between * (place.limbs + 1)) * place.model.divide(place.keys, whole)


_WORKING: Reading[Callable[[_Place, Any], int]] = Reading(
    "the bytes that an instruction works in, beside what it reads and makes",
    kinds_with(Trait.WEIGHTS | Trait.SWITCHES | Trait.LEVELS),
    {
        LinearTransform: _transform_working,
        MatrixProduct: _product_working,
        PairedInput: _switch_working,
        Relinearize: _switch_working,
        Rotate: _switch_working,
        Conjugate: _switch_working,
        Fold: _switch_working,
        Rescale: _rescale_working,
        Raise: _raise_working,
        FourierFactor: _factor_working,
    },
    without={
        **dict.fromkeys((Polynomial, Bootstrap), "they are expanded before"),
        DropLimbs: "limbs are copied",
    },
)
