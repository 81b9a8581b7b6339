"""What a circuit computes, counted: the operations of every instruction, whatever their limbs and seconds.

The parameter search prices the same circuit under thousands of chains, so what does not depend on the chain is counted
once; :mod:`hecc.compiler.ckks.prediction.cost` knows what each operation takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.reading import Reading

__all__ = ["KEY_SWITCHING", "OPERATIONS", "OTHER", "PLAINTEXTS", "Workload", "polynomials", "transform_rotations"]

_SWITCHING = ("key_switch", "hoist", "baby", "giant", "finish", "raise")
_WITH_PLAINTEXTS = ("diagonal", "encode", "plain_product", "scalar_product")
_OTHER = ("load", "product", "stream", "rescale", "scalar")

OPERATIONS = (*_SWITCHING, *_WITH_PLAINTEXTS, *_OTHER)
"""A workload's columns: what :class:`hecc.compiler.ckks.prediction.cost.CostModel` has a price for."""

KEY_SWITCHING = slice(len(_SWITCHING))
"""The columns of rotations, relinearisations and raises."""

PLAINTEXTS = slice(KEY_SWITCHING.stop, KEY_SWITCHING.stop + len(_WITH_PLAINTEXTS))
"""The columns of products with plaintexts."""

OTHER = slice(PLAINTEXTS.stop, len(OPERATIONS))
"""The columns of everything else."""


@dataclass(frozen=True, eq=False)
class Workload:
    """The operations of a circuit without macros (:func:`hecc.runtime.ckks.circuit.bootstraps.expand_macros`).

    Attributes
    ----------
    counts
        int64, shape (instructions, operations). Of scalar products, streams and rescales those of one polynomial.
    above
        int64, shape (instructions,): by how many limbs what is computed on has more than the result.
    rotations
        int64, shape (instructions,): how many there are, each a key switch.
    """

    counts: NDArray[np.int64]
    above: NDArray[np.int64]
    rotations: NDArray[np.int64]

    @classmethod
    def of(cls, circuit: Circuit) -> Workload:
        """Count a circuit's operations."""
        numbers, sizes = circuit.counts(), polynomials(circuit)
        counts = np.zeros((len(numbers), len(OPERATIONS)), dtype=np.int64)
        above, rotations = np.zeros((2, len(numbers)), dtype=np.int64)
        for i, ins in enumerate(circuit.instructions):
            one = _RULES.of(ins)(_Size(circuit, numbers, numbers[i], sizes[i]), ins)
            above[i], rotations[i] = one.above, one.rotations
            for operation, times in one.operations.items():
                counts[i, OPERATIONS.index(operation)] = times
        return cls(counts, above, rotations)


@dataclass(frozen=True)
class _Size:
    """What the counts of an instruction depend on: ciphertexts of all values, of its own, and its polynomials."""

    circuit: Circuit
    numbers: Sequence[int]
    number: int
    polynomials: int


@dataclass(frozen=True)
class _Count:
    """One instruction's operations, by name, with how many of them are rotations; see :class:`Workload`."""

    operations: dict[str, int]
    rotations: int = 0
    above: int = 0


def _nothing(size: _Size, ins: Instruction) -> _Count:
    """Nothing that takes time beside a copy at most."""
    return _Count({})


def _input(size: _Size, ins: Input) -> _Count:
    return _Count({"load": ins.ciphertexts})


def _paired_input(size: _Size, ins: PairedInput) -> _Count:
    return _Count({"load": ins.ciphertexts, "key_switch": ins.ciphertexts})


def _sum(size: _Size, ins: Add | Subtract | Negate) -> _Count:
    return _Count({"product": size.number})


def _product(size: _Size, ins: Multiply | Square) -> _Count:
    return _Count({"product": 4 * size.number})


def _relinearize(size: _Size, ins: Relinearize) -> _Count:
    return _Count({"key_switch": size.number})


def _add_plain(size: _Size, ins: AddPlain) -> _Count:
    return _Count({"encode": size.number})


def _multiply_plain(size: _Size, ins: MultiplyPlain) -> _Count:
    return _Count({"encode": size.number, "plain_product": size.number})


def _scalar(size: _Size, ins: AddScalar | MultiplyScalar) -> _Count:
    return _Count({"scalar": size.number})


def _galois(size: _Size, ins: Rotate | Conjugate) -> _Count:
    return _Count({"key_switch": size.number}, rotations=size.number)


def _fold(size: _Size, ins: Fold) -> _Count:
    rotations = size.number * len(ins.steps)
    return _Count({"key_switch": rotations}, rotations=rotations)


def _linear_transform(size: _Size, ins: LinearTransform) -> _Count:
    diagonals = size.circuit.diagonals(ins)
    babies, giants = transform_rotations(diagonals)
    used = {"hoist": size.numbers[ins.x], "baby": babies, "giant": giants, "finish": size.number}
    return _Count({**used, "diagonal": len(diagonals)}, rotations=babies + giants)


def _fourier_factor(size: _Size, ins: FourierFactor) -> _Count:
    babies, giants = (size.number * number for number in ins.rotations)
    used = {"hoist": size.number, "baby": babies, "giant": giants, "finish": size.number}
    return _Count({**used, "diagonal": size.number * len(ins.pairs)}, rotations=babies + giants)


def _matrix_product(size: _Size, ins: MatrixProduct) -> _Count:
    # Every ciphertext of the argument and the result passes through memory once.
    stream = (size.numbers[ins.x] + size.number) * size.polynomials
    return _Count({"stream": stream, "scalar_product": size.circuit.weights(ins) * size.polynomials})


def _rescale(size: _Size, ins: Rescale) -> _Count:
    return _Count({"rescale": size.number * size.polynomials}, above=ins.limbs)


def _raise(size: _Size, ins: Raise) -> _Count:
    return _Count({"raise": size.number})


_RULES: Reading[Callable[[_Size, Any], _Count]] = Reading(
    "the operations that are counted",
    INSTRUCTIONS,
    {
        Input: _input,
        PairedInput: _paired_input,
        Output: _nothing,
        Add: _sum,
        Subtract: _sum,
        Negate: _sum,
        Multiply: _product,
        Square: _product,
        Relinearize: _relinearize,
        AddPlain: _add_plain,
        MultiplyPlain: _multiply_plain,
        AddScalar: _scalar,
        MultiplyScalar: _scalar,
        Rotate: _galois,
        Conjugate: _galois,
        Fold: _fold,
        LinearTransform: _linear_transform,
        MatrixProduct: _matrix_product,
        # Their expansions are counted.
        Polynomial: _nothing,
        Bootstrap: _nothing,
        FourierFactor: _fourier_factor,
        Rescale: _rescale,
        DropLimbs: _nothing,
        Raise: _raise,
    },
)


def transform_rotations(diagonals: Diagonals) -> tuple[int, int]:
    """Baby rotations and giant rotations."""
    return len(_pairs(diagonals.column, diagonals.baby)), len(_pairs(diagonals.row, diagonals.giant))


def polynomials(circuit: Circuit) -> list[int]:
    """Polynomials of the ciphertexts of every value: three from a product until it is relinearised."""
    sizes: list[int] = []
    for ins in circuit.instructions:
        if Trait.PRODUCT in ins.traits:
            sizes.append(3)
        elif Trait.RELINEARIZES in ins.traits or not ins.operands:
            sizes.append(2)
        else:
            sizes.append(max(sizes[v] for v in ins.operands))
    return sizes


def _pairs(ciphertext: NDArray[np.int32], step: NDArray[np.int32]) -> NDArray[np.int64]:
    """Distinct (ciphertext, step) with a step that is not zero: rotations of a transform's argument or result."""
    used = step > 0
    return np.unique((ciphertext[used].astype(np.int64) << 20) + step[used])
