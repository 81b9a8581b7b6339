"""The cost model: seconds of a Circuit under given parameters, before anything is encrypted.

Times are for one core and are counted in transforms of one limb (NTT) and passes over one limb. For SEAL's evaluator,
key switching a ciphertext with ``l`` limbs takes about ``l^2 + 3 l`` transforms, which reproduces what was measured at
N = 2^13, 2^14 and 2^15 within 15%. The native evaluator's counts follow from its algorithms. The model is linear in
its *rates*, what each elementary step takes (:class:`hecc.runtime.ckks.plan.rates.Rates`). Those here were measured on
one machine, and a machine profile replaces them; another machine changes the seconds and few of the choices.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hecc.compiler.ckks.prediction.workload import KEY_SWITCHING, OPERATIONS, OTHER, PLAINTEXTS, Workload
from hecc.runtime.ckks.circuit.bootstraps import expand_macros
from hecc.runtime.ckks.circuit.instructions import Circuit
from hecc.runtime.ckks.plan.rates import Rates

__all__ = [
    "CostModel",
    "InstructionCost",
    "NativeCost",
    "SealCost",
    "circuit_rotations",
    "circuit_seconds",
    "instruction_costs",
]


@dataclass(frozen=True)
class CostModel(ABC):
    """Seconds of an evaluator's operations in one ring.

    Parameters
    ----------
    ring_degree
        N.
    slots
        Of the ring, after which a plaintext repeats.
    digit_limbs, special_limbs
        Of key switching.
    residue_bytes
        Of a packed residue, on average over the primes (:func:`hecc.runtime.ckks.keys.switching_keys.packed_bytes`).
    measured
        Rates of the machine to predict for; ``None`` for those of the machine that hecc was developed on.
    """

    ring_degree: int
    slots: int
    digit_limbs: int = 1
    special_limbs: int = 1
    residue_bytes: float = 6.0
    measured: Rates | None = None

    RATES: ClassVar[Rates]

    @property
    def rates(self) -> Rates:
        """What the elementary steps take."""
        return self.measured or self.RATES

    @property
    def transform(self) -> float:
        """NTT of one limb."""
        return self.rates.butterfly * self.ring_degree * (self.ring_degree.bit_length() - 1)

    @property
    def product(self) -> float:
        """Pointwise product of one limb of one polynomial."""
        return self.rates.product * self.ring_degree

    def load(self, limbs: int) -> float:
        """A ciphertext of the client's: checksum and stream parsed, and the second polynomial drawn from a seed."""
        return 2 * limbs * self.rates.loaded * self.ring_degree

    def plain_product(self, limbs: int) -> float:
        """Ciphertext times encoded plaintext."""
        return 2 * limbs * self.product

    def scalar_product(self, limbs: int, polynomials: int = 2) -> float:
        """Ciphertext times an integer, added to a sum: one entry of a matrix product."""
        return polynomials * limbs * self.rates.term * self.ring_degree

    def stream(self, limbs: int, polynomials: int = 2) -> float:
        """A ciphertext read from memory or written to it, where that takes longer than what is computed."""
        return polynomials * limbs * self.rates.streamed * self.ring_degree

    def rescale(self, limbs: int, polynomials: int = 2) -> float:
        """Division by the last prime."""
        return polynomials * limbs * self.transform

    def prices(self, limbs: int) -> tuple[float, ...]:
        """What each of ``OPERATIONS`` takes on ciphertexts of so many limbs, in their order."""
        seconds = {
            "key_switch": self.key_switch(limbs),
            "hoist": self.hoist(limbs),
            "baby": self.baby(limbs),
            "giant": self.giant(limbs),
            "finish": self.finish(limbs),
            "raise": self.raised(limbs),
            "diagonal": self.diagonal(limbs),
            "encode": self.encode(limbs),
            "plain_product": self.plain_product(limbs),
            "scalar_product": self.scalar_product(limbs, polynomials=1),
            "load": self.load(limbs),
            "product": limbs * self.product,
            "stream": self.stream(limbs, polynomials=1),
            "rescale": self.rescale(limbs, polynomials=1),
            "scalar": self.plain_product(limbs),
        }
        return tuple(seconds[operation] for operation in OPERATIONS)

    @abstractmethod
    def encode(self, limbs: int) -> float:
        """A slot vector to a plaintext: a complex Fourier transform and an NTT per limb."""

    @abstractmethod
    def key_switch(self, limbs: int) -> float:
        """Rotation or relinearisation on its own."""

    @abstractmethod
    def hoist(self, limbs: int) -> float:
        """What a linear transform does once for each ciphertext of its argument."""

    @abstractmethod
    def baby(self, limbs: int) -> float:
        """A baby rotation within a linear transform."""

    @abstractmethod
    def diagonal(self, limbs: int) -> float:
        """One diagonal of a linear transform: multiply and add, and encode if the evaluator does not keep it."""

    @abstractmethod
    def giant(self, limbs: int) -> float:
        """A giant rotation within a linear transform."""

    @abstractmethod
    def finish(self, limbs: int) -> float:
        """What a linear transform does once for each ciphertext of its result."""

    @abstractmethod
    def raised(self, limbs: int) -> float:
        """A ciphertext of one limb that is raised to so many."""


class SealCost(CostModel):
    """SEAL's evaluator: every rotation is a key switch of its own."""

    RATES = Rates(butterfly=0.78e-9, product=2.4e-9, term=3.2e-9, loaded=7.5e-9)

    def encode(self, limbs: int) -> float:
        return (limbs + 3) * self.transform

    def key_switch(self, limbs: int) -> float:
        return (limbs * limbs + 3 * limbs) * self.transform

    def hoist(self, limbs: int) -> float:
        return 0.0

    def baby(self, limbs: int) -> float:
        return self.key_switch(limbs)

    def diagonal(self, limbs: int) -> float:
        return self.encode(limbs) + 1.3 * self.plain_product(limbs)

    def giant(self, limbs: int) -> float:
        return self.key_switch(limbs)

    def finish(self, limbs: int) -> float:
        return 0.0

    def raised(self, limbs: int) -> float:
        # SEAL has no bootstrapping: no circuit for it raises, and its engine refuses those that do.
        return 0.0


class NativeCost(CostModel):
    """The native evaluator: hybrid key switching, hoisted twice, in basis QP."""

    RATES = Rates(
        butterfly=0.095e-9,
        product=0.06e-9,
        diagonal=0.27e-9,
        moved=0.6e-9,
        term=0.04e-9,
        streamed=0.8e-9,
        key_byte=0.033e-9,
        loaded=7.5e-9,
    )

    def _digits(self, limbs: int) -> int:
        return -(-limbs // self.digit_limbs)

    def _width(self, limbs: int) -> int:
        """Limbs in basis QP."""
        return limbs + self.special_limbs

    def _decompose(self, limbs: int) -> float:
        """To coefficients, and every digit to the limbs that it does not have, with its conversion."""
        lifted = self._digits(limbs) * self._width(limbs) - limbs
        return (limbs + 1.2 * lifted) * self.transform

    def _divide(self, limbs: int) -> float:
        """Division of one polynomial by the special primes."""
        return (self.special_limbs + 1.2 * limbs) * self.transform

    def _inner_product(self, limbs: int) -> float:
        """Digits times a key, two polynomials: every key is used once and read from memory, which takes longest."""
        words = 2 * self._digits(limbs) * self._width(limbs) * self.ring_degree
        return words * self.residue_bytes * self.rates.key_byte

    def _permute(self, limbs: int) -> float:
        """Two polynomials in basis QP to memory, permuted, and back from there."""
        return 2 * self._width(limbs) * self.rates.moved * self.ring_degree

    def encode(self, limbs: int) -> float:
        # A vector that repeats is a polynomial in a power of X: its transforms are that much smaller.
        share = 2 * self.slots / self.ring_degree
        return (limbs + 6) * self.transform * share + limbs * self.product

    def key_switch(self, limbs: int) -> float:
        return self._decompose(limbs) + self._inner_product(limbs) + self._permute(limbs) + 2 * self._divide(limbs)

    def hoist(self, limbs: int) -> float:
        return self._decompose(limbs)

    def baby(self, limbs: int) -> float:
        return self._inner_product(limbs) + self._permute(limbs)

    def diagonal(self, limbs: int) -> float:
        return self._width(limbs) * self.rates.diagonal * self.ring_degree

    def giant(self, limbs: int) -> float:
        return self._divide(limbs) + self._decompose(limbs) + self._inner_product(limbs) + self._permute(limbs)

    def finish(self, limbs: int) -> float:
        return 2 * self._divide(limbs)

    def raised(self, limbs: int) -> float:
        # To the sparse secret: two polynomials of one limb, and one more of the special prime. Then both are lifted to
        # all limbs, the second to the special primes too, and multiplied with a key of one digit.
        down = 2 * (1 + 1.2) + 4
        lifted = 1.2 * (limbs + self._width(limbs))
        key_bytes = 2 * self._width(limbs) * self.ring_degree * self.residue_bytes
        return (down + lifted) * self.transform + key_bytes * self.rates.key_byte + 2 * self._divide(limbs)


@dataclass(frozen=True)
class InstructionCost:
    """What one instruction costs, for all of its ciphertexts.

    Attributes
    ----------
    key_switching
        Seconds of rotations and relinearisations.
    diagonals
        Seconds of products with plaintexts, encoding included.
    other
        All other seconds.
    rotations
        How many there are, each a key switch.
    """

    key_switching: float = 0.0
    diagonals: float = 0.0
    other: float = 0.0
    rotations: int = 0

    def __add__(self, other: InstructionCost) -> InstructionCost:
        """Both."""
        return InstructionCost(
            self.key_switching + other.key_switching,
            self.diagonals + other.diagonals,
            self.other + other.other,
            self.rotations + other.rotations,
        )

    @property
    def seconds(self) -> float:
        """Of one run on one core, once the evaluator has what it keeps."""
        return self.key_switching + self.diagonals + self.other


def instruction_costs(circuit: Circuit, limbs: Sequence[int], model: CostModel) -> list[InstructionCost]:
    """Predicted cost of every instruction.

    Parameters
    ----------
    circuit
        Without macros (:func:`hecc.runtime.ckks.circuit.bootstraps.expand_macros`).
    limbs
        Of every instruction's result.
    """
    work = Workload.of(circuit)
    levels = np.asarray(limbs, dtype=np.int64) + work.above
    prices = {level: model.prices(level) for level in set(levels.tolist())}
    seconds = work.counts * np.array([prices[level] for level in levels.tolist()])
    parts = zip(
        *(seconds[:, part].sum(axis=1).tolist() for part in (KEY_SWITCHING, PLAINTEXTS, OTHER)),
        work.rotations.tolist(),
        strict=True,
    )
    return [InstructionCost(*part) for part in parts]


def circuit_seconds(circuit: Circuit, limbs: Sequence[int], model: CostModel) -> float:
    """Predicted seconds of one run on one core, once the evaluator has what it keeps.

    Parameters
    ----------
    limbs
        Of every instruction's result.
    """
    expanded = expand_macros(circuit, limbs)
    return sum(cost.seconds for cost in instruction_costs(expanded.circuit, expanded.limbs, model))


def circuit_rotations(circuit: Circuit) -> int:
    """Rotations of one run, each a key switch."""
    expanded = expand_macros(circuit, [0] * len(circuit.instructions))
    return int(Workload.of(expanded.circuit).rotations.sum())
