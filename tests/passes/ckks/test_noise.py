"""All readings of noise agree, for every kind of instruction: by formula, drawn, bounded, and measured on ciphertexts.

Each case is a small lowered circuit, to which a chain of primes gives scales as in a compilation. The parameters are
such that what an instruction adds is not lost beside the error that was there; only the rounding of what is encoded
always is, by a factor of the ring's degree, and its share is looked at on its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hecc.compiler.ckks.chain.scaling import Chain, Magnitude, Scaling
from hecc.compiler.ckks.lowering.assembly import key_specification
from hecc.compiler.ckks.lowering.lowering import Lowered
from hecc.compiler.ckks.options import Options
from hecc.compiler.ckks.prediction.noise import NoisePrediction
from hecc.passes.ckks.scales import apply_scales
from hecc.runtime.ckks.circuit.instructions import (
    INSTRUCTIONS,
    Add,
    AddPlain,
    AddScalar,
    Bootstrap,
    Circuit,
    Conjugate,
    Diagonals,
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
    Rotate,
    SparseMatrix,
    Square,
    Subtract,
)
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.circuit.security import InsecureLevel, ntt_primes
from hecc.runtime.ckks.client.client import paired
from hecc.runtime.ckks.client.keygen import generate_keys, secret_residues
from hecc.runtime.ckks.client.seal_bridge import LevelCipher
from hecc.runtime.ckks.devices.native.engine import NativeEngine
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, SecretKeyFile
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.noise_bound import worst_errors
from hecc.runtime.ckks.readings.noise_drawn import GaussianNoise, RingNoise, rounding_errors
from hecc.runtime.ckks.readings.types import verify, verify_expanded

DEGREE = 4096
SLOTS = DEGREE // 2
BITS = 40
DATA = ntt_primes(BITS, DEGREE, 4)
SPECIAL = {bits: ntt_primes(bits, DEGREE, 2, DATA) for bits in (20, 36, 40)}
KEYS = 2
EXAMPLES = 4
"""Of the drawn noise."""

TOLERANCE = 0.07
"""Of standard deviations. That of a mean over thousands of slots and a few keys is itself known to two percent."""


@dataclass(frozen=True)
class Case:
    """Instructions behind the inputs ``a`` (value 0) and ``b`` (value 1).

    Attributes
    ----------
    body
        The last value is the result.
    count
        Ciphertexts of an input.
    depths
        Multiplicative depth of each value of the body; by default none is a product.
    special
        Bits of each of the two special primes. Fewer make the keys' errors larger.
    source
        The kind of the inputs.
    """

    body: tuple[Instruction, ...]
    count: int = 2
    depths: tuple[int, ...] = ()
    special: int = 40
    source: type[Input] = Input
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)


def diagonals(slots: int) -> dict[str, NDArray[Any]]:
    """Three diagonals of two ciphertexts, with a baby step and a giant step."""
    values = np.random.default_rng(3).uniform(-1, 1, 6 * slots)
    steps = [(giant, row, baby) for giant, row in ((0, 0), (0, 1), (2, 0)) for baby in (0, 1)]
    fields = Diagonals(
        row=np.array([row for _, row, _ in steps], "<i4"),
        column=np.array([k % 2 for k in range(6)], "<i4"),
        baby=np.array([baby for *_, baby in steps], "<i4"),
        giant=np.array([giant for giant, *_ in steps], "<i4"),
        offsets=np.arange(7, dtype="<i8") * slots,
        slots=np.tile(np.arange(slots), 6).astype("<u2"),
        values=values.astype("<f4"),
    )
    return {f"d.{name}": getattr(fields, name) for name in Diagonals.FIELDS}


def matrix(count: int) -> dict[str, NDArray[Any]]:
    fields = SparseMatrix(
        offsets=np.arange(count + 1, dtype="<i8") * count,
        columns=np.tile(np.arange(count), count).astype("<i4"),
        values=np.random.default_rng(4).choice([-0.5, 0.5], count * count).astype("<f4"),
    )
    return {f"m.{name}": getattr(fields, name) for name in SparseMatrix.FIELDS}


VECTOR = {"v": np.random.default_rng(5).uniform(0.5, 1, (2, SLOTS))}

CASES = {
    "input": Case(()),
    "paired input": Case((), source=PairedInput, special=36),
    "add": Case((Add(x=0, y=1),)),
    "subtract": Case((Subtract(x=0, y=1),)),
    "negate": Case((Negate(x=0),)),
    "multiply": Case((Multiply(x=0, y=1), Relinearize(x=2)), depths=(1, 1)),
    "square": Case((Square(x=0), Relinearize(x=2)), depths=(1, 1)),
    "relinearize": Case((Square(x=0), Relinearize(x=2)), depths=(1, 1), special=20),
    "drop limbs": Case((Square(x=0), Relinearize(x=2), Multiply(x=3, y=1), Relinearize(x=4)), depths=(1, 1, 2, 2)),
    "polynomial of numbers": Case(
        (Polynomial(x=0, coefficients="c", basis="chebyshev"),),
        depths=(2,),
        constants={"c": np.array([0.2, 0.5, 0.0, -0.4])},
    ),
    "polynomial of slot values": Case(
        (Polynomial(x=0, coefficients="c", basis="power"),),
        depths=(2,),
        constants={"c": np.full((4, 2, SLOTS), np.reshape([0.1, -0.5, 0.3, 0.4], (4, 1, 1)))},
    ),
    "add plain": Case((AddPlain(x=0, vector="v"),), constants=VECTOR),
    "multiply plain": Case((MultiplyPlain(x=0, vector="v"),), depths=(1,), constants=VECTOR),
    "add scalar": Case((AddScalar(x=0, value=0.3),)),
    "multiply scalar": Case((MultiplyScalar(x=0, value=-2.5),), depths=(1,)),
    "negate a product": Case((Square(x=0), Relinearize(x=2), Negate(x=3)), depths=(1, 1, 1)),
    "conjugate a product": Case((Square(x=0), Relinearize(x=2), Conjugate(x=3)), depths=(1, 1, 1), special=20),
    "rotate": Case((Rotate(x=0, step=5),), special=36),
    "conjugate": Case((Conjugate(x=0),), special=36),
    "fold": Case((Fold(x=0, period=DEGREE // 8, span=SLOTS),), special=36),
    "linear transform": Case(
        (LinearTransform(x=0, count=2, diagonals="d"),),
        depths=(1,),
        special=36,
        constants=diagonals(SLOTS),
    ),
    "matrix product": Case((MatrixProduct(x=0, count=4, matrix="m"),), count=4, depths=(1,), constants=matrix(4)),
}


@dataclass(frozen=True)
class Prepared:
    """A case with scales.

    Attributes
    ----------
    formula
        The deviation that the formula says.
    """

    circuit: Circuit
    keys: KeySpecification
    formula: float

    @classmethod
    def of(cls, case: Case, build: Any) -> Prepared:
        """Give a case scales by a chain."""
        masks = {"in": np.ones((case.count, SLOTS), np.uint8)}
        sources = [case.source(name=n, count=case.count, occupied="in", period=SLOTS) for n in "ab"]
        body = (*sources, *case.body)
        output = 0 if not case.body else len(body) - 1
        instructions = (*body, Output(x=output, name="y", occupied="in"))
        depths = case.depths or (0,) * len(case.body)
        last = depths[-1] if depths else 0
        # The value of the network that a value of the circuit belongs to: the result, or one of less depth.
        inner = ["y" if depth == last else f"at {depth}" for depth in depths]
        lowered = Lowered(
            Circuit(SLOTS, instructions, {**masks, **case.constants}),
            ("a", "b", *(inner or ["a"]), *inner[-1:]),
            {"a": 0, "b": 1, "y": output},
        )
        depth = {"a": 0, "b": 0, **dict(zip(inner, depths, strict=True)), "y": last}
        for name in depth:
            build.input(name, SLOTS)
        graph = build.graph("y")
        chain = Chain(DEGREE, BITS, BITS, DATA, SPECIAL[case.special], (0, *[1] * last), digit_limbs=2)
        scales = Scaling(lowered, graph, depth, dict.fromkeys(depth, 1.0)).scales(chain)
        quantiles = tuple(np.linspace(-1, 1, 101))
        magnitudes = dict.fromkeys(depth, Magnitude(1.0, 1 / math.sqrt(3), 1.0, quantiles)) | {
            name: Magnitude(1.0, 1 / math.sqrt(5), 1.0) for name in depth if name.startswith("at ")
        }
        prediction = NoisePrediction(lowered, graph, magnitudes, DEGREE)
        expansions = {
            i: profile.scaled(
                scales.ready_limbs(profile.instruction.x),
                scales.ready_scale(profile.instruction.x),
                scales.dropped(i, profile.instruction.x),
                scales.scale[i],
                DATA,
            )
            for i, profile in prediction.profiles.items()
        }
        formula = prediction.deviations(scales, expansions)["y"]
        circuit, _ = apply_scales(lowered, scales)
        options = Options(security=128)
        return cls(circuit, key_specification(circuit, chain, options), formula)


def values(case: Case) -> dict[str, NDArray[np.float64]]:
    """Slot values of the inputs; they repeat where a fold sums copies."""
    generator = np.random.default_rng(6)
    return {name: generator.uniform(-1, 1, (1, case.count, SLOTS)) for name in "ab"}


def measured(prepared: Prepared, case: Case, folder: Path) -> NDArray[np.float64]:
    """Errors of results, of several keys, shape (keys, count, slots)."""
    circuit, keys = prepared.circuit, prepared.keys
    types, inputs = verify(circuit, keys), values(case)
    exact, ring = Simulator(circuit).run(inputs)["y"][0], RingNoise(DEGREE, SLOTS)
    generator, errors = np.random.default_rng(7), []
    for number in range(KEYS):
        made = generate_keys(
            keys, folder / str(number), shape="native", min_security=InsecureLevel.INSECURE_FOR_TESTS_ONLY
        )
        secret = secret_residues(SecretKeyFile.load(made.secret), None)
        streams = {}
        for _, ins in circuit.inputs():
            assert ins.limbs is not None
            assert ins.encoding_scale is not None
            scale = float(ins.encoding_scale)
            cipher = LevelCipher(keys, ins.limbs, enforce_128=False, secret=secret)
            sent = inputs[ins.name][0]
            # Encryption with the public key rounds once more than that with the secret key, and the model has one
            # number for both.
            sent = sent + generator.normal(0, math.sqrt(ring.rounding) / scale, sent.shape)
            streams[ins.name] = [cipher.encrypt(v, scale) for v in (sent if ins.VECTORS == 1 else paired(sent))]
        with NativeEngine(circuit, keys).session(EvaluationKeyFile(made.evaluation)) as session:
            results = session.run(streams)["y"]
        kind = types[-1]
        assert kind.scale is not None
        cipher = LevelCipher(keys, kind.limbs, enforce_128=False, secret=secret)
        rows = [cipher.decrypt(result, float(kind.scale)).real for result in results]
        errors.append(np.array(rows) - exact)
    return np.array(errors)


def drawn(prepared: Prepared, case: Case) -> NDArray[np.float64]:
    """Errors of results of the simulator, shape (examples, count, slots)."""
    circuit, keys = prepared.circuit, prepared.keys
    inputs = {name: np.repeat(value, EXAMPLES, axis=0) for name, value in values(case).items()}
    expanded, types = verify_expanded(circuit, keys)
    model = GaussianNoise(expanded, types, keys, np.random.default_rng(8))
    return np.asarray(Simulator(expanded).run(inputs, model)["y"] - Simulator(expanded).run(inputs)["y"])


def deviation(errors: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def test_the_cases_reach_every_instruction(build: Any) -> None:
    # Rescales and dropped limbs come with scales; of bootstraps, and what they expand to, the formula knows nothing.
    reached = {type(ins) for case in CASES.values() for ins in Prepared.of(case, type(build)()).circuit.instructions}
    assert reached == set(INSTRUCTIONS) - {Raise, FourierFactor, Bootstrap}


@pytest.mark.parametrize("name", CASES)
def test_all_readings_of_noise_say_what_is_measured(name: str, build: Any, tmp_path: Path) -> None:
    case = CASES[name]
    prepared = Prepared.of(case, build)
    found = measured(prepared, case, tmp_path)
    assert prepared.formula == pytest.approx(deviation(found), rel=TOLERANCE)
    assert deviation(drawn(prepared, case)) == pytest.approx(deviation(found), rel=TOLERANCE)
    expanded, types = verify_expanded(prepared.circuit, prepared.keys)
    bound = worst_errors(expanded, types, prepared.keys, dict.fromkeys("ab", (-1.0, 1.0)))["y"]
    assert np.abs(found).max() < bound


def test_the_formula_counts_the_rounding_of_what_is_encoded(build: Any) -> None:
    """As much as is known exactly of numbers, and of slot values what the model says."""
    ring, scale, prime = RingNoise(DEGREE, SLOTS), 2.0**BITS, float(DATA[-1])
    before = Prepared.of(CASES["input"], build).formula ** 2

    def added(ins: Instruction, *depths: int) -> float:
        return Prepared.of(Case((ins,), depths=depths, constants=VECTOR), build).formula ** 2 - before

    off = float(rounding_errors(0.3, scale))
    assert added(AddScalar(x=0, value=0.3)) == pytest.approx(off**2, rel=1e-6)
    assert added(AddPlain(x=0, vector="v")) == pytest.approx(ring.encoding / scale**2, rel=1e-6)
    rescaled = ring.rescaling(2) / (scale**2 / prime) ** 2
    expected = (0.3**2 - 1) * before + off**2 / 3 + rescaled
    assert added(MultiplyScalar(x=0, value=0.3), 1) == pytest.approx(expected, rel=1e-9)
