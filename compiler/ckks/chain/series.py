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

import msgspec
import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.instructions import (
    Add,
    AddPlain,
    AddScalar,
    Circuit,
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
)
from hecc.runtime.ckks.circuit.polynomials import Expansion, expand
from hecc.runtime.ckks.readings.noise_drawn import RingNoise
from hecc.runtime.depth import polynomial_depth

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
            unit, gain = 1.0 / float(scale) ** 2, float(self.gains[i])
            if isinstance(ins, Rescale):
                total += gain * ring.rounding * unit
            elif isinstance(ins, Relinearize):
                error = switching(limbs)
                total += gain * (ring.rounding + error) * unit
                keys += gain * error * unit
            elif isinstance(ins, MultiplyScalar | MultiplyPlain):
                assert ins.scale is not None
                # A number is rounded once, a slot vector in every coefficient of its polynomial.
                rounding = 1 / 12 if isinstance(ins, MultiplyScalar) else ring.encoding
                total += gain * float(self.squares[ins.x]) * rounding / float(ins.scale) ** 2
            elif isinstance(ins, AddScalar | AddPlain):
                total += gain * (1 / 12 if isinstance(ins, AddScalar) else ring.encoding) * unit
        return total, keys


def _evaluate(instructions: Sequence[Instruction], samples: Array, vectors: Mapping[str, float]) -> list[Array]:
    """Every value, on samples of the first."""
    values = [samples]
    for ins in instructions[1:]:
        operands = [values[v] for v in ins.operands]
        if isinstance(ins, Multiply):
            values.append(operands[0] * operands[1])
        elif isinstance(ins, Square):
            values.append(operands[0] ** 2)
        elif isinstance(ins, Add):
            values.append(operands[0] + operands[1])
        elif isinstance(ins, Subtract):
            values.append(operands[0] - operands[1])
        elif isinstance(ins, AddScalar):
            values.append(operands[0] + ins.value)
        elif isinstance(ins, AddPlain):
            values.append(operands[0] + vectors[ins.vector])
        elif isinstance(ins, MultiplyScalar | MultiplyPlain):
            values.append(operands[0] * (ins.value if isinstance(ins, MultiplyScalar) else vectors[ins.vector]))
        else:
            values.append(operands[0])
    return values


def _derivatives(
    instructions: Sequence[Instruction], values: Sequence[Array], vectors: Mapping[str, float]
) -> list[Array]:
    """The derivative of the last value by every value, on the samples."""
    derivatives = [np.zeros_like(values[0]) for _ in instructions]
    derivatives[-1] = np.ones_like(values[0])
    for i in reversed(range(1, len(instructions))):
        ins, own = instructions[i], derivatives[i]
        x = ins.operands[0]
        if isinstance(ins, Multiply):
            y = ins.operands[1]
            derivatives[x] = derivatives[x] + own * values[y]
            derivatives[y] = derivatives[y] + own * values[x]
        elif isinstance(ins, Square):
            derivatives[x] = derivatives[x] + 2 * own * values[x]
        elif isinstance(ins, Add | Subtract):
            y = ins.operands[1]
            derivatives[x] = derivatives[x] + own
            derivatives[y] = derivatives[y] + (own if isinstance(ins, Add) else -own)
        elif isinstance(ins, MultiplyScalar | MultiplyPlain):
            factor = ins.value if isinstance(ins, MultiplyScalar) else vectors[ins.vector]
            derivatives[x] = derivatives[x] + own * factor
        else:
            derivatives[x] = derivatives[x] + own
    return derivatives
