"""Made-up circuits that the cost model is calibrated on.

They have the instructions and sizes of networks, but are of no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.instructions import (
    Circuit,
    Diagonals,
    Fold,
    Input,
    LinearTransform,
    MatrixProduct,
    Output,
    Relinearize,
    Rescale,
    SparseMatrix,
    Square,
)
from hecc.runtime.ckks.circuit.parameters import KeySpecification

__all__ = ["PROBES", "SCALE", "Probe", "probe_circuit"]

SCALE = Fraction(1 << 30)
"""Of inputs and constants; what the values are does not matter to the time."""


@dataclass(frozen=True)
class Probe:
    """A made-up circuit.

    Attributes
    ----------
    ring_degree, limbs
        N, and the data primes; digits are as few as 128 bits of security allow.
    babies, giants
        Rotations of the first linear transform, per ciphertext; the second one has half as many at two limbs less.
    rows
        Ciphertexts that the first linear transform makes of two, with as many giant rotations of each.
    batch
        Ciphertexts of a batch layout instead, of which a matrix product makes half as many.
    """

    ring_degree: int
    limbs: int
    babies: int = 0
    giants: int = 0
    rows: int = 1
    batch: int = 0

    @property
    def name(self) -> str:
        """In words."""
        what = f"{self.babies} x {self.giants} rotations, {self.rows} rows"
        what = f"{self.batch} in a batch" if self.batch else what
        return f"N = {self.ring_degree}, {self.limbs} limbs, {what}"


PROBES = (
    Probe(1 << 13, 4, 24, 1),
    Probe(1 << 13, 4, 5, 12),
    Probe(1 << 13, 3, batch=64),
    Probe(1 << 13, 3, batch=256),
    Probe(1 << 14, 8, 12, 2),
    Probe(1 << 14, 8, 9, 2, rows=3),
    Probe(1 << 14, 4, 20, 1),
    Probe(1 << 14, 6, 4, 12),
    Probe(1 << 15, 12, 6, 3),
)
"""What is measured: rings and chains as the compiler chooses them, half a gigabyte of keys at the most."""


def probe_circuit(probe: Probe, keys: KeySpecification) -> Circuit:
    """The circuit of a probe, for keys of its ring and its number of limbs."""
    return _batch_circuit(probe, keys) if probe.batch else _packed_circuit(probe, keys)


def _packed_circuit(probe: Probe, keys: KeySpecification) -> Circuit:
    """Two linear transforms with a square in between, and a fold."""
    slots, primes, rows = keys.slots, keys.data_primes, probe.rows
    pitch = probe.babies + 1
    first = _diagonals(rows, 2, range(pitch), range(0, (probe.giants + 1) * pitch, pitch), slots)
    # Steps of its own: keys that are used at fewer limbs are shorter.
    babies, giants, unused = max(1, probe.babies // 2), max(1, probe.giants // 2), (probe.giants + 2) * pitch
    second = _diagonals(1, rows, range(babies + 1), range(unused, (giants + 1) * unused, unused), slots)
    constants: dict[str, NDArray[Any]] = {
        f"{prefix}.{name}": getattr(diagonals, name)
        for prefix, diagonals in (("first", first), ("second", second))
        for name in Diagonals.FIELDS
    }
    constants["in"] = np.ones((2, slots), np.uint8)
    constants["out"] = np.ones((1, slots), np.uint8)
    program = (
        Input(name="x", count=2, occupied="in", period=slots, limbs=len(primes), scale=SCALE),
        LinearTransform(x=0, count=rows, diagonals="first", scale=Fraction(primes[-1])),
        Rescale(x=1),
        Square(x=2),
        Relinearize(x=3),
        Rescale(x=4),
        LinearTransform(x=5, count=1, diagonals="second", scale=Fraction(1 << 20)),
        Fold(x=6, period=slots // 8, span=slots),
        Output(x=7, name="y", occupied="out"),
    )
    return Circuit(slots, program, constants)


def _diagonals(rows: int, columns: int, babies: Sequence[int], giants: Sequence[int], slots: int) -> Diagonals:
    """Every giant step of every row with every ciphertext and every baby step, full of numbers."""
    number = len(giants) * rows * columns * len(babies)
    giant, row, column, baby = np.meshgrid(giants, range(rows), range(columns), babies, indexing="ij")
    return Diagonals(
        row=row.reshape(-1).astype(np.int32),
        column=column.reshape(-1).astype(np.int32),
        baby=baby.reshape(-1).astype(np.int32),
        giant=giant.reshape(-1).astype(np.int32),
        offsets=np.arange(number + 1, dtype=np.int64) * slots,
        slots=np.tile(np.arange(slots, dtype=np.uint16), number),
        values=np.random.default_rng(0).uniform(-1, 1, number * slots).astype(np.float32),
    )


def _batch_circuit(probe: Probe, keys: KeySpecification) -> Circuit:
    """A dense matrix product, squares, and another one."""
    constants: dict[str, NDArray[Any]] = {}
    for name, rows, columns in (("first", probe.batch // 2, probe.batch), ("second", 10, probe.batch // 2)):
        matrix = SparseMatrix(
            offsets=np.arange(rows + 1, dtype=np.int64) * columns,
            columns=np.tile(np.arange(columns, dtype=np.int32), rows),
            values=np.random.default_rng(0).uniform(-1, 1, rows * columns).astype(np.float32),
        )
        constants |= {f"{name}.{field}": getattr(matrix, field) for field in SparseMatrix.FIELDS}
    constants["in"] = np.ones((probe.batch, 1), np.uint8)
    constants["out"] = np.ones((10, 1), np.uint8)
    limbs, scale = len(keys.data_primes), Fraction(1 << 16)
    program = (
        Input(name="x", count=probe.batch, occupied="in", period=1, limbs=limbs, scale=SCALE),
        MatrixProduct(x=0, count=probe.batch // 2, matrix="first", scale=scale),
        Rescale(x=1),
        Square(x=2),
        Relinearize(x=3),
        MatrixProduct(x=4, count=10, matrix="second", scale=scale),
        Output(x=5, name="y", occupied="out"),
    )
    return Circuit(1, program, constants)
