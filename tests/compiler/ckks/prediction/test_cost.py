"""What the cost model, memory estimate and key specification make of single instructions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest

from hecc.compiler.ckks.chain.scaling import Chain
from hecc.compiler.ckks.lowering.assembly import key_specification
from hecc.compiler.ckks.options import Options
from hecc.compiler.ckks.prediction.cost import (
    NativeCost,
    circuit_rotations,
    circuit_seconds,
    instruction_costs,
)
from hecc.compiler.ckks.prediction.devices import DEVICE_MODELS
from hecc.measure.roofline import Work, count_work
from hecc.passes.ckks.cleanup import clean_up
from hecc.runtime.ckks.circuit.instructions import (
    AddScalar,
    Circuit,
    Conjugate,
    Input,
    Instruction,
    MatrixProduct,
    MultiplyScalar,
    Output,
    Polynomial,
    Rescale,
    Rotate,
    SparseMatrix,
)
from hecc.runtime.ckks.circuit.parameters import GaloisElement, KeySpecification
from hecc.runtime.ckks.circuit.security import ntt_primes
from hecc.runtime.ckks.devices.names import DeviceName
from hecc.runtime.ckks.readings.types import verify, verify_expanded

DEGREE, SLOTS = 8192, 4096
PRIMES = ntt_primes(40, DEGREE, 5)
CHAIN = Chain(
    ring_degree=DEGREE,
    scale_bits=40,
    input_bits=40,
    data_primes=PRIMES[:4],
    special_primes=PRIMES[4:],
    dropped=(0, 1, 1, 1),
)
SCALE = Fraction(1 << 40)
MODELS = [DEVICE_MODELS["seal"].cost_model(DEGREE, SLOTS), DEVICE_MODELS["native"].cost_model(DEGREE, SLOTS)]


def matrix(rows: int, columns: int) -> dict[str, np.ndarray[Any, Any]]:
    arrays = SparseMatrix(
        offsets=np.arange(rows + 1, dtype="<i8") * columns,
        columns=np.tile(np.arange(columns, dtype="<i4"), rows),
        values=np.ones(rows * columns, "<f4"),
    )
    return {f"m.{name}": getattr(arrays, name) for name in SparseMatrix.FIELDS}


def program(*body: Instruction, count: int = 1, outputs: int = 1, **constants: Any) -> Circuit:
    masks = {"in": np.ones((count, SLOTS), np.uint8), "out": np.ones((outputs, SLOTS), np.uint8)}
    source = Input(name="x", count=count, occupied="in", period=SLOTS, limbs=4, scale=SCALE)
    result = Output(x=len(body), name="y", occupied="out")
    return Circuit(SLOTS, (source, *body, result), {**masks, **constants})


def keys_of(circuit: Circuit) -> KeySpecification:
    return key_specification(circuit, CHAIN, Options(device="seal"))


def limbs_of(circuit: Circuit) -> list[int]:
    return [kind.limbs for kind in verify(circuit, keys_of(circuit))]


POLYNOMIAL = Polynomial(x=0, coefficients="c", basis="chebyshev", dropped=(1, 1, 1), scale=Fraction(1 << 37))


def test_the_seconds_of_a_circuit_are_those_of_its_instructions() -> None:
    circuit = program(POLYNOMIAL, Rotate(x=1, step=1), c=np.linspace(0.1, 1, 8))
    expanded, types = verify_expanded(circuit, keys_of(circuit))
    model = DEVICE_MODELS["native"].key_cost_model(keys_of(circuit), SLOTS)
    costs = instruction_costs(expanded, [kind.limbs for kind in types], model)
    assert sum(cost.seconds for cost in costs) == circuit_seconds(circuit, limbs_of(circuit), model)
    assert sum(cost.rotations for cost in costs) == circuit_rotations(circuit) == 1
    for cost, ins in zip(costs, expanded.instructions, strict=True):
        assert (cost.key_switching > 0) == (ins.op in {"rotate", "relinearize"})


@pytest.mark.parametrize("device", DEVICE_MODELS)
def test_peak_memory_is_the_sum_of_what_memory_holds(device: DeviceName) -> None:
    circuit = program(
        Rotate(x=0, step=1), MatrixProduct(x=1, count=2, matrix="m", scale=SCALE), outputs=2, **matrix(2, 1)
    )
    keys, limbs = keys_of(circuit), limbs_of(circuit)
    use = DEVICE_MODELS[device].memory.use(circuit, limbs, keys)
    parts = (use.program, use.evaluation_keys, use.weights, use.encoded_weights, use.ciphertexts)
    assert use.total == sum(parts)
    assert use.evaluation_keys == DEVICE_MODELS[device].memory.evaluation_keys(keys) > 0
    assert use.weights == sum(array.nbytes for array in circuit.constants.values())


def test_a_conjugation_is_a_key_switch_with_a_key_of_its_own() -> None:
    conjugated, rotated = program(Rescale(x=0), Conjugate(x=1)), program(Rescale(x=0), Rotate(x=1, step=1))
    assert keys_of(conjugated).galois == (GaloisElement(2 * DEGREE - 1, 3),)
    assert keys_of(rotated).galois == (GaloisElement(3, 3),)
    assert circuit_rotations(conjugated) == circuit_rotations(rotated) == 1
    for model in MODELS:
        seconds = [circuit_seconds(c, limbs_of(c), model) for c in (conjugated, rotated)]
        assert seconds[0] == seconds[1] > 0


def test_a_matrix_product_costs_its_weights_and_needs_no_key() -> None:
    product = MatrixProduct(x=0, count=100, matrix="m", scale=SCALE)
    wide, narrow = (program(product, count=n, outputs=100, **matrix(100, n)) for n in (800, 80))
    assert circuit_rotations(wide) == 0
    assert keys_of(wide).galois == ()
    for model in MODELS:
        costs = [circuit_seconds(c, limbs_of(c), model) for c in (wide, narrow)]
        assert 5 < costs[0] / costs[1] < 11
    # 80 thousand products of 4 limbs and two polynomials: measured on the machine that the model was fitted to.
    assert 0.15 < circuit_seconds(wide, limbs_of(wide), MODELS[1]) - 800 * MODELS[1].load(4) < 0.6
    ciphertexts = 900 * 2 * 4 * DEGREE * 8
    assert DEVICE_MODELS["seal"].memory.use(wide, limbs_of(wide), keys_of(wide)).total > ciphertexts + 80_000 * 4 * 8
    # In blocks of 128 columns, each of which is added to the sums: they, a share, and both together. The file of what
    # the client sent is mapped, and has been read when they are most.
    file = 800 * 2 * 4 * DEGREE * 8
    used = DEVICE_MODELS["native"].memory.use(wide, limbs_of(wide), keys_of(wide)).total
    assert 0.5 < (used - file) / ciphertexts < 1


def test_reading_a_request_costs_its_ciphertexts() -> None:
    one, many = (program(count=n, outputs=n) for n in (1, 784))
    for model in MODELS:
        seconds = [circuit_seconds(c, limbs_of(c), model) for c in (one, many)]
        assert seconds[1] == pytest.approx(784 * seconds[0])
    # Of 4 limbs in N = 8192, half a millisecond each on the machine that the model was fitted to.
    assert 0.3e-3 < NativeCost(8192, 4096).load(4) < 0.7e-3


def test_scalars_cost_a_pass() -> None:
    circuit = program(MultiplyScalar(x=0, value=0.5, scale=SCALE), AddScalar(x=1, value=1.0))
    for model in MODELS:
        assert 0 < circuit_seconds(circuit, limbs_of(circuit), model) - model.load(4) <= 2.01 * model.plain_product(4)


def test_a_polynomial_costs_what_its_expansion_does() -> None:
    circuit = program(POLYNOMIAL, c=np.linspace(0.1, 1, 8))
    keys = keys_of(circuit)
    expanded, types = verify_expanded(circuit, keys)
    steps = [kind.limbs for kind in types]
    assert len(steps) > 20
    for model in MODELS:
        assert circuit_seconds(circuit, limbs_of(circuit), model) == circuit_seconds(expanded, steps, model) > 0
    for device in DEVICE_MODELS:
        found = DEVICE_MODELS[device].memory.use(circuit, limbs_of(circuit), keys).total
        assert found == DEVICE_MODELS[device].memory.use(expanded, steps, keys).total
        assert found > DEVICE_MODELS[device].memory.use(program(), [4, 4], keys).total + 2 * 2 * 4 * DEGREE * 8


def test_the_roofline_counts_a_polynomial_as_one_instruction() -> None:
    circuit = program(POLYNOMIAL, c=np.linspace(0.1, 1, 8))
    keys = keys_of(circuit)
    expanded, _ = verify_expanded(circuit, keys)
    counted, steps = count_work(circuit, keys), count_work(expanded, keys)
    assert len(counted) == 3
    assert len(steps) == len(expanded.instructions)
    assert counted[1] == sum(steps, Work())
    assert counted[1].forward > 0
    assert counted[1].key_bytes > 0


@pytest.mark.parametrize(("values", "limbs"), [(np.ones(8), 4), (np.ones(2), 0)])
def test_the_relinearisation_key_is_for_the_first_product_of_a_polynomial(
    values: np.ndarray[Any, Any], limbs: int
) -> None:
    dropped = (1,) * (len(values) - 1).bit_length()
    circuit = program(msgspec.structs.replace(POLYNOMIAL, dropped=dropped), c=values)
    keys = keys_of(circuit)
    assert keys.relinearization_limbs == limbs
    verify(circuit, keys)


def test_clean_up_keeps_the_constants_of_matrices_and_polynomials() -> None:
    circuit = program(
        MatrixProduct(x=0, count=1, matrix="m", scale=SCALE),
        Rescale(x=1),
        msgspec.structs.replace(POLYNOMIAL, x=2, dropped=(1, 1)),
        c=np.ones(4),
        unused=np.ones(3),
        **matrix(1, 1),
    )
    cleaned, _ = clean_up(circuit)
    assert cleaned.constants.keys() == circuit.constants.keys() - {"unused"}
    assert cleaned.instructions == circuit.instructions
