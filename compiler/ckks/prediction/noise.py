"""Noise prediction: what a chain of primes leaves of the precision, by formula.

Variances are propagated through a lowered circuit for any chain of one ring, so fast that the search can try hundreds
of chains; the one that it chooses is checked with noise drawn at random.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.compiler.ckks.chain.scaling import Chain, Magnitude, Scales, is_product
from hecc.compiler.ckks.chain.series import PolynomialProfile
from hecc.compiler.ckks.lowering.lowering import Lowered
from hecc.compiler.graph.graph import Graph
from hecc.runtime.ckks.circuit.instructions import (
    INSTRUCTIONS,
    Add,
    AddPlain,
    AddScalar,
    Bootstrap,
    Circuit,
    Conjugate,
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
    kinds_with,
)
from hecc.runtime.ckks.circuit.parameters import Encapsulation, KeySpecification, SecurityEvidence, SparseEvidence
from hecc.runtime.ckks.circuit.polynomials import Expansion
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.ckks.readings.bootstrap_noise import BootstrapNoise
from hecc.runtime.ckks.readings.noise_drawn import RingNoise, TransformStatistics, rounding_errors
from hecc.runtime.ckks.readings.types import verify
from hecc.runtime.reading import Reading

__all__ = ["NoisePrediction"]

WORST_SLOT = 6.0
"""Standard deviations that the errors in all slots of a ring stay within."""

STEADY = 1 / 8
"""Largest error of a polynomial's argument, times its degree.

A slot's error is complex. A Chebyshev polynomial of degree n grows like ``cosh(n e / sqrt(1 - x^2))`` a distance e
beside the real axis: harmless while the exponent is below 1, and beyond all bounds soon after."""


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
            for i, ins in circuit.every(LinearTransform)
        }
        self._matrices = {i: self._matrix_gain(i, ins) for i, ins in circuit.every(MatrixProduct)}
        self.profiles = {
            i: PolynomialProfile.of(circuit, ins, magnitudes[lowered.values[ins.x]].quantiles)
            for i, ins in circuit.every(Polynomial)
        }
        self._origins = _origins(circuit)
        self._filled = [int(np.count_nonzero(t.content)) for t in self._types]
        self._biases = {
            i: tuple(self._typical(i, profile) for profile in _PROFILES.of(ins)(self, i, ins))
            for i, ins in enumerate(circuit.instructions)
            if ins.traits & Trait.SWITCHES
        }

    def _matrix_gain(self, i: int, ins: MatrixProduct) -> tuple[float, float, float]:
        """Sum of squared weights, squared sum, and number of weights of the typical row; of the largest in a result."""
        matrix = self._lowered.circuit.matrix(ins)
        values = matrix.values.astype(np.float64)
        squares, sums = (np.bincount(matrix.rows, v, len(matrix)) for v in (values**2, values))
        typical = np.max if self._lowered.values[i] in self._outputs else np.mean
        return float(typical(squares)), float(typical(sums**2)), float(typical(np.diff(matrix.offsets)))

    def _bias(self, i: int, ins: Instruction) -> tuple[NDArray[np.float64], ...]:
        return (self._ring.bias,)

    def _fold_bias(self, i: int, ins: Fold) -> tuple[NDArray[np.float64], ...]:
        return (self._ring.fold_bias(ins.steps),)

    def _transform_bias(self, i: int, ins: LinearTransform) -> tuple[NDArray[np.float64], ...]:
        return self._statistics[i].rotated_bias, self._statistics[i].giant_bias

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
        propagation = _Propagation(self, scales, expansions)
        for i, ins in enumerate(self._lowered.circuit.instructions):
            variance, shared = _RULES.of(ins)(propagation, i, ins)
            propagation.variances.append(variance)
            propagation.common.append(shared)
        if not propagation.steady:
            return dict.fromkeys(self._outputs, math.inf)
        results = {name: self._lowered.results[name] for name in self._outputs}
        return {
            name: math.sqrt(propagation.ready(value) + propagation.common[value]) for name, value in results.items()
        }

    def _mean_square(self, value: int) -> float:
        """Of the data slots of a value."""
        return self._magnitudes[self._lowered.values[value]].rms ** 2


_PROFILES: Reading[Callable[..., tuple[NDArray[np.float64], ...]]] = Reading(
    "the bias of key switches in each slot",
    kinds_with(Trait.SWITCHES),
    {
        PairedInput: NoisePrediction._bias,
        Relinearize: NoisePrediction._bias,
        Rotate: NoisePrediction._bias,
        Conjugate: NoisePrediction._bias,
        Fold: NoisePrediction._fold_bias,
        LinearTransform: NoisePrediction._transform_bias,
        Polynomial: NoisePrediction._bias,
        Bootstrap: NoisePrediction._bias,
    },
    dict.fromkeys((FourierFactor, Raise), "it is written when bootstraps are expanded, behind this"),
)

Variances = tuple[float, float]
"""Of a value's error: the mean over its slots, and what its ciphertexts have in common, kept apart."""


class _Propagation:
    """Variances through the circuit under one chain; a rule for each instruction, which appends none itself.

    What the bias of relinearisation adds is the same in all ciphertexts of an array, and does not average out in a
    matrix product; of circuits that have one it is kept apart.
    """

    def __init__(self, prediction: NoisePrediction, scales: Scales, expansions: Mapping[int, Expansion]) -> None:
        self.prediction, self.scales, self.expansions = prediction, scales, expansions
        self.ring, self.circuit = prediction._ring, prediction._lowered.circuit
        self.variances: list[float] = []
        self.common: list[float] = []
        # Of the results of polynomials where they are steepest, and in one copy.
        self.steepest: dict[int, float] = {}
        self.steady = True
        self.apart = bool(prediction._matrices)
        chain = scales.chain
        special = float(math.prod(chain.special_primes))
        # Digits of several primes are taken around zero, and have no bias.
        self.biased = 1.0 if chain.digit_limbs == 1 else 0.0
        self.sizes = [float(scale) for scale in scales.scale]
        self.switched = cache(lambda limbs: self.ring.switching(chain.digits(limbs), special))
        self.ready_size = cache(
            lambda value: float(scales.ready_scale(value)) if scales.pending(value) else self.sizes[value]
        )

    def ready(self, value: int) -> float:
        """Variance of a value once it is rescaled for the next product."""
        if not self.scales.pending(value):
            return self.variances[value]
        rescaling = self.ring.rescaling(self.prediction._types[value].polynomials)
        return self.variances[value] + rescaling / float(self.ready_size(value)) ** 2

    def mean_square(self, value: int) -> float:
        """Of the data slots of a value."""
        return self.prediction._mean_square(value)

    def unit(self, i: int) -> float:
        """Of one, in units of the value."""
        return 1.0 / self.sizes[i] ** 2

    def switching(self, i: int) -> float:
        """What a key's error adds at the limbs of a value, without its bias."""
        return float(self.switched(self.scales.limbs[i]))

    def key_switch(self, i: int) -> float:
        """What a key switch adds in all slots alike."""
        return self.ring.rounding + self.switching(i)

    def bias(self, i: int) -> float:
        """What the first of an instruction's biases adds, in units of the value."""
        return self.biased * self.switching(i) * self.prediction._biases[i][0] * self.unit(i)

    def input(self, i: int, ins: Input) -> Variances:
        """A new ciphertext."""
        return (self.ring.fresh + self.ring.encoding) * self.unit(i), 0.0

    def paired_input(self, i: int, ins: PairedInput) -> Variances:
        """Of twice the sum, one half is what came and the other its conjugate, with a key's error."""
        fresh, _ = self.input(i, ins)
        variance, bias = 4 * fresh + self.key_switch(i) * self.unit(i), self.bias(i)
        return (variance, bias) if self.apart else (variance + bias, 0.0)

    def output(self, i: int, ins: Output) -> Variances:
        """Rescaled ahead of it."""
        return self.ready(ins.x), self.common[ins.x]

    def unchanged(self, i: int, ins: Negate) -> Variances:
        """The operand's error."""
        return self.variances[ins.x], self.common[ins.x]

    def add(self, i: int, ins: Add | Subtract) -> Variances:
        """Errors are independent, but for what keys have in common."""
        variance = self.variances[ins.x] + self.variances[ins.y]
        return variance, (math.sqrt(self.common[ins.x]) + math.sqrt(self.common[ins.y])) ** 2

    def square(self, i: int, ins: Square) -> Variances:
        """The error twice, times the value."""
        return 4 * self.mean_square(ins.x) * (self.ready(ins.x) + self.common[ins.x]), 0.0

    def multiply(self, i: int, ins: Multiply) -> Variances:
        """Each error times the other value; powers of one value err alike."""
        left = self.mean_square(ins.y) * (self.ready(ins.x) + self.common[ins.x])
        right = self.mean_square(ins.x) * (self.ready(ins.y) + self.common[ins.y])
        origins = self.prediction._origins
        alike = 2 * math.sqrt(left * right) if origins[ins.x] & origins[ins.y] else 0.0
        return left + right + alike, 0.0

    def relinearize(self, i: int, ins: Relinearize) -> Variances:
        """All ciphertexts are multiplied with one key."""
        if self.apart:
            return self.variances[ins.x] + self.key_switch(i) * self.unit(i), self.common[ins.x] + self.bias(i)
        return self.galois(i, ins)

    def galois(self, i: int, ins: Rotate | Conjugate | Relinearize) -> Variances:
        """A key switch."""
        bias = self.biased * self.switching(i) * self.prediction._biases[i][0]
        return self.variances[ins.x] + (self.key_switch(i) + bias) * self.unit(i), self.common[ins.x]

    def fold(self, i: int, ins: Fold) -> Variances:
        """The steps double: what one adds is summed by those after it."""
        filled = self.prediction._filled
        copies = filled[ins.x] * ins.span / max(1, filled[i] * ins.period)
        variance = copies * self.variances[ins.x]
        variance += (ins.span // ins.period - 1) * self.key_switch(i) * self.unit(i)
        return variance + self.bias(i), self.common[ins.x]

    def add_plain(self, i: int, ins: AddPlain) -> Variances:
        """The slot values are rounded."""
        return self.variances[ins.x] + self.ring.encoding * self.unit(i), self.common[ins.x]

    def add_scalar(self, i: int, ins: AddScalar) -> Variances:
        """A number is off by what is known exactly."""
        return self.variances[ins.x] + float(rounding_errors(ins.value, self.sizes[i])) ** 2, self.common[ins.x]

    def multiply_plain(self, i: int, ins: MultiplyPlain) -> Variances:
        """The slot values are rounded; the plaintext's scale is that of the operand."""
        vector = self.circuit.constants[ins.vector]
        gain = float(np.mean(vector[vector != 0] ** 2))
        encoding = self.ring.encoding / self.ready_size(ins.x) ** 2
        return gain * self.ready(ins.x) + encoding * self.mean_square(ins.x), gain * self.common[ins.x]

    def multiply_scalar(self, i: int, ins: MultiplyScalar) -> Variances:
        """A number is off by what is known exactly; its scale is that of the operand."""
        off = float(rounding_errors(ins.value, self.ready_size(ins.x)))
        variance = ins.value**2 * self.ready(ins.x) + off**2 * self.mean_square(ins.x)
        return variance, ins.value**2 * self.common[ins.x]

    def linear_transform(self, i: int, ins: LinearTransform) -> Variances:
        """Key switches before and after the products, and plaintexts that are rounded."""
        prediction, plain = self.prediction, self.scales.plain[i]
        assert plain is not None
        statistics, switching = prediction._statistics[i], self.switching(i)
        mean_square = self.mean_square(ins.x) * prediction._filled[ins.x] / prediction._types[ins.x].content.size
        before = self.ready_size(ins.x)
        variance = statistics.gain * self.ready(ins.x)
        variance += statistics.added(self.ring, switching, before, float(plain), mean_square)
        rotated, giant = prediction._biases[i]
        variance += self.biased * switching / before**2 * (rotated + giant / float(plain) ** 2)
        return variance, self.common[ins.x]

    def matrix_product(self, i: int, ins: MatrixProduct) -> Variances:
        """Rounded weights are off by up to half a unit, each by another share of it; integers by nothing."""
        gain, sums, weights = self.prediction._matrices[i]
        variance = gain * (self.ready(ins.x) if is_product(ins) else self.variances[ins.x])
        plain = self.scales.plain[i]
        rounding = 0.0 if plain is None else weights / (12 * float(plain) ** 2)
        return variance + rounding * self.mean_square(ins.x), self.common[ins.x] * sums

    def polynomial(self, i: int, ins: Polynomial) -> Variances:
        """By its profile, with what the instructions of its expansion add."""
        profile, operand = self.prediction.profiles[i], self.ready(ins.x) + self.common[ins.x]
        added, keys = 0.0, 0.0
        if i in self.expansions:
            added, keys = profile.added(self.expansions[i], self.ring, self.switched)
        variance = profile.gain * operand + added
        worst = self.steepest.get(ins.x, self.ring.copies * operand)
        self.steady &= profile.degree * WORST_SLOT * math.sqrt(worst) <= STEADY
        self.steepest[i] = profile.slope**2 * worst + self.ring.copies * (added + keys)
        keys *= self.biased * self.prediction._biases[i][0]
        return (variance, keys) if self.apart else (variance + keys, self.common[ins.x])

    def bootstrap(self, i: int, ins: Bootstrap) -> Variances:
        """By the model of bootstraps as a whole, on samples of the operand."""
        scales = self.scales
        samples = np.asarray(self.prediction._magnitudes[self.prediction._lowered.values[ins.x]].quantiles)
        dropped, keys = scales.dropped_around(i), _raising_keys(scales.chain, ins.weight)
        planned = msgspec.structs.replace(ins, limbs=len(keys.data_primes), dropped=dropped, scale=scales.plain[i])
        square = float(np.mean(samples**2))
        model = BootstrapNoise.of(planned, 1 + dropped[0], scales.ready_scale(ins.x), keys, self.ring, square)
        turn = 2 * np.pi * float(ins.phase)
        gain = float(np.mean((turn * np.cos(turn * samples)) ** 2))
        return gain * (self.ready(ins.x) + self.common[ins.x]) + model.deviation(samples) ** 2, 0.0


def _raising_keys(chain: Chain, weight: int) -> KeySpecification:
    """The primes of keys, as the noise of bootstraps reads them."""
    limbs = len(chain.data_primes)
    return KeySpecification(
        ring_degree=chain.ring_degree,
        data_primes=chain.data_primes,
        special_primes=chain.special_primes,
        digit_limbs=chain.digit_limbs,
        relinearization_limbs=0,
        galois=(),
        security=SecurityEvidence(0, "classical", "", 0),
        encapsulation=Encapsulation(weight=weight, limbs=limbs, security=SparseEvidence(0, "", 0)),
    )


_RULES: Reading[Callable[[_Propagation, int, Any], Variances]] = Reading(
    "the noise by formula",
    INSTRUCTIONS,
    {
        Input: _Propagation.input,
        PairedInput: _Propagation.paired_input,
        Output: _Propagation.output,
        Add: _Propagation.add,
        Subtract: _Propagation.add,
        Negate: _Propagation.unchanged,
        Multiply: _Propagation.multiply,
        Square: _Propagation.square,
        Relinearize: _Propagation.relinearize,
        AddPlain: _Propagation.add_plain,
        MultiplyPlain: _Propagation.multiply_plain,
        AddScalar: _Propagation.add_scalar,
        MultiplyScalar: _Propagation.multiply_scalar,
        Rotate: _Propagation.galois,
        Conjugate: _Propagation.galois,
        Fold: _Propagation.fold,
        LinearTransform: _Propagation.linear_transform,
        MatrixProduct: _Propagation.matrix_product,
        Polynomial: _Propagation.polynomial,
        Bootstrap: _Propagation.bootstrap,
    },
    {
        **dict.fromkeys(
            (Rescale, DropLimbs), "it is written after the chain is chosen; what it adds counts where it is due"
        ),
        **dict.fromkeys((FourierFactor, Raise), "it is written when bootstraps are expanded, behind this"),
    },
)


def _origins(circuit: Circuit) -> list[frozenset[int]]:
    """For each value the instructions that its errors come from, as far as everything after them is elementwise."""
    origins: list[frozenset[int]] = []
    for i, ins in enumerate(circuit.instructions):
        if Trait.ELEMENTWISE in ins.traits:
            origins.append(frozenset().union(*(origins[value] for value in ins.operands)))
        else:
            origins.append(frozenset({i}))
    return origins
