"""The simulator: a Circuit on cleartext slots, for many examples at once.

It is what a plan does without encryption: the oracle of the compiler's tests, the way to an accuracy over a whole test
set, and, with a noise model hooked in, the prediction of a plan's precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

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
    SparseMatrix,
    Square,
    Subtract,
)
from hecc.runtime.ckks.readings.types import matrix_entries
from hecc.runtime.errors import InputError
from hecc.runtime.execution import execute
from hecc.runtime.extras import require
from hecc.runtime.reading import Reading

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["NoiseModel", "Simulator", "Watch", "scalar_product"]

DENSE_FILL = 0.1
"""From this share of non-zeros on, a dense product is faster than a sparse one; measured for both precisions."""

MAX_DENSE = 1 << 26
"""Largest number of elements of a dense matrix."""

CHUNK = 256
"""Most examples worked on at a time; more do not fit the caches and gain nothing."""

Array: TypeAlias = NDArray[np.floating[Any]]


class NoiseModel(Protocol):
    """What is added to every value: a model of the scheme's noise, or nothing but an observer of values."""

    def noise(self, index: int, instruction: Instruction, value: Array, operands: Sequence[Array]) -> Array | None:
        """Noise to add to ``value``, the result of instruction ``index``, of shape (examples, count, slots).

        Called once per instruction and chunk of examples, in execution order. Neither ``value`` nor ``operands``, of
        such shapes too and with their noise, may be changed.
        """


class Watch(Protocol):
    """Judges examples by their values, one by one."""

    def lost(self, first: int, index: int, value: Array) -> NDArray[np.bool_]:
        """Which examples overflow here: their values are zero from here on, and disturb no noise model.

        Parameters
        ----------
        first
            The number of the first example.
        index, value
            The result of this instruction, shape (examples, count, slots), which may not be changed.

        Returns
        -------
        NDArray
            Shape (examples,).
        """


class Simulator:
    """A Circuit made ready to run in cleartext.

    Parameters
    ----------
    circuit
        A circuit that the verifier accepts; scales and limbs need not be planned.
    dtype
        float64, or float32 for twice the speed at about 2^-22 of precision.
    memory
        Bytes for the values that are alive at once; the examples are worked on in chunks that fit.
    """

    def __init__(self, circuit: Circuit, *, dtype: DTypeLike = np.float64, memory: int = 1 << 29) -> None:
        self._circuit = circuit
        self._dtype = np.dtype(dtype)
        counts = circuit.counts()
        self._products = {
            i: _transform(circuit, ins, counts[ins.x], self._dtype) for i, ins in circuit.every(LinearTransform)
        }
        self._products |= {
            i: _matrix(circuit, ins, counts[ins.x], self._dtype) for i, ins in circuit.every(MatrixProduct)
        }
        per_example = _peak(circuit, counts, circuit.last_uses()) * circuit.slots * self._dtype.itemsize
        self._chunk = min(CHUNK, max(1, memory // per_example))

    def run(
        self, inputs: Mapping[str, Array], noise: NoiseModel | None = None, watch: Watch | None = None
    ) -> dict[str, Array]:
        """Evaluate a batch.

        Examples never meet: whatever one of them does, infinities included, the others' values are what they are alone.

        Parameters
        ----------
        inputs
            For every input its slot values, shape (examples, count, slots).
        noise
            Adds to every value, or watches it.
        watch
            Sees every value with its noise, and says which examples are lost.

        Returns
        -------
        dict
            For every output its slot values, shape (examples, count, slots).

        Raises
        ------
        InputError
            When an input is missing or has another shape.
        """
        examples = self._check(inputs)
        parts: dict[str, list[Array]] = {instruction.name: [] for _, instruction in self._circuit.outputs()}
        for start in range(0, max(1, examples), self._chunk):
            chunk = {name: array[start : start + self._chunk] for name, array in inputs.items()}
            # Examples may overflow.
            with np.errstate(over="ignore", invalid="ignore"):
                for name, array in self._run_chunk(chunk, noise, watch, start).items():
                    parts[name].append(array)
        return {name: np.concatenate(arrays) for name, arrays in parts.items()}

    def _check(self, inputs: Mapping[str, Array]) -> int:
        """Number of examples."""
        examples: set[int] = set()
        for _, instruction in self._circuit.inputs():
            shape = (instruction.count, self._circuit.slots)
            if instruction.name not in inputs:
                raise InputError(f"input {instruction.name!r} is missing")
            found = inputs[instruction.name].shape
            if found[1:] != shape or len(found) != 3:
                raise InputError(
                    f"input {instruction.name!r} has shape {found}, not (examples, {shape[0]}, {shape[1]})"
                )
            examples.add(found[0])
        if len(examples) != 1:
            raise InputError(f"the inputs have different numbers of examples: {sorted(examples)}")
        return examples.pop()

    def _run_chunk(
        self, inputs: Mapping[str, Array], noise: NoiseModel | None, watch: Watch | None, first: int
    ) -> dict[str, Array]:
        """One chunk; values have shape (count, slots, examples) inside, so that matrices apply from the left."""

        def after(index: int, instruction: Instruction, value: Array, operands: Sequence[Array]) -> Array:
            if noise is not None:
                seen = [value, *operands] if instruction.operands else [value]
                shown, *read = (np.moveaxis(x, 2, 0) for x in seen)
                added = noise.noise(index, instruction, shown, read)
                if added is not None:
                    fresh = not any(np.may_share_memory(value, operand) for operand in operands)
                    value = np.add(value, np.moveaxis(added, 0, 2), out=value if fresh else None, dtype=self._dtype)
            if watch is not None:
                lost = watch.lost(first, index, np.moveaxis(value, 2, 0))
                if lost.any():
                    value = np.where(lost, value.dtype.type(0), value)
            return value

        outputs = execute(self._circuit, _RULES, self, given=inputs, after=after)
        return {name: np.ascontiguousarray(np.moveaxis(value, 2, 0)) for name, value in outputs.items()}

    def _input(self, index: int, instruction: Input, given: Array) -> Array:
        return np.ascontiguousarray(np.moveaxis(given, 0, 2), dtype=self._dtype)

    def _vector(self, instruction: AddPlain | MultiplyPlain, x: Array) -> Array:
        """Slot values, ready to meet every example."""
        return self._circuit.constants[instruction.vector][:, :, np.newaxis].astype(x.dtype, copy=False)

    def _add_plain(self, index: int, instruction: AddPlain, x: Array) -> Array:
        return x + self._vector(instruction, x)

    def _multiply_plain(self, index: int, instruction: MultiplyPlain, x: Array) -> Array:
        return x * self._vector(instruction, x)

    def _product(self, index: int, instruction: LinearTransform | MatrixProduct, x: Array) -> Array:
        return self._products[index](x)

    def _polynomial(self, index: int, instruction: Polynomial, x: Array) -> Array:
        """By Horner's or Clenshaw's scheme: independent of how evaluators do it."""
        coefficients = self._circuit.constants[instruction.coefficients].astype(x.dtype)
        if coefficients.ndim == 3:
            coefficients = coefficients[..., np.newaxis]
        evaluate = np.polynomial.polynomial.polyval
        if instruction.basis == "chebyshev":
            evaluate = np.polynomial.chebyshev.chebval
        return np.asarray(evaluate(x, coefficients, tensor=False), dtype=x.dtype)


def _bootstrap(simulator: Simulator, index: int, instruction: Bootstrap, x: Array) -> Array:
    """The sine that it approximates: what multiples are drawn, and what the polynomial makes of them, is its noise."""
    return np.asarray(instruction.reduction.exact(x.astype(np.float64)), dtype=x.dtype)


def _fold(simulator: Simulator, index: int, instruction: Fold, x: Array) -> Array:
    """Sum of the copies; over all slots at once where the span is all of them, which every slot sums alike.

    Otherwise by the rotations themselves: with noise the copies differ, and each slot sums its own.
    """
    count, slots, examples = x.shape
    if instruction.span == slots:
        total = x.reshape(count, slots // instruction.period, instruction.period, examples).sum(axis=1)
        return np.tile(total, (1, slots // instruction.period, 1))
    for step in instruction.steps:
        x = x + np.roll(x, -step, axis=1)
    return x


def _same(simulator: Simulator, index: int, instruction: Instruction, x: Array) -> Array:
    return x


_RULES: Reading[Callable[..., Array]] = Reading(
    "the values in clear",
    INSTRUCTIONS,
    {
        Input: Simulator._input,
        PairedInput: Simulator._input,
        Output: _same,
        Add: lambda simulator, index, instruction, x, y: x + y,
        Subtract: lambda simulator, index, instruction, x, y: x - y,
        Negate: lambda simulator, index, instruction, x: -x,
        Multiply: lambda simulator, index, instruction, x, y: x * y,
        Square: lambda simulator, index, instruction, x: x * x,
        Relinearize: _same,
        AddPlain: Simulator._add_plain,
        MultiplyPlain: Simulator._multiply_plain,
        AddScalar: lambda simulator, index, instruction, x: x + x.dtype.type(instruction.value),
        MultiplyScalar: lambda simulator, index, instruction, x: x * x.dtype.type(instruction.value),
        Rotate: lambda simulator, index, instruction, x: np.roll(x, -instruction.step, axis=1),
        # Slots are real.
        Conjugate: _same,
        Fold: _fold,
        LinearTransform: Simulator._product,
        MatrixProduct: Simulator._product,
        Polynomial: Simulator._polynomial,
        Bootstrap: _bootstrap,
        Rescale: _same,
        DropLimbs: _same,
        # The message; the multiples of a prime beside it depend on the secret, and count as its error.
        Raise: _same,
    },
    {FourierFactor: "a bootstrap is read as a whole"},
)


def _matrix(
    circuit: Circuit, instruction: MatrixProduct, columns: int, dtype: np.dtype[Any]
) -> Callable[[Array], Array]:
    """A matrix product as a function of slot values."""
    weights = circuit.matrix(instruction)
    bias = None if instruction.bias is None else circuit.constants[instruction.bias].astype(dtype)
    return scalar_product(weights, weights.values.astype(dtype), bias, columns)


def _transform(
    circuit: Circuit, instruction: LinearTransform, columns: int, dtype: np.dtype[Any]
) -> Callable[[Array], Array]:
    """A linear transform as a function of slot values, its matrix sparse or dense."""
    # Imported here because a server, which never simulates, needs no scipy.
    require("scipy")
    from scipy import sparse

    height, width = instruction.count * circuit.slots, columns * circuit.slots
    entries = list(matrix_entries(circuit.diagonals(instruction), circuit.slots))
    place, read, values = (np.concatenate(arrays) for arrays in zip(*entries, strict=True))
    times = _times(sparse.csr_matrix((values.astype(dtype), (place, read)), shape=(height, width)))
    return lambda x: times(x.reshape(width, -1)).reshape(instruction.count, circuit.slots, -1)


def scalar_product(places: SparseMatrix, values: Array, bias: Array | None, columns: int) -> Callable[[Array], Array]:
    """The product with a matrix of scalars, as a function of slot values of shape (columns, slots, examples).

    The scalars are the same in all slots, which are so many more examples.

    Parameters
    ----------
    places
        Where the entries of the matrix are.
    values
        The entries, shape (entries,), of any precision.
    bias
        Added to the rows, shape (rows,).
    """
    require("scipy")
    from scipy import sparse

    rows = len(places)
    times = _times(sparse.csr_matrix((values, places.columns, places.offsets), shape=(rows, columns)))

    def product(x: Array) -> Array:
        result = times(x.reshape(columns, -1)).reshape(rows, *x.shape[1:])
        return result if bias is None else result + bias[:, np.newaxis, np.newaxis]

    return product


def _times(matrix: sparse.csr_matrix) -> Callable[[Array], Array]:
    """The product with a sparse matrix, as a dense one where that is faster."""
    height, width = matrix.shape
    used = np.flatnonzero(np.bincount(matrix.indices, minlength=width))
    rows = np.flatnonzero(np.diff(matrix.indptr))
    size = len(rows) * len(used)
    if size > MAX_DENSE or matrix.nnz < DENSE_FILL * size:
        return lambda x: np.asarray(matrix @ x)
    dense = matrix[rows][:, used].toarray()

    def product(x: Array) -> Array:
        result = np.zeros((height, x.shape[1]), dtype=dense.dtype)
        result[rows] = dense @ x[used]
        return result

    return product


def _peak(circuit: Circuit, counts: Sequence[int], last_uses: Mapping[int, int]) -> int:
    """Most ciphertexts alive at once, with a copy of the largest as scratch."""
    alive = peak = 0
    for index, instruction in enumerate(circuit.instructions):
        alive += counts[index]
        peak = max(peak, alive)
        alive -= sum(counts[v] for v in set(instruction.operands) if last_uses[v] == index)
        if index not in last_uses:
            alive -= counts[index]
    return peak + max(counts)
