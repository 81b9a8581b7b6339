"""The roofline of a plan: what its number-theoretic transforms and its reads from memory take at the least.

Transforms of one limb, and bytes of evaluation keys and encoded weights, are counted from the circuit, the keys' digits
and the levels, by the algorithms of ``docs/explanation/native.md``: the counts of
:class:`hecc.compiler.ckks.prediction.cost.NativeCost` without its allowances for everything else. With ``l`` limbs,
``d`` digits and ``k`` special primes:

==================================  ===========  ==============================
work                                inverse      forward
==================================  ===========  ==============================
decomposition of a polynomial       l            d (l + k) - l
division by the special primes      k            l
key switch on its own               l + 2k       d (l + k) + l
giant step                          l + k        d (l + k)
rescale by one prime                1            l - 1
raise to l limbs                    6 + 2k       4l + k + 1
diagonal that is not kept ready     0            (l + k) M log M / (2 N log N)
plaintext that is not kept          0            l
==================================  ===========  ==============================

A diagonal of repeating slots is a polynomial of M coefficients, and real, so that half a transform is enough; those of
the Fourier transforms of a bootstrap are complex, and take a whole one. What fits
the memory for caches is encoded once, and then read. A key is read once for every use. Pointwise products,
permutations, base conversions and the encoder's Fourier transform are not counted: in a perfect evaluator they hide
behind the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.bootstraps import expand_macros
from hecc.runtime.ckks.circuit.instructions import (
    INSTRUCTIONS,
    Add,
    AddPlain,
    AddScalar,
    Bootstrap,
    Circuit,
    Conjugate,
    Diagonals,
    DropLimbs,
    Fold,
    FourierFactor,
    Input,
    Instruction,
    LinearTransform,
    MatrixProduct,
    Multiply,
    MultiplyPlain,
    MultiplyScalar,
    Negate,
    Output,
    PairedInput,
    Polynomial,
    Raise,
    Relinearize,
    Rescale,
    Rotate,
    Square,
    Subtract,
)
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.circuit.polynomials import Expanded
from hecc.runtime.ckks.devices.device import DEFAULT_MEMORY
from hecc.runtime.ckks.devices.native.weights import SMALLEST_SLOTS, Weights, factor_owners, share_memory
from hecc.runtime.ckks.keys.switching_keys import layout_bytes, switching_key_bytes
from hecc.runtime.ckks.readings.types import ArrayType, verify, verify_expanded
from hecc.runtime.reading import Reading

__all__ = ["Machine", "Work", "count_kinds", "count_work"]

WORD = 8
"""Bytes of a residue."""


@dataclass(frozen=True)
class Machine:
    """What a machine was measured to do, with the threads that the plan runs on.

    Attributes
    ----------
    forward, inverse
        Seconds per limb of the transforms in the plan's ring. Two threads that take 10 µs each make one limb per 5 µs.
    bandwidth
        Bytes read from memory per second.
    """

    forward: float
    inverse: float
    bandwidth: float

    def best(self, other: Machine) -> Machine:
        """The better of two measurements of each; whatever else the machine did in the other one slowed it down."""
        return Machine(
            min(self.forward, other.forward), min(self.inverse, other.inverse), max(self.bandwidth, other.bandwidth)
        )


@dataclass(frozen=True)
class Work:
    """What is counted of a run, or of a part of one.

    Attributes
    ----------
    forward, inverse
        Transforms of one limb; fractions stand for shorter ones.
    key_bytes, plaintext_bytes
        Read: of evaluation keys, and of encoded weights.
    """

    forward: float = 0.0
    inverse: float = 0.0
    key_bytes: int = 0
    plaintext_bytes: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.forward + other.forward,
            self.inverse + other.inverse,
            self.key_bytes + other.key_bytes,
            self.plaintext_bytes + other.plaintext_bytes,
        )

    def __mul__(self, times: int) -> Work:
        return Work(times * self.forward, times * self.inverse, times * self.key_bytes, times * self.plaintext_bytes)

    def transform_seconds(self, machine: Machine) -> float:
        """Seconds that the transforms take."""
        return self.forward * machine.forward + self.inverse * machine.inverse

    def read_seconds(self, machine: Machine) -> float:
        """Seconds that the reads take."""
        return (self.key_bytes + self.plaintext_bytes) / machine.bandwidth

    def seconds(self, machine: Machine) -> float:
        """The roofline: transforms and reads, one after the other."""
        return self.transform_seconds(machine) + self.read_seconds(machine)


def count_work(circuit: Circuit, keys: KeySpecification, memory: int = DEFAULT_MEMORY) -> list[Work]:
    """The work of every instruction of one warm run on the native evaluator.

    Parameters
    ----------
    circuit, keys
        What runs.
    memory
        Bytes that the evaluator may spend on caches.

    Raises
    ------
    CircuitError
        When the circuit does not fit the keys.
    """
    expanded, steps = _count_steps(circuit, keys, memory)
    ends = [last + 1 for last in expanded.moved]
    return [sum(steps[first:end], Work()) for first, end in zip([0, *ends], ends, strict=False)]


def count_kinds(circuit: Circuit, keys: KeySpecification, memory: int = DEFAULT_MEMORY) -> dict[str, Work]:
    """The work of one warm run by the kind of instruction, as the evaluator executes them: polynomials are expanded.

    Parameters and errors are those of :func:`count_work`.
    """
    expanded, steps = _count_steps(circuit, keys, memory)
    kinds: dict[str, Work] = {}
    for instruction, work in zip(expanded.circuit.instructions, steps, strict=True):
        kinds[instruction.op] = kinds.get(instruction.op, Work()) + work
    return kinds


def _count_steps(circuit: Circuit, keys: KeySpecification, memory: int) -> tuple[Expanded, list[Work]]:
    """The circuit without macros, and the work of each of its instructions."""
    types = verify(circuit, keys)
    limbs, scales = [kind.limbs for kind in types], [kind.scale for kind in types]
    expanded = expand_macros(circuit, limbs, scales, keys.data_primes)
    return expanded, _Counter(*verify_expanded(circuit, keys), keys, memory).count()


class _Counter:
    """Counts instruction by instruction, handing out the memory for weights as the evaluator does."""

    def __init__(self, circuit: Circuit, types: Sequence[ArrayType], keys: KeySpecification, memory: int) -> None:
        self._circuit = circuit
        self._keys = keys
        self._types = types
        self._special = len(keys.special_primes)
        self._coefficients = 2 * max(circuit.period, SMALLEST_SLOTS)
        memory -= memory // 2
        limbs = [kind.limbs for kind in types]
        self._owners = factor_owners(circuit, limbs)
        self._weights = share_memory(circuit, limbs, keys, memory)
        self._unused = memory - sum(share.granted for share in self._weights.values())

    def count(self) -> list[Work]:
        """The work of every instruction."""
        return [_WORK.of(ins)(self, i, ins) for i, ins in enumerate(self._circuit.instructions)]

    def _nothing(self, i: int, ins: Instruction) -> Work:
        """Neither transforms nor keys nor plaintexts: what it moves are ciphertexts alone."""
        return Work()

    def _paired_input(self, i: int, ins: PairedInput) -> Work:
        return self._key_switch(self._types[i].limbs) * ins.ciphertexts

    def _switched(self, i: int, ins: Relinearize | Rotate | Conjugate) -> Work:
        return self._key_switch(self._types[i].limbs) * self._types[i].count

    def _fold(self, i: int, ins: Fold) -> Work:
        return self._key_switch(self._types[i].limbs) * (self._types[i].count * len(ins.steps))

    def _transform(self, i: int, ins: LinearTransform) -> Work:
        return self._linear_transform(self._circuit.diagonals(ins), self._weights[i], self._types[i].limbs)

    def _fourier_factor(self, i: int, ins: FourierFactor) -> Work:
        limbs, weights, (babies, giants) = self._types[i].limbs, self._weights[self._owners[i]], ins.rotations
        work = self._decompose(limbs) + self._inner_product(limbs) * babies + self._giant(limbs) * giants
        work += self._divide(limbs) * 2
        work += Work(plaintext_bytes=weights.residues) * weights.encoded
        work += Work(plaintext_bytes=weights.coefficients) * weights.embedded
        short, full = 2 * max(1 << ins.stop, SMALLEST_SLOTS), self._keys.ring_degree
        own = short * math.log2(short) / (full * math.log2(full))
        work += Work(forward=(limbs + self._special) * own) * (weights.number - weights.encoded)
        return work * self._types[i].count

    def _rescale(self, i: int, ins: Rescale) -> Work:
        kind, limbs, work = self._types[i], self._types[ins.x].limbs, Work()
        for step in range(ins.limbs):
            work += Work(forward=limbs - step - 1, inverse=1) * (kind.count * kind.polynomials)
        return work

    def _raised(self, i: int, ins: Raise) -> Work:
        limbs, width = ins.limbs, ins.limbs + self._special
        # One limb to the sparse secret, in coefficients; both polynomials lifted; one digit back.
        down = Work(forward=1, inverse=6, key_bytes=layout_bytes(self._keys.dense_to_sparse, self._keys.ring_degree))
        up = Work(
            forward=limbs + width,
            key_bytes=layout_bytes(self._keys.sparse_to_dense(limbs), self._keys.ring_degree),
        )
        return (down + up + self._divide(limbs) * 2) * self._types[i].count

    def _slot_values(self, i: int, ins: AddPlain | MultiplyPlain) -> Work:
        return self._plaintext(len(self._circuit.constants[ins.vector]), self._types[i].limbs)

    def _inner_product(self, limbs: int) -> Work:
        return Work(key_bytes=switching_key_bytes(self._keys, limbs))

    def _decompose(self, limbs: int) -> Work:
        return Work(forward=self._keys.digits(limbs) * (limbs + self._special) - limbs, inverse=limbs)

    def _divide(self, limbs: int) -> Work:
        return Work(forward=limbs, inverse=self._special)

    def _key_switch(self, limbs: int) -> Work:
        return self._decompose(limbs) + self._inner_product(limbs) + self._divide(limbs) * 2

    def _giant(self, limbs: int) -> Work:
        # The second polynomial is divided in coefficient form: its limbs go back, and come out with all digits.
        lifted = Work(forward=self._keys.digits(limbs) * (limbs + self._special), inverse=limbs + self._special)
        return lifted + self._inner_product(limbs)

    def _linear_transform(self, diagonals: Diagonals, weights: Weights, limbs: int) -> Work:
        width = limbs + self._special
        moved = diagonals.baby > 0
        work = self._decompose(limbs) * len(np.unique(diagonals.column[moved]))
        work += self._inner_product(limbs) * _pairs(diagonals.column, diagonals.baby)
        work += self._giant(limbs) * _pairs(diagonals.row, diagonals.giant)
        work += self._divide(limbs) * (2 * len(np.unique(diagonals.row)))
        work += Work(plaintext_bytes=weights.residues) * weights.encoded
        work += Work(plaintext_bytes=weights.coefficients) * weights.embedded
        return work + Work(forward=width * self._half_transform) * (weights.number - weights.encoded)

    def _plaintext(self, vectors: int, limbs: int) -> Work:
        size = WORD * vectors * limbs * self._keys.ring_degree
        if size > self._unused:
            return Work(forward=limbs * vectors)
        self._unused -= size
        return Work(plaintext_bytes=size)

    @property
    def _half_transform(self) -> float:
        """Of a diagonal's polynomial, in transforms of the ring."""
        short, full = self._coefficients, self._keys.ring_degree
        return short * math.log2(short) / (2 * full * math.log2(full))


_WORK: Reading[Callable[[_Counter, int, Any], Work]] = Reading(
    "the transforms and the bytes of a run",
    INSTRUCTIONS,
    {
        Input: _Counter._nothing,
        PairedInput: _Counter._paired_input,
        Output: _Counter._nothing,
        Add: _Counter._nothing,
        Subtract: _Counter._nothing,
        Negate: _Counter._nothing,
        Multiply: _Counter._nothing,
        Square: _Counter._nothing,
        Relinearize: _Counter._switched,
        AddPlain: _Counter._slot_values,
        MultiplyPlain: _Counter._slot_values,
        AddScalar: _Counter._nothing,
        MultiplyScalar: _Counter._nothing,
        Rotate: _Counter._switched,
        Conjugate: _Counter._switched,
        Fold: _Counter._fold,
        LinearTransform: _Counter._transform,
        FourierFactor: _Counter._fourier_factor,
        MatrixProduct: _Counter._nothing,
        Rescale: _Counter._rescale,
        DropLimbs: _Counter._nothing,
        Raise: _Counter._raised,
    },
    dict.fromkeys((Polynomial, Bootstrap), "its expansion is counted"),
)


def _pairs(ciphertext: NDArray[np.int32], step: NDArray[np.int32]) -> int:
    """Distinct pairs of a ciphertext and a step that is not zero: rotations of an argument or a result."""
    used = step > 0
    return len(np.unique(np.stack([ciphertext[used], step[used]]), axis=1).T)
