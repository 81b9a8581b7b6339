"""The noise of a bootstrap: what the model predicts of it as a whole.

Four things make a bootstrap's result differ from the sine that it stands for:

* the transforms: rotations and rescales, and diagonals that are rounded, up to the argument t of the polynomial; the
  sine multiplies it by its slope;
* rescales within the polynomial and the double angles (:mod:`hecc.runtime.ckks.bootstrapping.gains`);
* the polynomial, which is not the cosine: by how much depends on the multiple I in each slot, which is drawn;
* with a probability that is a number of the plan, a multiple beyond all that is approximated, which nothing predicts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.bootstrapping.gains import rescaling_gain
from hecc.runtime.ckks.circuit.bootstraps import expand_bootstrap
from hecc.runtime.ckks.circuit.instructions import Add, Bootstrap, Conjugate, FourierFactor, Raise, Rescale
from hecc.runtime.ckks.circuit.parameters import KeySpecification, digit_products
from hecc.runtime.reading import Reading

if TYPE_CHECKING:
    from hecc.runtime.ckks.readings.noise_drawn import RingNoise

__all__ = ["BootstrapNoise"]


@dataclass(frozen=True)
class BootstrapNoise:
    """Variances of a bootstrap's error, in units of the result.

    Attributes
    ----------
    argument
        Of the polynomial's argument, where the sine is steepest: times the squared cosine elsewhere.
    rescales
        Of all rescales behind that, in all slots alike.
    """

    instruction: Bootstrap
    argument: float
    rescales: float

    @classmethod
    def of(
        cls, instruction: Bootstrap, limbs: int, scale: Fraction, keys: KeySpecification, ring: RingNoise, square: float
    ) -> BootstrapNoise:
        """Predict a bootstrap of an operand of so many limbs and such a scale, whose slots have such a mean square.

        Raises
        ------
        CircuitError
            It is a bootstrap of which nobody measured the noise.
        """
        expansion = expand_bootstrap(instruction, limbs=limbs, scale=scale, primes=keys.data_primes)
        walk = _Walk(keys, ring, square * float(scale) ** 2)
        unit = 1.0
        for step, left, after in zip(expansion.instructions, expansion.limbs, expansion.scales, strict=True):
            assert after is not None
            _RULES[type(step)](walk, step, limbs)
            limbs, unit = left, float(after) ** 2
            if type(step) is Add:
                break
        reduction = instruction.reduction
        slope = 2 * math.pi * float(reduction.reach)
        argument = slope**2 * walk.variance / unit
        return cls(instruction, argument, rescaling_gain(reduction) ** 2 * ring.rounding / unit)

    def variance(self, u: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Of every slot's Gaussian error, where the slots of the operand are u."""
        cosine = np.cos(2 * np.pi * float(self.instruction.phase) * u)
        return np.asarray(self.argument * cosine**2 + self.rescales)

    def misfit(self, u: NDArray[np.floating[Any]], generator: np.random.Generator) -> NDArray[np.float64]:
        """By how much the polynomial is off in every slot, for multiples that are drawn."""
        reduction, message = self.instruction.reduction, np.asarray(u, dtype=np.float64)
        part = float(reduction.phase) * message
        total = -part
        for _ in range(reduction.weight + 1):
            total += generator.uniform(-0.5, 0.5, u.shape)
        return np.asarray(reduction.approximate(np.rint(total) + part) - reduction.exact(message))

    def deviation(self, u: NDArray[np.floating[Any]], generator: np.random.Generator) -> float:
        """Standard deviation of the error over all slots, where those of the operand are u."""
        return math.sqrt(float(self.variance(u).mean() + np.mean(self.misfit(u, generator) ** 2)))


@dataclass
class _Walk:
    """Variance of the slots' real parts, and their mean square, not divided by scales: from operand to argument."""

    keys: KeySpecification
    ring: RingNoise
    mean_square: float
    variance: float = 0.0

    def key_switch(self, limbs: int) -> float:
        """What one adds at so many limbs."""
        special = float(math.prod(self.keys.special_primes))
        digits = digit_products(self.keys.data_primes[:limbs], self.keys.digit_limbs)
        return self.ring.rounding + self.ring.switching(digits, special)

    def factor(self, ins: FourierFactor, limbs: int) -> None:
        """Rotations before the products, diagonals that are rounded, and rotations behind.

        Of every stage a row has two numbers of magnitude 1.
        """
        assert ins.scale is not None
        gain = 2 ** (ins.stop - ins.first) * float(ins.gain * ins.scale) ** 2
        switch, (_, giants) = self.key_switch(limbs), ins.rotations
        rounded = len(ins.pairs) * (1 << ins.stop) / 12 * self.mean_square
        self.variance = gain * (self.variance + switch) + rounded + giants * switch
        self.mean_square *= gain

    def rescale(self, ins: Rescale, limbs: int) -> None:
        """Divided, and rounded."""
        divisor = float(math.prod(self.keys.data_primes[limbs - ins.limbs : limbs])) ** 2
        self.variance = self.variance / divisor + self.ring.rounding
        self.mean_square /= divisor

    def lift(self, ins: Raise, limbs: int) -> None:
        """Two key switches, and multiples of the first prime beside the message."""
        self.variance += self.ring.encapsulated(self.keys)
        self.mean_square += self.ring.multiples(self.keys)

    def conjugate(self, ins: Conjugate, limbs: int) -> None:
        """Real parts as they are, and a key switch; the sum with the operand counts them twice."""
        self.variance = 4 * self.variance + self.key_switch(limbs)

    def add(self, ins: Add, limbs: int) -> None:
        """Counted with the conjugate, which errs alike."""


_RULES: Reading[Callable[..., None]] = Reading(
    "the noise up to a bootstrap's polynomial",
    (FourierFactor, Rescale, Raise, Conjugate, Add),
    {
        FourierFactor: _Walk.factor,
        Rescale: _Walk.rescale,
        Raise: _Walk.lift,
        Conjugate: _Walk.conjugate,
        Add: _Walk.add,
    },
)
