"""A bound on the error of a plan's results that holds for every input in the declared range.

:mod:`hecc.runtime.ckks.readings.noise_drawn` says how large errors typically are; that chooses parameters. What is
added to a result before it is disclosed has to hide the largest error that can be, whatever the input is: with
less, keys were recovered (Guo, Nabokov, Suvanto and Johansson, USENIX Security 2024). So here nothing averages out. A
ciphertext decrypts to a polynomial ``m + e``. ``m`` is what exact arithmetic makes of the encoded input and the encoded
weights, and knows nothing of the key; ``e`` is the error, and its size is that of its largest slot (the canonical
embedding), which products of polynomials multiply. Sums add sizes, a matrix adds them by its absolute weights, a square
of ``m`` doubles them times the largest ``m`` that the input range allows. What the instructions of a polynomial can
become is not taken from interval arithmetic, but from the polynomials of its argument that they are
(:mod:`hecc.runtime.ckks.readings.inner_ranges`).

The rounding of a rescale or a key switch, and the digits of a key switch, are taken as large as they can be. Only the
coefficients of the secret key and of SEAL's errors, which SEAL draws independently, are bounded by a tail: sums of
independent variables are sub-Gaussian, and all of them together exceed the bounds here with probability ``2^-64`` at
most (:data:`FAILURE_BITS`), over the making of the keys and all encryptions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.instructions import (
    INSTRUCTIONS,
    Add,
    AddPlain,
    AddScalar,
    Bootstrap,
    Circuit,
    Conjugate,
    Diagonals,
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
)
from hecc.runtime.ckks.circuit.parameters import KeySpecification, digit_products
from hecc.runtime.ckks.circuit.polynomials import constant_prefix, expand
from hecc.runtime.ckks.readings.inner_ranges import inner_ranges
from hecc.runtime.ckks.readings.noise_drawn import ERROR_VARIANCE, SECRET_VARIANCE
from hecc.runtime.ckks.readings.types import ArrayType, matrix_entries
from hecc.runtime.errors import CircuitError
from hecc.runtime.execution import execute
from hecc.runtime.reading import Reading

__all__ = ["FAILURE_BITS", "UnboundedError", "least_error", "worst_errors"]

FAILURE_BITS = 64
"""The bounds hold but with probability 2 to minus this."""

ENCRYPTIONS = 1 << 48
"""Polynomials that SEAL draws for one key set, at most: those of its keys, and of all inputs ever encrypted."""

ROUNDING = 1.5
"""Coefficients divided by primes are rounded, with at most this error: a half, and one more where several primes are
divided by at once, whose quotient is estimated in floating point. In the same measure digits exceed a half."""

DOUBLE = 2.0**-40
"""Relative error of an encoding in double precision, and more."""

CURVED = 1 / 4
"""Change of a polynomial's argument times the square of its degree, at most. What the change makes of the result is in
proportion to it while this is below 1, and grows beyond all bounds soon after."""

Array = NDArray[np.floating[Any]]


def worst_errors(
    circuit: Circuit,
    types: Sequence[ArrayType],
    keys: KeySpecification,
    ranges: Mapping[str, tuple[float, float]],
) -> dict[str, float]:
    """The largest error that a slot of each output can have, by name, in units of the value.

    Parameters
    ----------
    circuit, types, keys
        A verified circuit with scales, its derived types, and the keys.
    ranges
        Lowest and highest value of each input's elements.

    Raises
    ------
    UnboundedError
        The errors are so large that they may overflow the modulus, and then there is no bound.
    CircuitError
        Some input in the range may overflow the modulus, however small the errors are.
    """
    values = execute(circuit, _RULES, _Propagation(circuit, types, keys), given=ranges)
    return {name: float(value.error.max()) for name, value in values.items()}


class UnboundedError(CircuitError):
    """The values in the network fit the modulus, and with their errors they do not; larger scales have smaller errors.

    Attributes
    ----------
    encoding
        Whether it is the rounding of encoded weights, which larger scales of the weights make smaller.
    bits
        How much larger the scales have to be, as far as that is known.
    """

    def __init__(self, source: str, *, encoding: bool, bits: int | None = None) -> None:
        what = "the rounding of weights" if encoding else "errors"
        super().__init__(f"{source}: {what} may overflow the modulus; larger scales would make them smaller")
        self.encoding, self.bits = encoding, bits


@dataclass(frozen=True)
class _Value:
    """What every slot may hold, each array of shape (count, slots).

    Attributes
    ----------
    centre, radius
        The real values that the network has there.
    drift
        Largest distance of what the encodings make of them, rounded and so complex.
    error
        Largest magnitude of the error.
    spread
        Within a polynomial, by how much what drift and error of its argument make of the value differs from the real
        values; ``drift`` and ``error`` are then those that the evaluation adds.
    """

    centre: Array
    radius: Array
    drift: Array
    error: Array
    spread: float = 0.0

    @property
    def real(self) -> Array:
        """Largest magnitude without drift and error."""
        return np.asarray(np.abs(self.centre) + self.radius + self.spread)

    @property
    def magnitude(self) -> Array:
        """Largest magnitude without the error."""
        return np.asarray(self.real + self.drift)

    def with_error(self, added: float) -> _Value:
        """The same with a larger error."""
        return replace(self, error=self.error + added)

    def within(self, low: Array, high: Array, spread: float) -> _Value:
        """The same, of which more is known."""
        low, high = np.maximum(self.centre - self.radius, low), np.minimum(self.centre + self.radius, high)
        # Two bounds of one value may pass each other by rounding.
        return replace(self, centre=(low + high) / 2, radius=np.abs(high - low) / 2, spread=spread)

    def rotated(self, step: int) -> _Value:
        """Rotated by ``step`` slots."""
        centre, radius, drift, error = (
            np.roll(part, -step, axis=1) for part in (self.centre, self.radius, self.drift, self.error)
        )
        return _Value(centre, radius, drift, error)

    def plus(self, other: _Value, sign: int = 1) -> _Value:
        """The sum, or the difference."""
        centre = self.centre + sign * other.centre
        return _Value(centre, self.radius + other.radius, self.drift + other.drift, self.error + other.error)


def least_error(ring_degree: int) -> float:
    """A rescale's bound, in units of the scale: no circuit that ends with one has a smaller one."""
    return ROUNDING * ring_degree * (1 + _tail(ring_degree, SECRET_VARIANCE))


def _tail(ring_degree: int, variance: float) -> float:
    """The largest slot of a polynomial with independent, centred, strictly sub-Gaussian coefficients of a variance.

    A slot's real and imaginary parts are sums with squared weights that add up to N / 2, so each is beyond ``a``
    with probability ``2 exp(-a^2 / (N variance))``; there are N / 2 different slots, and so many polynomials.
    """
    exponent = math.log(2 * ring_degree) + math.log(2) * FAILURE_BITS + math.log(ENCRYPTIONS)
    return math.sqrt(2 * ring_degree * variance * exponent)


@dataclass(frozen=True)
class _Ring:
    """Sizes, in units of one, of everything that adds to an error: the largest slot of a polynomial."""

    keys: KeySpecification
    slots: int

    @cached_property
    def secret(self) -> float:
        """The secret key. A uniform ternary coefficient is strictly sub-Gaussian, as is a rounding's."""
        return _tail(self.keys.ring_degree, SECRET_VARIANCE)

    @cached_property
    def sample(self) -> float:
        """One of SEAL's errors: 42 fair coins."""
        return _tail(self.keys.ring_degree, ERROR_VARIANCE)

    @cached_property
    def rounding(self) -> float:
        """Both polynomials of a ciphertext rounded, every coefficient as badly as can be, and the second times s."""
        return least_error(self.keys.ring_degree)

    @cached_property
    def encoding(self) -> int:
        """Slot values rounded: twice as many coefficients as there are slots may be off by a half."""
        return self.slots

    @cached_property
    def fresh(self) -> float:
        """A new ciphertext, the larger of the two ways: SEAL divides those by the public key by its special prime."""
        public = self.sample * (1 + 2 * self.secret) / self.keys.special_primes[0] + self.rounding
        return max(self.sample, public)

    def switching(self, limbs: int) -> float:
        """A key switch: every digit as large as it can be, times an error, and the rounding at the end."""
        digits = digit_products(self.keys.data_primes[:limbs], self.keys.digit_limbs)
        special = math.prod(self.keys.special_primes)
        lifted = sum(ROUNDING * self.keys.ring_degree * float(Fraction(digit, special)) for digit in digits)
        return lifted * self.sample + self.rounding


class _Propagation:
    """What an instruction makes of the values that it reads."""

    def __init__(self, circuit: Circuit, types: Sequence[ArrayType], keys: KeySpecification) -> None:
        self._circuit, self._types, self._keys = circuit, types, keys
        self._ring = _Ring(keys, circuit.slots * circuit.lanes)

    def value(self, index: int, ins: Instruction, operands: Sequence[_Value]) -> _Value:
        """The result of instruction ``index``; scales and limbs are those of its type."""
        value: _Value = _RULES.of(ins)(self, index, ins, *operands)
        return value

    def _unit(self, index: int) -> float:
        return 1 / float(self._types[index].scale or 1)

    def _switching(self, index: int) -> float:
        """A key switch at an instruction's limbs and scale."""
        return self._ring.switching(self._types[index].limbs) * self._unit(index)

    def _input(self, index: int, ins: Input, ends: tuple[float, float]) -> _Value:
        low, high = ends
        occupied = self._circuit.constants[ins.occupied].astype(np.float64)
        # Two vectors are encoded as the parts of complex numbers.
        sent, largest = 1 / float(ins.encoding_scale or 1), max(abs(low), abs(high)) * math.sqrt(ins.VECTORS)
        return _Value(
            occupied * (low + high) / 2,
            occupied * (high - low) / 2,
            np.full(occupied.shape, self._encoded(sent, np.float64(largest))),
            np.full(occupied.shape, self._ring.fresh * sent),
        )

    def _paired_input(self, index: int, ins: PairedInput, ends: tuple[float, float]) -> _Value:
        # Both vectors are separated by a key switch.
        return self._input(index, ins, ends).with_error(self._switching(index))

    def _output(self, index: int, ins: Output, x: _Value) -> _Value:
        self._check_room(ins, x, self._types[index])
        return x

    def _add(self, index: int, ins: Add, x: _Value, y: _Value) -> _Value:
        return x.plus(y)

    def _subtract(self, index: int, ins: Subtract, x: _Value, y: _Value) -> _Value:
        return x.plus(y, -1)

    def _negate(self, index: int, ins: Negate, x: _Value) -> _Value:
        return _Value(-x.centre, x.radius, x.drift, x.error)

    def _multiply(self, index: int, ins: Multiply, x: _Value, y: _Value) -> _Value:
        return _product(x, y, square=False)

    def _square(self, index: int, ins: Square, x: _Value) -> _Value:
        return _product(x, x, square=True)

    def _relinearize(self, index: int, ins: Relinearize, x: _Value) -> _Value:
        return x.with_error(self._switching(index))

    def _plus(self, index: int, x: _Value, added: Array | np.float64) -> _Value:
        return _Value(x.centre + added, x.radius, x.drift + self._encoded(self._unit(index), added), x.error)

    def _add_plain(self, index: int, ins: AddPlain, x: _Value) -> _Value:
        return self._plus(index, x, self._circuit.constants[ins.vector])

    def _add_scalar(self, index: int, ins: AddScalar, x: _Value) -> _Value:
        return self._plus(index, x, np.float64(ins.value))

    def _times(self, ins: MultiplyPlain | MultiplyScalar, x: _Value, weights: Array | np.float64) -> _Value:
        rounding = self._encoded(1 / float(ins.scale or 1), weights)
        return _Value(
            x.centre * weights,
            x.radius * np.abs(weights),
            x.drift * np.abs(weights) + rounding * x.magnitude,
            x.error * (np.abs(weights) + rounding),
        )

    def _multiply_plain(self, index: int, ins: MultiplyPlain, x: _Value) -> _Value:
        return self._times(ins, x, self._circuit.constants[ins.vector])

    def _multiply_scalar(self, index: int, ins: MultiplyScalar, x: _Value) -> _Value:
        return self._times(ins, x, np.float64(ins.value))

    def _rotate(self, index: int, ins: Rotate, x: _Value) -> _Value:
        return x.rotated(ins.step).with_error(self._switching(index))

    def _conjugate(self, index: int, ins: Conjugate, x: _Value) -> _Value:
        return x.with_error(self._switching(index))

    def _fold(self, index: int, ins: Fold, x: _Value) -> _Value:
        for step in ins.steps:
            x = x.plus(x.rotated(step).with_error(self._switching(index)))
        return x

    def _rescale(self, index: int, ins: Rescale, x: _Value) -> _Value:
        self._check_room(ins, x, self._types[ins.x])
        return x.with_error(self._ring.rounding * self._unit(index))

    def _drop_limbs(self, index: int, ins: DropLimbs, x: _Value) -> _Value:
        return x

    def _raise(self, index: int, ins: Raise, x: _Value) -> _Value:
        """Both polynomials are at most half a prime, and the second is multiplied with a sparse secret.

        That is the result; and its error is what the message is not.
        """
        ring, keys = self._ring, self._keys
        weight = 0 if keys.encapsulation is msgspec.UNSET else keys.encapsulation.weight
        raised = (1 + weight) * keys.ring_degree * (keys.data_primes[0] / 2)
        # The key back switches one digit, of the size of the first prime.
        lifted = ROUNDING * keys.ring_degree * float(Fraction(keys.data_primes[0], math.prod(keys.special_primes)))
        switched = lifted * ring.sample + ring.rounding
        return replace(x, error=x.magnitude + (raised + switched) * self._unit(index))

    def _encoded(self, unit: float, values: Array | np.float64) -> float:
        """By how much a slot may differ from what was encoded."""
        return self._ring.encoding * unit + DOUBLE * float(np.abs(values).max())

    def _linear_transform(self, index: int, ins: LinearTransform, x: _Value) -> _Value:
        """Both evaluators' ways: the one switches keys for every baby step and giant step, the other rounds less."""
        circuit, ring, slots = self._circuit, self._ring, self._circuit.slots
        kind, operand = self._types[index], self._types[ins.x]
        diagonals = circuit.diagonals(ins)
        size, switching = ins.count * slots, ring.switching(operand.limbs)
        error = (x.error + switching / float(operand.scale or 1)).reshape(-1)
        centre, radius, drift, grown = (np.zeros(size) for _ in range(4))
        for place, read, values in matrix_entries(diagonals, slots):
            weights = values.astype(np.float64)
            centre += np.bincount(place, weights * x.centre.reshape(-1)[read], minlength=size)
            radius += np.bincount(place, np.abs(weights) * x.radius.reshape(-1)[read], minlength=size)
            drift += np.bincount(place, np.abs(weights) * x.drift.reshape(-1)[read], minlength=size)
            grown += np.bincount(place, np.abs(weights) * error[read], minlength=size)
        # A diagonal that is rounded is not zero anywhere.
        rounding = self._encoded(1 / float(ins.scale or 1), diagonals.values)
        number = np.bincount(diagonals.row, minlength=ins.count)[:, np.newaxis]
        giants = _giant_steps(diagonals, ins.count)[:, np.newaxis]
        shape = (ins.count, slots)
        return _Value(
            centre.reshape(shape),
            radius.reshape(shape),
            drift.reshape(shape) + number * rounding * float(x.magnitude.max()),
            grown.reshape(shape)
            + number * rounding * float(error.max())
            + (giants + 1) * switching / float(kind.scale or 1),
        )

    def _matrix_product(self, index: int, ins: MatrixProduct, x: _Value) -> _Value:
        matrix = self._circuit.matrix(ins)
        weights = matrix.values.astype(np.float64)
        slack = 1 / float(ins.scale or 1) + DOUBLE * float(np.abs(weights).max())

        def summed(factors: Array, part: Array) -> Array:
            terms = factors * part[matrix.columns, 0]
            return np.bincount(matrix.rows, terms, minlength=ins.count)[:, np.newaxis].astype(np.float64)

        centre, larger = summed(weights, x.centre), np.abs(weights) + slack
        radius = summed(np.abs(weights), x.radius)
        drift = summed(np.abs(weights), x.drift) + summed(np.full_like(weights, slack), x.magnitude)
        if ins.bias is not None:
            bias = self._circuit.constants[ins.bias]
            centre = centre + bias[:, np.newaxis]
            drift = drift + self._unit(index) + DOUBLE * float(np.abs(bias).max())
        return _Value(centre, radius, drift, summed(larger, x.error))

    def _polynomial(self, index: int, ins: Polynomial, x: _Value) -> _Value:
        """By its expansion, every result of which is known as a function of the argument.

        The instructions compute that function of the argument as it is, with its drift and its error; what either of
        them makes of the result follows from the function's derivative, and not from the instructions.
        """
        operand = self._types[ins.x]
        expansion = expand(
            ins,
            self._circuit.constants[ins.coefficients],
            limbs=operand.limbs,
            scale=operand.scale,
            primes=self._keys.data_primes,
            prefix=constant_prefix(self._circuit, index),
        )
        argument = Input(name="", count=operand.count, occupied="", period=1, source=ins.source)
        steps = replace(
            self._circuit,
            instructions=(argument, *expansion.instructions),
            constants={**self._circuit.constants, **expansion.constants},
        )
        kinds = zip(expansion.limbs, expansion.scales, strict=True)
        types = [operand, *(replace(operand, limbs=limbs, scale=scale) for limbs, scale in kinds)]
        inner = _Propagation(steps, types, self._keys)
        known = inner_ranges(expansion.instructions, steps.constants, x.centre - x.radius, x.centre + x.radius)
        if not known:
            values = [x]
            for i, step in enumerate(expansion.instructions):
                values.append(inner.value(i + 1, step, [values[v] for v in step.operands]))
            return values[-1]
        drift, error = float(x.drift.max()), float(x.error.max())
        curved = known[-1].curvature(drift + error)
        if not curved <= CURVED:
            bits = math.ceil(math.log2(curved / CURVED)) + 1 if math.isfinite(curved) else None
            raise UnboundedError(ins.source or ins.op, encoding=drift > error, bits=bits)
        nothing = np.zeros_like(x.error)
        values = [replace(x, drift=nothing, error=nothing, spread=drift + error)]
        for i, (step, one) in enumerate(zip(expansion.instructions, known, strict=True)):
            value = inner.value(i + 1, step, [values[v] for v in step.operands])
            values.append(value.within(one.low, one.high, one.strays(drift + error)))
        result = values[-1]
        return _Value(
            result.centre,
            result.radius,
            result.drift + known[-1].strays(drift),
            result.error + error * known[-1].steepness(drift + error),
        )

    def _bootstrap(self, index: int, ins: Bootstrap, x: _Value) -> _Value:
        raise CircuitError(
            f"{self._source(ins) or ins.op}: a bootstrap has no bound, because with a small probability a value is off "
            "by anything; compile without --disclose"
        )

    def _check_room(self, ins: Instruction, x: _Value, kind: ArrayType) -> None:
        modulus = math.prod(self._keys.data_primes[: kind.limbs])

        def fits(largest: float) -> bool:
            return math.isfinite(largest) and 2 * (kind.scale or 1) * Fraction(largest) < modulus

        source = self._source(ins) or ins.op
        largest = float((np.abs(x.centre) + x.radius).max())
        if not fits(largest):
            raise CircuitError(
                f"{source}: an input within the declared range may overflow the modulus, as large as {largest:.3g}; "
                "declare a narrower input range, or compile without --disclose"
            )
        if not fits(float((x.magnitude + x.error).max())):
            raise UnboundedError(source, encoding=not fits(float(x.magnitude.max())))

    def _source(self, ins: Instruction) -> str:
        """The layer that an instruction belongs to: a rescale names none, and belongs to that of its operand."""
        while not ins.source and ins.operands:
            ins = self._circuit.instructions[ins.operands[0]]
        return ins.source


_RULES: Reading[Callable[..., _Value]] = Reading(
    "the bound on the noise",
    INSTRUCTIONS,
    {
        Input: _Propagation._input,
        PairedInput: _Propagation._paired_input,
        Output: _Propagation._output,
        Add: _Propagation._add,
        Subtract: _Propagation._subtract,
        Negate: _Propagation._negate,
        Multiply: _Propagation._multiply,
        Square: _Propagation._square,
        Relinearize: _Propagation._relinearize,
        AddPlain: _Propagation._add_plain,
        MultiplyPlain: _Propagation._multiply_plain,
        AddScalar: _Propagation._add_scalar,
        MultiplyScalar: _Propagation._multiply_scalar,
        Rotate: _Propagation._rotate,
        Conjugate: _Propagation._conjugate,
        Fold: _Propagation._fold,
        LinearTransform: _Propagation._linear_transform,
        MatrixProduct: _Propagation._matrix_product,
        Polynomial: _Propagation._polynomial,
        Bootstrap: _Propagation._bootstrap,
        Rescale: _Propagation._rescale,
        DropLimbs: _Propagation._drop_limbs,
        Raise: _Propagation._raise,
    },
    {FourierFactor: "a bootstrap is read as a whole"},
)


def _product(x: _Value, y: _Value, *, square: bool) -> _Value:
    ends = [(x.centre + a * x.radius) * (y.centre + b * y.radius) for a in (-1, 1) for b in (-1, 1)]
    lowest, highest = np.minimum.reduce(ends), np.maximum.reduce(ends)
    if square:
        # Both factors have the same sign.
        lowest = np.maximum(np.abs(x.centre) - x.radius, 0.0) ** 2
    real, size = (x.real, y.real), (x.magnitude, y.magnitude)
    return _Value(
        (lowest + highest) / 2,
        (highest - lowest) / 2,
        real[0] * y.drift + real[1] * x.drift + x.drift * y.drift,
        size[0] * y.error + size[1] * x.error + x.error * y.error,
    )


def _giant_steps(diagonals: Diagonals, count: int) -> NDArray[np.int64]:
    """Giant steps of each ciphertext of the result."""
    taken = diagonals.giant > 0
    pairs = np.unique(np.stack([diagonals.row[taken], diagonals.giant[taken]]), axis=1)
    return np.bincount(pairs[0], minlength=count)
