"""The native evaluator against the simulator: every instruction, shapes of keys, levels, threads and kernels."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
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
    SparseMatrix,
    Square,
    Subtract,
)
from hecc.runtime.ckks.circuit.parameters import galois_element
from hecc.runtime.ckks.devices.native import engine as engine_module
from hecc.runtime.ckks.devices.native import evaluator as evaluator_module
from hecc.runtime.ckks.devices.native.engine import NativeEngine
from hecc.runtime.ckks.devices.seal.engine import SealEngine
from hecc.runtime.ckks.keys.switching_keys import packed_key
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.noise_drawn import GaussianNoise
from hecc.runtime.ckks.readings.types import verify, verify_expanded
from hecc.runtime.errors import CircuitError, FileFormatError, ParameterError
from hecc.runtime.native import implementations

SCALE = Fraction(1 << 40)
SHAPES = [(1, 1), (1, 3), (2, 2), (2, 3), (3, 3)]
"""Digit limbs and special primes; the chain has five data primes, so that digits of several come out uneven."""

Constants = dict[str, NDArray[Any]]
Clients = Callable[[int, int], Any]


def diagonals_of(name: str, entries: list[tuple[int, int, int, int]], dense: np.ndarray) -> Constants:
    """Constants from sorted (giant, row, column, baby) and one dense vector each."""
    giant, row, column, baby = (np.array(e, dtype="<i4") for e in zip(*entries, strict=True))
    number, slots = np.nonzero(dense)
    offsets = np.searchsorted(number, np.arange(len(entries) + 1)).astype("<i8")
    fields = Diagonals(row, column, baby, giant, offsets, slots.astype("<u2"), dense[number, slots].astype("<f4"))
    return {f"{name}.{field}": getattr(fields, field) for field in Diagonals.FIELDS}


def random_diagonals(name: str, rows: int, columns: int, slots: int) -> Constants:
    """Baby steps 0 to 3 and giant steps 0, 4 and the last multiple of 4; about half of all diagonals, some sparse."""
    rng = np.random.default_rng(7)
    steps = [(g, r, c, b) for g in (0, 4, slots - 4) for r in range(rows) for c in range(columns) for b in range(4)]
    steps = [step for step in steps if rng.random() < 0.5 or step[3] == 0]
    dense = rng.uniform(-0.5, 0.5, (len(steps), slots))
    dense[::3, 1:] *= rng.random((len(dense[::3]), slots - 1)) < 0.2
    return diagonals_of(name, steps, dense)


def matrix_of(name: str, rows: list[dict[int, float]]) -> Constants:
    """Constants of a matrix, whose rows give values by column."""
    fields = SparseMatrix(
        offsets=np.cumsum([0, *(len(row) for row in rows)]).astype("<i8"),
        columns=np.array([column for row in rows for column in row], dtype="<i4"),
        values=np.array([value for row in rows for value in row.values()], dtype="<f4"),
    )
    return {f"{name}.{field}": getattr(fields, field) for field in SparseMatrix.FIELDS}


def program(
    *body: Instruction, slots: int, count: int = 1, outputs: int = 1, limbs: int = 5, **constants: np.ndarray
) -> Circuit:
    """Inputs ``a`` (%0) and ``b`` (%1) of ``count`` ciphertexts, the body, and its last value as output ``y``."""
    masks = {"in": np.ones((count, slots), np.uint8), "out": np.ones((outputs, slots), np.uint8)}
    sources = [Input(name=n, count=count, occupied="in", period=slots, limbs=limbs, scale=SCALE) for n in "ab"]
    last = Output(x=len(body) + 1, name="y", occupied="out")
    return Circuit(slots, (*sources, *body, last), {**masks, **constants})


def run(circuit: Circuit, client: Any, engine: Any = NativeEngine, **options: Any) -> tuple[list[bytes], np.ndarray]:
    """Output streams of one random row, and what they should decrypt to."""
    keys = client.specification(circuit)
    rng = np.random.default_rng(5)
    inputs = {ins.name: rng.uniform(-1, 1, (1, ins.count, circuit.slots)) for _, ins in circuit.inputs()}
    limbs = next(ins.limbs for _, ins in circuit.inputs())
    streams = {name: client.encrypt(array[0], limbs=limbs) for name, array in inputs.items()}
    with engine(circuit, keys, **options).session(client) as session:
        found = session.run(streams)["y"]
    return found, Simulator(circuit).run(inputs)["y"][0]


def check(circuit: Circuit, client: Any, **options: Any) -> None:
    """The error is what the noise model predicts, or less; scale and level are those of the circuit."""
    streams, expected = run(circuit, client, **options)
    keys = client.specification(circuit)
    types = verify(circuit, keys)
    scale = types[-1].scale
    assert scale is not None
    found = client.decrypt(streams, circuit.slots, limbs=types[-1].limbs, scale=scale)
    expanded, steps = verify_expanded(circuit, keys)
    model = GaussianNoise(expanded, steps, keys, np.random.default_rng(9))
    rng = np.random.default_rng(5)
    inputs = {ins.name: rng.uniform(-1, 1, (64, ins.count, circuit.slots)) for _, ins in circuit.inputs()}
    noisy = Simulator(expanded).run(inputs, noise=model)["y"] - Simulator(circuit).run(inputs)["y"]
    predicted = np.sqrt(np.mean(noisy**2, axis=0))
    errors = abs(found - expected)
    assert expected.shape == found.shape
    assert 0.01 < abs(expected).max() < 100
    # Keys are new each time, and what they err by is not independent: of 734 checks the largest had 14 and 1.9. The
    # margins are so wide that thousands of them pass. A fault errs by a million sigma.
    sigmas = errors / (predicted + 1e-12)
    assert sigmas.max() < 40
    assert np.sqrt(np.mean(sigmas**2)) < 4


VECTOR = {slots: np.random.default_rng(3).uniform(-1, 1, (1, slots)) for slots in (16, 32, 1024)}

BODIES: dict[str, tuple[Instruction, ...]] = {
    "add": (Add(x=0, y=1),),
    "subtract": (Subtract(x=0, y=1),),
    "negate": (Negate(x=0),),
    "multiply": (Multiply(x=0, y=1), Relinearize(x=2)),
    "square": (Square(x=0), Relinearize(x=2)),
    "three polynomials": (
        Square(x=0),
        Multiply(x=0, y=1),
        Subtract(x=2, y=3),
        MultiplyPlain(x=4, vector="v", scale=Fraction(1 << 30)),
        AddPlain(x=5, vector="v"),
        Negate(x=6),
        Rescale(x=7),
        Relinearize(x=8),
    ),
    "two and three polynomials": (
        Square(x=0),
        MultiplyPlain(x=1, vector="v", scale=SCALE),
        Subtract(x=3, y=2),
        Subtract(x=4, y=3),
        Add(x=3, y=5),
        Relinearize(x=6),
    ),
    "three polynomials rescaled": (Square(x=0), Rescale(x=2), Relinearize(x=3)),
    "three polynomials dropped": (Square(x=0), DropLimbs(x=2), Relinearize(x=3)),
    "add plain": (AddPlain(x=0, vector="v"),),
    "multiply plain": (MultiplyPlain(x=0, vector="v", scale=SCALE),),
    "multiply plain at a large scale": (
        MultiplyPlain(x=0, vector="v", scale=Fraction(1 << 120)),
        Rescale(x=2, limbs=3),
    ),
    "add scalar": (AddScalar(x=0, value=-0.3),),
    "multiply scalar": (MultiplyScalar(x=0, value=-0.7, scale=SCALE), Rescale(x=2)),
    "scalars and three polynomials": (
        Square(x=0),
        MultiplyScalar(x=2, value=3.25, scale=Fraction(1 << 10)),
        AddScalar(x=3, value=1e-3),
        Relinearize(x=4),
    ),
    "conjugate": (Conjugate(x=0),),
    "conjugate at a low level": (DropLimbs(x=0, limbs=2), Conjugate(x=2), Rotate(x=2, step=1), Subtract(x=3, y=4)),
    "matrix product": (MatrixProduct(x=0, count=1, matrix="m", scale=Fraction(1 << 25)),),
    "matrix product of three polynomials": (
        Square(x=0),
        MatrixProduct(x=2, count=1, matrix="m", scale=Fraction(1 << 25)),
        Relinearize(x=3),
    ),
    "polynomial": (Polynomial(x=0, coefficients="c", basis="power", dropped=(1, 1), scale=SCALE),),
    "chebyshev polynomial": (
        Rotate(x=0, step=1),
        Polynomial(x=2, coefficients="c", basis="chebyshev", dropped=(1, 1), scale=SCALE),
        Polynomial(x=2, coefficients="c1", basis="chebyshev", dropped=(1, 1), scale=SCALE),
        Subtract(x=3, y=4),
    ),
    "rotate": (Rotate(x=0, step=5),),
    "rotate far": (Rotate(x=0, step=7), Rotate(x=2, step=31)),
    "rotations of one value": (
        Rotate(x=0, step=5),
        Rotate(x=1, step=5),
        Add(x=2, y=3),
        Rotate(x=0, step=9),
        Rotate(x=0, step=9),
        Add(x=5, y=6),
        Subtract(x=7, y=4),
    ),
    "fold": (Fold(x=0, period=4, span=32),),
    "fold of nothing": (Fold(x=0, period=32, span=32),),
    "linear": (LinearTransform(x=0, count=1, diagonals="d", scale=SCALE),),
    "linear at a low level": (DropLimbs(x=0, limbs=2), LinearTransform(x=2, count=1, diagonals="d", scale=SCALE)),
    "rescale": (MultiplyPlain(x=0, vector="v", scale=SCALE), Rescale(x=2)),
    "rescale twice": (MultiplyPlain(x=0, vector="v", scale=Fraction(1 << 80)), Rescale(x=2, limbs=2)),
    "drop limbs": (DropLimbs(x=0, limbs=4),),
    "several": (
        LinearTransform(x=0, count=1, diagonals="d", scale=SCALE),
        Rescale(x=2),
        AddPlain(x=3, vector="v"),
        Square(x=4),
        Relinearize(x=5),
        Rescale(x=6),
    ),
}


def circuit_of(name: str, slots: int) -> Circuit:
    body = BODIES[name]
    # A fold needs an operand that repeats with its span: it folds all slots.
    body = tuple(msgspec.structs.replace(i, span=slots) if isinstance(i, Fold) else i for i in body)
    constants = {**random_diagonals("d", 1, 1, slots), **matrix_of("m", [{0: -0.4}])}
    constants |= {"c": np.array([0.1, -0.5, 0.25, 0.75]), "c1": np.array([0.0, 0.5, 0.0, -0.5])}
    return program(*body, slots=slots, v=VECTOR[slots], **constants)


def test_the_cases_reach_every_instruction() -> None:
    # What raises, and what bootstraps, is tested in modules of its own.
    elsewhere = {Input, PairedInput, Output, Raise, FourierFactor, Bootstrap}
    kinds = {type(i) for body in BODIES.values() for i in body} | elsewhere
    assert kinds == set(INSTRUCTIONS)
    # Macros are expanded beforehand.
    assert set(evaluator_module._RULES.without) == {Polynomial, Bootstrap}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", BODIES)
def test_every_instruction_errs_as_predicted(hybrid_client: Clients, name: str, shape: tuple[int, int]) -> None:
    check(circuit_of(name, 32), hybrid_client(*shape))


@pytest.mark.parametrize("slots", [1024])
@pytest.mark.parametrize("name", BODIES)
def test_every_instruction_in_all_slots_of_the_ring(hybrid_client: Clients, name: str, slots: int) -> None:
    check(circuit_of(name, slots), hybrid_client(2, 2))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("slots", [16, 32, 1024])
@pytest.mark.parametrize("memory", [0, 1 << 20, 1 << 26], ids=["no memory", "some memory", "memory"])
def test_a_linear_transform_of_several_ciphertexts_to_several(
    hybrid_client: Clients, shape: tuple[int, int], slots: int, memory: int
) -> None:
    transform = LinearTransform(x=0, count=3, diagonals="d", scale=SCALE)
    circuit = program(transform, slots=slots, count=2, outputs=3, **random_diagonals("d", 3, 2, slots))
    check(circuit, hybrid_client(*shape), memory=memory)


def test_memory_does_not_change_a_transform(hybrid_client: Clients) -> None:
    client = hybrid_client(2, 2)
    circuit = program(
        LinearTransform(x=0, count=3, diagonals="d", scale=SCALE),
        slots=32,
        count=2,
        outputs=3,
        **random_diagonals("d", 3, 2, 32),
    )
    keys = client.specification(circuit)
    streams = {name: client.encrypt(VECTOR[32].repeat(2, axis=0)) for name in "ab"}
    results = []
    for memory in (0, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 28):
        with NativeEngine(circuit, keys, memory=memory).session(client) as session:
            first = session.run(streams)["y"]
            assert session.run(streams)["y"] == first, "encoded weights that were kept give the same bytes"
            results.append(first)
    assert all(result == results[0] for result in results)


def test_rows_without_diagonals_are_zero(hybrid_client: Clients) -> None:
    client = hybrid_client(2, 2)
    constants = diagonals_of("d", [(0, 0, 0, 0), (4, 2, 0, 1)], np.array([[0.5] * 32, [1e-30] * 32]))
    circuit = program(LinearTransform(x=0, count=4, diagonals="d", scale=SCALE), slots=32, outputs=4, **constants)
    streams, expected = run(circuit, client)
    found = client.decrypt(streams, 32, limbs=5, scale=SCALE**2)
    assert abs(found - expected).max() < 1e-6
    assert abs(expected[1:]).max() < 1e-20
    assert (found[[1, 3]] == 0).all()


def random_matrix(name: str, rows: int, columns: int, share: float) -> Constants:
    """Rows in groups of three with the same columns, in an order that separates them; the fourth is empty."""
    rng = np.random.default_rng(11)
    chosen = [np.flatnonzero(rng.random(columns) < share) for _ in range(-(-rows // 3))]
    sets = [chosen[r % len(chosen)] if r != 3 else [] for r in range(rows)]
    return matrix_of(name, [{int(c): float(rng.uniform(-1, 1)) for c in columns} for columns in sets])


@pytest.mark.parametrize(("rows", "columns", "share"), [(2, 1, 1.0), (7, 5, 0.6), (40, 30, 1.0), (50, 70, 0.1)])
@pytest.mark.parametrize("polynomials", [2, 3])
def test_a_matrix_product_is_the_sum_of_scalar_products(
    hybrid_client: Clients, rows: int, columns: int, share: float, polynomials: int
) -> None:
    constants = {**random_matrix("m", rows, columns, share), "b": np.linspace(-1, 1, rows)}
    body = (
        *((Square(x=0),) if polynomials == 3 else (Negate(x=0),)),
        MatrixProduct(x=2, count=rows, matrix="m", bias="b", scale=Fraction(1 << 30)),
        *((Relinearize(x=3),) if polynomials == 3 else (Negate(x=3),)),
    )
    check(program(*body, slots=32, count=columns, outputs=rows, limbs=3, **constants), hybrid_client(2, 2))


def test_a_matrix_product_of_thousands_of_columns_does_not_depend_on_threads_or_kernels(hybrid_client: Clients) -> None:
    """More columns than a chunk brings into the cache, in several chunks; against integers of any size."""
    from hecc.runtime.native import _evaluator

    client, columns, scale = hybrid_client(2, 2), 5000, 2.0**30
    rng = np.random.default_rng(0)
    windows = [range(first, first + 40) for first in range(0, columns - 40, 400) for _ in range(3)]
    rows = [*({c: float(rng.uniform(-1, 1)) for c in window} for window in windows), dict.fromkeys(range(columns), 0.5)]
    matrix = SparseMatrix(**{f: matrix_of("m", rows)[f"m.{f}"] for f in SparseMatrix.FIELDS})
    prime = client.data_primes[0]
    residues = rng.integers(0, prime, (columns, 2, 1, 2048), dtype=np.uint64)
    expected = np.zeros((len(rows), 2, 1, 2048), dtype=np.uint64)
    for r, row in enumerate(rows):
        scaled = [float(np.float32(value)) * scale for value in row.values()]
        integers = [int(math.copysign(abs(value) + 0.5, value)) % prime for value in scaled]
        # Exact: 24 bits at a time, and at most 5000 terms.
        total = np.zeros((2, 1, 2048), dtype=object)
        for shift in (0, 24, 48):
            part = np.array([(i >> shift) & 0xFFFFFF for i in integers], dtype=np.uint64)
            low = np.tensordot(part, residues[list(row)] & 0xFFFFFF, (0, 0))
            middle = np.tensordot(part, (residues[list(row)] >> 24) & 0xFFFFFF, (0, 0))
            high = np.tensordot(part, residues[list(row)] >> 48, (0, 0))
            whole = low.astype(object) + (middle.astype(object) << 24) + (high.astype(object) << 48)
            total = total + (whole << shift)
        expected[r] = (total % prime).astype(np.uint64)
    for kernels, threads in [(name, 2) for name in implementations()] + [("", 1), ("", 3), ("", 16)]:
        context = _evaluator.Context(2048, client.data_primes, client.special, 2, threads, kernels)
        scalars = _evaluator.ScalarMatrix(
            columns, scale, matrix.offsets, matrix.columns, matrix.values, np.empty(0), 1.0
        )
        assert scalars.groups == len(windows) // 3 + 1
        assert np.array_equal(context.matrix_product(context.ciphertexts(residues), scalars).array(), expected)


def blocks_and_whole(client: Any) -> Circuit:
    """Two sparse products with a linear part and an empty row between them, biases, and a dense product."""
    rng = np.random.default_rng(4)
    windows = [{c: float(rng.uniform(-1, 1)) for c in range(r, r + 4)} for r in range(0, 36, 2)]
    second = [{c: float(rng.uniform(-1, 1)) for c in range(r, r + 3)} if r != 2 else {} for r in range(12)]
    dense = [{c: float(rng.uniform(-1, 1)) for c in range(12)} for _ in range(3)]
    diagonal = [{r: 0.5} for r in range(18)]
    constants = {"b": rng.uniform(-1, 1, 18), "e": rng.uniform(-1, 1, 3)}
    for name, rows in (("m", windows), ("n", second), ("d", dense), ("l", diagonal)):
        constants |= matrix_of(name, rows)
    plain = Fraction(1 << 20)
    return program(
        Add(x=0, y=1),
        MatrixProduct(x=2, count=18, matrix="m", bias="b", scale=plain),
        Rescale(x=3),
        Square(x=4),
        MatrixProduct(x=4, count=18, matrix="l", scale=SCALE * plain / client.data_primes[4]),
        Add(x=5, y=6),
        MatrixProduct(x=7, count=12, matrix="n", scale=plain),
        Relinearize(x=8),
        MatrixProduct(x=9, count=3, matrix="d", bias="e", scale=plain),
        slots=32,
        count=38,
        outputs=3,
        **constants,
    )


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_blocks_make_what_the_whole_does_to_the_bit(
    hybrid_client: Clients, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    from hecc.runtime.ckks.devices import streaming

    client = hybrid_client(1, 2)
    circuit = blocks_and_whole(client)
    keys = client.specification(circuit)
    rng = np.random.default_rng(5)
    streams = {name: client.encrypt(rng.uniform(-1, 1, (38, 32))) for name in "ab"}
    with monkeypatch.context() as patch:
        patch.setattr(engine_module, "plan_stream", lambda *_: None)
        with NativeEngine(circuit, keys).session(client) as session:
            expected = session.run(streams)["y"]
    monkeypatch.setattr(streaming, "BLOCK_ROWS", rows)
    steps: list[tuple[int, int]] = []
    for kernels, threads in [(name, 2) for name in implementations()] + [("", 1), ("", 3)]:
        with NativeEngine(circuit, keys, kernels=kernels, threads=threads).session(client) as session:
            assert session._stream is not None
            steps.clear()
            assert session.run(streams, progress=lambda done, total, _: steps.append((done, total)))["y"] == expected
            assert steps == [(i + 1, len(circuit.instructions)) for i in range(len(circuit.instructions))]
            # The weights of blocks are kept.
            assert session.run(streams)["y"] == expected


@pytest.mark.parametrize("threads", [1, 2])
def test_a_damaged_ciphertext_among_many_is_named(hybrid_client: Clients, threads: int) -> None:
    client = hybrid_client(1, 2)
    circuit = blocks_and_whole(client)
    streams = {name: client.encrypt(np.zeros((38, 32))) for name in "ab"}
    streams["b"][17] = streams["b"][17][:-1]
    with (
        NativeEngine(circuit, client.specification(circuit), threads=threads).session(client) as session,
        pytest.raises(FileFormatError, match="input 'b', ciphertext 17: not a SEAL stream"),
    ):
        session.run(streams)


def test_ciphertexts_are_gathered_from_within_arrays(hybrid_client: Clients) -> None:
    from hecc.runtime.native import _evaluator

    client = hybrid_client(1, 1)
    context = _evaluator.Context(2048, client.data_primes, client.special, 1, 2, "")
    residues = np.arange(3 * 2 * 2 * 2048, dtype=np.uint64).reshape(3, 2, 2, 2048)
    arrays = [context.ciphertexts(residues), context.ciphertexts(residues[1:] + np.uint64(5))]
    places = np.array([[1, 1], [0, 0], [0, 0], [1, 0]])
    found = context.gather(arrays, places).array()
    assert np.array_equal(
        found, np.stack([residues[2] + np.uint64(5), residues[0], residues[0], residues[1] + np.uint64(5)])
    )
    with pytest.raises(ValueError, match="ciphertext 2 of an array of 2"):
        context.gather(arrays, np.array([[1, 2]]))
    with pytest.raises(ValueError, match="there is no array"):
        context.gather(arrays, np.array([[2, 0]]))
    with pytest.raises(ValueError, match="there is no array"):
        context.gather(arrays, np.array([[-1, 0]]))
    with pytest.raises(ValueError, match="there are no ciphertexts"):
        context.gather(arrays, np.empty((0, 2), dtype=np.int64))
    with pytest.raises(ValueError, match="differ in polynomials or limbs"):
        context.gather([arrays[0], context.ciphertexts(residues[:, :, :1].copy())], np.array([[0, 0], [1, 0]]))
    other = _evaluator.Context(2048, client.data_primes, client.special, 1, 1, "")
    with pytest.raises(ValueError, match="made by another context"):
        other.gather(arrays, places)


def test_residues_are_read_from_anywhere_in_memory(hybrid_client: Clients) -> None:
    from hecc.runtime.native import _evaluator

    client = hybrid_client(1, 1)
    context = _evaluator.Context(2048, client.data_primes, client.special, 1, 2, "")
    residues = np.arange(2 * 2 * 2048, dtype=np.uint64).reshape(2, 2, 2048)
    shifted = np.frombuffer(b"x" + residues.tobytes(), dtype=np.uint8)[1:]
    assert np.array_equal(context.read_ciphertext(shifted, 2, 2, None).array()[0], residues)
    seeded = context.read_ciphertext(shifted[: residues[0].nbytes], 2, 2, bytes(64)).array()[0]
    expanded = np.empty((2, 2048), dtype=np.uint64)
    context.expand_seed(bytes(64), expanded)
    assert np.array_equal(seeded, np.stack([residues[0], expanded]))
    residues[1, 1, 7] = 2**63
    with pytest.raises(ValueError, match="residue 9223372036854775808 at flat index 6151 is not below the modulus"):
        context.read_ciphertext(residues.reshape(-1).view(np.uint8), 2, 2, None)
    with pytest.raises(ValueError, match="are not the residues of 2 polynomials"):
        context.read_ciphertext(shifted[:-8], 2, 2, None)
    with pytest.raises(ValueError, match="a seed has 64 bytes"):
        context.read_ciphertext(shifted, 2, 2, b"short")


def test_a_scalar_of_any_size_is_exact(hybrid_client: Clients) -> None:
    from hecc.runtime.native import _evaluator

    client = hybrid_client(2, 2)
    context = _evaluator.Context(2048, client.data_primes, client.special, 2, 1, "")
    ones = context.ciphertexts(np.ones((1, 2, 5, 2048), dtype=np.uint64))
    primes = np.array(client.data_primes, dtype=object)
    for value, scale in [(0.5, 1.0), (-2.5, 1.0), (1e-9, 1.0), (-1.1, 2.0**51), (1.7, 2.0**52), (-1.3, 2.0**180)]:
        scaled = Fraction(value * scale)
        integer = int(abs(scaled) + Fraction(1, 2)) * (1 if scaled > 0 else -1)
        product = context.multiply_scalar(ones, value, scale).array()
        total = context.add_scalar(ones, value, scale).array()
        assert (product == np.array(integer % primes, dtype=np.uint64)[:, np.newaxis]).all()
        assert (total[:, 0] == np.array((integer + 1) % primes, dtype=np.uint64)[:, np.newaxis]).all()
        assert (total[:, 1] == 1).all()


@pytest.mark.parametrize("name", BODIES)
def test_results_do_not_depend_on_the_number_of_threads(hybrid_client: Clients, name: str) -> None:
    client, circuit = hybrid_client(2, 2), circuit_of(name, 32)
    assert_all_equal(circuit, client, [(NativeEngine, {"threads": threads}) for threads in (1, 2, 3, 16)])


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3)], ids=str)
@pytest.mark.parametrize("name", BODIES)
def test_results_do_not_depend_on_the_kernels(hybrid_client: Clients, name: str, shape: tuple[int, int]) -> None:
    kernels = implementations()
    assert "portable" in kernels
    client, circuit = hybrid_client(*shape), circuit_of(name, 32)
    assert_all_equal(circuit, client, [(NativeEngine, {"kernels": name}) for name in kernels])


def assert_all_equal(circuit: Circuit, client: Any, variants: list[tuple[Any, dict[str, Any]]]) -> None:
    keys = client.specification(circuit)
    streams = {name: client.encrypt(VECTOR[32]) for name in "ab"}
    results = []
    for engine, options in variants:
        with engine(circuit, keys, **options).session(client) as session:
            results.append(session.run(streams)["y"])
    assert all(result == results[0] for result in results)


EXACT = sorted(set(BODIES) - {"linear", "linear at a low level", "several", "fold of nothing"})
"""All but transforms, whose digits are centred; and SEAL has no instruction for nothing."""


@pytest.mark.parametrize("name", EXACT)
def test_with_keys_of_seals_shape_the_results_are_seals_to_the_bit(
    hybrid_client: Clients, seal_twin: Any, name: str
) -> None:
    client = hybrid_client(1, 1)
    circuit = circuit_of(name, 32)
    keys = client.specification(circuit)
    streams = {name: client.encrypt(VECTOR[32] if name == "a" else VECTOR[32] / 2) for name in "ab"}
    with SealEngine(circuit, keys).session(seal_twin) as session:
        reference = session.run(streams)["y"]
    with NativeEngine(circuit, keys).session(client) as session:
        found = session.run(streams)["y"]
    limbs = verify(circuit, keys)[-1].limbs
    ours, theirs = (residues_of(streams, client, limbs) for streams in (found, reference))
    if any(isinstance(i, AddPlain | MultiplyPlain) for i in circuit.instructions):
        # SEAL's encoder rounds in another order: a coefficient of a plaintext may differ by one.
        a, b = (client.decrypt(s, 32, limbs=limbs, scale=verify(circuit, keys)[-1].scale) for s in (found, reference))
        assert abs(a - b).max() < 1e-9
    else:
        assert np.array_equal(ours, theirs)


def residues_of(streams: list[bytes], client: Any, limbs: int) -> np.ndarray:
    from hecc.runtime.ckks.devices.native.streams import read_ciphertext

    return np.array(
        [read_ciphertext(s, ring_degree=2048, limbs=limbs, polynomials=2, where="a result").residues for s in streams]
    )


def test_transforms_agree_with_seals_evaluator_within_the_noise(hybrid_client: Clients, seal_twin: Any) -> None:
    client = hybrid_client(1, 1)
    circuit = circuit_of("several", 32)
    keys = client.specification(circuit)
    streams = {name: client.encrypt(VECTOR[32]) for name in "ab"}
    scale, limbs = verify(circuit, keys)[-1].scale, verify(circuit, keys)[-1].limbs
    found = []
    for engine, source in ((NativeEngine, client), (SealEngine, seal_twin)):
        with engine(circuit, keys).session(source) as session:
            found.append(client.decrypt(session.run(streams)["y"], 32, limbs=limbs, scale=scale))
    assert abs(found[0] - found[1]).max() < 2.0**-20


@pytest.mark.parametrize("polynomials", [2, 3])
def test_matrix_products_are_seals_to_the_bit(hybrid_client: Clients, seal_twin: Any, polynomials: int) -> None:
    client, constants = hybrid_client(1, 1), random_matrix("m", 7, 5, 0.6)
    constants = {name: np.delete(a, 3) if name == "m.offsets" else a for name, a in constants.items()}  # no empty row
    product = MatrixProduct(x=2, count=6, matrix="m", scale=Fraction(1 << 30))
    two, three = (Conjugate(x=0), product, Conjugate(x=3)), (Square(x=0), product, Relinearize(x=3))
    body = two if polynomials == 2 else three
    circuit = program(*body, slots=32, count=5, outputs=6, **constants)
    streams = {name: client.encrypt(np.random.default_rng(2).uniform(-1, 1, (5, 32))) for name in "ab"}
    found = []
    for engine, source in ((NativeEngine, client), (SealEngine, seal_twin)):
        with engine(circuit, client.specification(circuit)).session(source) as session:
            found.append(residues_of(session.run(streams)["y"], client, 5))
    assert found[0].shape == (6, 2, 5, 2048)
    assert np.array_equal(*found)


def test_keys_are_asked_for_once_and_again_after_closing(hybrid_client: Clients) -> None:
    client = hybrid_client(2, 3)
    body = (LinearTransform(x=0, count=1, diagonals="d", scale=SCALE), Square(x=0), Relinearize(x=3))
    circuit = program(*body, slots=32, **random_diagonals("d", 1, 1, 32))
    streams = {name: client.encrypt(VECTOR[32]) for name in "ab"}
    client.asked.clear()
    with NativeEngine(circuit, client.specification(circuit)).session(client) as session:
        assert client.asked == []
        session.run(streams)
        asked = list(client.asked)
        session.run(streams)
        assert client.asked == asked
        session.close()
        session.run(streams)
        assert sorted(client.asked) == sorted(2 * asked)
    assert set(asked) == {galois_element(step, 2048) for step in circuit.rotations()} | {0}
    assert len(asked) == len(set(asked))


def test_rotations_of_one_value_are_hoisted(hybrid_client: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    client, circuit = hybrid_client(2, 2), circuit_of("rotations of one value", 32)
    hoisted, _ = run(circuit, client)
    assert len(hoisted) == 1
    seen: list[dict[int, list[tuple[int, int]]]] = []
    together = engine_module._hoisted
    monkeypatch.setattr(engine_module, "_hoisted", lambda c: seen.append(together(c)) or {})
    streams = {name: client.encrypt(VECTOR[32]) for name in "ab"}
    results = []
    for _ in range(2):
        with NativeEngine(circuit, client.specification(circuit)).session(client) as session:
            results.append(session.run(streams))
        monkeypatch.setattr(engine_module, "_hoisted", together)
    assert seen == [{2: [(2, 5), (5, 9), (6, 9)]}]
    assert results[0] == results[1], "hoisting changes nothing but the time"


def test_a_key_for_more_limbs_than_are_needed_serves(hybrid_client: Clients) -> None:
    client = hybrid_client(2, 2)
    circuit = program(Rotate(x=0, step=3), Square(x=2), Relinearize(x=3), slots=32, limbs=3)
    streams, expected = run(circuit, client)
    found = client.decrypt(streams, 32, limbs=3, scale=SCALE**2)
    assert abs(found - expected).max() < 1e-6


def test_progress_and_the_log_tell_every_instruction(hybrid_client: Clients, caplog: pytest.LogCaptureFixture) -> None:
    client = hybrid_client(1, 1)
    circuit = program(Add(x=0, y=1), slots=32)
    seen: list[tuple[int, int, str]] = []
    streams = {name: client.encrypt(VECTOR[32]) for name in "ab"}
    with (
        caplog.at_level(logging.DEBUG, "hecc.runtime.ckks.devices.native.evaluator"),
        NativeEngine(circuit, client.specification(circuit)).session(client) as session,
    ):
        session.run(streams, progress=lambda done, total, ins: seen.append((done, total, ins.op)))
    assert seen == [(1, 4, "input"), (2, 4, "input"), (3, 4, "add"), (4, 4, "output")]
    assert sum("%2 = add: " in record.getMessage() for record in caplog.records) == 1


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (lambda client, good: [], "input 'a': 0 ciphertexts found, 1 needed"),
        (lambda client, good: good * 2, "input 'a': 2 ciphertexts found, 1 needed"),
        (lambda client, good: client.encrypt(np.zeros((1, 32)), limbs=2), "input 'a', ciphertext 0: 2 limbs, not 5"),
        (
            lambda client, good: client.encrypt(np.zeros((1, 32)), scale=2.0**41),
            r"input 'a', ciphertext 0: scale 2.19902326e\+12, not 1.09951163e\+12",
        ),
        (lambda client, good: [good[0][:1000]], "input 'a', ciphertext 0: not a SEAL stream of 1000 bytes"),
        (lambda client, good: [good[0][:10]], "input 'a', ciphertext 0: truncated"),
    ],
    ids=["none", "two", "level", "scale", "truncated", "short"],
)
def test_ciphertexts_that_are_not_what_the_circuit_was_verified_for_are_refused(
    hybrid_client: Clients, alter: Any, says: str
) -> None:
    client = hybrid_client(1, 1)
    circuit = program(Add(x=0, y=1), slots=32)
    good = client.encrypt(np.zeros((1, 32)))
    with (
        NativeEngine(circuit, client.specification(circuit)).session(client) as session,
        pytest.raises(FileFormatError, match=says),
    ):
        session.run({"a": alter(client, good), "b": good})


class Source:
    """Whatever it is given as the key of every element."""

    def __init__(self, key: Any) -> None:
        self.key = key

    def relinearization(self) -> Any:
        return self.key

    def galois(self, element: int) -> Any:
        return self.key


def unreduced(key: np.ndarray) -> np.ndarray:
    altered = key.copy()
    altered[-32:] = 0xFF
    return altered


@pytest.mark.parametrize(
    "alter",
    [
        lambda key: key[:0],
        lambda key: key[:-1],
        lambda key: key[: len(key) // 2],
        lambda key: np.concatenate((key, key[:1])),
        lambda key: np.concatenate((key, key)),
        lambda key: key.reshape(2, -1),
        lambda key: key[::-1],
        lambda key: key.astype(np.int8),
        lambda key: key.view(np.uint32),
        lambda key: None,
        unreduced,
    ],
    ids=["none", "short", "half", "long", "twice", "rank", "stride", "sign", "dtype", "nothing", "residue"],
)
@pytest.mark.parametrize("step", [0, 1])
def test_a_key_of_another_shape_is_refused(hybrid_client: Clients, alter: Any, step: int) -> None:
    client = hybrid_client(2, 2)
    body = (Rotate(x=0, step=1),) if step else (Square(x=0), Relinearize(x=2))
    circuit = program(*body, slots=32)
    streams = {name: client.encrypt(VECTOR[32]) for name in "ab"}
    source = Source(alter(client.relinearization()))
    with (
        NativeEngine(circuit, client.specification(circuit)).session(source) as session,
        pytest.raises(FileFormatError, match="is not one for this plan"),
    ):
        session.run(streams)


def test_a_key_for_fewer_limbs_is_refused(hybrid_client: Clients) -> None:
    client = hybrid_client(2, 2)
    circuit = program(Rotate(x=0, step=1), slots=32)
    streams = {name: client.encrypt(VECTOR[32]) for name in "ab"}
    rows = client.rows(galois_element(1, 2048))
    source = Source(packed_key(np.delete(rows[:2], 4, axis=2), client.specification(circuit), 4))
    with (
        NativeEngine(circuit, client.specification(circuit)).session(source) as session,
        pytest.raises(CircuitError, match=r"refuse %2 = rotate .*: a switching key of 4 limbs does not serve 5"),
    ):
        session.run(streams)


@pytest.mark.parametrize("threads", [0, -1, 1025])
def test_an_impossible_number_of_threads_is_refused(hybrid_client: Clients, threads: int) -> None:
    client = hybrid_client(2, 2)
    circuit = program(Negate(x=0), slots=32)
    with pytest.raises(ParameterError, match="the native evaluator refuses"):
        NativeEngine(circuit, client.specification(circuit), threads=threads).session(client)


def test_kernels_that_do_not_exist_are_refused(hybrid_client: Clients) -> None:
    client = hybrid_client(2, 2)
    circuit = program(Negate(x=0), slots=32)
    with pytest.raises(ParameterError, match="nonsense"):
        NativeEngine(circuit, client.specification(circuit), kernels="nonsense").session(client)


def test_a_circuit_that_breaks_a_rule_is_not_prepared(hybrid_client: Clients) -> None:
    client = hybrid_client(2, 2)
    circuit = program(Rotate(x=0, step=1), slots=32)
    keys = msgspec.structs.replace(client.specification(circuit), galois=())
    with pytest.raises(CircuitError, match="the rotation key for step 1"):
        NativeEngine(circuit, keys).session(client)
