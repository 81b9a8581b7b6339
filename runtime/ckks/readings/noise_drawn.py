"""The noise model: what every instruction adds to the error of a slot, as a variance.

All errors are treated as independent, zero-mean and Gaussian in the slots, after Costache, Curtis, Hales, Murphy,
Ogilvie and Player, "On the precision loss in approximate homomorphic encryption" (SAC 2023): a polynomial whose
coefficients have variance V has slots whose real parts have variance N V / 2. The model serves twice: propagated
analytically it chooses parameters (``compiler/ckks/prediction/noise.py``), and drawn at random in the simulator it
predicts a plan's precision.

One error is not alike in all slots. SEAL switches keys with digits from 0 to q - 1, not around zero: each is q / 2
times (1 + X + ... + X^(N-1)) plus something random, and that polynomial is large where its argument is near 1, in the
first few slots of the ring, where results often are. :meth:`RingNoise.bias` is that profile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

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
from hecc.runtime.ckks.readings.bootstrap_noise import BootstrapNoise
from hecc.runtime.ckks.readings.clear import scalar_product
from hecc.runtime.ckks.readings.types import ArrayType, matrix_entries
from hecc.runtime.native import NormalStream
from hecc.runtime.reading import Reading

__all__ = ["GaussianNoise", "Normals", "RingNoise", "TransformStatistics", "rounding_errors"]

ERROR_VARIANCE = 10.5
"""SEAL samples errors from a centred binomial distribution of 42 bits: variance 21 / 2, standard deviation 3.24."""

SECRET_VARIANCE = 2 / 3
"""Of a uniform ternary coefficient."""

Array: TypeAlias = NDArray[np.floating[Any]]

Mean = TypeVar("Mean", float, NDArray[np.float64])
"""Of all examples, or of each."""


@dataclass(frozen=True)
class RingNoise:
    """Variances of the real part of a logical slot, not yet divided by the square of the scale.

    A ring with more slots than there are logical ones holds each several times over. The copies go through the same
    computation with errors of their own, and the client takes their mean: what counts is the variance of that.

    Parameters
    ----------
    ring_degree
        N.
    slots
        Logical slots.
    lanes
        Slots of the ring for each of them, which hold different examples.
    """

    ring_degree: int
    slots: int
    lanes: int = 1

    @cached_property
    def copies(self) -> int:
        """How many times the ring holds the logical slots of one example."""
        return self.ring_degree // (2 * self.slots * self.lanes)

    def _slot(self, coefficient_variance: float) -> float:
        return self.ring_degree / 2 * coefficient_variance / self.copies

    @cached_property
    def rounding(self) -> float:
        """Both polynomials of a ciphertext rounded to integers: a rescale, or the end of a key switch."""
        return self._slot((1 + self.ring_degree * SECRET_VARIANCE) / 12)

    @cached_property
    def square_rounding(self) -> float:
        """The third polynomial of a product rounded to integers, which the square of the secret multiplies.

        In an example's slots it is this times the square of what :attr:`rounding` is multiplied by there.
        """
        return self._slot((self.ring_degree * SECRET_VARIANCE) ** 2 / 12)

    def rescaling(self, polynomials: int) -> float:
        """What a rescale adds to ciphertexts of two or three polynomials, on average over keys.

        The secret's value in a slot is Gaussian in two dimensions: the mean of its fourth power is twice the square of
        the mean of its square. Rescaling a product before it is relinearised costs several bits.
        """
        return self.rounding + (self.square_rounding * (1 + 1 / self.copies) if polynomials == 3 else 0.0)

    @cached_property
    def encoding(self) -> float:
        """Slot values rounded to integers: alike in all copies, as only so many coefficients are not zero."""
        return self.slots * self.lanes / 12

    @cached_property
    def fresh(self) -> float:
        """A new ciphertext: the larger of the two ways to encrypt, with the public key.

        SEAL encrypts modulo one prime more and divides by it, which leaves the rounding and next to nothing else.
        """
        return self.rounding + self._slot(ERROR_VARIANCE)

    def switching(self, digits: Sequence[int], special: float) -> float:
        """What a key's error adds; ``digits`` are the digits' products of primes, ``special`` the special primes'.

        In a slot ``s`` it is this times ``1 + bias[s]``.
        """
        return self._slot(sum((q / special) ** 2 for q in digits) / 12 * self.ring_degree * ERROR_VARIANCE)

    def encapsulated(self, keys: KeySpecification) -> float:
        """What the two key switches of a raise add, to the sparse secret and back, beside multiples of the first prime.

        To the sparse secret one limb is the one digit, divided by the first special prime; rounding is multiplied by
        that secret. Back it is one digit again, of the same size, divided by all special primes.
        """
        first, special = keys.data_primes[0], float(math.prod(keys.special_primes))
        down = self.switching([first], keys.special_primes[0]) + self._slot((1 + _weight(keys)) / 12)
        return down + self.switching([first], special) + self.rounding

    def multiples(self, keys: KeySpecification) -> float:
        """The multiples of the first prime that a raise leaves.

        What is raised is a sum of ``weight + 1`` polynomials whose coefficients are uniform modulo that prime, around
        zero.
        """
        return self._slot((1 + _weight(keys)) / 12) * float(keys.data_primes[0]) ** 2

    @cached_property
    def bias(self) -> NDArray[np.float64]:
        """By how much more than elsewhere a key's error shows in each logical slot; shape (slots,).

        Of several examples it is that of the one which suffers most.

        Slot ``s`` is the polynomial's value at ``z = exp(i pi 3^s / N)``, and the digits' mean of ``q / 2`` becomes
        ``q / (1 - z)`` there, beside ``sqrt(N / 12) q`` of what is random.
        """
        powers, power = [], 1
        for _ in range(self.ring_degree // 2):
            powers.append(power)
            power = power * 3 % (2 * self.ring_degree)
        excess = 3 / (self.ring_degree * np.sin(np.pi * np.array(powers) / (2 * self.ring_degree)) ** 2)
        return np.asarray(excess.reshape(self.copies, self.slots, self.lanes).mean(axis=0).max(axis=1))

    def fold_bias(self, steps: Sequence[int]) -> NDArray[np.float64]:
        """The same of a fold, whose steps also sum what the steps before them left; shape (slots,)."""
        total = np.zeros(self.slots)
        for step in steps:
            total = total + np.roll(total, -step) + self.bias
        return total


@dataclass(frozen=True, eq=False)
class TransformStatistics:
    """What the model needs to know of a linear transform, averaged over the result's slots that are not zero.

    Attributes
    ----------
    gain
        Sum over diagonals of the squared value: the factor by which noise of the argument grows.
    rotated_gain
        The same over diagonals with a baby step, whose key switch adds noise before the product.
    diagonals
        Diagonals per ciphertext of the result: each adds the rounding of its plaintext.
    giants
        Giant rotations per ciphertext of the result.
    filled
        Slots of the result that are not zero, over all its ciphertexts.
    rotated_bias, giant_bias
        Bias of the rotations before and after the products, by which a key's error grows in each slot of the result;
        shape (count, slots).
    """

    gain: float
    rotated_gain: float
    diagonals: float
    giants: float
    filled: int
    rotated_bias: NDArray[np.float64]
    giant_bias: NDArray[np.float64]

    @classmethod
    def of(cls, diagonals: Diagonals, count: int, ring: RingNoise) -> TransformStatistics:
        """Measure a transform; time linear in its non-zeros."""
        slots = ring.slots
        squares = np.zeros(count * slots)
        for place, _, values in matrix_entries(diagonals, slots):
            squares += np.bincount(place, values.astype(np.float64) ** 2, minlength=count * slots)
        per_diagonal = np.add.reduceat(diagonals.values.astype(np.float64) ** 2, diagonals.offsets[:-1])
        filled = max(1, int((squares > 0).sum()))
        giants = np.unique(
            diagonals.row[diagonals.giant > 0].astype(np.int64) * slots + diagonals.giant[diagonals.giant > 0]
        )
        lengths = np.diff(diagonals.offsets)
        place = diagonals.slots.astype(np.int64)
        # A baby step leaves its bias in the slot that the giant step then moves.
        bias = ring.bias[(place + np.repeat(diagonals.giant.astype(np.int64), lengths)) % slots]
        bias *= diagonals.values.astype(np.float64) ** 2 * np.repeat(diagonals.baby > 0, lengths)
        rotated = np.bincount(place + np.repeat(diagonals.row.astype(np.int64) * slots, lengths), bias, count * slots)
        return cls(
            gain=float(squares.sum()) / filled,
            rotated_gain=float(per_diagonal[diagonals.baby > 0].sum()) / filled,
            diagonals=len(diagonals) / count,
            giants=len(giants) / count,
            filled=filled,
            rotated_bias=rotated.reshape(count, slots).astype(np.float64),
            giant_bias=np.bincount(giants // slots, minlength=count)[:, np.newaxis] * ring.bias,
        )

    def added(self, ring: RingNoise, switching: float, x_scale: float, plain_scale: float, x_mean_square: Mean) -> Mean:
        """Variance that the transform adds in all slots alike, in units of the value.

        Parameters
        ----------
        switching
            Of one rotation; see :meth:`RingNoise.switching`.
        x_mean_square
            Mean over all slots of the squared argument, zeros included; of each example, shape (examples, 1, 1), or of
            all of them.
        """
        key_switch = ring.rounding + switching
        babies = self.rotated_gain * key_switch / x_scale**2
        plaintexts = self.diagonals * ring.encoding / plain_scale**2 * x_mean_square
        giants = self.giants * key_switch / (x_scale * plain_scale) ** 2
        return babies + plaintexts + giants

    def biased(self, switching: float, x_scale: float, plain_scale: float) -> NDArray[np.float64]:
        """Variance that it adds besides to each slot of the result, shape (count, slots)."""
        return np.asarray(switching / x_scale**2 * (self.rotated_bias + self.giant_bias / plain_scale**2))


def rounding_errors(values: NDArray[np.floating[Any]] | float, scale: float) -> NDArray[np.float64]:
    """By how much numbers are off that are encoded as integers: the nearest, halves away from zero, over the scale."""
    exact = np.asarray(values, dtype=np.float64)
    scaled = exact * scale
    return np.asarray(np.trunc(scaled + np.copysign(0.5, scaled)) / scale - exact)


class Normals:
    """Standard normal numbers for arrays of many examples.

    Drawing is most of what a simulation of thousands of examples takes; the native stream is several times as fast as
    numpy's.

    Parameters
    ----------
    generator
        Source of the stream's seeds.
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self._stream = NormalStream(*map(int, generator.integers(1 << 63, size=2)))

    def draw(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Numbers of the shape (examples, count, slots)."""
        examples, *rest = shape
        numbers = np.empty(math.prod(shape))
        self._stream.fill(numbers)
        # As the simulator's values lie in memory: examples last.
        return np.moveaxis(numbers.reshape(*rest, examples), -1, 0)


class GaussianNoise:
    """The model as the simulator's noise hook: draws what every instruction adds.

    What scalars are off by when they are encoded is not drawn: it is the same in all slots, known exactly, and an error
    of the result that depends on the inputs alone.

    Parameters
    ----------
    circuit, types, keys
        A verified circuit with scales and without polynomials, which are expanded; its derived types; and the keys.
    generator
        Source of the simulated noise. It is not used for anything secret.
    """

    def __init__(
        self,
        circuit: Circuit,
        types: Sequence[ArrayType],
        keys: KeySpecification,
        generator: np.random.Generator,
    ) -> None:
        if any(circuit.every(Polynomial)):
            raise ValueError("the noise model needs a circuit whose polynomials are expanded")
        self._circuit, self._types, self._keys, self._generator = circuit, types, keys, generator
        self._normals = Normals(generator)
        self._ring = RingNoise(keys.ring_degree, circuit.slots, circuit.lanes)
        self._special = float(np.prod([float(p) for p in keys.special_primes]))
        # Digits of several primes are taken around zero, and have no bias.
        self._biased = 1.0 if keys.digit_limbs == 1 else 0.0
        # Where slots never meet, as with one logical slot, the secret's value in an example's slots stays with it.
        self._secret = np.ones((1, 1, 1))
        self._previous = len(circuit.instructions)
        self._statistics = {
            i: TransformStatistics.of(circuit.diagonals(ins), ins.count, self._ring)
            for i, ins in circuit.every(LinearTransform)
        }
        self._products: dict[int, Callable[[Array], Array]] = {}

    def noise(self, index: int, instruction: Instruction, value: Array, operands: Sequence[Array]) -> Array | None:
        """Noise for one result; see :class:`hecc.runtime.ckks.readings.clear.NoiseModel`."""
        if index <= self._previous and self._circuit.slots == 1:
            # Another chunk of examples has begun.
            self._secret = self._draw_secret(len(value))
        self._previous = index
        return _RULES.of(instruction)(self, index, instruction, value, operands)

    def _draw_secret(self, examples: int) -> NDArray[np.float64]:
        """By how much rounding shows in each example's slots: rounding is multiplied by the secret.

        The secret's value in a slot is Gaussian in two dimensions, so that its square is exponentially distributed, and
        the mean of the copies' squares by a gamma distribution.
        """
        copies = self._ring.copies
        return self._generator.gamma(copies, 1 / copies, (examples, 1, 1))

    def _draw(self, variance: float | NDArray[np.float64], value: Array) -> Array:
        """Noise of a variance for all slots, or of a shape that broadcasts to (examples, count, slots)."""
        drawn = self._normals.draw(value.shape)
        drawn *= np.sqrt(variance)
        return drawn

    def _draw_common(self, index: int, value: Array) -> Array | float:
        """What all ciphertexts suffer alike that are multiplied with one key: its error is the same in all of them."""
        if not self._biased:
            return 0.0
        common = np.sqrt(self._switching(index) * self._ring.bias) / self._scale(index)
        drawn = self._normals.draw((len(value), 1, value.shape[2]))
        drawn *= common
        return drawn

    def _nothing(self, index: int, ins: Instruction, value: Array, operands: Sequence[Array]) -> None:
        """Exact."""

    def _fresh(self) -> float | NDArray[np.float64]:
        return self._ring.rounding * self._secret + self._ring.fresh - self._ring.rounding + self._ring.encoding

    def _input(self, index: int, ins: Input, value: Array, operands: Sequence[Array]) -> Array:
        return self._draw(self._fresh() / self._scale(index) ** 2, value)

    def _paired_input(self, index: int, ins: PairedInput, value: Array, operands: Sequence[Array]) -> Array:
        # Of twice the sum, one half is what came and the other its conjugate, with a key's error.
        variance = (4 * self._fresh() + self._ring.rounding + self._switching(index)) / self._scale(index) ** 2
        return self._draw(variance, value) + self._draw_common(index, value)

    def _rescale(self, index: int, ins: Rescale, value: Array, operands: Sequence[Array]) -> Array:
        rounding = self._ring.rounding * self._secret
        if self._types[index].polynomials == 3:
            rounding = rounding + self._ring.square_rounding * self._secret**2
        return self._draw(rounding / self._scale(index) ** 2, value)

    def _add_plain(self, index: int, ins: AddPlain, value: Array, operands: Sequence[Array]) -> Array:
        return self._draw(self._ring.encoding / self._scale(index) ** 2, value)

    def _multiply_plain(self, index: int, ins: MultiplyPlain, value: Array, operands: Sequence[Array]) -> Array:
        return self._draw(self._ring.encoding / _number(ins.scale) ** 2 * _mean_square(operands[0]), value)

    def _add_scalar(self, index: int, ins: AddScalar, value: Array, operands: Sequence[Array]) -> Array:
        return np.broadcast_to(rounding_errors(ins.value, self._scale(index)), value.shape)

    def _multiply_scalar(self, index: int, ins: MultiplyScalar, value: Array, operands: Sequence[Array]) -> Array:
        return operands[0] * rounding_errors(ins.value, _number(ins.scale))

    def _relinearize(self, index: int, ins: Relinearize, value: Array, operands: Sequence[Array]) -> Array:
        variance = (self._ring.rounding * self._secret + self._switching(index)) / self._scale(index) ** 2
        return self._draw(variance, value) + self._draw_common(index, value)

    def _galois(self, index: int, ins: Rotate | Conjugate, value: Array, operands: Sequence[Array]) -> Array:
        switching = self._switching(index) * (1 + self._biased * self._ring.bias)
        return self._draw((self._ring.rounding + switching) / self._scale(index) ** 2, value)

    def _raise(self, index: int, ins: Raise, value: Array, operands: Sequence[Array]) -> Array:
        """Multiples of the first prime, beside which what keys and rounding add is next to nothing."""
        ring = self._ring
        variance = ring.multiples(self._keys) + ring.encapsulated(self._keys) + ring.rounding * (self._secret - 1)
        return self._draw(variance / self._scale(index) ** 2, value)

    def _fold(self, index: int, ins: Fold, value: Array, operands: Sequence[Array]) -> Array:
        switching = self._switching(index)
        # The steps double: what the k-th adds is summed by those after it.
        alike = (ins.span // ins.period - 1) * (self._ring.rounding + switching)
        biased = switching * self._biased * self._ring.fold_bias(ins.steps)
        return self._draw((alike + biased) / self._scale(index) ** 2, value)

    def _linear_transform(self, index: int, ins: LinearTransform, value: Array, operands: Sequence[Array]) -> Array:
        statistics, switching = self._statistics[index], self._switching(index)
        scales = self._scale(ins.x), _number(ins.scale)
        added = statistics.added(self._ring, switching, *scales, _mean_square(operands[0]))
        return self._draw(added + self._biased * statistics.biased(switching, *scales), value)

    def _matrix_product(self, index: int, ins: MatrixProduct, value: Array, operands: Sequence[Array]) -> Array:
        """What the product is off by because weights and bias are rounded."""
        x = np.moveaxis(operands[0], 0, 2)
        if index not in self._products:
            weights, bias = self._circuit.matrix(ins), None
            if ins.bias is not None:
                bias = rounding_errors(self._circuit.constants[ins.bias], self._scale(index))
            errors = rounding_errors(weights.values, _number(ins.scale))
            self._products[index] = scalar_product(weights, errors, bias, len(x))
        return np.moveaxis(self._products[index](x), 2, 0)

    def _bootstrap(self, index: int, ins: Bootstrap, value: Array, operands: Sequence[Array]) -> Array:
        """By the slope of the sine in each slot; and the polynomial's error at multiples that are drawn."""
        u = operands[0]
        mean_square = float(np.mean(np.square(u, dtype=np.float64)))
        operand = self._types[ins.x]
        assert operand.scale is not None, "noise is drawn for circuits with scales"
        model = BootstrapNoise.of(ins, operand.limbs, operand.scale, self._keys, self._ring, mean_square)
        return model.draw(u, self._generator)

    def _scale(self, index: int) -> float:
        return _number(self._types[index].scale)

    def _switching(self, index: int) -> float:
        primes = self._keys.data_primes[: self._types[index].limbs]
        return self._ring.switching(digit_products(primes, self._keys.digit_limbs), self._special)


def _mean_square(value: Array) -> NDArray[np.float64]:
    """Of each example, shape (examples, 1, 1): its noise does not depend on what the others are."""
    return np.asarray(np.mean(np.square(value, dtype=np.float64), axis=(1, 2), keepdims=True))


def _weight(keys: KeySpecification) -> int:
    """Of the sparse secret."""
    if keys.encapsulation is msgspec.UNSET:
        raise ValueError("the keys raise no ciphertexts")
    return keys.encapsulation.weight


def _number(scale: Fraction | None) -> float:
    if scale is None:
        raise ValueError("the noise model needs a circuit with scales")
    return float(scale)


_RULES: Reading[Callable[..., Array | None]] = Reading(
    "the noise that is drawn",
    INSTRUCTIONS,
    {
        Input: GaussianNoise._input,
        PairedInput: GaussianNoise._paired_input,
        Output: GaussianNoise._nothing,
        Add: GaussianNoise._nothing,
        Subtract: GaussianNoise._nothing,
        Negate: GaussianNoise._nothing,
        Multiply: GaussianNoise._nothing,
        Square: GaussianNoise._nothing,
        Relinearize: GaussianNoise._relinearize,
        AddPlain: GaussianNoise._add_plain,
        MultiplyPlain: GaussianNoise._multiply_plain,
        AddScalar: GaussianNoise._add_scalar,
        MultiplyScalar: GaussianNoise._multiply_scalar,
        Rotate: GaussianNoise._galois,
        Conjugate: GaussianNoise._galois,
        Fold: GaussianNoise._fold,
        LinearTransform: GaussianNoise._linear_transform,
        MatrixProduct: GaussianNoise._matrix_product,
        Bootstrap: GaussianNoise._bootstrap,
        Rescale: GaussianNoise._rescale,
        DropLimbs: GaussianNoise._nothing,
        Raise: GaussianNoise._raise,
    },
    {Polynomial: "they are expanded before", FourierFactor: "a bootstrap is read as a whole"},
)
