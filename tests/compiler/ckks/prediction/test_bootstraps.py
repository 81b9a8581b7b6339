"""What a bootstrap costs: seconds, bytes and the roofline, all of its expansion."""

from __future__ import annotations

from tests.runtime.ckks.bootstrapping.small import SLOTS, circuit, keys

from hecc.compiler.ckks.prediction.cost import circuit_rotations, circuit_seconds, instruction_costs
from hecc.compiler.ckks.prediction.devices import DEVICE_MODELS
from hecc.compiler.ckks.prediction.memory import NativeMemory
from hecc.measure.roofline import count_work
from hecc.runtime.ckks.circuit.bootstraps import expand_macros
from hecc.runtime.ckks.circuit.instructions import Circuit
from hecc.runtime.ckks.keys.switching_keys import packed_bytes

LIMBS = [2, 8, 8]


def without(program: Circuit) -> Circuit:
    """The input and the output alone."""
    source, _, last = program.instructions
    return Circuit(SLOTS, (source, type(last)(x=0, name="y", occupied="all")), program.constants)  # type: ignore[call-arg]


def test_it_costs_what_its_expansion_does() -> None:
    program, model = circuit(), DEVICE_MODELS["native"].key_cost_model(keys(), SLOTS)
    expanded = expand_macros(program, LIMBS)
    costs = instruction_costs(expanded.circuit, expanded.limbs, model)
    assert circuit_seconds(program, LIMBS, model) == sum(cost.seconds for cost in costs)
    kinds: dict[str, float] = {}
    for ins, cost in zip(expanded.circuit.instructions, costs, strict=True):
        kinds[ins.op] = kinds.get(ins.op, 0.0) + cost.seconds
    # Transforms are most of it, then the products of the sine.
    largest = sorted(kinds, key=lambda op: -kinds[op])
    assert largest[:2] == ["fourier_factor", "relinearize"]
    # Steps of 5 and 6 stages of one transform, of 3, 4 and 4 of the other, and the conjugation.
    assert circuit_rotations(program) == (7 + 3) + (15 + 7) + (3 + 1) + 2 * (7 + 3) + 1
    assert circuit_rotations(circuit(count=3)) == 3 * circuit_rotations(program)


def test_memory_has_room_for_its_diagonals_as_far_as_they_repeat() -> None:
    program, spec = circuit(), keys()
    base = NativeMemory().use(without(program), [2, 2], spec)
    use = NativeMemory().use(program, LIMBS, spec)
    assert base.encoded_weights == 0
    # By factor: diagonals, slots before they repeat, and limbs.
    factors = [(127, 64, 2), (32, 2048, 2), (8, 2048, 18), (31, 256, 17), (31, 16, 16)]
    sizes = [2 * n * slots * sum(map(packed_bytes, spec.primes(limbs))) for n, slots, limbs in factors]
    assert use.encoded_weights == sum(sizes)
    assert use.ciphertexts > base.ciphertexts + 2 * 8 * spec.ring_degree * 18
    assert use.evaluation_keys == base.evaluation_keys > 0


def test_the_roofline_counts_it_as_one_instruction() -> None:
    work = count_work(circuit(), keys())
    assert len(work) == 3
    # About three thousand transforms of one limb, of which key switching is most.
    assert 2000 < work[1].forward + work[1].inverse < 5000
    assert work[1].key_bytes > 40 * 100_000
    assert work[1].plaintext_bytes > 0
    thrice = count_work(circuit(count=3), keys())[1]
    assert thrice.key_bytes == 3 * work[1].key_bytes
