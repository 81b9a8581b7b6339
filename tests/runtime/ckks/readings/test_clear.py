"""The simulator against a reference in plain loops, and the verifier's claims against what the simulator computes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from hecc.runtime.ckks.readings import clear as simulator_module
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.types import Content, verify
from hecc.runtime.errors import CircuitError, InputError

Values = dict[str, np.ndarray]


def random_diagonals(rng: np.random.Generator, rows: int, columns: int, slots: int, number: int) -> Diagonals:
    """Sparse or full diagonals, sometimes such that they repeat."""
    chosen = np.unique(rng.integers(0, (slots, rows, columns, slots), (number, 4)), axis=0)
    period = min(slots, int(rng.choice([1, 2, slots])))
    dense = rng.standard_normal((len(chosen), period)) * (rng.random((len(chosen), period)) < rng.choice([0.3, 1.0]))
    dense[:, 0] += 1.0
    dense = np.tile(dense, (1, slots // period))
    number_of, places = np.nonzero(dense)
    return Diagonals(
        row=chosen[:, 1].astype("<i4"),
        column=chosen[:, 2].astype("<i4"),
        baby=chosen[:, 3].astype("<i4"),
        giant=chosen[:, 0].astype("<i4"),
        offsets=np.searchsorted(number_of, np.arange(len(chosen) + 1)).astype("<i8"),
        slots=places.astype("<u2"),
        values=dense[number_of, places].astype("<f4"),
    )


def constants_of(name: str, diagonals: Diagonals) -> Values:
    return {f"{name}.{field}": getattr(diagonals, field) for field in Diagonals.FIELDS}


def reference(circuit: Circuit, inputs: Values) -> list[np.ndarray]:
    """Every value of one example, by the definitions in the instruction set, slot by slot."""
    slots = circuit.slots
    values: list[np.ndarray] = []
    for instruction in circuit.instructions:
        x, y = ([values[v] for v in instruction.operands] + [np.zeros(0)] * 2)[:2]
        match instruction:
            case Input():
                value = inputs[instruction.name]
            case Add():
                value = x + y
            case Subtract():
                value = x - y
            case Negate():
                value = -x
            case Multiply():
                value = x * y
            case Square():
                value = x**2
            case AddPlain():
                value = x + circuit.constants[instruction.vector]
            case MultiplyPlain():
                value = x * circuit.constants[instruction.vector]
            case Rotate():
                value = np.array([[row[(s + instruction.step) % slots] for s in range(slots)] for row in x])
            case Fold():
                copies = range(0, instruction.span, instruction.period)
                value = np.array([[sum(row[(s + c) % slots] for c in copies) for s in range(slots)] for row in x])
            case AddScalar():
                value = x + instruction.value
            case MultiplyScalar():
                value = x * instruction.value
            case Polynomial():
                c = circuit.constants[instruction.coefficients]
                value = c[0] + c[1] * x + c[2] * (x**2 if instruction.basis == "power" else 2 * x**2 - 1)
            case Bootstrap():
                value = np.sin(2 * np.pi * 0.225 * x)
            case MatrixProduct():
                matrix = circuit.matrix(instruction)
                dense = np.zeros((instruction.count, len(x)))
                dense[matrix.rows, matrix.columns] = matrix.values
                value = dense @ x
                if instruction.bias is not None:
                    value = value + circuit.constants[instruction.bias][:, np.newaxis]
            case LinearTransform():
                value = np.zeros((instruction.count, slots))
                diagonals = circuit.diagonals(instruction)
                for k in range(len(diagonals)):
                    step = int(diagonals.baby[k] + diagonals.giant[k])
                    for s, v in enumerate(diagonals.dense(k, slots)):
                        value[diagonals.row[k], s] += v * x[diagonals.column[k], (s + step) % slots]
            case _:
                value = x
        values.append(value)
    return values


class Watcher:
    """A noise model that adds nothing and keeps every value."""

    def __init__(self) -> None:
        self.values: dict[int, list[np.ndarray]] = {}

    def noise(self, index: int, instruction: Instruction, value: np.ndarray, operands: Sequence[np.ndarray]) -> None:
        self.values.setdefault(index, []).append(value.copy())

    def __getitem__(self, index: int) -> np.ndarray:
        return np.concatenate(self.values[index])


@st.composite
def circuits(draw: st.DrawFn) -> tuple[Circuit, Values]:
    """A random circuit that the verifier accepts before scale planning, and inputs for five examples."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    slots = draw(st.sampled_from([1, 2, 8, 16]))
    powers = [p for p in (1, 2, 4, 8, 16) if p <= slots]
    constants: Values = {"one": np.ones((1, slots), np.uint8), "two": np.ones((2, slots), np.uint8)}
    program: list[Instruction] = []
    inputs: Values = {}
    for name in ("a", "b"):
        count, period = int(rng.integers(1, 3)), int(rng.choice(powers))
        occupied = np.tile((rng.random((count, period)) < 0.7).astype(np.uint8), (1, slots // period))
        constants[f"m{name}"] = occupied
        kind = PairedInput if rng.random() < 0.3 else Input
        program.append(kind(name=name, count=count, occupied=f"m{name}", period=period))
        inputs[name] = np.tile(rng.standard_normal((5, count, period)), (1, 1, slots // period)) * occupied
    for _ in range(draw(st.integers(1, 12))):
        n = len(program)
        x, y = (int(v) for v in rng.integers(0, n, 2))
        count = int(rng.integers(1, 3))
        vector = np.tile(rng.integers(-2, 3, (count, int(rng.choice(powers)))).astype(float), (1, slots))[:, :slots]
        more = {f"v{n}": vector, **constants_of(f"d{n}", random_diagonals(rng, count, count, slots, 6))}
        entries = rng.random((count, 2)) < 0.6
        entries[-1, 0] = True
        more |= {
            f"w{n}.offsets": np.cumsum([0, *entries.sum(axis=1)]).astype("<i8"),
            f"w{n}.columns": np.nonzero(entries)[1].astype("<i4"),
            f"w{n}.values": rng.integers(-2, 3, entries.sum()).astype("<f4"),
        }
        more[f"b{n}"] = rng.integers(-2, 3, count).astype(float)
        shape = (3, count, slots) if rng.random() < 0.5 else (3,)
        more[f"c{n}"] = rng.integers(-1, 2, shape).astype(float)
        linear = LinearTransform(x=x, count=count, diagonals=f"d{n}", partial=int(rng.choice([0, *powers])))
        candidates: list[Instruction] = [
            Add(x=x, y=y),
            Subtract(x=x, y=y),
            Negate(x=x),
            Multiply(x=x, y=y),
            Square(x=x),
            Relinearize(x=x),
            AddPlain(x=x, vector=f"v{n}"),
            MultiplyPlain(x=x, vector=f"v{n}"),
            Rotate(x=x, step=int(rng.integers(0, slots))),
            Fold(x=x, period=int(rng.choice(powers)), span=int(rng.choice(powers))),
            linear,
            Polynomial(x=x, coefficients=f"c{n}", basis=draw(st.sampled_from(["power", "chebyshev"]))),
            MatrixProduct(x=x, count=count, matrix=f"w{n}"),
            MatrixProduct(x=x, count=count, matrix=f"w{n}", bias=f"b{n}"),
            AddScalar(x=x, value=float(rng.integers(-2, 3))),
            MultiplyScalar(x=x, value=float(rng.integers(-2, 3))),
            Conjugate(x=x),
            Rescale(x=x),
            DropLimbs(x=x),
            Raise(x=x, limbs=2),
            Bootstrap(
                x=x,
                largest=13,
                double_angles=2,
                degree=31,
                phase=Fraction(9, 40),
                weight=32,
                to_coefficients=(3, 2),
                to_slots=(5,),
            ),
            Output(x=x, name=f"o{n}", occupied=("one", "two")[count - 1]),
        ]
        candidate = draw(st.sampled_from(candidates))
        always = Output(x=0, name="o", occupied=("one", "two")[program[0].count - 1])  # type: ignore[attr-defined]
        try:
            verify(Circuit(slots, (*program, candidate, always), {**constants, **more}), None)
        except CircuitError:
            continue
        program.append(candidate)
        constants |= more
    program.append(Output(x=0, name="o", occupied=("one", "two")[program[0].count - 1]))  # type: ignore[attr-defined]
    return Circuit(slots, tuple(program), constants), inputs


@settings(max_examples=300, deadline=None)
@given(circuits())
def test_every_value_is_that_of_the_definitions(case: tuple[Circuit, Values]) -> None:
    circuit, inputs = case
    watcher = Watcher()
    outputs = Simulator(circuit).run(inputs, noise=watcher)
    for example in range(5):
        values = reference(circuit, {name: array[example] for name, array in inputs.items()})
        for index, value in enumerate(values):
            np.testing.assert_allclose(watcher[index][example], value, rtol=1e-9, atol=1e-9 * (1 + abs(value).max()))
        for index, instruction in circuit.outputs():
            np.testing.assert_allclose(outputs[instruction.name][example], watcher[index][example], rtol=0, atol=0)


@settings(max_examples=300, deadline=None)
@given(circuits())
def test_what_the_verifier_calls_zero_or_repeating_is(case: tuple[Circuit, Values]) -> None:
    circuit, inputs = case
    watcher = Watcher()
    Simulator(circuit).run(inputs, noise=watcher)
    for index, kind in enumerate(verify(circuit, None)):
        value = watcher[index]
        assert value.shape[1:] == kind.content.shape
        assert not value[:, kind.content == Content.ZERO].any()
        tolerance = 1e-9 * (1 + abs(value).max())
        np.testing.assert_allclose(value, np.roll(value, kind.period, axis=2), rtol=0, atol=tolerance)


def test_the_random_circuits_reach_every_instruction() -> None:
    seen: set[type[Instruction]] = set()

    @settings(max_examples=300, database=None, deadline=None, derandomize=True)
    @given(circuits())
    def collect(case: tuple[Circuit, Values]) -> None:
        seen.update(type(instruction) for instruction in case[0].instructions)

    collect()
    # A factor of a Fourier transform stands only in what a bootstrap expands to, which is simulated as a whole.
    assert seen == set(INSTRUCTIONS) - {FourierFactor}


def linear(rng: np.random.Generator, rows: int, columns: int, slots: int, number: int) -> Circuit:
    diagonals = random_diagonals(rng, rows, columns, slots, number)
    constants = {"in": np.ones((columns, slots), np.uint8), "out": np.ones((rows, slots), np.uint8)}
    program = (
        Input(name="x", count=columns, occupied="in", period=slots),
        LinearTransform(x=0, count=rows, diagonals="d"),
        Output(x=1, name="y", occupied="out"),
    )
    return Circuit(slots, program, {**constants, **constants_of("d", diagonals)})


@pytest.mark.parametrize("fill", [0.0, 2.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_and_dense_products_agree(monkeypatch: pytest.MonkeyPatch, fill: float, dtype: type) -> None:
    monkeypatch.setattr(simulator_module, "DENSE_FILL", fill)
    rng = np.random.default_rng(1)
    circuit = linear(rng, rows=3, columns=2, slots=64, number=40)
    x = rng.standard_normal((7, 2, 64))
    found = Simulator(circuit, dtype=dtype).run({"x": x})["y"]
    assert found.dtype == dtype
    expected = np.array([reference(circuit, {"x": one})[1] for one in x])
    np.testing.assert_allclose(found, expected, atol=1e-12 if dtype is np.float64 else 1e-5)


@pytest.mark.parametrize("examples", [0, 1, 10, 11])
def test_batches_come_back_whole_from_chunks_that_fit_the_memory(examples: int) -> None:
    rng = np.random.default_rng(2)
    circuit = linear(rng, rows=1, columns=2, slots=16, number=5)
    x = rng.standard_normal((examples, 2, 16))
    watcher = Watcher()
    # Three ciphertexts alive and two of scratch, 16 slots of 8 bytes: room for three examples.
    found = Simulator(circuit, memory=3 * 5 * 16 * 8).run({"x": x}, noise=watcher)["y"]
    np.testing.assert_allclose(found, Simulator(circuit).run({"x": x})["y"], atol=1e-12)
    assert [len(chunk) for chunk in watcher.values[0]] == (
        [3] * (examples // 3) + [examples % 3] * (examples % 3 > 0) or [0]
    )


def test_noise_is_added_to_the_result_that_it_was_asked_for() -> None:
    class Noise:
        def noise(
            self, index: int, instruction: Instruction, value: np.ndarray, operands: Sequence[np.ndarray]
        ) -> np.ndarray | None:
            return np.full_like(value, 0.5) if isinstance(instruction, Rescale) else None

    mask = np.ones((1, 4), np.uint8)
    program = (
        Input(name="x", count=1, occupied="m", period=4),
        Rescale(x=0),
        Add(x=1, y=1),
        Output(x=2, name="y", occupied="m"),
    )
    x = np.arange(4.0).reshape(1, 1, 4)
    found = Simulator(Circuit(4, program, {"m": mask})).run({"x": x}, noise=Noise())
    np.testing.assert_array_equal(found["y"], 2 * (x + 0.5))
    np.testing.assert_array_equal(x, np.arange(4.0).reshape(1, 1, 4))


@pytest.mark.parametrize("span", [4, 8])
def test_a_fold_sums_the_noise_of_the_slots_that_it_reads(span: int) -> None:
    class Noise:
        def noise(
            self, index: int, instruction: Instruction, value: np.ndarray, operands: Sequence[np.ndarray]
        ) -> np.ndarray | None:
            return np.arange(8.0).reshape(1, 1, 8) if isinstance(instruction, Input) else None

    mask = np.ones((1, 8), np.uint8)
    program = (
        Input(name="x", count=1, occupied="m", period=4),
        Fold(x=0, period=2, span=span),
        Output(x=1, name="y", occupied="m"),
    )
    found = Simulator(Circuit(8, program, {"m": mask})).run({"x": np.zeros((1, 1, 8))}, noise=Noise())["y"]
    expected = [[sum((s + k) % 8 for k in range(0, span, 2)) for s in range(8)]]
    np.testing.assert_array_equal(found, [expected])


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({}, "input 'x' is missing"),
        ({"x": np.zeros((2, 16))}, r"input 'x' has shape \(2, 16\), not \(examples, 2, 16\)"),
        ({"x": np.zeros((5, 1, 16))}, r"input 'x' has shape \(5, 1, 16\), not \(examples, 2, 16\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: Values, says: str) -> None:
    circuit = linear(np.random.default_rng(3), rows=1, columns=2, slots=16, number=5)
    with pytest.raises(InputError, match=says):
        Simulator(circuit).run(inputs)


def test_inputs_of_different_lengths_are_refused() -> None:
    mask = np.ones((1, 4), np.uint8)
    program = (
        Input(name="a", count=1, occupied="m", period=4),
        Input(name="b", count=1, occupied="m", period=4),
        Add(x=0, y=1),
        Output(x=2, name="y", occupied="m"),
    )
    with pytest.raises(InputError, match=r"different numbers of examples: \[2, 3\]"):
        Simulator(Circuit(4, program, {"m": mask})).run({"a": np.zeros((2, 1, 4)), "b": np.zeros((3, 1, 4))})


def test_importing_the_simulator_needs_no_scipy() -> None:
    code = "import sys, hecc.runtime.ckks.readings.clear; sys.exit('scipy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
