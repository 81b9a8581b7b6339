"""The macro of bootstrapping: what it expands to, and what the verifier refuses of it."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.runtime.ckks.bootstrapping.small import MESSAGE_SCALE, bootstrap, circuit, keys

from hecc.runtime.ckks.circuit.bootstraps import expand_bootstrap, expand_macros
from hecc.runtime.ckks.circuit.instructions import (
    Bootstrap,
    Circuit,
    Conjugate,
    FourierFactor,
    Input,
    Output,
    Polynomial,
    Raise,
)
from hecc.runtime.ckks.circuit.parameters import GaloisElement, KeySpecification
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.types import verify, verify_expanded
from hecc.runtime.errors import CircuitError

PHASE = Fraction(9, 40)


def test_it_expands_to_primitive_instructions() -> None:
    spec = keys()
    expansion = expand_bootstrap(bootstrap(), limbs=2, scale=MESSAGE_SCALE, primes=spec.data_primes)
    kinds = [type(step) for step in expansion.instructions]
    assert not {Bootstrap, Polynomial} & set(kinds)
    raised = kinds.index(Raise)
    assert kinds[:raised].count(FourierFactor) == 2
    assert kinds[raised:].count(FourierFactor) == 3
    # The modulus is raised where coefficients are rho q0 u, exactly.
    assert expansion.scales[raised] == PHASE * spec.data_primes[0]
    assert expansion.limbs[raised - 1 : raised + 1] == (1, 18)
    argument = kinds.index(Conjugate) + 1
    assert expansion.scales[argument] == spec.data_primes[14]
    assert expansion.limbs[argument] == 15
    assert expansion.limbs[-1] == 8
    cosine = bootstrap().scale
    assert cosine is not None
    assert expansion.scales[-1] == (cosine**2 / spec.data_primes[9]) ** 2 / spec.data_primes[8]


def test_what_is_encoded_has_room() -> None:
    """Factors are encoded at about one scale each, whatever their gain."""
    expansion = expand_bootstrap(bootstrap(), limbs=2, scale=MESSAGE_SCALE, primes=keys().data_primes)
    factors = [step for step in expansion.instructions if isinstance(step, FourierFactor)]
    encoded = [np.log2(float(step.gain * (step.scale or 0))) for step in factors]
    assert encoded[:2] == pytest.approx([22.9, 22.9], abs=1)
    assert np.ptp(encoded[2:]) < 3
    assert min(encoded[2:]) > 30


def test_the_verifier_accepts_it_and_its_expansion() -> None:
    program, spec = circuit(), keys()
    before = verify(program, spec, bounds={0: 1.0})
    expanded, after = verify_expanded(program, spec, bounds={0: 1.0})
    assert (before[1].limbs, before[1].scale) == (after[-2].limbs, after[-2].scale)
    assert np.array_equal(after[-1].content, before[2].content)
    assert not any(expanded.every(Bootstrap))
    assert expanded.galois_uses(spec.ring_degree).keys() == program.galois_uses(spec.ring_degree).keys()


def test_slots_that_are_zero_stay_so() -> None:
    """Padding is not shown to the client as intermediate values; a sine of nothing is nothing."""
    half = np.zeros((1, 2048), np.uint8)
    half[0, :1024] = 1
    program = circuit()
    _, types = verify_expanded(Circuit(2048, program.instructions, {"all": half}), keys())
    assert np.array_equal(types[-1].content, half)


def test_without_scales_the_structure_is_the_same() -> None:
    spec, bare = keys(), bootstrap(limbs=None, dropped=None, scale=None)
    program = Circuit(2048, (circuit().instructions[0], bare, circuit().instructions[2]), circuit().constants)
    verify(program, None)
    structure = expand_macros(program, [0, 0, 0]).circuit
    whole = expand_macros(circuit(), [2, 8, 8], [MESSAGE_SCALE, None, None], spec.data_primes).circuit
    switches = [[type(i) for i in c.instructions if i.traits & Trait.SWITCHES] for c in (structure, whole)]
    assert switches[0] == switches[1]


def test_in_clear_it_is_the_sine() -> None:
    u = np.linspace(-1, 1, 2048).reshape(1, 1, 2048)
    found = Simulator(circuit()).run({"x": u})["y"]
    assert found == pytest.approx(np.sin(2 * np.pi * 0.225 * u))


def test_several_examples_side_by_side_are_bootstrapped_together() -> None:
    """The macro acts on the slots of the ring: lanes do not matter to it, and neither do copies."""
    for slots, lanes in ((512, 4), (256, 4), (1, 2048)):
        constants = {"all": np.ones((1, slots), np.uint8)}
        first = msgspec.structs.replace(circuit().instructions[0], period=slots)
        program = Circuit(slots, (first, *circuit().instructions[1:]), constants, lanes)
        expanded, _ = verify_expanded(program, keys())
        assert len(expanded.instructions) == len(verify_expanded(circuit(), keys())[0].instructions)


FAULTS: Mapping[str, tuple[dict[str, Any], str]] = {
    "multiple": ({"largest": 0}, "unknown bootstrap: of multiples up to 0"),
    "double angles": ({"double_angles": 11}, "13, 11 double angles"),
    "degree": ({"degree": 256}, "degree 256 the noise was never measured"),
    "weight": ({"weight": 0}, "sparse secret of weight 0"),
    "other weight": ({"weight": 48}, "sparse secret of weight 48; the keys have one of weight 32"),
    "unknown": ({"largest": 14}, "unknown bootstrap: of multiples up to 14"),
    "phase": ({"phase": Fraction(1, 4)}, "phase 0.25 is not between 0 and 1/4"),
    "negative phase": ({"phase": Fraction(-1, 5)}, "is not between 0 and 1/4"),
    "long phase": ({"phase": Fraction(1, (1 << 65) + 1)}, "fraction of more than 64 bits"),
    "groups": ({"to_slots": (4, 4)}, r"groups of \(4, 4\) stages are not the 11"),
    "large groups": ({"to_coefficients": (1 << 40,)}, "1 to 16 factors of 1 to 16 stages"),
    "no groups": ({"to_coefficients": ()}, "slots"),
    "another ring": ({"to_coefficients": (5, 5), "to_slots": (5, 5, 0)[:2], "dropped": (1,) * 10}, "in a ring of 2048"),
    "dropped": ({"dropped": (1,) * 10}, "it has 11 rescales"),
    "no drop": ({"dropped": (1, 0, *(1,) * 9)}, "each of which drops 1 to 64 limbs"),
    "operand": ({"dropped": (2, *(1,) * 10)}, "an operand of 2 limbs, of which 2 are dropped"),
    "limbs": ({"limbs": 19}, "a bootstrap to 19 of 18 limbs"),
    "few limbs": ({"limbs": 10}, "10 of 10 limbs are dropped, none is left"),
    "no scale": ({"scale": None}, "the scale, the limbs or the dropped limbs of a bootstrap are missing"),
    "no limbs": ({"limbs": None}, "are missing"),
    "negative scale": ({"scale": Fraction(-1)}, "a scale is not positive"),
    "small scale": ({"scale": Fraction(1, 1 << 20)}, "below 1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_verifier_refuses(fault: str) -> None:
    changed, words = FAULTS[fault]
    program = circuit(**changed)
    with pytest.raises(CircuitError, match=words):
        verify(program, keys())


def test_a_weight_is_checked_without_keys_too() -> None:
    with pytest.raises(CircuitError, match="the weight 0 is outside"):
        verify(circuit(weight=0), None)


def without(spec: KeySpecification, element: int) -> KeySpecification:
    return msgspec.structs.replace(spec, galois=tuple(key for key in spec.galois if key.element != element))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (without(keys(), 3), "bootstrap: the rotation key for step 1 of the ring's slots .* is missing"),
        (without(keys(), 8191), "bootstrap: the conjugation key .* is missing"),
        (
            msgspec.structs.replace(keys(), relinearization_limbs=14),
            "relinearisation at 15 limbs, but the key is for 14",
        ),
        (msgspec.structs.replace(keys(), encapsulation=msgspec.UNSET), "weight 32; the keys have none"),
        (
            msgspec.structs.replace(keys(), galois=tuple(GaloisElement(k.element, 2) for k in keys().galois)),
            "at 18 limbs is only for 2 limbs",
        ),
    ],
)
def test_keys_that_do_not_serve_it_are_refused(spec: KeySpecification, words: str) -> None:
    with pytest.raises(CircuitError, match=words):
        verify(circuit(), spec)


def test_values_that_reach_the_turn_of_the_sine_are_refused() -> None:
    verify(circuit(), keys(), bounds={0: 1.11})
    with pytest.raises(CircuitError, match=r"values up to 1\.12 at phase 0\.225 reach a quarter of the first prime"):
        verify(circuit(), keys(), bounds={0: 1.12})


def test_a_factor_alone_is_refused() -> None:
    source, _, last = circuit().instructions
    alone = FourierFactor(x=0, slots=2048, first=0, stop=5, inverse=False, gain=Fraction(1), scale=Fraction(1 << 20))
    assert isinstance(source, Input)
    assert isinstance(last, Output)
    with pytest.raises(CircuitError, match="a factor of a Fourier transform stands alone"):
        verify(Circuit(2048, (source, alone, last), circuit().constants), keys())
