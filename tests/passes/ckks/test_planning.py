"""Scaling, parameters, scale planning, clean-up: from a lowered circuit to one that the verifier accepts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from hecc.compiler.ckks.chain.scaling import Magnitude, Scales
from hecc.compiler.ckks.lowering import assembly
from hecc.compiler.ckks.lowering.lowering import Lowered
from hecc.compiler.ckks.lowering.packing import Packing
from hecc.compiler.ckks.options import RING_DEGREES, Options
from hecc.compiler.ckks.prediction.cost import circuit_rotations, circuit_seconds
from hecc.compiler.ckks.prediction.devices import DEVICE_MODELS
from hecc.compiler.graph.graph import Graph
from hecc.passes.ckks import search
from hecc.passes.ckks.cleanup import clean_up
from hecc.passes.ckks.parameters import Candidate, Demand, choose_chain, could_fit
from hecc.passes.ckks.scales import apply_scales
from hecc.passes.graph.depth import multiplicative_depth
from hecc.passes.graph.ranges import value_ranges
from hecc.runtime.ckks.circuit.instructions import (
    Add,
    Circuit,
    Diagonals,
    Input,
    Instruction,
    LinearTransform,
    Multiply,
    Output,
    Relinearize,
    Rescale,
    Rotate,
    Square,
)
from hecc.runtime.ckks.circuit.layout import Layout
from hecc.runtime.ckks.circuit.security import limit
from hecc.runtime.ckks.devices.names import DeviceName
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.types import verify

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Case:
    """A canonical graph with everything that the parameter search takes."""

    graph: Graph
    depth: dict[str, int]
    magnitudes: dict[str, Magnitude]
    calibration: dict[str, Array]

    def lowered(self, ring_degree: int) -> tuple[Lowered, dict[str, Layout]]:
        lowering = search._diagonals(
            self.graph, self.depth, ring_degree, Packing(), Options(device="seal"), search.Lowerings()
        )
        return lowering.lowered, lowering.choice.layouts

    def demand(self, options: Options) -> Demand:
        return Demand(self.graph, self.depth, self.magnitudes, options, options.precision)

    def choose(self, ring_degree: int, options: Options) -> Candidate | None:
        return choose_chain(self.demand(options), self.lowered(ring_degree)[0], ring_degree, Packing())

    def could_fit(self, ring_degree: int, options: Options) -> bool:
        return could_fit(self.demand(options), ring_degree, Packing())


def dense(build: Any) -> Graph:
    build.input("x", 12)
    build.dense("y", "x", 5, 0.5)
    return build.graph("y")


def square_between(build: Any) -> Graph:
    build.input("x", 12)
    build.dense("a", "x", 8, 0.5)
    build.square("s", "a")
    build.dense("y", "s", 3)
    return build.graph("y")


def polynomial_between(build: Any) -> Graph:
    build.input("x", 2, 4, 4)
    build.convolution("c", "x", 3)
    build.polynomial("p", "c", 0.0, [[[[0.5]], [[-1.0]], [[3.0]]]], 1.0)
    build.convolution("y", "p", 2, stride=2)
    return build.graph("y")


def residual(build: Any) -> Graph:
    build.input("x", 8)
    build.dense("a", "x", 8)
    build.square("s", "a")
    build.dense("b", "s", 8)
    build.square("t", "b")
    build.total("y", (0.5, "t"), (2.0, "a"), (1.0, "x"))
    return build.graph("y", "b")


def square_at_both_ends(build: Any) -> Graph:
    build.input("x", 6)
    build.square("s", "x")
    build.dense("a", "s", 6)
    build.square("y", "a")
    return build.graph("y")


def gate(build: Any) -> Graph:
    """Factors of different depths, one of them deeper by a square and a layer."""
    build.input("x", 8)
    build.dense("a", "x", 8)
    build.square("s", "a")
    build.dense("b", "s", 8)
    build.product("p", "a", "b")
    build.dense("y", "p", 3)
    return build.graph("y")


def cube(build: Any) -> Graph:
    build.input("x", 8)
    build.dense("a", "x", 8)
    build.square("s", "a")
    build.product("p", "s", "a")
    build.dense("y", "p", 3)
    return build.graph("y")


NETWORKS: dict[str, Callable[[Any], Graph]] = {
    network.__name__: network
    for network in (dense, square_between, polynomial_between, residual, square_at_both_ends, gate, cube)
}


def case(graph: Graph) -> Case:
    generator = np.random.default_rng(4)
    calibration = {n.output.name: generator.uniform(-1, 1, (32, *n.output.shape[1:])) for n in graph.inputs()}
    depth = multiplicative_depth(graph)
    ranges = value_ranges(graph, calibration, dict.fromkeys(calibration, (-1.0, 1.0)), 4.0)
    magnitudes = {name: Magnitude(r.observed, r.rms, r.bound) for name, r in ranges.items()}
    return Case(graph, depth, magnitudes, calibration)


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest, build: Any) -> Case:
    return case(NETWORKS[request.param](build))


@pytest.fixture
def planned(network: Case) -> tuple[Case, Lowered, Scales, Candidate]:
    candidate = network.choose(16384, Options(device="seal"))
    assert candidate is not None
    return network, network.lowered(16384)[0], candidate.scales, candidate


# --- scaling ---------------------------------------------------------------------------------------------------------


def test_operands_of_every_sum_have_exactly_equal_scales(planned: Any) -> None:
    """Errorless: equal as fractions, not approximately."""
    _, lowered, scales, candidate = planned
    circuit, _ = apply_scales(lowered, scales)
    keys = assembly.key_specification(circuit, candidate.chain, Options(device="seal"))
    types = verify(circuit, keys)
    sums = [ins for ins in circuit.instructions if isinstance(ins, Add)]
    for ins in sums:
        assert isinstance(types[ins.x].scale, Fraction)
        assert types[ins.x].scale == types[ins.y].scale
    # What the scale plan says is what the verifier derives.
    _, moved = apply_scales(lowered, scales)
    for old, new in moved.items():
        if not isinstance(lowered.circuit.instructions[old], Output):
            assert types[new].scale == scales.scale[old]
            assert types[new].limbs == scales.limbs[old]


def test_squares_that_are_rescaled_hit_their_target(planned: Any) -> None:
    """2^bits over the observed magnitude, as near as a root of 24 bits can be."""
    network, lowered, scales, candidate = planned
    for i, ins in enumerate(lowered.circuit.instructions):
        # What is multiplied by something else besides has a scale that suits the larger product.
        products = [user for user in lowered.circuit.instructions if isinstance(user, Square | Multiply)]
        alone = isinstance(ins, Square) and sum(ins.x in user.operands for user in products) == 1
        if alone and candidate.chain.dropped[scales.depth[i]]:
            value = lowered.values[i]
            stored = float(scales.ready_scale(i)) * network.magnitudes[value].observed
            assert math.log2(stored) == pytest.approx(candidate.chain.scale_bits, abs=1e-5)


def test_a_product_whose_factors_are_free_hits_its_target(build: Any) -> None:
    """Each factor's scale makes up for half of what the product lacks."""
    build.input("x", 8)
    build.input("z", 8)
    build.dense("a", "x", 8)
    build.dense("b", "z", 8)
    build.product("y", "a", "b")
    network = case(build.graph("y"))
    candidate = network.choose(16384, Options(device="seal"))
    assert candidate is not None
    lowered, scales = network.lowered(16384)[0], candidate.scales
    (i,) = [i for i, ins in enumerate(lowered.circuit.instructions) if isinstance(ins, Multiply)]
    stored = float(scales.ready_scale(i)) * network.magnitudes["y"].observed
    assert math.log2(stored) == pytest.approx(candidate.chain.scale_bits, abs=1e-5)


def test_linear_results_hit_their_target(planned: Any) -> None:
    network, lowered, scales, candidate = planned
    factors = {v for ins in lowered.circuit.instructions if isinstance(ins, Square | Multiply) for v in ins.operands}
    for value, i in lowered.results.items():
        if isinstance(lowered.circuit.instructions[i], LinearTransform) and i not in factors:
            stored = float(scales.ready_scale(i)) * network.magnitudes[value].observed
            assert math.log2(stored) == pytest.approx(candidate.chain.scale_bits, abs=1e-5)


def test_the_chain_accounts_for_every_prime(planned: Any) -> None:
    network, _, _, candidate = planned
    chain, deepest = candidate.chain, max(network.depth.values())
    assert chain.limbs_before(0) == len(chain.data_primes)
    assert chain.limbs_after(deepest) >= 1
    for d in range(deepest + 1):
        assert chain.limbs_before(d) - chain.limbs_after(d) == chain.dropped[d]
        dropped = chain.data_primes[chain.limbs_after(d) : chain.limbs_before(d)]
        assert chain.divisor(d) == math.prod(dropped)
    left = chain.data_primes[: chain.limbs_after(deepest)]
    divisors = math.prod(chain.divisor(d) for d in range(deepest + 1))
    assert math.prod(left) * divisors == math.prod(chain.data_primes)
    assert chain.log2_qp == pytest.approx(math.log2(math.prod((*chain.data_primes, *chain.special_primes))))


# --- parameters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [128, 192, 256])
@pytest.mark.parametrize("adversary", ["classical", "quantum"])
def test_no_chain_is_above_the_table_special_primes_included(network: Case, level: int, adversary: Any) -> None:
    options = Options(device="seal", security=level, quantum=adversary == "quantum", precision=10.0)
    found = 0
    for ring_degree in (4096, 8192, 16384, 32768):
        candidate = network.choose(ring_degree, options)
        if candidate is None:
            continue
        found += 1
        chain = candidate.chain
        product = math.prod((*chain.data_primes, *chain.special_primes))
        assert product < 1 << limit(ring_degree, level, adversary)
        assert len({*chain.data_primes, *chain.special_primes}) == len(chain.data_primes) + 1
        assert candidate.precision_bits >= options.precision
    assert found, "a test of nothing"


@pytest.mark.parametrize("precision", [4.0, 8.0, 12.0, 16.0, 20.0])
def test_could_fit_never_says_no_where_a_chain_is_found(network: Case, precision: float) -> None:
    options = Options(device="seal", precision=precision)
    answers = []
    for ring_degree in (2048, 4096, 8192, 16384):
        if network.choose(ring_degree, options) is not None:
            assert network.could_fit(ring_degree, options)
        answers.append(network.could_fit(ring_degree, options))
    assert not answers[0], "and it says no where there is none"


def test_more_precision_never_takes_a_smaller_modulus(network: Case) -> None:
    sizes = []
    for precision in (6.0, 10.0, 14.0, 18.0):
        candidate = network.choose(32768, Options(device="seal", precision=precision))
        assert candidate is not None
        assert candidate.precision_bits >= precision
        sizes.append(sum(math.log2(q) for q in candidate.chain.data_primes))
    assert sizes == sorted(sizes)


def test_a_ring_degree_is_the_smallest_that_works_or_faster_than_it(network: Case) -> None:
    options = Options(device="seal")
    _, chosen, _ = search.search(network.demand(options), search.Lowerings())
    smaller = [n for n in RING_DEGREES if n < chosen.chain.ring_degree]
    for ring_degree in smaller:
        candidate = network.choose(ring_degree, options)
        assert candidate is None or candidate.seconds > chosen.seconds


def test_no_ring_means_no_chain(network: Case) -> None:
    assert network.choose(1024, Options(device="seal", security=256)) is None
    assert not network.could_fit(1024, Options(device="seal", security=256))


# --- scales and clean-up ---------------------------------------------------------------------------------------------


def simulate(circuit: Circuit, network: Case, layouts: dict[str, Layout]) -> dict[str, Array]:
    slots = {
        name: layouts[name].pack(rows.reshape(-1, *layouts[name].shape)) for name, rows in network.calibration.items()
    }
    return Simulator(circuit).run(slots)


def test_scales_and_clean_up_change_no_value(planned: Any) -> None:
    network, lowered, scales, _ = planned
    layouts = network.lowered(16384)[1]
    exact = network.graph.evaluate(network.calibration)
    scaled, moved = apply_scales(lowered, scales)
    cleaned, kept = clean_up(scaled)
    before = simulate(lowered.circuit, network, layouts)
    for circuit in (scaled, cleaned):
        for name, values in simulate(circuit, network, layouts).items():
            np.testing.assert_array_equal(values, before[name])
    for name, values in before.items():
        flat = layouts[name].unpack(values).reshape(len(values), -1)
        np.testing.assert_allclose(flat, exact[name], rtol=0, atol=1e-5 * np.abs(exact[name]).max())
    for value, i in lowered.results.items():
        found, original = cleaned.instructions[kept[moved[i]]], lowered.circuit.instructions[i]
        assert type(found) is type(original), value


def test_every_value_is_rescaled_at_most_once(planned: Any) -> None:
    _, lowered, scales, _ = planned
    cleaned, _ = clean_up(apply_scales(lowered, scales)[0])
    rescaled = [ins.x for ins in cleaned.instructions if isinstance(ins, Rescale)]
    assert len(rescaled) == len(set(rescaled))


def ones(slots: int = 4) -> dict[str, Array]:
    return {"all": np.ones((1, slots), np.uint8), "unused": np.ones((1, slots))}


def circuit(*instructions: Instruction) -> Circuit:
    return Circuit(4, instructions, ones())


def test_equal_instructions_are_shared_whatever_node_they_came_from() -> None:
    before = circuit(
        Input(name="x", count=1, occupied="all", period=4),
        Rotate(x=0, step=1, source="a"),
        Rotate(x=0, step=1, source="b"),
        Add(x=1, y=2),
        Output(x=3, name="y", occupied="all"),
    )
    after, moved = clean_up(before)
    assert [ins.op for ins in after.instructions] == ["input", "rotate", "add", "output"]
    assert after.instructions[2].operands == (1, 1)
    assert moved == {0: 0, 1: 1, 2: 1, 3: 2, 4: 3}


def test_sharing_reaches_what_depends_on_shared_values() -> None:
    before = circuit(
        Input(name="x", count=1, occupied="all", period=4),
        Square(x=0),
        Square(x=0),
        Relinearize(x=1),
        Relinearize(x=2),
        Output(x=3, name="y", occupied="all"),
        Output(x=4, name="z", occupied="all"),
    )
    after, _ = clean_up(before)
    assert [ins.op for ins in after.instructions] == ["input", "square", "relinearize", "output", "output"]


def test_different_steps_are_not_shared() -> None:
    before = circuit(
        Input(name="x", count=1, occupied="all", period=4),
        Rotate(x=0, step=1),
        Rotate(x=0, step=2),
        Add(x=1, y=2),
        Output(x=3, name="y", occupied="all"),
    )
    assert clean_up(before)[0].instructions == before.instructions


def test_dead_code_and_its_constants_go_but_inputs_stay() -> None:
    """The client sends every input of the signature, used or not."""
    before = circuit(
        Input(name="x", count=1, occupied="all", period=4),
        Input(name="ignored", count=1, occupied="all", period=4),
        Rotate(x=0, step=1),
        Output(x=0, name="y", occupied="all"),
    )
    after, moved = clean_up(before)
    assert [ins.op for ins in after.instructions] == ["input", "input", "output"]
    assert 2 not in moved
    assert set(after.constants) == {"all"}


# --- cost ------------------------------------------------------------------------------------------------------------


def test_rotations_are_counted_as_the_evaluator_makes_them() -> None:
    """Two baby steps of one ciphertext, one giant step of one result: three, and none for step zero."""
    diagonals = Diagonals(
        row=np.zeros(4, np.int32),
        column=np.zeros(4, np.int32),
        baby=np.array([0, 1, 2, 1], np.int32),
        giant=np.array([0, 0, 0, 4], np.int32),
        offsets=np.arange(5, dtype=np.int64),
        slots=np.zeros(4, np.uint16),
        values=np.ones(4, np.float32),
    )
    constants: dict[str, Array] = {f"d.{f}": getattr(diagonals, f) for f in Diagonals.FIELDS}
    constants["all"] = np.ones((1, 8), np.uint8)
    before = Circuit(
        8,
        (Input(name="x", count=1, occupied="all", period=8), LinearTransform(x=0, count=1, diagonals="d")),
        constants,
    )
    assert circuit_rotations(before) == 3


@pytest.mark.parametrize("device", DEVICE_MODELS)
def test_time_grows_with_limbs_and_with_the_ring(planned: Any, device: DeviceName) -> None:
    _, lowered, scales, _ = planned
    slots = lowered.circuit.slots
    small, large = (DEVICE_MODELS[device].cost_model(degree, slots) for degree in (8192, 16384))
    few = circuit_seconds(lowered.circuit, scales.limbs, small)
    assert circuit_seconds(lowered.circuit, [n + 1 for n in scales.limbs], small) > few > 0
    assert circuit_seconds(lowered.circuit, scales.limbs, large) > 1.3 * few
