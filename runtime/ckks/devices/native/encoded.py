"""The weights of a circuit as the native kernels take them: made when first needed, once for all sessions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.bootstrapping.fourier import fourier_factor
from hecc.runtime.ckks.circuit.instructions import (
    Circuit,
    FourierFactor,
    LinearTransform,
    MatrixProduct,
    SparseMatrix,
)
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.devices.native.weights import factor_owners, share_memory
from hecc.runtime.ckks.devices.streaming import Stream, column_blocks, row_block
from hecc.runtime.ckks.readings.types import ArrayType
from hecc.runtime.native import _evaluator

__all__ = ["EncodedWeights"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class EncodedWeights:
    """Encoded weights, by the instruction that uses them; for any number of threads at once.

    Diagonals are encoded by the kernels when a transform is first applied, and kept as far as their memory allows.

    Parameters
    ----------
    circuit, keys, types
        The circuit without polynomials, the parameters of the keys, and what the verifier found of each result.
    context
        The kernels' tables.
    stream
        How its beginning is evaluated block by block, if it is.
    memory
        Bytes that may be kept of diagonals and plaintexts.
    """

    def __init__(
        self,
        circuit: Circuit,
        keys: KeySpecification,
        types: Sequence[ArrayType],
        context: _evaluator.Context,
        *,
        stream: Stream | None,
        memory: int,
    ) -> None:
        self._circuit = circuit
        self._degree = keys.ring_degree
        self._types = types
        self._context = context
        self._stream = stream
        limbs = [kind.limbs for kind in types]
        self._owners = factor_owners(circuit, limbs)
        self._granted = share_memory(circuit, limbs, keys, memory)
        self._spare = self._unused = memory - sum(share.granted for share in self._granted.values())
        self._lock = threading.Lock()
        self._transforms: dict[int, _evaluator.LinearTransform] = {}
        self._matrices: dict[int, _evaluator.ScalarMatrix] = {}
        self._shares: dict[tuple[int, int], _evaluator.ScalarMatrix] = {}
        self._plaintexts: dict[int, _evaluator.Ciphertexts] = {}

    def transform(self, index: int, instruction: LinearTransform) -> _evaluator.LinearTransform:
        """A linear transform."""
        return self._once(self._transforms, index, lambda: self._make_transform(index, instruction))

    def factor(self, index: int, instruction: FourierFactor) -> _evaluator.LinearTransform:
        """A factor of a Fourier transform, one for all that are alike."""
        owner = self._owners[index]
        return self._once(self._transforms, owner, lambda: self._make_factor(owner, instruction))

    def matrix(self, index: int, instruction: MatrixProduct) -> _evaluator.ScalarMatrix:
        """A matrix of numbers."""
        return self._once(self._matrices, index, lambda: self._make_matrix(index, instruction))

    def share(self, index: int, instruction: MatrixProduct, block: int) -> _evaluator.ScalarMatrix:
        """The part of a matrix that one block of the stream multiplies by."""
        with self._lock:
            if (index, block) not in self._shares:
                self._make_shares(index, instruction)
            return self._shares[index, block]

    def plaintext(self, index: int, name: str, scale: float) -> _evaluator.Ciphertexts:
        """An encoded constant, kept if it fits."""
        with self._lock:
            plaintext = self._plaintexts.get(index)
            if plaintext is None:
                vectors = np.repeat(self._circuit.constants[name].astype(np.float64), self._circuit.lanes, axis=-1)
                limbs = self._types[index].limbs
                plaintext = self._context.encode(vectors, scale, limbs)
                size = len(vectors) * limbs * self._degree * 8
                if size <= self._unused:
                    self._unused -= size
                    self._plaintexts[index] = plaintext
            return plaintext

    def kept_bytes(self) -> int:
        """Bytes of diagonals and plaintexts that are kept so far."""
        with self._lock:
            diagonals = sum(transform.kept_bytes for transform in self._transforms.values())
            return diagonals + self._spare - self._unused

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            for kept in (self._transforms, self._matrices, self._shares, self._plaintexts):
                kept.clear()
            self._unused = self._spare

    def _once(self, kept: dict[K, V], key: K, make: Callable[[], V]) -> V:
        with self._lock:
            if key not in kept:
                kept[key] = make()
            return kept[key]

    def _make_transform(self, index: int, instruction: LinearTransform) -> _evaluator.LinearTransform:
        assert instruction.scale is not None
        diagonals = self._circuit.diagonals(instruction).interleaved(self._circuit.lanes)
        return _evaluator.LinearTransform(
            self._context,
            rows=instruction.count,
            columns=self._types[instruction.x].count,
            slots=self._circuit.period,
            limbs=self._types[index].limbs,
            scale=float(instruction.scale),
            row=np.ascontiguousarray(diagonals.row),
            column=np.ascontiguousarray(diagonals.column),
            baby=np.ascontiguousarray(diagonals.baby),
            giant=np.ascontiguousarray(diagonals.giant),
            offsets=np.ascontiguousarray(diagonals.offsets),
            value_slots=np.ascontiguousarray(diagonals.slots),
            values=np.ascontiguousarray(diagonals.values),
            memory=self._granted[index].granted,
        )

    def _make_factor(self, index: int, instruction: FourierFactor) -> _evaluator.LinearTransform:
        assert instruction.scale is not None
        factor = fourier_factor(instruction.slots, instruction.first, instruction.stop)
        if instruction.inverse:
            factor = factor.conjugate_transpose()
        baby, giant = np.array(instruction.pairs, dtype=np.int32).T
        order = np.lexsort((baby, giant))
        return _evaluator.LinearTransform(
            self._context,
            limbs=self._types[index].limbs,
            scale=float(instruction.gain * instruction.scale),
            baby=np.ascontiguousarray(baby[order]),
            giant=np.ascontiguousarray(giant[order]),
            complex_values=np.ascontiguousarray(factor.values[order]),
            memory=self._granted[index].granted,
        )

    def _make_matrix(self, index: int, instruction: MatrixProduct) -> _evaluator.ScalarMatrix:
        bias = None if instruction.bias is None else self._circuit.constants[instruction.bias]
        weights = self._circuit.matrix(instruction)
        return self._scalar_matrix(index, instruction, weights, self._types[instruction.x].count, bias)

    def _make_shares(self, index: int, instruction: MatrixProduct) -> None:
        """The parts of a matrix that the blocks of the stream multiply by."""
        assert self._stream is not None
        matrix = self._circuit.matrix(instruction)
        bias = None if instruction.bias is None else self._circuit.constants[instruction.bias]
        blocks = enumerate(self._stream.blocks)
        steps = [(k, step) for k, block in blocks for step in block if step.instruction == index]
        if index == self._stream.end:
            parts = column_blocks(matrix, [step.reads[0] for _, step in steps])
            # The first block's share has all of the bias.
            added = [bias, *([None] * (len(steps) - 1))]
        else:
            parts = [row_block(matrix, step.rows, step.reads[0]) for _, step in steps]
            added = [None if bias is None else bias[step.rows] for _, step in steps]
        for (block, step), part, numbers in zip(steps, parts, added, strict=True):
            self._shares[index, block] = self._scalar_matrix(index, instruction, part, len(step.reads[0]), numbers)

    def _scalar_matrix(
        self,
        index: int,
        instruction: MatrixProduct,
        weights: SparseMatrix,
        columns: int,
        bias: NDArray[np.float64] | None,
    ) -> _evaluator.ScalarMatrix:
        assert instruction.scale is not None
        added = self._types[index].scale
        assert added is not None
        return _evaluator.ScalarMatrix(
            columns=columns,
            scale=float(instruction.scale),
            offsets=np.ascontiguousarray(weights.offsets),
            column=np.ascontiguousarray(weights.columns),
            values=np.ascontiguousarray(weights.values),
            bias=np.ascontiguousarray(np.empty(0) if bias is None else bias, dtype=np.float64),
            bias_scale=float(added),
        )
