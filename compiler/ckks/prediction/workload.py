"""What a circuit computes, counted: the operations of every instruction, whatever their limbs and seconds.

The parameter search prices the same circuit under thousands of chains, so what does not depend on the chain is counted
once; :mod:`hecc.compiler.ckks.prediction.cost` knows what each operation takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.instructions import (
    Add,
    AddPlain,
    AddScalar,
    Circuit,
    Conjugate,
    Diagonals,
    Fold,
    Input,
    LinearTransform,
    MatrixProduct,
    Multiply,
    MultiplyPlain,
    MultiplyScalar,
    PairedInput,
    Relinearize,
    Rescale,
    Rotate,
    Square,
    Subtract,
)

__all__ = ["KEY_SWITCHING", "OPERATIONS", "OTHER", "PLAINTEXTS", "Workload", "polynomials", "transform_rotations"]

_SWITCHING = ("key_switch", "hoist", "baby", "giant", "finish")
_WITH_PLAINTEXTS = ("diagonal", "encode", "plain_product", "scalar_product")
_OTHER = ("load", "product", "stream", "rescale", "scalar")

OPERATIONS = (*_SWITCHING, *_WITH_PLAINTEXTS, *_OTHER)
"""A workload's columns: what :class:`hecc.compiler.ckks.prediction.cost.CostModel` has a price for."""

KEY_SWITCHING = slice(len(_SWITCHING))
"""The columns of rotations and relinearisations."""

PLAINTEXTS = slice(KEY_SWITCHING.stop, KEY_SWITCHING.stop + len(_WITH_PLAINTEXTS))
"""The columns of products with plaintexts."""

OTHER = slice(PLAINTEXTS.stop, len(OPERATIONS))
"""The columns of everything else."""


@dataclass(frozen=True, eq=False)
class Workload:
    """The operations of a circuit without macros (:func:`hecc.runtime.ckks.circuit.polynomials.expand_polynomials`).

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
            number, size = numbers[i], sizes[i]
            used: dict[str, int] = {}
            if isinstance(ins, LinearTransform):
                diagonals = circuit.diagonals(ins)
                babies, giants = transform_rotations(diagonals)
                used = {"hoist": numbers[ins.x], "baby": babies, "giant": giants, "finish": number}
                used["diagonal"] = len(diagonals)
                rotations[i] = babies + giants
            elif isinstance(ins, Input):
                used = {"load": ins.ciphertexts}
                if isinstance(ins, PairedInput):
                    used["key_switch"] = ins.ciphertexts
            elif isinstance(ins, Fold):
                rotations[i] = number * len(ins.steps)
                used = {"key_switch": rotations[i]}
            elif isinstance(ins, MatrixProduct):
                # Every ciphertext of the argument and the result passes through memory once.
                used = {"stream": (numbers[ins.x] + number) * size}
                used["scalar_product"] = len(circuit.matrix(ins).values) * size
            elif isinstance(ins, Rotate | Conjugate):
                rotations[i] = number
                used = {"key_switch": number}
            elif isinstance(ins, Relinearize):
                used = {"key_switch": number}
            elif isinstance(ins, Square | Multiply):
                used = {"product": 4 * number}
            elif isinstance(ins, MultiplyPlain):
                used = {"encode": number, "plain_product": number}
            elif isinstance(ins, AddPlain):
                used = {"encode": number}
            elif isinstance(ins, Rescale):
                above[i] = ins.limbs
                used = {"rescale": number * size}
            elif isinstance(ins, AddScalar | MultiplyScalar):
                used = {"scalar": number}
            elif isinstance(ins, Add | Subtract):
                used = {"product": number}
            for operation, times in used.items():
                counts[i, OPERATIONS.index(operation)] = times
        return cls(counts, above, rotations)


def transform_rotations(diagonals: Diagonals) -> tuple[int, int]:
    """Baby rotations and giant rotations."""
    return len(_pairs(diagonals.column, diagonals.baby)), len(_pairs(diagonals.row, diagonals.giant))


def polynomials(circuit: Circuit) -> list[int]:
    """Polynomials of the ciphertexts of every value: three from a product until it is relinearised."""
    sizes: list[int] = []
    for ins in circuit.instructions:
        if isinstance(ins, Square | Multiply):
            sizes.append(3)
        elif isinstance(ins, Input | Relinearize):
            sizes.append(2)
        else:
            sizes.append(max(sizes[v] for v in ins.operands))
    return sizes


def _pairs(ciphertext: NDArray[np.int32], step: NDArray[np.int32]) -> NDArray[np.int64]:
    """Distinct (ciphertext, step) with a step that is not zero: rotations of a transform's argument or result."""
    used = step > 0
    return np.unique((ciphertext[used].astype(np.int64) << 20) + step[used])
