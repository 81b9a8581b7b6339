"""The bound on errors that holds for every input: above whatever is observed, and for whatever is allowed."""

import math
from fractions import Fraction

import msgspec
import numpy as np
import pytest

from hecc.runtime.ckks.circuit.instructions import (
    Add,
    AddPlain,
    AddScalar,
    Circuit,
    Fold,
    Input,
    MultiplyPlain,
    MultiplyScalar,
    Negate,
    Output,
    Polynomial,
    Relinearize,
    Rescale,
    Square,
    Subtract,
)
from hecc.runtime.ckks.client.client import Client
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, SecretKeyFile
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.noise_bound import UnboundedError, _Propagation, least_error, worst_errors
from hecc.runtime.ckks.readings.types import verify, verify_expanded
from hecc.runtime.ckks.server import Server
from hecc.runtime.errors import CircuitError
from hecc.runtime.plan.plan import Plan

RANGE = {"x": (-1.0, 1.0)}


def prepared(plan: Plan):
    return (*verify_expanded(plan.require_circuit(), plan.header.keys), plan.header.keys)


@pytest.mark.parametrize("shape", ["seal", "native"])
def test_no_encrypted_run_is_ever_off_by_more(secure_plan, plans, tmp_path, shape):
    circuit, types, keys = prepared(secure_plan)
    bound = worst_errors(circuit, types, keys, RANGE)["y"]
    made = Client.keygen(secure_plan, tmp_path, shape=shape)
    client = Client(secure_plan, secret=SecretKeyFile.load(made.secret))
    generator = np.random.default_rng(1)
    inputs = np.stack(
        [np.ones((4, 16)), -np.ones((4, 16)), generator.choice([-1.0, 1.0], (4, 16)), generator.uniform(-1, 1, (4, 16))]
    )
    with Server(secure_plan, EvaluationKeyFile(made.evaluation)) as server:
        decrypted = client.decrypt(server.run(client.encrypt(inputs)))["y"]
    observed = np.abs(decrypted - plans.expected(inputs)).max()
    assert 0 < observed < bound
    # It allows for 2^20 times what is typical, and not for anything.
    assert bound < 2**24 * observed


class _Adversary:
    """Adds to every value as much as the bound allows, with signs that a test chooses."""

    def __init__(self, circuit, types, keys, generator):
        self._propagation = _Propagation(circuit, types, keys)
        self._types, self._generator = types, generator

    def noise(self, index, instruction, value, operands):
        ring, kind = self._propagation._ring, self._types[index]
        size = {
            "input": ring.fresh,
            "rescale": ring.rounding,
            "relinearize": ring.switching(kind.limbs),
            "rotate": ring.switching(kind.limbs),
        }.get(instruction.op, 0.0)
        return size / float(kind.scale) * self._generator.choice([-1.0, 1.0], value.shape)


def test_errors_as_large_as_can_be_with_any_signs_stay_below(insecure_plan):
    circuit, types, keys = prepared(insecure_plan)
    bound = worst_errors(circuit, types, keys, RANGE)["y"]
    generator = np.random.default_rng(2)
    inputs = {"x": generator.choice([-1.0, 1.0], (256, 1, circuit.slots))}
    simulator = Simulator(circuit)
    exact = simulator.run(inputs)["y"]
    off = np.abs(simulator.run(inputs, _Adversary(circuit, types, keys, generator))["y"] - exact).max()
    assert bound / 50 < off < bound


def chain(plans, *middle) -> tuple[Circuit, list, object]:
    """A circuit of 64 slots from these instructions behind an input."""
    keys = plans.specification(1024, plans.insecure_evidence)
    count = len(middle)
    generator = np.random.default_rng(4)
    constants = {"all": np.ones((1, 64), np.uint8), "v": generator.normal(size=(1, 64)), "d": np.ones((1, 64))}
    first = Input(name="x", count=1, occupied="all", period=64, limbs=3, scale=Fraction(1 << 30))
    circuit = Circuit(64, (first, *middle, Output(x=count, name="y", occupied="all")), constants)
    return (*verify_expanded(circuit, keys), keys)


@pytest.mark.parametrize(
    "middle",
    [
        (Negate(x=0), Add(x=0, y=1)),
        (AddPlain(x=0, vector="v"), Subtract(x=1, y=0)),
        (AddScalar(x=0, value=-0.75), Square(x=1), Relinearize(x=2)),
        (MultiplyPlain(x=0, vector="v", scale=Fraction(1 << 20)), Square(x=1), Relinearize(x=2)),
        (MultiplyScalar(x=0, value=-2.5, scale=Fraction(1 << 20)),),
        (Square(x=0), Relinearize(x=1), Rescale(x=2), Square(x=3), Relinearize(x=4)),
    ],
    ids=lambda middle: "-".join(ins.op for ins in middle),
)
def test_every_value_is_within_the_range_that_is_proved(plans, middle):
    circuit, types, keys = chain(plans, *middle)
    propagation, values = _Propagation(circuit, types, keys), []
    for index, ins in enumerate(circuit.instructions):
        operands = [values[v] for v in ins.operands] or [(-0.5, 1.0)]
        values.append(propagation.value(index, ins, operands))
    inputs = np.random.default_rng(5).choice([-0.5, 0.0, 0.3, 1.0], (512, 1, 64))

    class Watch:
        def noise(self, index, instruction, value, operands):
            found = values[index]
            assert np.all(np.abs(value - found.centre) <= found.radius + found.drift)

    Simulator(circuit).run({"x": inputs}, Watch())
    assert np.all(values[-1].error > 0)


def test_a_fold_adds_its_errors_up(plans):
    keys = plans.specification(1024, plans.insecure_evidence)
    fold = Fold(x=0, period=32, span=64)
    element = pow(3, 32, 2048)
    keys = msgspec.structs.replace(keys, galois=(msgspec.structs.replace(keys.galois[0], element=element, limbs=3),))
    circuit, _, _ = chain(plans)
    circuit = Circuit(64, (circuit.instructions[0], fold, Output(x=1, name="y", occupied="all")), circuit.constants)
    _, types = verify_expanded(circuit, keys)
    ring = _Propagation(circuit, types, keys)._ring
    expected = (2 * ring.fresh + ring.switching(3)) / 2**30
    assert worst_errors(circuit, types, keys, RANGE)["y"] == pytest.approx(expected)


def test_an_input_that_may_overflow_has_no_bound(insecure_plan):
    circuit, types, keys = prepared(insecure_plan)
    with pytest.raises(CircuitError, match=r"may overflow the modulus, as large as .*; declare a narrower input range"):
        worst_errors(circuit, types, keys, {"x": (0.0, 2.0**20)})


def test_a_larger_ring_or_range_has_larger_errors(insecure_plan, secure_plan):
    small, large = (worst_errors(*prepared(plan), RANGE)["y"] for plan in (insecure_plan, secure_plan))
    wide = worst_errors(*prepared(insecure_plan), {"x": (-1.0, 2.0)})["y"]
    assert small < wide
    assert math.isfinite(large)
    assert small < large


def series_chain(plans, bits=39, coarser=0):
    """A Chebyshev series of degree 7, at primes of so many bits; the weights ahead of it are coarser than that."""
    keys = plans.specification(1024, plans.insecure_evidence)
    primes = plans.primes(bits, 1024, 7)
    keys = msgspec.structs.replace(keys, data_primes=primes[:6], special_primes=primes[6:], relinearization_limbs=6)
    constants = {"all": np.ones((1, 64), np.uint8), "half": np.full((1, 64), 0.5), "c": np.array(SERIES)}
    steps = (
        Input(name="x", count=1, occupied="all", period=64, limbs=6, scale=Fraction(1 << (bits + coarser))),
        MultiplyPlain(x=0, vector="half", scale=Fraction(1 << (bits - coarser))),
        Rescale(x=1),
        Polynomial(x=2, coefficients="c", basis="chebyshev", dropped=(1, 1, 1), scale=Fraction(1 << (bits - 1))),
        Output(x=3, name="y", occupied="all"),
    )
    circuit = Circuit(64, steps, constants)
    return circuit, verify(circuit, keys), keys


SERIES = (0.5, 0.6, 0.0, -0.15, 0.0, 0.05, 0.0, -0.02)


def test_a_polynomial_is_bounded_by_what_it_is_and_not_by_its_instructions(plans):
    circuit, types, keys = series_chain(plans)
    ranges = {"x": (-2.0, 2.0)}
    bound = worst_errors(circuit, types, keys, ranges)["y"]
    expanded, kinds = verify_expanded(circuit, keys)
    assert bound < worst_errors(expanded, kinds, keys, ranges)["y"] / 1.5

    generator = np.random.default_rng(6)

    class Worst(_Adversary):
        def __init__(self):
            self._propagation = _Propagation(expanded, kinds, keys)
            self._types, self._generator = kinds, generator

    inputs = {"x": generator.choice([-2.0, -1.0, 0.3, 2.0], (256, 1, 64))}
    simulator = Simulator(expanded)
    off = np.abs(simulator.run(inputs, Worst())["y"] - simulator.run(inputs)["y"]).max()
    assert bound / 200 < off < bound


def test_errors_without_a_bound_are_told_from_those_of_weights(plans):
    circuit, types, keys = series_chain(plans, bits=24)
    with pytest.raises(UnboundedError) as fault:
        worst_errors(circuit, types, keys, {"x": (-2.0, 2.0)})
    assert not fault.value.encoding
    assert fault.value.bits >= 1
    circuit, types, keys = series_chain(plans, coarser=27)
    with pytest.raises(UnboundedError, match="the rounding of weights") as fault:
        worst_errors(circuit, types, keys, {"x": (-2.0, 2.0)})
    assert fault.value.encoding
    # So many bits are enough.
    circuit, types, keys = series_chain(plans, coarser=27 - fault.value.bits)
    assert math.isfinite(worst_errors(circuit, types, keys, {"x": (-2.0, 2.0)})["y"])


def test_an_argument_outside_its_interval_has_no_bound(plans):
    circuit, types, keys = series_chain(plans)
    with pytest.raises(CircuitError, match="may overflow the modulus"):
        worst_errors(circuit, types, keys, {"x": (-2.0, 2.0e4)})


def test_no_circuit_with_a_rescale_has_less_than_the_least_error(secure_plan):
    circuit, types, keys = prepared(secure_plan)
    ((_, output),) = circuit.outputs()
    least = least_error(keys.ring_degree) / float(types[output.x].scale)
    assert least < worst_errors(circuit, types, keys, RANGE)["y"]
