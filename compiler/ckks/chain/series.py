"""What the parameter search has to know of a polynomial instruction: its cost and the noise that it adds.

Which instructions evaluate a polynomial depends on its coefficients alone, so they are counted once for all chains, and
so are the gains: by how much an error of each of them shows in the result. The derivative of the result by every
intermediate value is computed backwards through the instructions (reverse-mode differentiation, Griewank and Walther,
"Evaluating Derivatives", SIAM 2008, chapter 3) on samples of the argument; an error of variance v becomes one of
variance v times the mean of the derivative's square. Errors of powers that enter several products are thus followed
exactly to first order, where adding variances product by product would take them for independent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.instructions import (
    Add,
    AddPlain,
    AddScalar,
    Circuit,
    DropLimbs,
    Input,
    Instruction,
    Multiply,
    MultiplyPlain,
    MultiplyScalar,
    Polynomial,
    Relinearize,
    Rescale,
    Square,
    Subtract,
    kinds_with,
)
from hecc.runtime.ckks.circuit.polynomials import Expansion, expand
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.ckks.readings.noise_drawn import RingNoise
from hecc.runtime.depth import polynomial_depth
from hecc.runtime.reading import Reading

__all__ = ["PolynomialProfile"]

Array = NDArray[np.float64]

POINTS_PER_DEGREE = 8


@dataclass(frozen=True, eq=False)
class PolynomialProfile:
    """A polynomial instruction, expanded.

    Attributes
    ----------
    instruction, coefficients
        What is expanded; the constant as the circuit has it.
    circuit
        An input in place of the operand, and the instructions of the expansion behind it, without scales.
    limbs
        Of the values of that circuit, when each level drops one limb and the last result has none left.
    gain
        By how much the variance of the operand's error grows.
    gains
        The same of an error of each value of the circuit.
    squares
        Mean square of each value of the circuit.
    bounds
        Largest absolute values, by the circuit's value, of those that have to fit the modulus.
    slope
        Largest absolute value of the polynomial's derivative on [-1, 1].
    """

    instruction: Polynomial
    coefficients: Array
    circuit: Circuit
    limbs: tuple[int, ...]
    gains: Array
    squares: Array
    bounds: dict[int, float]
    slope: float

    @classmethod
    def of(cls, circuit: Circuit, instruction: Polynomial, samples: Sequence[float]) -> PolynomialProfile:
        """Profile an instruction of a circuit without scales.

        Parameters
        ----------
        samples
            Of the operand's values in the slots that hold data.
        """
        coefficients = np.asarray(circuit.constants[instruction.coefficients], dtype=np.float64)
        levels = polynomial_depth(len(coefficients) - 1)
        dropped = msgspec.structs.replace(instruction, dropped=(1,) * levels)
        expansion = expand(dropped, coefficients, limbs=levels, scale=None, bound=1.0)
        operand = Input(name="", count=circuit.counts()[instruction.x], occupied="", period=1)
        steps = Circuit(circuit.slots, (operand, *expansion.instructions), expansion.constants, circuit.lanes)
        # Of slot vectors the slots with data count, which are all alike.
        vectors = {name: float(v.flat[np.abs(v).argmax()]) for name, v in expansion.constants.items()}
        values = _evaluate(steps.instructions, np.asarray(samples, dtype=np.float64), vectors)
        gains = np.array([float(np.mean(d**2)) for d in _derivatives(steps.instructions, values, vectors)])
        squares = np.array([float(np.mean(v**2)) for v in values])
        bounds = {i + 1: bound for i, bound in expansion.bounds.items()}
        alike = coefficients.reshape(len(coefficients), -1)
        series = alike[:, np.abs(alike).sum(axis=0).argmax()]
        points = np.cos(np.linspace(0, np.pi, POINTS_PER_DEGREE * len(series)))
        slope = float(np.abs(chebyshev.chebval(points, chebyshev.chebder(series))).max())
        return cls(instruction, coefficients, steps, (levels, *expansion.limbs), gains, squares, bounds, slope)

    @property
    def degree(self) -> int:
        """The polynomial's."""
        return len(self.coefficients) - 1

    @property
    def gain(self) -> float:
        """By how much the variance of the operand's error grows."""
        return float(self.gains[0])

    def scaled(
        self, limbs: int, scale: Fraction, dropped: tuple[int, ...], target: Fraction, primes: Sequence[int]
    ) -> Expansion:
        """The expansion under a chain, whose result ``i`` is value ``i + 1`` of the circuit.

        Parameters
        ----------
        limbs, scale
            Of the operand.
        dropped, target
            Primes of each level's rescale, and the scale of the result.
        primes
            The data primes.

        Raises
        ------
        CircuitError
            The scales leave no room for the coefficients.
        """
        instruction = msgspec.structs.replace(self.instruction, dropped=dropped, scale=target)
        return expand(instruction, self.coefficients, limbs=limbs, scale=scale, primes=primes)

    def added(self, expansion: Expansion, ring: RingNoise, switching: Callable[[int], float]) -> tuple[float, float]:
        """Variance that evaluating adds to the result, in units of its value: in all, and of the keys' errors alone.

        Parameters
        ----------
        expansion
            With scales; see :meth:`scaled`.
        switching
            Of a key switch with so many limbs (:meth:`hecc.runtime.ckks.readings.noise_drawn.RingNoise.switching`).
        """
        total = keys = 0.0
        for i, (ins, limbs, scale) in enumerate(
            zip(expansion.instructions, expansion.limbs, expansion.scales, strict=True), start=1
        ):
            assert scale is not None
            place = _Place(self, ring, switching, limbs, float(self.gains[i]), 1.0 / float(scale) ** 2)
            all_of_it, of_keys = _ADDED.of(ins)(place, ins)
            total += all_of_it
            keys += of_keys
        return total, keys


@dataclass(frozen=True)
class _Place:
    """An instruction within an expansion: its limbs, the gain of its error, and one in units of the value, squared."""

    profile: PolynomialProfile
    ring: RingNoise
    switching: Callable[[int], float]
    limbs: int
    gain: float
    unit: float


def _exact(place: _Place, ins: Instruction) -> tuple[float, float]:
    return 0.0, 0.0


def _rescaled(place: _Place, ins: Rescale) -> tuple[float, float]:
    return place.gain * place.ring.rounding * place.unit, 0.0


def _relinearized(place: _Place, ins: Relinearize) -> tuple[float, float]:
    error = place.switching(place.limbs)
    return place.gain * (place.ring.rounding + error) * place.unit, place.gain * error * place.unit


def _rounded_factor(place: _Place, ins: MultiplyPlain | MultiplyScalar, rounding: float) -> tuple[float, float]:
    assert ins.scale is not None
    return place.gain * float(place.profile.squares[ins.x]) * rounding / float(ins.scale) ** 2, 0.0


# A number is rounded once, a slot vector in every coefficient of its polynomial.
_ADDED: Reading[Callable[[_Place, Any], tuple[float, float]]] = Reading(
    "the noise that is added within a polynomial, of all and of keys",
    kinds_with(Trait.EVALUATES),
    {
        Add: _exact,
        Subtract: _exact,
        Multiply: _exact,
        Square: _exact,
        Relinearize: _relinearized,
        AddPlain: lambda place, ins: (place.gain * place.ring.encoding * place.unit, 0.0),
        MultiplyPlain: lambda place, ins: _rounded_factor(place, ins, place.ring.encoding),
        AddScalar: lambda place, ins: (place.gain * (1 / 12) * place.unit, 0.0),
        MultiplyScalar: lambda place, ins: _rounded_factor(place, ins, 1 / 12),
        Rescale: _rescaled,
        DropLimbs: _exact,
    },
)

Vectors = Mapping[str, float]


def _same(ins: Instruction, vectors: Vectors, x: Array) -> Array:
    return x


_VALUES: Reading[Callable[..., Array]] = Reading(
    "the values within a polynomial",
    kinds_with(Trait.EVALUATES),
    {
        Add: lambda ins, vectors, x, y: x + y,
        Subtract: lambda ins, vectors, x, y: x - y,
        Multiply: lambda ins, vectors, x, y: x * y,
        Square: lambda ins, vectors, x: x**2,
        Relinearize: _same,
        AddPlain: lambda ins, vectors, x: x + vectors[ins.vector],
        MultiplyPlain: lambda ins, vectors, x: x * vectors[ins.vector],
        AddScalar: lambda ins, vectors, x: x + ins.value,
        MultiplyScalar: lambda ins, vectors, x: x * ins.value,
        Rescale: _same,
        DropLimbs: _same,
    },
)


def _passed(ins: Instruction, vectors: Vectors, own: Array, x: Array) -> tuple[Array, ...]:
    return (own,)


_DERIVATIVES: Reading[Callable[..., tuple[Array, ...]]] = Reading(
    "what each operand's derivative gets of the result's",
    kinds_with(Trait.EVALUATES),
    {
        Add: lambda ins, vectors, own, x, y: (own, own),
        Subtract: lambda ins, vectors, own, x, y: (own, -own),
        Multiply: lambda ins, vectors, own, x, y: (own * y, own * x),
        Square: lambda ins, vectors, own, x: (2 * own * x,),
        Relinearize: _passed,
        AddPlain: _passed,
        MultiplyPlain: lambda ins, vectors, own, x: (own * vectors[ins.vector],),
        AddScalar: _passed,
        MultiplyScalar: lambda ins, vectors, own, x: (own * ins.value,),
        Rescale: _passed,
        DropLimbs: _passed,
    },
)


def _evaluate(instructions: Sequence[Instruction], samples: Array, vectors: Vectors) -> list[Array]:
    """Every value, on samples of the first."""
    values = [samples]
    for ins in instructions[1:]:
        values.append(_VALUES.of(ins)(ins, vectors, *(values[v] for v in ins.operands)))
    return values


def _derivatives(instructions: Sequence[Instruction], values: Sequence[Array], vectors: Vectors) -> list[Array]:
    """The derivative of the last value by every value, on the samples."""
    derivatives = [np.zeros_like(values[0]) for _ in instructions]
    derivatives[-1] = np.ones_like(values[0])
    for i in reversed(range(1, len(instructions))):
        ins = instructions[i]
        parts = _DERIVATIVES.of(ins)(ins, vectors, derivatives[i], *(values[v] for v in ins.operands))
        for v, part in zip(ins.operands, parts, strict=True):
            derivatives[v] = derivatives[v] + part
    return derivatives
