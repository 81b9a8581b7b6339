"""What a lowered circuit costs under any chain of one ring: seconds, and bytes of keys.

Both follow from the limbs of every value alone, whatever its scale: so the parameter search asks for the costs first,
and works out scales only for chains that could be the best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.ckks.chain.scaling import Chain, Scaling
from hecc.compiler.ckks.chain.series import PolynomialProfile
from hecc.compiler.ckks.lowering.lowering import Lowered
from hecc.compiler.ckks.options import Options
from hecc.compiler.ckks.prediction.devices import DEVICE_MODELS
from hecc.compiler.ckks.prediction.workload import Workload
from hecc.runtime.ckks.circuit.instructions import Polynomial
from hecc.runtime.ckks.circuit.parameters import GaloisElement, KeySpecification, SecurityEvidence
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.ckks.keys.switching_keys import packed_bytes

__all__ = ["ChainCosts"]


class ChainCosts:
    """The costs of one lowered circuit in one ring.

    Parameters
    ----------
    scaling
        Of the circuit.
    profiles
        Of its polynomials, by instruction.
    """

    def __init__(
        self,
        lowered: Lowered,
        scaling: Scaling,
        profiles: Mapping[int, PolynomialProfile],
        ring_degree: int,
        options: Options,
    ) -> None:
        self._circuit, self._scaling, self._options = lowered.circuit, scaling, options
        self._ring_degree, self._rotations = ring_degree, lowered.circuit.galois_uses(ring_degree)
        # What relinearises; a polynomial does so at the limbs of its argument, which it names.
        arguments = {i: ins.x for i, ins in self._circuit.every(Polynomial)}
        self._relinearised = {
            i: arguments.get(i) for i, ins in enumerate(self._circuit.instructions) if Trait.RELINEARIZES in ins.traits
        }
        # A polynomial's own instruction counts nothing: the values of its expansion do, but for the operand.
        works = [Workload.of(lowered.circuit), *(Workload.of(profile.circuit) for profile in profiles.values())]
        owners = [np.arange(len(works[0].counts)), *(np.full(len(p.limbs), i) for i, p in profiles.items())]
        mores = [np.zeros_like(works[0].above), *(np.array(p.limbs) for p in profiles.values())]
        parts = zip(
            *((work.counts, owner, work.above + more) for work, owner, more in zip(works, owners, mores, strict=True)),
            strict=True,
        )
        self._counts, self._owners, self._offsets = (
            np.concatenate([first, *(part[1:] for part in rest)]) for first, *rest in parts
        )
        self._levels: dict[tuple[int, tuple[int, ...]], _Levels] = {}
        self._linear: dict[tuple[int, tuple[int, ...], int, int], tuple[float, float]] = {}

    def seconds(self, chain: Chain) -> float:
        """Of one run on one core, once the evaluator has what it keeps."""
        primes = (*chain.data_primes, *chain.special_primes)
        key = len(chain.data_primes), chain.dropped, chain.digit_limbs, len(chain.special_primes)
        if key not in self._linear:
            # Packed residues are bytes that are read, and the seconds that takes proportional to them.
            none, one = (self._priced(chain, residue_bytes) for residue_bytes in (0.0, 1.0))
            self._linear[key] = none, one - none
        fixed, per_byte = self._linear[key]
        return fixed + per_byte * (sum(map(packed_bytes, primes)) / len(primes))

    def key_bytes(self, chain: Chain) -> int:
        """Of the evaluation keys in memory, each at the largest level of its use."""
        levels = self._levels_of(chain)
        keys = KeySpecification(
            ring_degree=chain.ring_degree,
            data_primes=chain.data_primes,
            special_primes=chain.special_primes,
            digit_limbs=chain.digit_limbs,
            relinearization_limbs=levels.relinearization,
            galois=levels.galois,
            security=SecurityEvidence(self._options.security, self._options.adversary, "", 0),
        )
        return DEVICE_MODELS[self._options.device].memory.evaluation_keys(keys)

    def _levels_of(self, chain: Chain) -> _Levels:
        key = len(chain.data_primes), chain.dropped
        if key not in self._levels:
            limbs = self._scaling.limbs(chain)
            relinearised = [
                limbs[i] if x is None else self._scaling.ready_limbs(chain, x) for i, x in self._relinearised.items()
            ]
            levels = np.array(limbs)[self._owners] + self._offsets
            counts = np.zeros((int(levels.max()) + 1, self._counts.shape[1]), dtype=np.int64)
            np.add.at(counts, levels, self._counts)
            self._levels[key] = _Levels(
                counts,
                max(relinearised, default=0),
                tuple(GaloisElement(e, max(limbs[i] for i in users)) for e, users in self._rotations.items()),
            )
        return self._levels[key]

    def _priced(self, chain: Chain, residue_bytes: float) -> float:
        """Seconds with residues of so many bytes."""
        model = DEVICE_MODELS[self._options.device].cost_model(
            self._ring_degree,
            self._circuit.period,
            digit_limbs=chain.digit_limbs,
            special_primes=len(chain.special_primes),
            rates=self._options.rates,
        )
        model = replace(model, residue_bytes=residue_bytes)
        counts = self._levels_of(chain).counts
        return float((counts * np.array([model.prices(level) for level in range(len(counts))])).sum())


@dataclass(frozen=True, eq=False)
class _Levels:
    """What follows from where along the depth limbs are dropped, whichever primes they are of.

    Attributes
    ----------
    counts
        Operations at each number of limbs, shape (limbs, operations).
    relinearization, galois
        At how many limbs keys are used.
    """

    counts: NDArray[np.int64]
    relinearization: int
    galois: tuple[GaloisElement, ...]
