"""What the compiler knows of each device: what it costs, and what it leaves to choose.

The devices themselves are the runtime's (:mod:`hecc.runtime.ckks.devices.device`), which knows nothing of costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from hecc.compiler.ckks.prediction.cost import CostModel, NativeCost, SealCost
from hecc.compiler.ckks.prediction.memory import MemoryModel, NativeMemory, SealMemory
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.devices.device import DEVICES
from hecc.runtime.ckks.devices.names import DeviceName
from hecc.runtime.ckks.keys.switching_keys import packed_bytes
from hecc.runtime.ckks.plan.rates import Rates

__all__ = ["DEVICE_MODELS", "DeviceModel"]


@dataclass(frozen=True)
class DeviceModel:
    """One device, as the compiler sees it.

    Attributes
    ----------
    cost
        Its cost model, of seconds.
    memory
        Its memory model, of bytes.
    pairs_inputs
        Whether a ciphertext of an input holds two vectors where it can. To separate them takes a key switch: SEAL's
        takes as long as another encryption or longer; the native one a fraction of that, and less than it takes to read
        another ciphertext.
    hybrid_keys
        Whether key switching may decompose into digits of several primes, with several special primes.
    profiled
        Whether a machine profile is of its rates.
    """

    cost: type[CostModel]
    memory: MemoryModel
    pairs_inputs: bool
    hybrid_keys: bool
    profiled: bool

    def cost_model(
        self,
        ring_degree: int,
        slots: int,
        *,
        digit_limbs: int = 1,
        special_primes: int = 1,
        primes: Sequence[int] = (),
        rates: Rates | None = None,
    ) -> CostModel:
        """Its cost model in one ring.

        Parameters
        ----------
        primes
            All of them, where they are known.
        rates
            Measured ones; by default those of the machine that hecc was developed on.
        """
        residue_bytes = sum(map(packed_bytes, primes)) / len(primes) if primes else CostModel.residue_bytes
        return self.cost(ring_degree, slots, digit_limbs, special_primes, residue_bytes, rates)

    def key_cost_model(self, keys: KeySpecification, slots: int, rates: Rates | None = None) -> CostModel:
        """Its cost model with these keys."""
        return self.cost_model(
            keys.ring_degree,
            slots,
            digit_limbs=keys.digit_limbs,
            special_primes=len(keys.special_primes),
            primes=(*keys.data_primes, *keys.special_primes),
            rates=rates,
        )


DEVICE_MODELS: Mapping[DeviceName, DeviceModel] = MappingProxyType(
    {
        "native": DeviceModel(
            cost=NativeCost, memory=NativeMemory(), pairs_inputs=True, hybrid_keys=True, profiled=True
        ),
        "seal": DeviceModel(cost=SealCost, memory=SealMemory(), pairs_inputs=False, hybrid_keys=False, profiled=False),
    }
)
"""By the device's name."""

if set(DEVICE_MODELS) != set(DEVICES):
    raise TypeError(f"devices of which the compiler knows nothing: {set(DEVICE_MODELS) ^ set(DEVICES)}")
