"""Block-wise evaluation: a circuit's first layers, a few ciphertexts at a time, so that not all are in memory at once.

In a batch layout a tensor has a ciphertext for each element, and all of them together are gigabytes. But an output
pixel of a convolution needs a window of the input only: so blocks of rows of a matrix product are computed one after
another, each with just those rows of the values before that no earlier block has made, and a row is forgotten when no
later block reads it. The layer that ends this takes in one block after another: a sum over its columns may be formed in
parts.

What is computed is the same, to the bit: sums modulo primes do not depend on their order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

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
    DropLimbs,
    Fold,
    FourierFactor,
    Input,
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
from hecc.runtime.reading import Reading

__all__ = ["AHEAD", "Step", "Store", "Stream", "column_blocks", "plan_stream", "row_block"]

BLOCK_ROWS = 128
"""Rows that a block has at least. More share what is done once per block; fewer need less memory."""

LARGEST_BLOCK = 512
"""Rows that a block has at most, although they read the same columns."""

AHEAD = 64
"""Ciphertexts of the inputs that are read before they are needed, at most."""

CLEARLY_LESS = 0.9
"""A later end has to need so much less memory: with an earlier one there is less to keep track of."""

_ROW_BY_ROW: Reading[bool] = Reading(
    "whether row r of the result needs row r of the operands only, and no row of a constant",
    INSTRUCTIONS,
    {
        Input: False,
        PairedInput: False,
        Output: False,
        Add: True,
        Subtract: True,
        Negate: True,
        Multiply: True,
        Square: True,
        Relinearize: True,
        AddPlain: False,
        MultiplyPlain: False,
        AddScalar: True,
        MultiplyScalar: True,
        # Of one value they are made together.
        Rotate: False,
        Conjugate: False,
        Fold: False,
        LinearTransform: False,
        FourierFactor: False,
        MatrixProduct: False,
        Rescale: True,
        DropLimbs: True,
        Raise: True,
    },
    dict.fromkeys((Polynomial, Bootstrap), "they are expanded before"),
)

V = TypeVar("V")
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Step:
    """Rows of one instruction that are computed together.

    Attributes
    ----------
    instruction
        Its number.
    operands
        Values that it reads.
    rows
        Of its result, ascending.
    reads
        Rows of each operand that it reads, ascending.
    row_by_row
        Whether these are the same.
    arrivals
        Of an input, the ciphertexts that bring the rows, and no step before this: the instruction, the number, and all
        rows that come with it.
    """

    instruction: int
    operands: tuple[int, ...]
    rows: Rows
    reads: tuple[Rows, ...]
    row_by_row: bool = False
    arrivals: tuple[tuple[int, int, Rows], ...] = ()


@dataclass(frozen=True, eq=False)
class Stream:
    """How the instructions up to ``end`` are evaluated in blocks.

    Attributes
    ----------
    end
        The matrix product that takes in the blocks. Nothing else reads what they make.
    blocks
        Steps of each, in order. Where ``end`` sums up, each block's last step is its share of it.
    reads
        For every value before ``end``, how many steps read each row.
    summing
        Whether ``end`` sums up, or reads all at the end.
    peak
        Bytes of ciphertexts that are in memory at once, at most.
    """

    end: int
    blocks: tuple[tuple[Step, ...], ...]
    reads: tuple[NDArray[np.int32], ...]
    summing: bool
    peak: int


class Store(Generic[V]):
    """The rows that are there, in arrays of ciphertexts that go when the last of their rows is no longer needed.

    Parameters
    ----------
    reads
        How often each row of each value will be read.
    """

    def __init__(self, reads: Sequence[NDArray[np.int32]]) -> None:
        self._left = [count.copy() for count in reads]
        self._array = [np.full(len(count), -1, dtype=np.int64) for count in reads]
        self._index = [np.zeros(len(count), dtype=np.int64) for count in reads]
        self._arrays: dict[int, V] = {}
        self._sizes: dict[int, int] = {}
        self._needed: dict[int, int] = {}
        self._number = 0

    def put(self, value: int, rows: Rows, array: V) -> None:
        """Keep rows of a value, which an array holds in this order."""
        self._array[value][rows] = self._number
        self._index[value][rows] = np.arange(len(rows))
        self._arrays[self._number] = array
        self._sizes[self._number] = len(rows)
        # What came with others may never be read.
        self._needed[self._number] = int(np.count_nonzero(self._left[value][rows]))
        self._number += 1

    def find(self, value: int, rows: Rows) -> tuple[list[V], NDArray[np.int64]]:
        """Arrays, and for each row the number of its array among them and its index there, shape (rows, 2)."""
        numbers, place = np.unique(self._array[value][rows], return_inverse=True)
        return [self._arrays[n] for n in numbers.tolist()], np.stack([place, self._index[value][rows]], axis=1)

    def whole(self, value: int, rows: Rows) -> V | None:
        """The array that holds just these rows in this order, if there is one."""
        numbers, index = self._array[value][rows], self._index[value][rows]
        found = int(numbers[0])
        if (numbers != found).any() or not np.array_equal(index, np.arange(self._sizes[found])):
            return None
        return self._arrays[found]

    def release(self, value: int, rows: Rows) -> list[V]:
        """Count a reading of these rows; the arrays that are no longer needed."""
        left = self._left[value]
        left[rows] -= 1
        numbers, counts = np.unique(self._array[value][rows[left[rows] == 0]], return_counts=True)
        gone = []
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            self._needed[number] -= count
            if self._needed[number] == 0:
                del self._needed[number], self._sizes[number]
                gone.append(self._arrays.pop(number))
        return gone


def plan_stream(circuit: Circuit, limbs: Sequence[int], polynomials: Sequence[int], ring_degree: int) -> Stream | None:
    """The way to evaluate a circuit's beginning in blocks that needs least memory; None where there is none.

    Parameters
    ----------
    limbs, polynomials
        Of every value's ciphertexts.
    """
    sizes = [8 * ring_degree * n * p for n, p in zip(limbs, polynomials, strict=True)]
    best: Stream | None = None
    for end in _ends(circuit):
        for summing in (True, False):
            stream = _stream(circuit, sizes, end, summing=summing)
            if best is None or stream.peak < CLEARLY_LESS * best.peak:
                best = stream
    return best


def row_block(matrix: SparseMatrix, rows: Rows, columns: Rows) -> SparseMatrix:
    """Some rows of a matrix, whose entries are in some columns only, with both numbered anew; both ascending."""
    entries, lengths = _entries(matrix, rows)
    return SparseMatrix(
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.searchsorted(columns, matrix.columns[entries]).astype(np.int32),
        matrix.values[entries],
    )


def column_blocks(matrix: SparseMatrix, blocks: Sequence[Rows]) -> list[SparseMatrix]:
    """All rows of a matrix, in blocks of columns that are numbered anew; each ascending, and none in two blocks."""
    columns = 1 + max(int(block[-1]) for block in blocks)
    number, place = np.full(columns, len(blocks)), np.zeros(columns, dtype=np.int32)
    for k, block in enumerate(blocks):
        number[block] = k
        place[block] = np.arange(len(block))
    of_entry = number[matrix.columns]
    order = np.argsort(of_entry, kind="stable")
    bounds = np.searchsorted(of_entry[order], np.arange(len(blocks) + 1))
    rows = matrix.rows
    result = []
    for first, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        entries = order[first:stop]
        lengths = np.bincount(rows[entries], minlength=len(matrix))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        result.append(SparseMatrix(offsets, place[matrix.columns[entries]], matrix.values[entries]))
    return result


def _ends(circuit: Circuit) -> list[int]:
    """Matrix products that may take in blocks: all before them is row by row, and is read by nothing after them."""
    ends = []
    last = circuit.last_uses()
    users: dict[int, set[int]] = {}
    for i, ins in enumerate(circuit.instructions):
        for v in ins.operands:
            users.setdefault(v, set()).add(i)
    products, inputs = dict(circuit.every(MatrixProduct)), dict(circuit.inputs())
    for end, ins in enumerate(circuit.instructions):
        if end in products:
            x = products[end].x
            before = [v for v in range(end) if last.get(v, -1) >= end]
            if before == [x] and users[x] == {end}:
                ends.append(end)
        elif end not in inputs and not _ROW_BY_ROW.of(ins):
            break
    return ends


def _stream(circuit: Circuit, sizes: Sequence[int], end: int, *, summing: bool) -> Stream:
    """The steps of the blocks, each of which computes what it needs and no earlier block has made."""
    instructions, counts = circuit.instructions, circuit.counts()
    products, inputs = dict(circuit.every(MatrixProduct)), dict(circuit.inputs())
    last = products[end]
    matrices = {i: circuit.matrix(ins) for i, ins in products.items() if i <= end}
    made = [np.zeros(counts[i], dtype=bool) for i in range(end)]
    arrived = [np.zeros(counts[i], dtype=bool) for i in range(end)]
    reads = [np.zeros(counts[i], dtype=np.int32) for i in range(end)]
    everything = np.arange(last.count)
    blocks = []
    for wanted in _partition(circuit, counts, last.x):
        needed = [np.zeros(counts[i], dtype=bool) for i in range(end)]
        needed[last.x][wanted] = True
        steps = []
        for i in reversed(range(end)):
            rows = np.flatnonzero(needed[i] & ~made[i])
            if not len(rows):
                continue
            made[i][rows] = True
            operands = instructions[i].operands
            read: tuple[Rows, ...]
            if i in matrices:
                read = (_columns(matrices[i], rows, counts[operands[0]]),)
            else:
                read = (rows,) * len(operands)
            for v, found in zip(operands, read, strict=True):
                needed[v][found] = True
                reads[v][found] += 1
            arrivals = tuple(_arrivals(i, inputs[i], rows, arrived[i])) if i in inputs else ()
            steps.append(Step(i, operands, rows, read, _ROW_BY_ROW.of(instructions[i]), arrivals))
        steps.reverse()
        if summing:
            steps.append(Step(end, last.operands, everything, (np.sort(wanted),)))
        blocks.append(tuple(steps))
    if not summing:
        blocks.append((Step(end, last.operands, everything, (np.arange(counts[last.x]),)),))
    reads[last.x] += 1
    parts = _split(blocks, counts[:end])
    return Stream(end, parts, tuple(reads), summing, _peak(parts, reads, circuit, sizes))


def _arrivals(i: int, ins: Input, rows: Rows, arrived: NDArray[np.bool_]) -> Iterator[tuple[int, int, Rows]]:
    """The ciphertexts of an input that bring rows which are not there yet."""
    for row in rows.tolist():
        if not arrived[row]:
            number = row // ins.VECTORS
            brought = np.arange(number * ins.VECTORS, min((number + 1) * ins.VECTORS, ins.count))
            arrived[brought] = True
            yield i, number, brought


def _split(blocks: Sequence[tuple[Step, ...]], counts: Sequence[int]) -> tuple[tuple[Step, ...], ...]:
    """The steps of row-by-row instructions in parts, so that an array's rows are last read by the same block."""
    last = [np.zeros(count, dtype=np.int64) for count in counts]
    for number, block in enumerate(blocks):
        for step in block:
            for v, rows in zip(step.operands, step.reads, strict=True):
                last[v][rows] = number
    result = []
    for block in blocks:
        steps: list[Step] = []
        for step in block:
            if not step.row_by_row or step.instruction >= len(counts):
                steps.append(step)
                continue
            ends = last[step.instruction][step.rows]
            for end in np.unique(ends).tolist():
                rows = step.rows[ends == end]
                steps.append(replace(step, rows=rows, reads=(rows,) * len(step.reads)))
        result.append(tuple(steps))
    return tuple(result)


def _partition(circuit: Circuit, counts: Sequence[int], value: int) -> list[Rows]:
    """The rows of a value in blocks: those that begin at the same column together, in the order of these columns."""
    origin, products = value, dict(circuit.every(MatrixProduct))
    while origin not in products and circuit.instructions[origin].operands:
        origin = circuit.instructions[origin].operands[0]
    start = np.arange(counts[value])
    if origin in products:
        matrix = circuit.matrix(products[origin])
        start = matrix.columns[np.minimum(matrix.offsets[:-1], len(matrix.columns) - 1)].astype(np.int64)
    order = np.argsort(start, kind="stable")
    bounds, first = [0], 0
    changes = np.flatnonzero(np.diff(start[order])) + 1
    for change in [*changes.tolist(), len(order)]:
        while change - first > LARGEST_BLOCK:
            first += LARGEST_BLOCK
            bounds.append(first)
        if change - first >= BLOCK_ROWS or change == len(order):
            first = change
            bounds.append(first)
    return [order[a:b] for a, b in itertools.pairwise(bounds) if b > a]


def _entries(matrix: SparseMatrix, rows: Rows) -> tuple[Rows, Rows]:
    """Numbers of the entries of some rows, and how many each row has."""
    lengths = matrix.offsets[rows + 1] - matrix.offsets[rows]
    starts = np.repeat(matrix.offsets[rows] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    return starts + np.arange(len(starts)), lengths


def _columns(matrix: SparseMatrix, rows: Rows, count: int) -> Rows:
    """The columns that some rows read; one at least, from which rows without entries get their shape."""
    read = np.zeros(count, dtype=bool)
    read[matrix.columns[_entries(matrix, rows)[0]]] = True
    return np.flatnonzero(read) if read.any() else np.zeros(1, dtype=np.int64)


def _peak(
    blocks: Sequence[Sequence[Step]],
    reads: Sequence[NDArray[np.int32]],
    circuit: Circuit,
    sizes: Sequence[int],
) -> int:
    """Bytes of ciphertexts when they are most: what is stored, and what is being made."""
    store: Store[int] = Store(reads)
    inputs = dict(circuit.inputs())
    stored = total = peak = 0
    for step in (step for block in blocks for step in block):
        i = step.instruction
        size = len(step.rows) * sizes[i]
        if i in inputs:
            for _, _, rows in step.arrivals:
                store.put(i, rows, len(rows) * sizes[i])
                stored += len(rows) * sizes[i]
        elif i < len(reads):
            store.put(i, step.rows, size)
            stored += size
        # The sum so far, the share of this block, and both together.
        making = 0 if i < len(reads) else size + 2 * total
        peak = max(peak, stored + making)
        if i == len(reads):
            total = size
        for v, rows in zip(step.operands, step.reads, strict=True):
            stored -= sum(store.release(v, rows))
    return peak
