"""What the user asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hecc.compiler.ckks.lowering.packing import Packing
from hecc.compiler.ckks.prediction.machine import MachineProfile
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.circuit.security import Adversary
from hecc.runtime.ckks.devices.names import DeviceName
from hecc.runtime.plan.rates import Rates

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """Options of a compilation.

    Attributes
    ----------
    level, adversary
        Security.
    precision_bits
        Largest error of an element of an output at most ``2^-precision_bits`` of its range on the calibration inputs.
    margin
        How many times the values observed on the calibration inputs must not overflow.
    interval_margin
        By how much wider than the values observed the interval of a fitted polynomial is, as a part of it.
    device
        The device that parameters and layouts are optimised for. The other one runs the plan, too.
    machine
        That predicted times are for; ``None`` for the one that hecc was developed on.
    key_budget
        Bytes that the evaluation keys may take in the server's memory, or ``None``.
    chain
        Keys of another plan, whose ring, primes and digits this plan is to use; ``None`` for those that suit it best.
    optimize
        For "throughput" there is a ciphertext for each tensor element; for "latency" whichever packing is fastest.
    batch
        Examples that are evaluated at once; by default one, or with "throughput" as many as the ring has slots.
    disclose
        How many results of one key may be disclosed, 0 for none.
    producer
        Name and version for the plan's header.
    quiet
        Whether nothing is warned of, as for a variant of a network that is only compiled for comparison.
    """

    level: int = 128
    adversary: Adversary = "classical"
    precision_bits: float = 12.0
    margin: float = 4.0
    interval_margin: float = 0.25
    device: DeviceName = "seal"
    machine: MachineProfile | None = None
    key_budget: int | None = None
    chain: KeySpecification | None = None
    optimize: Literal["latency", "throughput"] = "latency"
    batch: int | None = None
    disclose: int = 0
    producer: str = "hecc"
    quiet: bool = False

    @property
    def many(self) -> bool:
        """Whether there is more than one example at once."""
        return self.optimize == "throughput" or self.batch not in (None, 1)

    @property
    def rates(self) -> Rates | None:
        """Of one thread of the machine, if it was measured."""
        return None if self.machine is None else self.machine.one_thread

    def packings(self, ring_degree: int) -> tuple[Packing, ...]:
        """The ways to fill the ciphertexts of a ring; none where it has too few slots for the batch."""
        if self.optimize == "throughput":
            offered = [Packing(self.batch or ring_degree // 2, elementwise=True)]
        elif self.batch in (None, 1):
            offered = [Packing()]
        else:
            offered = [Packing(self.batch), Packing(self.batch, elementwise=True)]
        return tuple(packing for packing in offered if packing.slots(ring_degree) * packing.lanes <= ring_degree // 2)
