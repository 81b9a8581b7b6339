"""What the user asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hecc.compiler.machine import MachineProfile
from hecc.runtime.parameters import KeyShape, KeySpecification
from hecc.runtime.rates import Rates
from hecc.runtime.security import Adversary

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """Options of a compilation.

    Attributes
    ----------
    level, adversary
        Security.
    precision_bits
        Largest error at most ``2^-precision_bits`` of the largest output, over the calibration inputs.
    margin
        How many times the values observed on the calibration inputs must not overflow.
    evaluator
        The evaluator that parameters and layouts are optimised for. The other one runs the plan, too.
    machine
        That predicted times are for; ``None`` for the one that hecc was developed on.
    key_budget
        Bytes that the evaluation keys may take in the server's memory, or ``None``.
    chain
        Keys of another plan, whose ring, primes and digits this plan is to use; ``None`` for those that suit it best.
    batch
        Examples that ciphertexts hold in batch layouts, or "ring" for as many as the ring has slots; ``None`` for one
        example in layouts that make it fast.
    producer
        Name and version for the plan's header.
    """

    level: int = 128
    adversary: Adversary = "classical"
    precision_bits: float = 12.0
    margin: float = 4.0
    evaluator: KeyShape = "seal"
    machine: MachineProfile | None = None
    key_budget: int | None = None
    chain: KeySpecification | None = None
    batch: int | Literal["ring"] | None = None
    producer: str = "hecc"

    @property
    def rates(self) -> Rates | None:
        """Of one thread of the machine, if it was measured."""
        return None if self.machine is None else self.machine.one_thread

    def examples(self, ring_degree: int) -> int | None:
        """Examples that the ciphertexts of a ring hold, ``None`` without batch layouts."""
        return ring_degree // 2 if self.batch == "ring" else self.batch
