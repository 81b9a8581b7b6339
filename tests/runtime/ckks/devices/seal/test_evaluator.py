"""SEAL's evaluator against the simulator, instruction by instruction, at a ring that is insecure but fast."""

from __future__ import annotations

import dataclasses
import struct
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
import zstandard
from numpy.typing import NDArray
from tenseal import sealapi

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
from hecc.runtime.ckks.circuit.parameters import (
    Encapsulation,
    KeySpecification,
    SecurityEvidence,
    SparseEvidence,
    galois_element,
)
from hecc.runtime.ckks.circuit.security import ntt_primes
from hecc.runtime.ckks.devices.seal import engine as engine_module
from hecc.runtime.ckks.devices.seal import evaluator as evaluator_module
from hecc.runtime.ckks.devices.seal.engine import SealEngine
from hecc.runtime.ckks.devices.seal.streams import save_stream
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.types import verify
from hecc.runtime.errors import CircuitError, FileFormatError, InputError, ParameterError

SCALE = Fraction(1 << 40)
BOUND = 2.0**-18
"""Error allowed in a slot, for values of at most a few units at a scale of 2^40 and N = 2048.

A fresh ciphertext errs by about 3.2 sqrt(N) = 145 units, a key switch by some thousands, a linear transform here by at
most 60 of them: 2^18 units of 2^-40 leave a margin of 16 to a fault, which errs by units of 1.
"""

Constants = dict[str, NDArray[Any]]


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


def program(*body: Instruction, slots: int, count: int = 1, outputs: int = 1, **constants: np.ndarray) -> Circuit:
    """Inputs ``a`` (%0) and ``b`` (%1) of ``count`` ciphertexts, the body, and its last value as output ``y``."""
    masks = {"in": np.ones((count, slots), np.uint8), "out": np.ones((outputs, slots), np.uint8)}
    sources = [Input(name=n, count=count, occupied="in", period=slots, limbs=3, scale=SCALE) for n in "ab"]
    last = Output(x=len(body) + 1, name="y", occupied="out")
    return Circuit(slots, (*sources, *body, last), {**masks, **constants})


def check(circuit: Circuit, client: Any, *, memory: int = 1 << 26, bound: float = BOUND) -> None:
    """Encrypted and simulated results agree within the bound, and the scale that comes out is the exact one."""
    keys = client.specification(circuit)
    rng = np.random.default_rng(5)
    inputs = {ins.name: rng.uniform(-1, 1, (1, ins.count, circuit.slots)) for _, ins in circuit.inputs()}
    expected = Simulator(circuit).run(inputs)["y"][0]
    with SealEngine(circuit, keys, memory=memory).session(client) as session:
        streams = session.run({name: client.encrypt(array[0]) for name, array in inputs.items()})["y"]
    found = client.decrypt(streams, circuit.slots)
    assert found.shape == expected.shape
    assert abs(expected).max() < 100
    assert abs(found - expected).max() < bound
    scale = verify(circuit, keys)[-1].scale
    assert scale is not None
    assert {client.load(stream).scale for stream in streams} == {float(scale)}


VECTOR = {slots: np.random.default_rng(3).uniform(-1, 1, (1, slots)) for slots in (32, 1024)}

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
    "three polynomials dropped": (Square(x=0), DropLimbs(x=2), Relinearize(x=3)),
    "add plain": (AddPlain(x=0, vector="v"),),
    "multiply plain": (MultiplyPlain(x=0, vector="v", scale=SCALE),),
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
    "rotate far": (Rotate(x=0, step=31),),
    "fold": (Fold(x=0, period=4, span=32),),
    "linear": (LinearTransform(x=0, count=1, diagonals="d", scale=SCALE),),
    "rescale": (MultiplyPlain(x=0, vector="v", scale=SCALE), Rescale(x=2)),
    "rescale twice": (MultiplyPlain(x=0, vector="v", scale=Fraction(1 << 80)), Rescale(x=2, limbs=2)),
    "drop limbs": (DropLimbs(x=0, limbs=2),),
    "several": (
        LinearTransform(x=0, count=1, diagonals="d", scale=SCALE),
        Rescale(x=2),
        AddPlain(x=3, vector="v"),
        Square(x=4),
        Relinearize(x=5),
        Rescale(x=6),
    ),
}


def test_the_cases_reach_every_instruction() -> None:
    bootstrapping = {Raise, FourierFactor, Bootstrap}
    kinds = {type(i) for body in BODIES.values() for i in body} | {Input, PairedInput, Output}
    assert kinds | bootstrapping == set(INSTRUCTIONS)
    # Polynomials are expanded beforehand, and SEAL has no bootstrapping.
    assert set(evaluator_module._RULES.without) == {Polynomial} | bootstrapping


def test_a_circuit_that_bootstraps_is_refused_in_a_sentence() -> None:
    keys = KeySpecification(
        ring_degree=2048,
        data_primes=ntt_primes(40, 2048, 3),
        special_primes=ntt_primes(49, 2048, 1),
        relinearization_limbs=0,
        galois=(),
        security=SecurityEvidence(0, "classical", "INSECURE test parameters", 0),
        encapsulation=Encapsulation(weight=32, limbs=3, security=SparseEvidence(0, "INSECURE test parameters", 0)),
    )
    small = Input(name="x", count=1, occupied="all", period=32, limbs=1, scale=Fraction(1 << 20))
    body = (small, Raise(x=0, limbs=3, source="/relu"), Output(x=1, name="y", occupied="all"))
    problem = r"%1 of /relu bootstraps, and SEAL has no bootstrapping; use the device native"
    with pytest.raises(CircuitError, match=problem):
        SealEngine(Circuit(32, body, {"all": np.ones((1, 32), np.uint8)}), keys)


@pytest.mark.parametrize("slots", [32, 1024])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_every_instruction_agrees_with_the_simulator(
    insecure_client: Any, body: tuple[Instruction, ...], slots: int
) -> None:
    # A fold over 32 of 1024 slots needs an operand that repeats: it folds all of them instead.
    body = tuple(msgspec.structs.replace(i, span=slots) if isinstance(i, Fold) else i for i in body)
    constants = {**random_diagonals("d", 1, 1, slots), **matrix_of("m", [{0: -0.4}])}
    constants |= {"c": np.array([0.1, -0.5, 0.25, 0.75]), "c1": np.array([0.0, 0.5, 0.0, -0.5])}
    check(program(*body, slots=slots, v=VECTOR[slots], **constants), insecure_client)


@pytest.mark.parametrize("slots", [32, 1024])
@pytest.mark.parametrize("memory", [0, 1 << 26], ids=["no memory", "memory"])
def test_a_linear_transform_of_several_ciphertexts_to_several(insecure_client: Any, slots: int, memory: int) -> None:
    transform = LinearTransform(x=0, count=3, diagonals="d", scale=SCALE)
    circuit = program(transform, slots=slots, count=2, outputs=3, **random_diagonals("d", 3, 2, slots))
    check(circuit, insecure_client, memory=memory)


def test_baby_rotations_are_made_once_however_many_rows_and_giant_steps(
    insecure_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [(g, r, c, b) for g in (0, 4) for r in range(2) for c in range(2) for b in range(3)]
    dense = np.full((len(steps), 32), 0.25)
    transform = LinearTransform(x=0, count=2, diagonals="d", scale=SCALE)
    circuit = program(transform, slots=32, count=2, outputs=2, **diagonals_of("d", steps, dense))
    done: list[int] = []
    rotate = evaluator_module.SealSession._rotate

    def counted(self: Any, x: Any, step: int) -> Any:
        done.append(step)
        return rotate(self, x, step)

    monkeypatch.setattr(evaluator_module.SealSession, "_rotate", counted)
    check(circuit, insecure_client)
    # Two baby steps for each of two columns, and the giant step for each of two rows.
    assert sorted(done) == [1, 1, 2, 2, 4, 4]


def test_diagonals_that_encode_to_zero_are_skipped_and_empty_rows_are_zero(insecure_client: Any) -> None:
    # Row 0: one diagonal too small for the scale, one not. Row 1: only a small one. Row 2: none.
    dense = np.full((3, 32), 1e-20)
    dense[1] = 0.5
    constants = diagonals_of("d", [(0, 0, 0, 0), (0, 0, 0, 1), (4, 1, 0, 0)], dense)
    check(
        program(LinearTransform(x=0, count=3, diagonals="d", scale=SCALE), slots=32, outputs=3, **constants),
        insecure_client,
    )


def test_a_product_with_a_vector_that_encodes_to_zero_is_zero(insecure_client: Any) -> None:
    for vector in (np.zeros((1, 32)), np.full((1, 32), 1e-20)):
        check(program(MultiplyPlain(x=0, vector="v", scale=SCALE), slots=32, v=vector), insecure_client)


def test_a_matrix_product_with_weights_and_rows_that_are_zero(insecure_client: Any) -> None:
    rows = [{0: 0.5, 2: -1.25}, {}, {1: 1e-20}, {0: 1e-20, 1: 0.75}]
    product = MatrixProduct(x=0, count=4, matrix="m", scale=SCALE)
    check(program(product, slots=32, count=3, outputs=4, **matrix_of("m", rows)), insecure_client)
    product = MatrixProduct(x=0, count=4, matrix="m", bias="b", scale=SCALE)
    constants = {**matrix_of("m", rows), "b": np.array([0.0, 1.5, -0.25, 1e-20])}
    check(program(product, slots=32, count=3, outputs=4, **constants), insecure_client)


def test_a_product_with_a_number_that_encodes_to_zero_is_zero(insecure_client: Any) -> None:
    for value in (0.0, 1e-20):
        check(program(MultiplyScalar(x=0, value=value, scale=SCALE), slots=32), insecure_client)


def test_sessions_load_keys_once_until_they_are_closed_and_weights_are_encoded_once_for_all(
    insecure_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (LinearTransform(x=0, count=1, diagonals="d", scale=SCALE), Square(x=0), Relinearize(x=3))
    circuit = program(*body, slots=32, **random_diagonals("d", 1, 1, 32))
    keys = insecure_client.specification(circuit)
    encoded = []
    encode = evaluator_module.SealSession._encode
    monkeypatch.setattr(
        evaluator_module.SealSession,
        "_encode",
        lambda *args: encoded.append(1) or encode(*args),  # type: ignore[func-returns-value]
    )
    x = np.random.default_rng(5).uniform(-1, 1, (1, 32))
    engine = SealEngine(circuit, keys)
    with engine.session(insecure_client) as session:
        assert insecure_client.asked == []
        for value in (x, x / 2):
            inputs = {"a": insecure_client.encrypt(value), "b": insecure_client.encrypt(value)}
            found = insecure_client.decrypt(session.run(inputs)["y"], 32)
            assert abs(found - value**2).max() < BOUND
        asked, number = list(insecure_client.asked), len(encoded)
        session.close()
        session.run(inputs)
        assert sorted(map(str, insecure_client.asked)) == sorted(2 * list(map(str, asked)))
    engine.session(insecure_client).run(inputs)
    engine.close()
    with pytest.raises(InputError, match="this engine was closed"):
        engine.session(insecure_client)
    assert len(asked) == len(set(asked))
    assert set(asked) == {galois_element(step, 2048) for step in circuit.rotations()} | {"relinearization"}
    assert len(encoded) == number == len(circuit.constants["d.row"])


def test_progress_counts_the_instructions(insecure_client: Any) -> None:
    circuit = program(Add(x=0, y=1), slots=32)
    x = np.zeros((1, 32))
    seen: list[tuple[int, int, str]] = []
    with SealEngine(circuit, insecure_client.specification(circuit)).session(insecure_client) as session:
        session.run(
            {"a": insecure_client.encrypt(x), "b": insecure_client.encrypt(x)},
            progress=lambda done, total, instruction: seen.append((done, total, instruction.op)),
        )
    assert seen == [(1, 4, "input"), (2, 4, "input"), (3, 4, "add"), (4, 4, "output")]


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (lambda client, good: [], "input 'a': 0 ciphertexts found, 1 needed"),
        (lambda client, good: good * 2, "input 'a': 2 ciphertexts found, 1 needed"),
        (lambda client, good: client.encrypt(np.zeros((1, 32)), limbs=2), "input 'a', ciphertext 0: 2 limbs, not 3"),
        (
            lambda client, good: client.encrypt(np.zeros((1, 32)), scale=2.0**41),
            "input 'a', ciphertext 0: scale 2.19902326e.12, not 1.09951163e.12",
        ),
        (lambda client, good: [good[0][:1000]], "ciphertext 0: not a SEAL stream of 1000 bytes; encrypt again"),
        (
            lambda client, good: [good[0][:500] + bytes(100) + good[0][600:]],
            "cannot be decompressed|SEAL refuses",
        ),
    ],
    ids=["none", "two", "level", "scale", "truncated", "altered"],
)
def test_ciphertexts_that_are_not_what_the_circuit_was_verified_for_are_refused(
    insecure_client: Any, alter: Any, says: str
) -> None:
    circuit = program(Add(x=0, y=1), slots=32)
    good = insecure_client.encrypt(np.zeros((1, 32)))
    with (
        SealEngine(circuit, insecure_client.specification(circuit)).session(insecure_client) as session,
        pytest.raises(FileFormatError, match=says),
    ):
        session.run({"a": alter(insecure_client, good), "b": good})


def test_a_ciphertext_of_three_polynomials_is_refused(insecure_client: Any) -> None:
    good = insecure_client.encrypt(np.ones((1, 32)), scale=2.0**20)
    three = sealapi.Ciphertext()
    sealapi.Evaluator(insecure_client.context).square(insecure_client.load(good[0]), three)
    circuit = program(Add(x=0, y=1), slots=32)
    with (
        SealEngine(circuit, insecure_client.specification(circuit)).session(insecure_client) as session,
        pytest.raises(FileFormatError, match="input 'a', ciphertext 0: 3 polynomials, not 2"),
    ):
        session.run({"a": [save_stream(three)], "b": good})


def test_a_stream_with_an_empty_key_in_front_of_the_relinearisation_key_is_refused(insecure_client: Any) -> None:
    """SEAL itself accepts it, reads the empty one when it relinearises, and takes the process down."""
    header = struct.Struct("<HBBBBHQ")
    good = insecure_client.relinearization()
    body = zstandard.ZstdDecompressor().decompressobj().decompress(good[header.size :])
    # The parms_id, then how many keys there are, then for each of them how many digits it has, and these.
    forged = body[:32] + struct.pack("<QQ", 2, 0) + body[40:]
    magic, size, major, minor, *_ = header.unpack_from(good)

    class Forged:
        def relinearization(self) -> bytes:
            return header.pack(magic, size, major, minor, 0, 0, header.size + len(forged)) + forged

        def galois(self, element: int) -> bytes:
            return b""

    circuit = program(Square(x=0), Relinearize(x=2), slots=32)
    x = insecure_client.encrypt(np.zeros((1, 32)))
    with (
        SealEngine(circuit, insecure_client.specification(circuit)).session(Forged()) as session,
        pytest.raises(
            FileFormatError, match="the relinearisation key: 0 digits at one of 2 places, not 3 at one of at most 1"
        ),
    ):
        session.run({"a": x, "b": x})


def test_a_stream_with_the_key_of_another_element_is_refused(insecure_client: Any) -> None:
    class Swapped:
        def relinearization(self) -> bytes:
            return b""

        def galois(self, element: int) -> bytes:
            stream: bytes = insecure_client.galois(9 if element == 3 else 3)
            return stream

    circuit = program(Rotate(x=0, step=1), slots=32)
    x = insecure_client.encrypt(np.zeros((1, 32)))
    with (
        SealEngine(circuit, insecure_client.specification(circuit)).session(Swapped()) as session,
        pytest.raises(FileFormatError, match=r"the key of Galois element 3: .*; make new keys"),
    ):
        session.run({"a": x, "b": x})


def test_what_seal_refuses_names_the_instruction(insecure_client: Any) -> None:
    circuit = program(Subtract(x=0, y=0, source="/head/Sub"), slots=32)
    x = insecure_client.encrypt(np.ones((1, 32)))
    with (
        SealEngine(circuit, insecure_client.specification(circuit)).session(insecure_client) as session,
        pytest.raises(CircuitError, match=r"SEAL refuses %2 = subtract \(/head/Sub\): .*transparent"),
    ):
        session.run({"a": x, "b": x})


def test_a_circuit_that_breaks_a_rule_is_not_prepared(insecure_client: Any) -> None:
    circuit = program(Rotate(x=0, step=1), slots=32)
    keys = msgspec.structs.replace(insecure_client.specification(circuit), galois=())
    with pytest.raises(CircuitError, match="the rotation key for step 1"):
        SealEngine(circuit, keys).session(insecure_client)


def test_a_claim_of_128_bits_turns_on_seals_own_check(insecure_client: Any) -> None:
    circuit = program(Negate(x=0), slots=32)
    keys = insecure_client.specification(circuit)
    keys = msgspec.structs.replace(keys, security=msgspec.structs.replace(keys.security, level=128))
    with pytest.raises(ParameterError, match="not compliant with HomomorphicEncryption"):
        SealEngine(circuit, keys).session(insecure_client)


def test_a_scale_that_is_not_the_verified_one_stops_the_run(
    insecure_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    circuit = program(Square(x=0), Relinearize(x=2), slots=32)
    wrong = [dataclasses.replace(kind, scale=SCALE**2 + SCALE) for kind in verify(circuit, None)]
    keys = insecure_client.specification(circuit)
    right = verify(circuit, keys)
    monkeypatch.setattr(engine_module, "verify_expanded", lambda *_: (circuit, [*right[:2], wrong[2], *right[3:]]))
    x = insecure_client.encrypt(np.ones((1, 32)))
    monkeypatch.setattr(evaluator_module, "SCALE_TOLERANCE", 1e-13)
    with (
        SealEngine(circuit, keys).session(insecure_client) as session,
        pytest.raises(CircuitError, match=r"%2: SEAL has scale 1\.2089258196.*e\+24, the circuit"),
    ):
        session.run({"a": x, "b": x})
