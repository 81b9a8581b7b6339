"""Block-wise evaluation: every row once, there when it is read, gone afterwards, and the same result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hecc.runtime.ckks.circuit.instructions import (
    Add,
    Circuit,
    Input,
    Instruction,
    MatrixProduct,
    Negate,
    Output,
    Relinearize,
    Rotate,
    SparseMatrix,
    Square,
)
from hecc.runtime.ckks.devices import streaming
from hecc.runtime.ckks.devices.streaming import Store, Stream, column_blocks, plan_stream, row_block

Array = np.ndarray[Any, Any]
N = 2048


def convolution(channels: int, size: int, maps: int, kernel: int, stride: int) -> Array:
    """A dense matrix of a convolution, in the order (map, row, column)."""
    rng = np.random.default_rng(size)
    out = (size - kernel) // stride + 1
    matrix = np.zeros((maps, out, out, channels, size, size))
    for y in range(out):
        for x in range(out):
            window = rng.integers(1, 9, (maps, channels, kernel, kernel))
            matrix[:, y, x, :, y * stride : y * stride + kernel, x * stride : x * stride + kernel] = window
    return matrix.reshape(maps * out * out, channels * size * size)


def sparse(matrix: Array) -> dict[str, Array]:
    rows, columns = np.nonzero(matrix)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(matrix)))])
    return {
        "offsets": offsets.astype(np.int64),
        "columns": columns.astype(np.int32),
        "values": matrix[rows, columns].astype(np.float32),
    }


def circuit_of(inputs: int, body: tuple[Instruction, ...], **matrices: Array) -> Circuit:
    constants: dict[str, Array] = {"o": np.ones((1, 1), np.uint8)}
    for name, matrix in matrices.items():
        constants |= {f"{name}.{field}": array for field, array in sparse(matrix).items()}
    first = Input(name="x", count=inputs, occupied="o", period=1)
    last = Output(x=len(body), name="y", occupied="o")
    return Circuit(1, (first, *body, last), constants)


def network() -> Circuit:
    """Two convolutions with squares, the first with a linear part, and a dense layer."""
    first, second = convolution(2, 17, 3, 3, 2), convolution(3, 8, 4, 3, 1)
    return circuit_of(
        2 * 17 * 17,
        (
            MatrixProduct(x=0, count=192, matrix="a"),
            Square(x=1),
            Relinearize(x=2),
            MatrixProduct(x=1, count=192, matrix="l"),
            Add(x=3, y=4),
            MatrixProduct(x=5, count=144, matrix="b"),
            Square(x=6),
            MatrixProduct(x=7, count=5, matrix="c"),
            Relinearize(x=8),
        ),
        a=first,
        l=np.diag(np.arange(192.0)),
        b=second,
        c=np.random.default_rng(1).integers(1, 9, (5, 144)).astype(float),
    )


def plan(circuit: Circuit) -> Stream | None:
    size = len(circuit.instructions)
    return plan_stream(circuit, [3] * size, [2] * size, N)


def compute(circuit: Circuit, i: int, operands: list[Array]) -> Array:
    ins = circuit.instructions[i]
    if isinstance(ins, MatrixProduct):
        raise AssertionError("matrices are multiplied block by block")
    return {
        "square": lambda x: x * x % 10007,
        "relinearize": lambda x: x,
        "negate": lambda x: -x,
        "add": lambda *xy: sum(xy),
    }[ins.op](*operands)


def blockwise(circuit: Circuit, stream: Stream, x: Array) -> tuple[Array, int]:
    """The result of a stream, and the most rows that were there at once."""
    store: Store[Array] = Store(stream.reads)
    total: Any = 0
    there = most = 0
    end = circuit.instructions[stream.end]
    last = [step for block in stream.blocks for step in block if step.instruction == stream.end]
    shares = dict(zip(map(id, last), column_blocks(circuit.matrix(end), [step.reads[0] for step in last]), strict=True))
    for step in (step for block in stream.blocks for step in block):
        ins = circuit.instructions[step.instruction]
        operands = []
        for v, rows in zip(step.operands, step.reads, strict=True):
            arrays, places = store.find(v, rows)
            operands.append(np.array([arrays[a][i] for a, i in places]))
        if isinstance(ins, Input):
            made = x[step.rows]
        elif isinstance(ins, MatrixProduct):
            part = shares.get(id(step)) or row_block(circuit.matrix(ins), step.rows, step.reads[0])
            part.check(count=len(step.rows), columns=len(step.reads[0])) if len(part.values) else None
            dense = np.zeros((len(part), len(step.reads[0])))
            dense[part.rows, part.columns] = part.values
            made = dense @ operands[0]
        else:
            made = compute(circuit, step.instruction, operands)
        if step.instruction == stream.end:
            total = total + made
        elif isinstance(ins, Input):
            for row, value in zip(step.rows, made, strict=True):
                store.put(step.instruction, np.array([row]), np.array([value]))
            there += len(made)
            most = max(most, there)
        else:
            store.put(step.instruction, step.rows, made)
            there += len(made)
            most = max(most, there)
        for v, rows in zip(step.operands, step.reads, strict=True):
            there -= sum(map(len, store.release(v, rows)))
    assert there == 0
    return total, most


def whole(circuit: Circuit, end: int, x: Array) -> Array:
    values: list[Array] = []
    for i, ins in enumerate(circuit.instructions[: end + 1]):
        if isinstance(ins, Input):
            values.append(x)
        elif isinstance(ins, MatrixProduct):
            matrix = circuit.matrix(ins)
            dense = np.zeros((ins.count, len(values[ins.x])))
            dense[matrix.rows, matrix.columns] = matrix.values
            values.append(dense @ values[ins.x])
        else:
            values.append(compute(circuit, i, [values[v] for v in ins.operands]))
    return values[end]


@pytest.mark.parametrize("rows", [1, 7, 1000])
@pytest.mark.parametrize("summing", [True, False])
def test_blocks_compute_what_the_whole_does(monkeypatch: pytest.MonkeyPatch, rows: int, summing: bool) -> None:
    monkeypatch.setattr(streaming, "BLOCK_ROWS", rows)
    circuit = network()
    x = np.random.default_rng(0).integers(0, 9, 2 * 17 * 17).astype(float)
    for end in (1, 6, 8):
        stream = streaming._stream(circuit, [1] * len(circuit.instructions), end, summing=summing)
        found, most = blockwise(circuit, stream, x)
        np.testing.assert_array_equal(found, whole(circuit, end, x))
        # What an accumulating end is making comes on top.
        assert most <= stream.peak
        made = [np.concatenate([s.rows for b in stream.blocks for s in b if s.instruction == i]) for i in range(end)]
        assert all(len(np.unique(each)) == len(each) for each in made)


def test_the_least_memory_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "BLOCK_ROWS", 8)
    circuit = network()
    stream = plan(circuit)
    assert stream is not None
    # The dense layer sums up what both convolutions make: a few image rows of each are enough.
    assert stream.end == 8
    assert stream.summing
    everything = sum(circuit.counts()[:3]) * 3 * 2 * 8 * N
    assert stream.peak < everything / 2


def test_a_dense_layer_sums_up_its_input() -> None:
    matrix = np.ones((4, 1000))
    stream = plan(circuit_of(1000, (MatrixProduct(x=0, count=4, matrix="a"),), a=matrix))
    assert stream is not None
    assert [len(block[0].rows) for block in stream.blocks] == [128] * 7 + [104]
    assert stream.peak == (128 + 3 * 4) * 3 * 2 * 8 * N


@pytest.mark.parametrize(
    "body",
    [
        # Read again behind the matrix.
        (MatrixProduct(x=0, count=6, matrix="a"), Add(x=0, y=1)),
        # Nothing that slots are moved by.
        (Rotate(x=0, step=1), MatrixProduct(x=1, count=6, matrix="a")),
        (Negate(x=0),),
    ],
)
def test_a_circuit_without_an_end_is_evaluated_whole(body: tuple[Instruction, ...]) -> None:
    assert plan(circuit_of(6, body, a=np.ones((6, 6)))) is None


def test_parts_of_a_matrix_are_the_matrix() -> None:
    rng = np.random.default_rng(3)
    dense = rng.integers(1, 9, (30, 40)) * (rng.random((30, 40)) < 0.2)
    dense[4] = 0
    matrix = SparseMatrix(**sparse(dense))
    blocks = [np.arange(k, 40, 7) for k in range(7)]
    for block, part in zip(blocks, column_blocks(matrix, blocks), strict=True):
        found = np.zeros((30, len(block)))
        found[part.rows, part.columns] = part.values
        np.testing.assert_array_equal(found, dense[:, block])
    rows = np.array([2, 4, 5, 29])
    columns = np.flatnonzero(dense[rows].any(axis=0))
    part = row_block(matrix, rows, columns)
    found = np.zeros((4, len(columns)))
    found[part.rows, part.columns] = part.values
    np.testing.assert_array_equal(found, dense[rows][:, columns])
