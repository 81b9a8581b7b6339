"""Circuit: the ciphertext IR, and the instruction set that the compiler targets.

A Circuit is in SSA form. Instruction ``i`` defines value ``i``, an *array of ciphertexts*; its operands are earlier
values. What a value is (number of ciphertexts, limbs, scale, polynomials) is not stored:
:mod:`hecc.runtime.ckks.readings.types` derives it, so that a file cannot claim one thing and do another.

Slots. A circuit has ``slots`` logical slots per ciphertext, a power of two, and every rotation acts on them cyclically.
A logical slot stands for ``lanes`` slots of the ring next to one another, which hold as many examples: the same happens
to all of them. A ring with more slots than both together holds everything several times over.

Scales are exact: a :class:`fractions.Fraction` each, so "equal scales" is a decidable question. Constants are encoded
at ``float(scale)``, which is within 2^-53 of it.

Instructions before scale planning leave ``scale`` as ``None`` and use no ``rescale`` or ``drop_limbs``;
:mod:`hecc.passes.ckks.scales` fills them in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.bootstrapping.fourier import split_steps
from hecc.runtime.ckks.bootstrapping.sine import SineReduction
from hecc.runtime.ckks.circuit.parameters import conjugation_element, galois_element
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.errors import CircuitError
from hecc.runtime.reading import Reading

__all__ = [
    "INSTRUCTIONS",
    "ONE",
    "Add",
    "AddPlain",
    "AddScalar",
    "Bootstrap",
    "Circuit",
    "Conjugate",
    "Diagonals",
    "DropLimbs",
    "Fold",
    "FourierFactor",
    "Input",
    "Instruction",
    "LinearTransform",
    "MatrixProduct",
    "Multiply",
    "MultiplyPlain",
    "MultiplyScalar",
    "Negate",
    "Output",
    "PairedInput",
    "Polynomial",
    "Raise",
    "Relinearize",
    "Rescale",
    "Rotate",
    "SparseMatrix",
    "Square",
    "Subtract",
    "as_float",
    "constant_names",
    "kinds_with",
    "power_of_two",
]


Kind = TypeVar("Kind", bound="Instruction")

ONE = Fraction(1)
"""The scale of integers that are encoded as they are: a product with them takes no level."""


class Instruction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op"):
    """Base of the instruction set; ``source`` names the ONNX node it came from, ``traits`` what its kind is like."""

    source: str = ""

    arity: ClassVar[int] = 1
    traits: ClassVar[Trait] = Trait.NONE

    @property
    def op(self) -> str:
        """The instruction's name."""
        return str(type(self).__struct_config__.tag)

    @property
    def operands(self) -> tuple[int, ...]:
        """Values read, in order."""
        names = ("x", "y")[: self.arity]
        return tuple(getattr(self, name) for name in names)


class Input(Instruction, frozen=True, tag="input"):
    """The client's ciphertexts: ``count`` of them, at ``limbs`` limbs and ``scale``.

    ``occupied`` names a uint8 constant of shape (count, slots): 1 where the client puts data, 0 where it puts zeros.
    The client repeats its data every ``period`` slots (:attr:`hecc.runtime.ckks.circuit.layout.Layout.period`).
    """

    traits = Trait.BOUNDARY | Trait.COUNTED
    VECTORS: ClassVar[int] = 1
    """That a ciphertext holds."""

    arity = 0
    name: str
    count: int
    occupied: str
    period: int
    limbs: int | None = None
    scale: Fraction | None = None

    @property
    def ciphertexts(self) -> int:
        """How many the client sends."""
        return -(-self.count // self.VECTORS)

    @property
    def encoding_scale(self) -> Fraction | None:
        """Scale of what the client sends."""
        return self.scale


class PairedInput(Input, frozen=True, tag="paired_input"):
    """``count`` vectors, of which each of the client's ciphertexts holds two, ``a + X^(N/2) b``; the last may hold one.

    The product with ``X^(N/2)`` makes slots imaginary (complex slots as in Cheon, Kim, Kim and Song, ASIACRYPT 2017,
    section 3.2), so that the sum with the conjugate and the difference from it tell both apart. That makes the scale
    twice as large as the client's, ``scale`` is that of the result, and rounds nothing.
    """

    traits = Trait.BOUNDARY | Trait.COUNTED | Trait.CONJUGATES
    VECTORS = 2

    @property
    def encoding_scale(self) -> Fraction | None:
        """Half of the result's."""
        return None if self.scale is None else self.scale / 2


class Output(Instruction, frozen=True, tag="output"):
    """A result that the client decrypts; ``occupied`` as in :class:`Input`, all other slots must be zero."""

    traits = Trait.BOUNDARY | Trait.ELEMENTWISE
    x: int
    name: str
    occupied: str


class Add(Instruction, frozen=True, tag="add"):
    """``x + y``; same count, limbs and exact scale."""

    traits = Trait.ELEMENTWISE | Trait.EVALUATES
    arity = 2
    x: int
    y: int


class Subtract(Instruction, frozen=True, tag="subtract"):
    """``x - y``; same count, limbs and exact scale."""

    traits = Trait.ELEMENTWISE | Trait.EVALUATES
    arity = 2
    x: int
    y: int


class Negate(Instruction, frozen=True, tag="negate"):
    """``-x``."""

    traits = Trait.ELEMENTWISE
    x: int


class Multiply(Instruction, frozen=True, tag="multiply"):
    """Slot-wise ``x * y``, three polynomials; same count and limbs, the scales multiply."""

    traits = Trait.ELEMENTWISE | Trait.PRODUCT | Trait.SCALES | Trait.EVALUATES
    arity = 2
    x: int
    y: int


class Square(Instruction, frozen=True, tag="square"):
    """Slot-wise ``x * x``, three polynomials; the scale is squared."""

    traits = Trait.ELEMENTWISE | Trait.PRODUCT | Trait.SCALES | Trait.EVALUATES
    x: int


class Relinearize(Instruction, frozen=True, tag="relinearize"):
    """Three polynomials back to two."""

    traits = Trait.ELEMENTWISE | Trait.RELINEARIZES | Trait.EVALUATES
    x: int


class AddPlain(Instruction, frozen=True, tag="add_plain"):
    """``x`` plus slot values: constant ``vector``, float64 of shape (count, slots), encoded at the scale of ``x``."""

    traits = Trait.ELEMENTWISE | Trait.EVALUATES
    x: int
    vector: str


class MultiplyPlain(Instruction, frozen=True, tag="multiply_plain"):
    """``x`` times slot values: constant ``vector``, float64 of shape (count, slots), encoded at ``scale``."""

    traits = Trait.ELEMENTWISE | Trait.SCALES | Trait.EVALUATES
    x: int
    vector: str
    scale: Fraction | None = None


class AddScalar(Instruction, frozen=True, tag="add_scalar"):
    """``x`` plus one number in all slots of all ciphertexts, encoded at the scale of ``x``: a constant polynomial."""

    traits = Trait.ELEMENTWISE | Trait.EVALUATES
    x: int
    value: float


class MultiplyScalar(Instruction, frozen=True, tag="multiply_scalar"):
    """``x`` times one number, the integer nearest to ``value * scale``; the scale multiplies by ``scale``."""

    traits = Trait.ELEMENTWISE | Trait.SCALES | Trait.EVALUATES
    x: int
    value: float
    scale: Fraction | None = None


class Rotate(Instruction, frozen=True, tag="rotate"):
    """Slot ``s`` becomes slot ``s + step`` of ``x``, cyclically in the logical slots (``0 < step < slots``)."""

    traits = Trait.ROTATES
    x: int
    step: int


class Conjugate(Instruction, frozen=True, tag="conjugate"):
    """The complex conjugate of every slot, by the Galois element 2N - 1; real slots stay as they are."""

    traits = Trait.ELEMENTWISE | Trait.CONJUGATES
    x: int


class Fold(Instruction, frozen=True, tag="fold"):
    """Sum of all copies: slot ``s`` becomes the sum of the slots congruent to ``s`` modulo ``period`` below ``span``.

    ``period`` and ``span`` are powers of two and ``x`` repeats with ``span``, so that the result repeats with
    ``period``: log2(span / period) rotate-and-adds, by ``span / 2`` first.
    """

    traits = Trait.ROTATES
    x: int
    period: int
    span: int

    @property
    def steps(self) -> tuple[int, ...]:
        """The rotations, in order."""
        return tuple(self.period << k for k in reversed(range((self.span // self.period).bit_length() - 1)))


class LinearTransform(Instruction, frozen=True, tag="linear_transform"):
    """Matrix times array, by diagonals with baby steps and giant steps (Halevi and Shoup, CRYPTO 2018, section 4).

    ``y[row][s] = sum over diagonals of value[s] * x[column][s + baby + giant]``; see :class:`Diagonals`, which constant
    prefix ``diagonals`` names. ``count`` ciphertexts result. The diagonals are encoded at ``scale``.

    ``partial`` is 0 when every slot of the result is what it should be, or the period of the :class:`Fold` that has to
    follow before any slot is.
    """

    traits = Trait.COUNTED | Trait.WEIGHTS | Trait.SCALES | Trait.ROTATES
    x: int
    count: int
    diagonals: str
    partial: int = 0
    scale: Fraction | None = None


class MatrixProduct(Instruction, frozen=True, tag="matrix_product"):
    """Scalar matrix times array of ciphertexts, for layouts with one feature per ciphertext and one example per slot.

    ``y[row] = bias[row] + sum over columns of w[row, column] * x[column]``, the same in all slots (CryptoNets,
    Gilad-Bachrach et al., ICML 2016, section 4); see :class:`SparseMatrix`, which constant prefix ``matrix`` names.
    ``count`` ciphertexts result. Weight ``w`` is the integer nearest to ``w * scale``, halves away from zero, and no
    key is needed. Constant ``bias``, float64 of shape (count,), is encoded in the same way at the scale of the result.
    """

    traits = Trait.COUNTED | Trait.WEIGHTS | Trait.SCALES
    x: int
    count: int
    matrix: str
    bias: str | None = None
    scale: Fraction | None = None


class Polynomial(Instruction, frozen=True, tag="polynomial"):
    """``sum over i of c[i] * B_i(x)`` in every slot, a macro that :mod:`hecc.runtime.ckks.circuit.polynomials` expands.

    Constant ``coefficients`` is float64 of shape (degree + 1,), one set for all slots, or (degree + 1, count, slots).
    ``basis`` says what B_i is: ``x**i``, or the Chebyshev polynomial T_i, for which x has to be within [-1, 1].

    ``dropped`` says how many primes each rescale divides by, one number per level, from the first on. There are at
    least ceil(log2(degree + 1)) levels; more of them save products. The result has exactly the scale ``scale``.

    ``interval``, for people only, is what -1 and 1 stand for in the argument of the function that was approximated.
    """

    traits = Trait.ELEMENTWISE | Trait.SCALES | Trait.LEVELS | Trait.RELINEARIZES
    x: int
    coefficients: str
    basis: Literal["power", "chebyshev"]
    dropped: tuple[int, ...] | None = None
    scale: Fraction | None = None
    interval: tuple[float, float] | None = None


class FourierFactor(Instruction, frozen=True, tag="fourier_factor"):
    """One factor of the transform between slots and coefficients, which has complex diagonals.

    ``y = gain * F x``, F the stages ``first`` to ``stop - 1`` (:mod:`hecc.runtime.ckks.bootstrapping.fourier`) or,
    where it is ``inverse``, their conjugate transpose. It acts on all ``slots`` of the ring, not on logical ones, and
    on each ciphertext of the array. F times ``gain`` is encoded at ``scale``.

    No plan has one: bootstraps are expanded into it, and their factors only make sense together.
    """

    traits = Trait.SCALES | Trait.EMBEDS
    x: int
    slots: int
    first: int
    stop: int
    inverse: bool
    gain: Fraction
    scale: Fraction | None = None

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The baby step and the giant step of each diagonal, by ascending sum."""
        return split_steps(self.slots, self.first, self.stop)

    @property
    def rotations(self) -> tuple[int, int]:
        """How many baby steps and giant steps there are that are not zero."""
        babies, giants = (set(steps) - {0} for steps in zip(*self.pairs, strict=True))
        return len(babies), len(giants)


class Bootstrap(Instruction, frozen=True, tag="bootstrap"):
    """``sin(2 pi phase x)`` in every slot, for real x in [-1, 1], with limbs to compute on again.

    A macro that :mod:`hecc.runtime.ckks.circuit.bootstraps` expands. Slots become coefficients before the modulus is
    raised, so that the sine, which takes away what raising adds, is one of the message's own values (as in Lattigo's
    "decode, then raise"; Bossuat et al., EUROCRYPT 2021, for the rest). A polynomial behind it may take the arcsine
    into its own fit.

    Attributes
    ----------
    largest, double_angles, degree, phase, weight
        See :class:`hecc.runtime.ckks.bootstrapping.sine.SineReduction`.
    to_coefficients, to_slots
        Stages of each factor of the two transforms, from the smallest distances on: log2(N / 2) in all.
    limbs
        To which the modulus is raised.
    dropped
        How many primes each rescale divides by: that behind the first transform, that of each factor of the second, of
        each level of the polynomial, and of each double angle. The operand has one limb more than the first drops.
    scale
        Of the cosine before it is doubled; that of the result follows, ``scale^(2^double_angles)`` over primes. With
        primes of 36 bits and two double angles 2^35 becomes about 2^32, that of messages behind primes of 32 bits.
    interval
        For people only, what -1 and 1 stand for.
    """

    traits = Trait.ELEMENTWISE | Trait.SCALES | Trait.RELINEARIZES | Trait.CONJUGATES | Trait.EMBEDS | Trait.RAISES
    x: int
    largest: int
    double_angles: int
    degree: int
    phase: Fraction
    weight: int
    to_coefficients: tuple[int, ...]
    to_slots: tuple[int, ...]
    limbs: int | None = None
    dropped: tuple[int, ...] | None = None
    scale: Fraction | None = None
    interval: tuple[float, float] | None = None

    @property
    def ring_slots(self) -> int:
        """Slots of the ring whose transform has so many stages."""
        return 1 << sum(self.to_coefficients)

    @property
    def reduction(self) -> SineReduction:
        """How the multiples are taken away."""
        return SineReduction(self.largest, self.double_angles, self.degree, self.phase, self.weight)


class Rescale(Instruction, frozen=True, tag="rescale"):
    """Divide by the last ``limbs`` primes, with rounding; the scale is divided by them exactly."""

    traits = Trait.ELEMENTWISE | Trait.LEVELS | Trait.EVALUATES
    x: int
    limbs: int = 1


class DropLimbs(Instruction, frozen=True, tag="drop_limbs"):
    """Forget the last ``limbs`` primes; the scale stays."""

    traits = Trait.ELEMENTWISE | Trait.LEVELS | Trait.EVALUATES
    x: int
    limbs: int = 1


class Raise(Instruction, frozen=True, tag="raise"):
    """From one limb to ``limbs``: what bootstrapping begins with (Cheon, Han, Kim, Kim and Song, EUROCRYPT 2018).

    Coefficients that were ``m`` modulo the first prime q become ``m + q I``, with integers I that are small but depend
    on the secret, so that whoever evaluates knows none of them. To the message, which is ``m``, the result adds
    multiples of q in all slots of the ring, which something after it has to take away. I is the rounded sum of ``weight
    + 1`` uniform variables (:class:`hecc.runtime.ckks.circuit.parameters.Encapsulation`).
    """

    traits = Trait.ELEMENTWISE | Trait.RAISES
    x: int
    limbs: int


AnyInstruction = (
    Input
    | PairedInput
    | Output
    | Add
    | Subtract
    | Negate
    | Multiply
    | Square
    | Relinearize
    | AddPlain
    | MultiplyPlain
    | AddScalar
    | MultiplyScalar
    | Rotate
    | Conjugate
    | Fold
    | LinearTransform
    | MatrixProduct
    | Polynomial
    | FourierFactor
    | Bootstrap
    | Rescale
    | DropLimbs
    | Raise
)
INSTRUCTIONS: tuple[type[Instruction], ...] = AnyInstruction.__args__
"""All kinds. Every reading has a rule for each of them (:class:`hecc.runtime.reading.Reading`)."""


def kinds_with(traits: Trait) -> tuple[type[Instruction], ...]:
    """The kinds that have any of some traits."""
    return tuple(kind for kind in INSTRUCTIONS if kind.traits & traits)


def _check_traits() -> None:
    """A kind that is derived from another declares its own traits all the same."""
    for kind in INSTRUCTIONS:
        if "traits" not in vars(kind):
            raise TypeError(f"instruction {kind.__name__} declares no traits")


_check_traits()


@dataclass(frozen=True)
class Diagonals:
    """The non-zero diagonals of a linear transform, sparse, in the order (giant, row, column, baby).

    Diagonal ``k`` adds ``values[offsets[k]:offsets[k + 1]]`` times ``x[column[k]]`` rotated by ``baby[k] + giant[k]``
    to ``y[row[k]]``, at the result's slots ``slots[offsets[k]:offsets[k + 1]]`` (strictly increasing).

    Attributes
    ----------
    row, column, baby, giant
        int32, shape (diagonals,); ``0 <= baby, giant < slots of the circuit``.
    offsets
        int64, shape (diagonals + 1,).
    slots
        uint16, shape (non-zeros,).
    values
        float32, shape (non-zeros,).
    """

    row: NDArray[np.int32]
    column: NDArray[np.int32]
    baby: NDArray[np.int32]
    giant: NDArray[np.int32]
    offsets: NDArray[np.int64]
    slots: NDArray[np.uint16]
    values: NDArray[np.float32]

    FIELDS: ClassVar[dict[str, str]] = {
        "row": "<i4",
        "column": "<i4",
        "baby": "<i4",
        "giant": "<i4",
        "offsets": "<i8",
        "slots": "<u2",
        "values": "<f4",
    }

    def __len__(self) -> int:
        return len(self.row)

    def dense(self, k: int, slots: int) -> NDArray[np.float64]:
        """Diagonal ``k`` as a vector of ``slots`` values, indexed by the result's slot."""
        vector = np.zeros(slots)
        part = slice(int(self.offsets[k]), int(self.offsets[k + 1]))
        vector[self.slots[part]] = self.values[part]
        return vector

    def interleaved(self, lanes: int) -> Diagonals:
        """The same for ``lanes`` examples side by side, in the slots and the steps of the ring."""
        if lanes == 1:
            return self
        lane = np.arange(lanes, dtype=self.slots.dtype)
        return replace(
            self,
            baby=self.baby * np.int32(lanes),
            giant=self.giant * np.int32(lanes),
            offsets=self.offsets * lanes,
            slots=(self.slots[:, np.newaxis] * self.slots.dtype.type(lanes) + lane).reshape(-1),
            values=np.repeat(self.values, lanes),
        )

    def check(self, *, count: int, columns: int, slots: int) -> None:
        """Refuse arrays that would read or write out of bounds.

        Raises
        ------
        CircuitError
            With the first rule broken.
        """
        for name, dtype in self.FIELDS.items():
            array = getattr(self, name)
            if array.ndim != 1 or array.dtype != np.dtype(dtype):
                raise CircuitError(f"diagonals: {name} is not a vector of {dtype}")
        k = len(self.row)
        if k == 0 or not len(self.column) == len(self.baby) == len(self.giant) == len(self.offsets) - 1 == k:
            raise CircuitError("diagonals: the arrays have different lengths")
        for name, limit in (("row", count), ("column", columns), ("baby", slots), ("giant", slots)):
            array = getattr(self, name)
            if int(array.min()) < 0 or int(array.max()) >= limit:
                raise CircuitError(f"diagonals: {name} is outside 0..{limit - 1}")
        # Compared, not subtracted: differences of forged offsets may wrap around.
        rising = self.offsets[1:] > self.offsets[:-1]
        if int(self.offsets[0]) != 0 or not bool(rising.all()) or int(self.offsets[-1]) != len(self.values):
            raise CircuitError("diagonals: offsets do not partition the values")
        if len(self.slots) != len(self.values) or (len(self.slots) and int(self.slots.max()) >= slots):
            raise CircuitError(f"diagonals: a slot is outside 0..{slots - 1}")
        rising = np.diff(self.slots.astype(np.int64)) > 0
        rising[self.offsets[1:-1] - 1] = True
        if not bool(rising.all()):
            raise CircuitError("diagonals: slots are not strictly increasing within a diagonal")
        if not bool(np.isfinite(self.values).all()):
            raise CircuitError("diagonals: a value is not finite")


@dataclass(frozen=True)
class SparseMatrix:
    """The non-zero entries of a matrix of scalars, row by row (compressed sparse rows).

    The entries of row ``r`` are ``offsets[r]`` to ``offsets[r + 1]`` of ``values``, in the same ones of ``columns``
    (strictly increasing). A row may have none. Rows with the same columns, such as the output channels of a convolution
    at one place, are multiplied as a dense block: entries that happen to be zero are better kept there.

    Attributes
    ----------
    offsets
        int64, shape (rows + 1,).
    columns
        int32, shape (entries,).
    values
        float32, shape (entries,).
    """

    offsets: NDArray[np.int64]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]

    FIELDS: ClassVar[dict[str, str]] = {"offsets": "<i8", "columns": "<i4", "values": "<f4"}

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def rows(self) -> NDArray[np.int64]:
        """Row of every entry, shape (entries,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def check(self, *, count: int, columns: int) -> None:
        """Refuse arrays that would read or write out of bounds.

        Raises
        ------
        CircuitError
            With the first rule broken.
        """
        for name, dtype in self.FIELDS.items():
            array = getattr(self, name)
            if array.ndim != 1 or array.dtype != np.dtype(dtype):
                raise CircuitError(f"matrix: {name} is not a vector of {dtype}")
        if len(self.offsets) != count + 1:
            raise CircuitError(f"matrix: {len(self.offsets)} offsets, not {count + 1}")
        if len(self.values) == 0 or len(self.columns) != len(self.values):
            raise CircuitError(f"matrix: {len(self.columns)} columns for {len(self.values)} values")
        if int(self.offsets[0]) != 0 or int(self.offsets[-1]) != len(self.values):
            raise CircuitError("matrix: offsets do not partition the values")
        if bool((self.offsets[1:] < self.offsets[:-1]).any()):
            raise CircuitError("matrix: offsets do not partition the values")
        if int(self.columns.min()) < 0 or int(self.columns.max()) >= columns:
            raise CircuitError(f"matrix: a column is outside 0..{columns - 1}")
        rising = np.diff(self.columns.astype(np.int64)) > 0
        starts = self.offsets[1:-1]
        rising[starts[(starts > 0) & (starts < len(self.values))] - 1] = True
        if not bool(rising.all()):
            raise CircuitError("matrix: columns are not strictly increasing within a row")
        if not bool(np.isfinite(self.values).all()):
            raise CircuitError("matrix: a value is not finite")


@dataclass(frozen=True)
class Circuit:
    """Instructions in execution order, and the constants that they name.

    Attributes
    ----------
    slots
        Logical slots of every ciphertext, a power of two.
    lanes
        Slots of the ring for each of them, a power of two.
    instructions
        In SSA form; value ``i`` is the result of instruction ``i``.
    constants
        Arrays by name. A linear transform named ``d`` has ``d.row``, ``d.column``, … as in :class:`Diagonals`, a
        matrix ``m`` has ``m.offsets``, ``m.columns`` and ``m.values`` as in :class:`SparseMatrix`.
    """

    slots: int
    instructions: tuple[Instruction, ...]
    constants: Mapping[str, NDArray[Any]]
    lanes: int = 1

    @property
    def period(self) -> int:
        """Slots of the ring after which everything repeats."""
        return self.slots * self.lanes

    def diagonals(self, instruction: LinearTransform) -> Diagonals:
        """The diagonals of a linear transform.

        Raises
        ------
        CircuitError
            When one of its arrays is missing.
        """
        try:
            return Diagonals(**{f: self.constants[f"{instruction.diagonals}.{f}"] for f in Diagonals.FIELDS})
        except KeyError as missing:
            raise CircuitError(f"linear_transform: constant {missing} is missing") from None

    def matrix(self, instruction: MatrixProduct) -> SparseMatrix:
        """The weights of a matrix product.

        Raises
        ------
        CircuitError
            When one of its arrays is missing.
        """
        try:
            return SparseMatrix(**{f: self.constants[f"{instruction.matrix}.{f}"] for f in SparseMatrix.FIELDS})
        except KeyError as missing:
            raise CircuitError(f"matrix_product: constant {missing} is missing") from None

    def weights(self, instruction: Instruction) -> int:
        """The diagonals or the entries of an instruction's matrix; 0 where it has none."""
        if Trait.WEIGHTS not in instruction.traits:
            return 0
        return int(self.constants[_WEIGHTS.of(instruction)(instruction)[0]].size)

    def every(self, kind: type[Kind]) -> Iterator[tuple[int, Kind]]:
        """The instructions of a kind, and of those derived from it, with their values."""
        return ((i, ins) for i, ins in enumerate(self.instructions) if isinstance(ins, kind))

    def inputs(self) -> Iterator[tuple[int, Input]]:
        """Input instructions with their values."""
        return self.every(Input)

    def outputs(self) -> Iterator[tuple[int, Output]]:
        """Output instructions with their values."""
        return self.every(Output)

    def counts(self) -> tuple[int, ...]:
        """Ciphertexts of every value."""
        counts: list[int] = []
        for ins in self.instructions:
            counts.append(ins.count if Trait.COUNTED in ins.traits else counts[ins.operands[0]])  # type: ignore[attr-defined]
        return tuple(counts)

    def last_uses(self) -> dict[int, int]:
        """For each value, the last instruction that reads it: where a register can be freed."""
        return {operand: i for i, ins in enumerate(self.instructions) for operand in ins.operands}

    def rotations(self) -> dict[int, list[int]]:
        """Every step of logical slots that the circuit rotates by, with the instructions that do."""
        uses: dict[int, list[int]] = {}
        for i, ins in enumerate(self.instructions):
            if Trait.ROTATES in ins.traits:
                for step in _STEPS.of(ins)(self, ins):
                    uses.setdefault(step, []).append(i)
        return dict(sorted(uses.items()))

    def galois_uses(self, ring_degree: int) -> dict[int, list[int]]:
        """Every Galois element that the circuit needs a key for, with the instructions that use it.

        Parameters
        ----------
        ring_degree
            N, on which the elements depend.
        """
        uses: dict[int, list[int]] = {}
        for step, users in self.rotations().items():
            uses.setdefault(galois_element(step * self.lanes, ring_degree), []).extend(users)
        for i, ins in enumerate(self.instructions):
            if Trait.EMBEDS in ins.traits:
                for step in _RING_STEPS.of(ins)(ins):
                    uses.setdefault(galois_element(step, ring_degree), []).append(i)
        conjugations = [i for i, ins in enumerate(self.instructions) if Trait.CONJUGATES in ins.traits]
        if conjugations:
            uses[conjugation_element(ring_degree)] = conjugations
        return dict(sorted(uses.items()))

    def __str__(self) -> str:
        """One line per instruction: the debugging tool."""
        lanes = f" for {self.lanes} examples side by side" if self.lanes > 1 else ""
        lines = [f"circuit with {self.slots} slots{lanes}"]
        for i, ins in enumerate(self.instructions):
            operands = ", ".join(f"%{v}" for v in ins.operands)
            shown = []
            for field in msgspec.structs.fields(ins):
                value = getattr(ins, field.name)
                if field.name in {"x", "y", "source"} or value is None:
                    continue
                if isinstance(value, Fraction):
                    shown.append(f"{field.name}={power_of_two(value)}")
                else:
                    shown.append(f"{field.name}={value}")
            if Trait.WEIGHTS in ins.traits and _WEIGHTS.of(ins)(ins)[0] in self.constants:
                shown.append(f"[{self.weights(ins)} {_WEIGHTS.of(ins)(ins)[1]}]")
            source = f"  # {ins.source}" if ins.source else ""
            lines.append(f"  %{i} = {ins.op}({operands}) {' '.join(shown)}{source}")
        return "\n".join(lines)


def _transform_steps(circuit: Circuit, ins: LinearTransform) -> Iterable[int]:
    diagonals = circuit.diagonals(ins)
    return {int(step) for step in np.union1d(diagonals.baby, diagonals.giant)} - {0}


_STEPS: Reading[Callable[[Circuit, Any], Iterable[int]]] = Reading(
    "the steps of rotations",
    kinds_with(Trait.ROTATES),
    {
        Rotate: lambda circuit, ins: {ins.step},
        Fold: lambda circuit, ins: set(ins.steps),
        LinearTransform: _transform_steps,
    },
)


def _factor_steps(ins: FourierFactor) -> Iterable[int]:
    return {step for pair in ins.pairs for step in pair} - {0}


def _bootstrap_steps(ins: Bootstrap) -> Iterable[int]:
    steps: set[int] = set()
    for groups in (ins.to_coefficients, ins.to_slots):
        for size, stop in zip(groups, np.cumsum(groups).tolist(), strict=True):
            steps.update(step for pair in split_steps(ins.ring_slots, stop - size, stop) for step in pair)
    return steps - {0}


_RING_STEPS: Reading[Callable[[Any], Iterable[int]]] = Reading(
    "the steps of rotations of the ring's slots",
    kinds_with(Trait.EMBEDS),
    {FourierFactor: _factor_steps, Bootstrap: _bootstrap_steps},
)

_WEIGHTS: Reading[Callable[[Any], tuple[str, str]]] = Reading(
    "the constant that has an element for each weight, and what they are called",
    kinds_with(Trait.WEIGHTS),
    {
        LinearTransform: lambda ins: (f"{ins.diagonals}.row", "diagonals"),
        MatrixProduct: lambda ins: (f"{ins.matrix}.values", "weights"),
    },
)


def _none(ins: Instruction) -> list[str]:
    return []


def _occupied(ins: Input | Output) -> list[str]:
    return [ins.occupied]


def _vector(ins: AddPlain | MultiplyPlain) -> list[str]:
    return [ins.vector]


_CONSTANTS: Reading[Callable[[Any], list[str]]] = Reading(
    "the names of constants",
    INSTRUCTIONS,
    {
        Input: _occupied,
        PairedInput: _occupied,
        Output: _occupied,
        Add: _none,
        Subtract: _none,
        Negate: _none,
        Multiply: _none,
        Square: _none,
        Relinearize: _none,
        AddPlain: _vector,
        MultiplyPlain: _vector,
        AddScalar: _none,
        MultiplyScalar: _none,
        Rotate: _none,
        Conjugate: _none,
        Fold: _none,
        LinearTransform: lambda ins: [f"{ins.diagonals}.{field}" for field in Diagonals.FIELDS],
        MatrixProduct: lambda ins: [
            *(f"{ins.matrix}.{field}" for field in SparseMatrix.FIELDS),
            *([] if ins.bias is None else [ins.bias]),
        ],
        Polynomial: lambda ins: [ins.coefficients],
        FourierFactor: _none,
        Bootstrap: _none,
        Rescale: _none,
        DropLimbs: _none,
        Raise: _none,
    },
)


def constant_names(instruction: Instruction) -> list[str]:
    """The constants that an instruction reads."""
    return _CONSTANTS.of(instruction)(instruction)


def as_float(value: Fraction) -> float:
    """A positive number that may be larger than all floats, which is infinity then."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def power_of_two(value: Fraction) -> str:
    """A number as a power of two, however large; as it is when it is not positive."""
    if value <= 0:
        return str(value)
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    return f"2^{exponent + math.log2(value / Fraction(2) ** exponent):.3f}"
