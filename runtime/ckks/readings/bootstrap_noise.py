"""The noise of a bootstrap: what the model predicts of it as a whole.

Four things make a bootstrap's result differ from the sine that it stands for:

* the transforms: rotations and rescales, and diagonals that are rounded, up to the argument t of the polynomial; the
  sine multiplies it by its slope;
* rescales within the polynomial and the double angles (:mod:`hecc.runtime.ckks.bootstrapping.gains`). Their errors are
  largest where t is near 0, at which all powers of two of the Chebyshev basis are 1 or -1 and squares are steepest;
* the polynomial, which is not the cosine: by how much depends on the multiple I in each slot;
* with a probability that is a number of the plan, a multiple beyond all that is approximated, which nothing predicts.

What rounds is multiplied by the secret, whose value in a slot is Gaussian in two dimensions. Within the sine slots do
not meet, so that all errors of one slot share that factor, whose square is exponentially distributed. For both reasons
the errors of different slots differ, and the worst of thousands is off by two bits more than of Gaussian errors.
Formulas give the variance over all slots; errors are drawn by going through the expansion's instructions.
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
from hecc.runtime.ckks.bootstrapping.overflow import density
from hecc.runtime.ckks.bootstrapping.sine import SineReduction
from hecc.runtime.ckks.circuit.bootstraps import expand_bootstrap
from hecc.runtime.ckks.circuit.instructions import (
    Add,
    AddPlain,
    AddScalar,
    Bootstrap,
    Conjugate,
    DropLimbs,
    FourierFactor,
    Multiply,
    MultiplyPlain,
    MultiplyScalar,
    Raise,
    Relinearize,
    Rescale,
    Square,
    Subtract,
    kinds_with,
)
from hecc.runtime.ckks.circuit.parameters import KeySpecification, digit_products
from hecc.runtime.ckks.circuit.polynomials import Expansion
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.reading import Reading

if TYPE_CHECKING:
    from hecc.runtime.ckks.readings.noise_drawn import RingNoise

__all__ = ["BootstrapNoise"]

POINTS = 65
"""Messages at which the polynomial's error is looked at."""

Slots = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class BootstrapNoise:
    """Variances of a bootstrap's error, in units of the result.

    Attributes
    ----------
    argument
        Of the polynomial's argument, where the sine is steepest: times the squared cosine elsewhere.
    rescales
        Of all rescales behind that, in all slots alike.
    ring
        Of the copies, of which the mean is taken.
    expansion
        What it is made of.
    start
        The value in it that is the polynomial's argument.
    """

    instruction: Bootstrap
    argument: float
    rescales: float
    ring: RingNoise
    expansion: Expansion
    start: int

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
        start = 0
        for step, left, after in zip(expansion.instructions, expansion.limbs, expansion.scales, strict=True):
            _WALK[type(step)](walk, step, limbs)
            limbs, unit, start = left, _number(after) ** 2, start + 1
            if type(step) is Add:
                break
        slope = _slope(instruction.reduction)
        gain = rescaling_gain(instruction.reduction)
        return cls(instruction, slope**2 * walk.variance / unit, gain**2 * ring.rounding / unit, ring, expansion, start)

    def variance(self, u: Slots) -> NDArray[np.float64]:
        """Of every slot's error without the polynomial's, on average over secrets, where the operand's slots are u."""
        cosine = np.cos(2 * np.pi * float(self.instruction.phase) * u)
        return np.asarray(self.argument * cosine**2 + self.rescales)

    def deviation(self, u: Slots) -> float:
        """Standard deviation of the error over all slots, where those of the operand are u."""
        reduction = self.instruction.reduction
        multiples = np.arange(-reduction.largest, reduction.largest + 1)
        chances = np.array([float(density(reduction.weight, Fraction(int(i)))) for i in multiples])
        message = np.linspace(-1, 1, POINTS)[:, np.newaxis]
        misfits = reduction.approximate(multiples + float(reduction.phase) * message) - reduction.exact(message)
        misfit = float((misfits**2 @ (chances / chances.sum())).mean())
        return math.sqrt(float(self.variance(u).mean()) + misfit)

    def draw(self, u: Slots, generator: np.random.Generator) -> NDArray[np.float64]:
        """Errors of all slots, where the operand's are u."""
        reduction, message = self.instruction.reduction, np.asarray(u, dtype=np.float64)
        part = float(reduction.phase) * message
        total = -part
        for _ in range(reduction.weight + 1):
            total += generator.uniform(-0.5, 0.5, u.shape)
        secret = np.sqrt(generator.gamma(self.ring.copies, 1 / self.ring.copies, u.shape))
        off = math.sqrt(self.argument) / _slope(reduction)
        argument = (np.rint(total) + part) / float(reduction.reach)
        values = {self.start: argument + off * secret * generator.normal(size=u.shape)}
        steps = list(enumerate(self.expansion.instructions))[self.start :]
        last = {operand: number for number, step in steps for operand in step.operands}
        for number, step in steps:
            value = _STEPS.of(step)(step, *(values[v] for v in step.operands))
            if type(step) is Rescale:
                rounding = math.sqrt(self.ring.rounding) / _number(self.expansion.scales[number])
                value = value + rounding * secret * generator.normal(size=u.shape)
            values[number + 1] = value
            for operand in step.operands:
                if last[operand] == number:
                    values.pop(operand, None)
        return np.asarray(value - reduction.exact(message))


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


_WALK: Reading[Callable[..., None]] = Reading(
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

_VECTORS = "coefficients of a bootstrap are the same in all slots"

_STEPS: Reading[Callable[..., NDArray[np.float64]]] = Reading(
    "the values of a bootstrap's polynomial",
    kinds_with(Trait.EVALUATES),
    {
        Add: lambda ins, x, y: x + y,
        Subtract: lambda ins, x, y: x - y,
        Multiply: lambda ins, x, y: x * y,
        Square: lambda ins, x: x * x,
        Relinearize: lambda ins, x: x,
        AddScalar: lambda ins, x: x + ins.value,
        MultiplyScalar: lambda ins, x: x * ins.value,
        Rescale: lambda ins, x: x,
        DropLimbs: lambda ins, x: x,
    },
    {AddPlain: _VECTORS, MultiplyPlain: _VECTORS},
)


def _slope(reduction: SineReduction) -> float:
    """Of the result, where it is steepest, in the polynomial's argument."""
    return 2 * math.pi * float(reduction.reach)


def _number(scale: Fraction | None) -> float:
    assert scale is not None
    return float(scale)
