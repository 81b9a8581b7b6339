"""Noise prediction: what a chain of primes leaves of the precision, by formula.

Variances are propagated through a lowered circuit for any chain of one ring, so fast that the search can try hundreds
of chains; the one that it chooses is checked with noise drawn at random.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.ckks.chain.scaling import Magnitude, Scales, is_product
from hecc.compiler.ckks.chain.series import PolynomialProfile
from hecc.compiler.ckks.lowering.lowering import Lowered
from hecc.compiler.graph.graph import Graph
from hecc.runtime.ckks.circuit.instructions import (
    Add,
    AddPlain,
    Circuit,
    Fold,
    Input,
    Instruction,
    LinearTransform,
    MatrixProduct,
    Multiply,
    MultiplyPlain,
    PairedInput,
    Polynomial,
    Relinearize,
    Rotate,
    Square,
    Subtract,
)
from hecc.runtime.ckks.circuit.polynomials import Expansion
from hecc.runtime.ckks.readings.noise_drawn import RingNoise, TransformStatistics
from hecc.runtime.ckks.readings.types import verify

__all__ = ["NoisePrediction"]

WORST_SLOT = 6.0
"""Standard deviations that the errors in all slots of a ring stay within."""

STEADY = 1 / 8
"""Largest error of a polynomial's argument, times its degree.

A slot's error is complex. A Chebyshev polynomial of degree n grows like ``cosh(n e / sqrt(1 - x^2))`` a distance e
beside the real axis: harmless while the exponent is below 1, and beyond all bounds soon after."""

ELEMENTWISE = (Add, AddPlain, Multiply, MultiplyPlain, Polynomial, Relinearize, Square, Subtract)
"""Instructions whose result's error in a slot comes from the operands' errors in that slot."""


class NoisePrediction:
    """The noise model propagated through a lowered circuit, for any chain of one ring.

    A value has one variance, the mean over its slots. What the bias of key switching adds to a result of the network
    counts with the slot that suffers most.
    """

    def __init__(
        self,
        lowered: Lowered,
        graph: Graph,
        magnitudes: Mapping[str, Magnitude],
        ring_degree: int,
    ) -> None:
        self._lowered, self._outputs, self._magnitudes = lowered, graph.outputs, magnitudes
        circuit = lowered.circuit
        self._ring = RingNoise(ring_degree, circuit.slots, circuit.lanes)
        self._types = verify(circuit, None)
        self._statistics = {
            i: TransformStatistics.of(circuit.diagonals(ins), ins.count, self._ring)
            for i, ins in enumerate(circuit.instructions)
            if isinstance(ins, LinearTransform)
        }
        self._matrices = {
            i: self._matrix_gain(i, ins) for i, ins in enumerate(circuit.instructions) if isinstance(ins, MatrixProduct)
        }
        self.profiles = {
            i: PolynomialProfile.of(circuit, ins, magnitudes[lowered.values[ins.x]].quantiles)
            for i, ins in enumerate(circuit.instructions)
            if isinstance(ins, Polynomial)
        }
        self._origins = _origins(circuit)
        self._filled = [int(np.count_nonzero(t.content)) for t in self._types]
        self._biases = {
            i: tuple(self._typical(i, profile) for profile in profiles)
            for i, ins in enumerate(circuit.instructions)
            if (profiles := self._profiles(i, ins))
        }

    def _matrix_gain(self, i: int, ins: MatrixProduct) -> tuple[float, float, float]:
        """Sum of squared weights, squared sum, and number of weights of the typical row; of the largest in a result."""
        matrix = self._lowered.circuit.matrix(ins)
        values = matrix.values.astype(np.float64)
        squares, sums = (np.bincount(matrix.rows, v, len(matrix)) for v in (values**2, values))
        typical = np.max if self._lowered.values[i] in self._outputs else np.mean
        return float(typical(squares)), float(typical(sums**2)), float(typical(np.diff(matrix.offsets)))

    def _profiles(self, i: int, ins: Instruction) -> tuple[NDArray[np.float64], ...]:
        """The bias of an instruction's rotations in each slot."""
        if isinstance(ins, LinearTransform):
            return self._statistics[i].rotated_bias, self._statistics[i].giant_bias
        if isinstance(ins, Fold):
            return (self._ring.fold_bias(ins.steps),)
        return (self._ring.bias,) if isinstance(ins, Relinearize | Rotate | Polynomial | PairedInput) else ()

    def _typical(self, i: int, profile: NDArray[np.float64]) -> float:
        """What stands for a profile over the slots that hold data."""
        data = np.broadcast_to(profile, self._types[i].content.shape)[self._types[i].content != 0]
        if not data.size:
            return 0.0
        return float(data.max() if self._lowered.values[i] in self._outputs else data.mean())

    def deviations(self, scales: Scales, expansions: Mapping[int, Expansion]) -> dict[str, float]:
        """Standard deviation of the error of each output, by name.

        Expansions are those of the polynomials; those that are missing are taken to add nothing of their own.

        It is infinite where an error in one slot alone could drive a polynomial out of bounds: an overflow in any slot
        of the ring, copies and gaps included, ruins all of them.
        """
        circuit, chain, ring = self._lowered.circuit, scales.chain, self._ring
        special = float(math.prod(chain.special_primes))
        # Digits of several primes are taken around zero, and have no bias.
        biased = 1.0 if chain.digit_limbs == 1 else 0.0
        variances: list[float] = []
        # What the bias of relinearisation adds is the same in all ciphertexts of an array, and does not average out in
        # a matrix product; of such circuits it is kept apart.
        common: list[float] = []
        # Of the results of polynomials where they are steepest, and in one copy.
        steepest: dict[int, float] = {}
        steady = True

        sizes = [float(scale) for scale in scales.scale]

        @cache
        def ready_size(value: int) -> float:
            return float(scales.ready_scale(value)) if scales.pending(value) else sizes[value]

        def ready(value: int) -> float:
            if not scales.pending(value):
                return variances[value]
            return variances[value] + ring.rescaling(self._types[value].polynomials) / ready_size(value) ** 2

        @cache
        def switched(limbs: int) -> float:
            return ring.switching(chain.digits(limbs), special)

        for i, ins in enumerate(circuit.instructions):
            shared = common[ins.operands[0]] if ins.operands else 0.0
            unit = 1.0 / sizes[i] ** 2
            switching = switched(scales.limbs[i])
            key_switch = ring.rounding + switching
            if isinstance(ins, Input):
                variance = (ring.fresh + ring.encoding) * unit
                if isinstance(ins, PairedInput):
                    variance = 4 * variance + key_switch * unit
                    bias = biased * switching * self._biases[i][0] * unit
                    variance, shared = (variance, bias) if self._matrices else (variance + bias, shared)
            elif isinstance(ins, LinearTransform):
                plain = scales.plain[i]
                assert plain is not None
                statistics = self._statistics[i]
                mean_square = self._mean_square(ins.x) * self._filled[ins.x] / self._types[ins.x].content.size
                before = ready_size(ins.x)
                variance = statistics.gain * ready(ins.x)
                variance += statistics.added(ring, switching, before, float(plain), mean_square)
                rotated, giant = self._biases[i]
                variance += biased * switching / before**2 * (rotated + giant / float(plain) ** 2)
            elif isinstance(ins, MatrixProduct):
                gain, sums, weights = self._matrices[i]
                shared *= sums
                variance = gain * (ready(ins.x) if is_product(ins) else variances[ins.x])
                plain = scales.plain[i]
                # Rounded weights are off by up to half a unit, each by another share of it; integers by nothing.
                rounding = 0.0 if plain is None else weights / (12 * float(plain) ** 2)
                variance += rounding * self._mean_square(ins.x)
            elif isinstance(ins, Fold):
                copies = self._filled[ins.x] * ins.span / max(1, self._filled[i] * ins.period)
                variance = copies * variances[ins.x] + (ins.span // ins.period - 1) * key_switch * unit
                variance += biased * switching * self._biases[i][0] * unit
            elif isinstance(ins, Square):
                variance = 4 * self._mean_square(ins.x) * (ready(ins.x) + shared)
                shared = 0.0
            elif isinstance(ins, Multiply):
                left = self._mean_square(ins.y) * (ready(ins.x) + common[ins.x])
                right = self._mean_square(ins.x) * (ready(ins.y) + common[ins.y])
                # Powers of one value err alike.
                alike = 2 * math.sqrt(left * right) if self._origins[ins.x] & self._origins[ins.y] else 0.0
                variance, shared = left + right + alike, 0.0
            elif isinstance(ins, Polynomial):
                profile = self.profiles[i]
                added, keys = profile.added(expansions[i], ring, switched) if i in expansions else (0.0, 0.0)
                variance = profile.gain * (ready(ins.x) + shared) + added
                worst = steepest.get(ins.x, ring.copies * (ready(ins.x) + shared))
                steady &= profile.degree * WORST_SLOT * math.sqrt(worst) <= STEADY
                steepest[i] = profile.slope**2 * worst + ring.copies * (added + keys)
                keys *= biased * self._biases[i][0]
                shared, variance = (keys, variance) if self._matrices else (shared, variance + keys)
            elif isinstance(ins, MultiplyPlain):
                vector = circuit.constants[ins.vector]
                encoding = ring.encoding / ready_size(ins.x) ** 2
                variance = float(np.mean(vector[vector != 0] ** 2)) * ready(ins.x)
                variance += encoding * self._mean_square(ins.x)
            elif isinstance(ins, Relinearize) and self._matrices:
                variance = variances[ins.x] + key_switch * unit
                shared += biased * switching * self._biases[i][0] * unit
            elif isinstance(ins, Relinearize | Rotate):
                variance = variances[ins.x] + (key_switch + biased * switching * self._biases[i][0]) * unit
            elif isinstance(ins, Add | Subtract):
                variance = variances[ins.x] + variances[ins.y]
                shared = (math.sqrt(common[ins.x]) + math.sqrt(common[ins.y])) ** 2
            elif isinstance(ins, AddPlain):
                variance = variances[ins.x] + ring.encoding * unit
            else:
                variance = ready(ins.operands[0])
            variances.append(variance)
            common.append(shared)
        if not steady:
            return dict.fromkeys(self._outputs, math.inf)
        results = {name: self._lowered.results[name] for name in self._outputs}
        return {name: math.sqrt(ready(value) + common[value]) for name, value in results.items()}

    def _mean_square(self, value: int) -> float:
        """Of the data slots of a value."""
        return self._magnitudes[self._lowered.values[value]].rms ** 2


def _origins(circuit: Circuit) -> list[frozenset[int]]:
    """For each value the instructions that its errors come from, as far as everything after them is elementwise."""
    origins: list[frozenset[int]] = []
    for i, ins in enumerate(circuit.instructions):
        if isinstance(ins, ELEMENTWISE):
            origins.append(frozenset().union(*(origins[value] for value in ins.operands)))
        else:
            origins.append(frozenset({i}))
    return origins
