"""The expansion of polynomials: what it computes, in how many levels and products, at which scales."""

from __future__ import annotations

import math
import time
from collections import Counter
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit import polynomials
from hecc.runtime.ckks.circuit.instructions import (
    AddPlain,
    Circuit,
    Diagonals,
    DropLimbs,
    Input,
    Instruction,
    LinearTransform,
    Multiply,
    MultiplyPlain,
    Output,
    Polynomial,
    Relinearize,
    Rescale,
    Square,
)
from hecc.runtime.ckks.circuit.parameters import KeySpecification, SecurityEvidence
from hecc.runtime.ckks.circuit.polynomials import MAX_DEGREE, expand, expand_polynomials
from hecc.runtime.ckks.circuit.security import ntt_primes
from hecc.runtime.ckks.readings import types as verify_module
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.noise_drawn import GaussianNoise
from hecc.runtime.ckks.readings.types import verify, verify_expanded
from hecc.runtime.depth import polynomial_depth
from hecc.runtime.errors import CircuitError

SLOTS = 16
DEGREE = 2048
DATA = (*ntt_primes(49, DEGREE, 1), *ntt_primes(40, DEGREE, 9))
KEYS = KeySpecification(
    ring_degree=DEGREE,
    data_primes=DATA,
    special_primes=ntt_primes(49, DEGREE, 1, exclude=DATA),
    relinearization_limbs=len(DATA),
    galois=(),
    security=SecurityEvidence(level=0, adversary="classical", table="none: insecure, for tests", log2_limit=0),
)
SCALE = Fraction(1 << 40)
BASES = ("power", "chebyshev")
KINDS = ("general", "odd", "even")


def coefficients(degree: int, kind: str = "general", *, per_slot: bool = False, count: int = 1) -> NDArray[np.float64]:
    """Random ones within [-1, 1]; with ``kind`` those of the other parity are zero."""
    rng = np.random.default_rng(degree)
    values = rng.uniform(-1, 1, (degree + 1, count, SLOTS) if per_slot else degree + 1)
    if kind != "general":
        values[(degree + 1) % 2 :: 2] = 0
    return values


def suits(degree: int, kind: str) -> bool:
    return kind == "general" or degree % 2 == (kind == "odd")


def program(values: NDArray[Any], basis: str = "power", *, count: int = 1, limbs: int = 10, **changes: Any) -> Circuit:
    """``x`` and a polynomial of it, at the smallest depth, by one prime a level."""
    fields: dict[str, Any] = {
        "x": 0,
        "coefficients": "c",
        "basis": basis,
        "dropped": (1,) * polynomial_depth(len(values) - 1),
        "scale": SCALE,
        "source": "/act/Gelu",
        **changes,
    }
    instructions = (
        Input(name="x", count=count, occupied="all", period=SLOTS, limbs=limbs, scale=SCALE),
        Polynomial(**fields),
        Output(x=1, name="y", occupied="all"),
    )
    return Circuit(SLOTS, instructions, {"all": np.ones((count, SLOTS), np.uint8), "c": values})


def products(circuit: Circuit) -> int:
    return sum(isinstance(ins, Multiply | Square) for ins in circuit.instructions)


def value(values: NDArray[np.float64], basis: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """By the definition of the basis."""
    powers = [x**i if basis == "power" else np.cos(i * np.arccos(x)) for i in range(len(values))]
    return np.asarray(sum(c * p for c, p in zip(values, powers, strict=True)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("per_slot", [False, True])
def test_the_expansion_and_the_macro_compute_the_polynomial(basis: str, kind: str, per_slot: bool) -> None:
    x = np.random.default_rng(1).uniform(-1, 1, (3, 2, SLOTS))
    for degree in [d for d in (*range(1, 32), 40, 63, 77, 127) if suits(d, kind)]:
        values = coefficients(degree, kind, per_slot=per_slot, count=2)
        circuit = program(values, basis, count=2)
        expanded, types = verify_expanded(circuit, KEYS, bounds={0: 1.0})
        expected = value(values, basis, x)
        for each in (circuit, expanded):
            np.testing.assert_allclose(Simulator(each).run({"x": x})["y"], expected, rtol=0, atol=1e-11 * (degree + 1))
        assert types[-1].scale == SCALE
        assert types[-1].limbs == 10 - math.ceil(math.log2(degree + 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("basis", BASES)
def test_the_number_of_products_is_that_of_paterson_and_stockmeyer(basis: str, kind: str) -> None:
    """About sqrt(2 d) + log2(d): the least depth costs a little more where d + 1 is near a power of two."""
    for degree in [d for d in (*range(1, 70), 126, 127, 128, 200, 201, MAX_DEGREE) if suits(d, kind)]:
        values = coefficients(degree, kind)
        instruction = program(values, basis).instructions[1]
        assert isinstance(instruction, Polynomial)
        steps = expand(instruction, values, limbs=10, scale=None).instructions
        number = sum(isinstance(ins, Multiply | Square) for ins in steps)
        # Even polynomials are polynomials of half the degree in the square.
        terms, saved = (degree // 2, 1) if kind == "even" else (degree, 0)
        allowed = math.sqrt(2 * terms) + math.log2(max(terms, 1)) + saved
        assert number <= allowed + (1 if degree < 64 else 0.2 * allowed), degree
        assert sum(isinstance(ins, Relinearize) for ins in steps) <= number


@pytest.mark.parametrize(
    ("degree", "kind", "squares", "multiplications", "relinearisations"),
    [
        (1, "general", 0, 0, 0),
        (2, "general", 1, 0, 1),
        (3, "general", 1, 1, 2),  # (c3 x + c2) x^2 + c1 x + c0
        (3, "odd", 1, 1, 2),  # (c3 x) x^2 + c1 x
        (4, "even", 2, 0, 2),  # x^2, x^4
        (7, "general", 2, 3, 4),  # x^2, x^4, and one relinearisation for two of the three products
        (8, "even", 3, 1, 4),  # y = x^2, y^2, y^3, y^4, or (y^2 + ...) y^2
        (15, "odd", 3, 5, 7),
    ],
)
def test_small_polynomials_are_evaluated_as_one_would_by_hand(
    degree: int, kind: str, squares: int, multiplications: int, relinearisations: int
) -> None:
    expanded, _ = verify_expanded(program(coefficients(degree, kind)), KEYS)
    found = Counter(ins.op for ins in expanded.instructions)
    assert (found["square"], found["multiply"]) == (squares, multiplications)
    assert found["relinearize"] == relinearisations


def test_zero_coefficients_ask_for_no_power() -> None:
    values = np.zeros(17)
    values[[0, 16]] = 0.5, -2.0
    expanded, _ = verify_expanded(program(values), KEYS)
    # x^16 by squares, one coefficient, one constant.
    found = Counter(ins.op for ins in expanded.instructions)
    assert found["square"] == found["relinearize"] == 4
    assert found["multiply"] == found["add"] == 0
    assert found["multiply_scalar"] == found["add_scalar"] == 1


def test_products_of_one_level_are_relinearised_and_rescaled_as_a_sum() -> None:
    expanded, _ = verify_expanded(program(coefficients(31)), KEYS)
    assert sum(isinstance(ins, Relinearize) for ins in expanded.instructions) < products(expanded)
    for index, ins in enumerate(expanded.instructions):
        if isinstance(ins, Multiply | Square):
            (user,) = [other for other in expanded.instructions[index + 1 :] if index in other.operands]
            assert not isinstance(user, Rescale)


def test_operands_have_no_more_limbs_than_the_sum_that_uses_them() -> None:
    circuit = program(coefficients(31))
    expanded, types = verify_expanded(circuit, KEYS)
    for ins in expanded.instructions:
        if isinstance(ins, DropLimbs):
            assert any(types[ins.x].limbs == types[v].limbs for v in range(len(types)))
    assert types[-1].limbs == 5
    assert max(kind.limbs for kind in types[1:]) == 10


def test_more_levels_than_needed_save_products() -> None:
    values = coefficients(31)
    least, more = (verify_expanded(program(values, dropped=(1,) * levels), KEYS)[0] for levels in (5, 7))
    assert products(more) < products(least)


def test_levels_may_share_primes_or_take_several() -> None:
    x = np.random.default_rng(1).uniform(-1, 1, (2, 1, SLOTS))
    values = coefficients(7)
    for dropped, scale in (((1, 1, 0), SCALE**2), ((2, 1, 2), SCALE**2), ((0, 2, 1), SCALE**3)):
        expanded, types = verify_expanded(program(values, dropped=dropped, scale=scale), KEYS)
        assert (types[-1].scale, types[-1].limbs) == (scale, 10 - sum(dropped))
        np.testing.assert_allclose(Simulator(expanded).run({"x": x})["y"], value(values, "power", x), atol=1e-12)


def test_the_result_has_its_scale_exactly_whatever_the_operands_is() -> None:
    for scale in (Fraction(1 << 38, 3), Fraction(3 << 39, 1009)):
        circuit = program(coefficients(11, "odd"), "chebyshev", scale=scale)
        source = msgspec.structs.replace(circuit.instructions[0], scale=Fraction((1 << 80) + 7, (1 << 40) - 1))
        circuit = Circuit(SLOTS, (source, *circuit.instructions[1:]), circuit.constants)
        _, types = verify_expanded(circuit, KEYS)
        assert types[-1].scale == scale
        assert verify(circuit, KEYS)[1].scale == scale


def test_coefficients_that_are_alike_in_all_slots_become_scalars() -> None:
    values = np.broadcast_to(coefficients(5)[:, np.newaxis, np.newaxis], (6, 1, SLOTS)).copy()
    kinds = [
        {type(ins) for ins in verify_expanded(program(each), KEYS)[0].instructions}
        for each in (values, coefficients(5, per_slot=True))
    ]
    assert not kinds[0] & {MultiplyPlain, AddPlain}
    assert kinds[1] >= {MultiplyPlain, AddPlain}


def test_slots_that_are_zero_stay_so_only_where_the_polynomial_is_zero_at_zero() -> None:
    mask = np.uint8([[1, 0] * (SLOTS // 2)])

    def verified(values: NDArray[np.float64], basis: str) -> None:
        circuit = program(values, basis)
        verify(Circuit(SLOTS, circuit.instructions, {**circuit.constants, "all": mask}), KEYS)

    per_slot = coefficients(4, per_slot=True) * mask
    verified(coefficients(5, "odd"), "power")
    verified(coefficients(5, "odd"), "chebyshev")
    verified(np.array([0.0, 0.5, 0.25]), "power")
    verified(per_slot, "power")
    for values, basis in ((np.array([0.0, 0.5, 0.25]), "chebyshev"), (coefficients(4), "power")):
        with pytest.raises(CircuitError, match="slot hygiene: 8 slots outside the output are not zero"):
            verified(values, basis)


@pytest.mark.parametrize("basis", BASES)
def test_bounds_are_of_the_values_that_are_rescaled(basis: str) -> None:
    """No less than the largest value found, and no more than a little above it."""
    x = np.linspace(-1, 1, 20001)[np.newaxis, np.newaxis]
    for degree in (1, 4, 9, 30):
        values = coefficients(degree, per_slot=True) if degree == 4 else coefficients(degree)
        instruction = program(values, basis).instructions[1]
        assert isinstance(instruction, Polynomial)
        expansion = expand(instruction, values, limbs=10, scale=SCALE, primes=DATA, bound=1.0)
        top = max(expansion.bounds)
        flat = values.reshape(degree + 1, -1)
        largest = max(np.abs(value(column, basis, x)).max() for column in flat.T)
        assert largest <= expansion.bounds[top] * (1 + 1e-12)
        assert expansion.bounds[top] < 1.1 * largest
        assert expand(instruction, values, limbs=10, scale=SCALE, primes=DATA).bounds == {}


def test_headroom_counts_inside() -> None:
    """x^4 alone would fit, x^3 at the level above it does not."""
    circuit = program(np.array([0.0, 0, 0, 0, 1e-9]), scale=Fraction(1 << 42))
    verify(circuit, KEYS, bounds={0: 100.0})
    small = program(np.array([0.0, 0, 0, 0, 1e-9]), scale=Fraction(1 << 42), limbs=4)
    with pytest.raises(CircuitError, match=r"polynomial: headroom: 4 x scale .* in step \d+, .* of its expansion"):
        verify(small, KEYS, bounds={0: 2.0**18})


FAULTS: dict[str, tuple[str, NDArray[Any], dict[str, Any]]] = {
    "constant": ("degree 0 is outside 1..255", np.ones(1), {"dropped": (1,)}),
    "degree": ("degree 256 is outside 1..255", np.ones(257), {"dropped": (1,) * 9}),
    "none": ("degree -1 is outside 1..255", np.ones(0), {"dropped": (1,)}),
    "rank": ("coefficients of float64 and shape (3, 16) are not float64 of shape", np.ones((3, SLOTS)), {}),
    "dtype": ("coefficients of float32 and shape (3,) are not float64", np.ones(3, np.float32), {}),
    "shape": ("has shape (3, 2, 16), not (degree + 1, 1, 16)", np.ones((3, 2, SLOTS)), {}),
    "not finite": ("a coefficient is not finite", np.array([0, math.nan, 1]), {}),
    "leading": ("the coefficient of degree 2 is zero everywhere; leave it out", np.array([1.0, 1, 0]), {}),
    "levels": ("degree 4 takes 3 to 64 levels", np.ones(5), {"dropped": (1, 1)}),
    "many levels": ("degree 1 takes 1 to 64 levels", np.ones(2), {"dropped": (0,) * 65}),
    "negative": ("each of which drops 0 limbs or more, not [2, -1]", np.ones(3), {"dropped": (2, -1)}),
    "limbs": ("10 of 10 limbs are dropped, none would be left", np.ones(3), {"dropped": (5, 5)}),
    "unplanned": ("the scale or the dropped limbs of a polynomial are missing", np.ones(3), {"dropped": None}),
    "no scale": ("the scale or the dropped limbs of a polynomial are missing", np.ones(3), {"scale": None}),
    "scale": ("a scale is not positive", np.ones(3), {"scale": Fraction(0)}),
    "small scale": (
        "the coefficients of power 1 would be encoded at scale 2^-10.000, below 1",
        np.ones(3),
        {"scale": Fraction(1, 1 << 10)},
    ),
    "large scale": (
        "polynomial: scale 2^480.000 is not below the modulus, 2^369.000; in step 4, multiply_scalar, of its expansion",
        np.array([0, 0, 1e-100]),
        {"scale": Fraction(1 << 440)},
    ),
    "magnitude": ("polynomial: a constant of 1e+200 at scale 2^40.000 exceeds the modulus", np.array([0, 1e200]), {}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_evaluated_is_refused_in_a_sentence(name: str) -> None:
    says, values, changes = FAULTS[name]
    fields = {"dropped": (1, 1), **changes} if len(values) == 3 and values.ndim != 3 else changes
    with pytest.raises(CircuitError) as caught:
        verify(program(values, **fields), KEYS)
    assert says in str(caught.value)
    assert "at %1 (/act/Gelu):" in str(caught.value)


def test_a_missing_constant_another_basis_and_an_operand_outside_it_are_refused() -> None:
    circuit = program(np.ones(3))
    with pytest.raises(CircuitError, match="constant 'c' is missing"):
        verify(Circuit(SLOTS, circuit.instructions, {"all": circuit.constants["all"]}), KEYS)
    with pytest.raises(CircuitError, match=r"values up to 1.5 are outside \[-1, 1\]"):
        verify(program(np.ones(3), "chebyshev"), KEYS, bounds={0: 1.5})
    with pytest.raises(msgspec.ValidationError, match="Invalid enum value 'legendre'"):
        msgspec.convert({"op": "polynomial", "x": 0, "coefficients": "c", "basis": "legendre"}, Polynomial)


def test_operands_of_three_polynomials_partial_sums_and_short_keys_are_refused() -> None:
    circuit = program(np.ones(3))
    source, polynomial, result = circuit.instructions
    partial = LinearTransform(x=0, count=1, diagonals="d", partial=2, scale=SCALE)
    diagonal = Diagonals(
        *(np.zeros(1, "<i4") for _ in range(4)), np.array([0, 1], "<i8"), np.zeros(1, "<u2"), np.ones(1, "<f4")
    )
    constants = {**circuit.constants, **{f"d.{name}": getattr(diagonal, name) for name in Diagonals.FIELDS}}
    sums = (source, partial, msgspec.structs.replace(polynomial, x=1), msgspec.structs.replace(result, x=2))
    with pytest.raises(CircuitError, match="partial sums are read as data: a fold with period 2 has to come first"):
        verify(Circuit(SLOTS, sums, constants), KEYS)
    squared = (source, Square(x=0), msgspec.structs.replace(polynomial, x=1), msgspec.structs.replace(result, x=2))
    with pytest.raises(CircuitError, match="has three polynomials"):
        verify(Circuit(SLOTS, squared, circuit.constants), KEYS)
    keys = msgspec.structs.replace(KEYS, relinearization_limbs=9)
    with pytest.raises(
        CircuitError, match="polynomial: relinearisation at 10 limbs, but the key is for 9; in step 4, rel"
    ):
        verify(circuit, keys)


def test_hostile_circuits_are_refused_quickly() -> None:
    circuit = program(np.ones(3))
    source, polynomial, result = circuit.instructions
    many = Circuit(SLOTS, (source, *[polynomial] * 1025, result), circuit.constants)
    start = time.perf_counter()
    with pytest.raises(CircuitError, match="1025 polynomials are more than 1024"):
        verify(many, KEYS)
    # A scale that is a fraction of as many bits as is allowed, whose 200th power nobody wants to reduce.
    long = msgspec.structs.replace(source, scale=Fraction((1 << 65000) + 1, (1 << 64960) + 1))
    with pytest.raises(CircuitError, match="the scale of power 2 is a fraction of more than 65536 bits"):
        verify(Circuit(SLOTS, (long, polynomial, result), circuit.constants), KEYS)
    rng = np.random.default_rng(0)
    sparse = rng.uniform(-1, 1, 256) * (rng.random(256) < 0.3)
    sparse[255] = 1.0
    verify(program(sparse, "chebyshev"), KEYS)
    assert time.perf_counter() - start < 5


def test_the_slots_of_all_steps_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = program(coefficients(15, per_slot=True))
    monkeypatch.setattr(verify_module, "MAX_TOTAL_SLOTS", 20 * SLOTS)
    with pytest.raises(CircuitError, match="polynomial: its steps have more than 320 slots in all; in step"):
        verify(circuit, KEYS)


def test_without_keys_only_the_structure_counts() -> None:
    circuit = program(coefficients(9, "odd"), dropped=None, scale=None)
    source = msgspec.structs.replace(circuit.instructions[0], limbs=None, scale=None)
    unplanned = Circuit(SLOTS, (source, *circuit.instructions[1:]), circuit.constants)
    assert [kind.scale for kind in verify(unplanned, None)] == [None] * 3
    verify(program(coefficients(9, "odd")), None)


def test_the_expansion_renames_operands_and_keeps_other_constants() -> None:
    """Two polynomials in a row, in a circuit that has a constant of the name that one would derive."""
    values = coefficients(3, per_slot=True)
    source, first, _ = program(values).instructions
    second = msgspec.structs.replace(first, x=1)
    names = {"all": np.ones((1, SLOTS), np.uint8), "c": values, "%1.0": np.ones(3)}
    circuit = Circuit(SLOTS, (source, first, second, Output(x=2, name="y", occupied="all")), names)
    expanded, types = verify_expanded(circuit, KEYS)
    assert expanded.constants["%1.0"] is names["%1.0"]
    moved = expand_polynomials(circuit, [10, 8, 6, 6])
    assert moved.moved[0] == 0
    assert moved.moved[3] == len(expanded.instructions) - 1
    assert list(moved.limbs) == [kind.limbs for kind in types]
    x = np.random.default_rng(1).uniform(-1, 1, (2, 1, SLOTS))
    inner = value(values, "power", x)
    np.testing.assert_allclose(Simulator(expanded).run({"x": x})["y"], value(values, "power", inner), rtol=1e-12)
    np.testing.assert_allclose(Simulator(circuit).run({"x": x})["y"], value(values, "power", inner), rtol=1e-12)


def test_a_circuit_without_polynomials_is_its_own_expansion() -> None:
    source, _, _ = program(np.ones(2)).instructions
    circuit = Circuit(SLOTS, (source, Output(x=0, name="y", occupied="all")), program(np.ones(2)).constants)
    expanded, types = verify_expanded(circuit, KEYS)
    assert expanded is circuit
    assert len(types) == 2


def test_the_noise_model_refuses_macros() -> None:
    circuit = program(np.ones(3))
    with pytest.raises(ValueError, match="polynomials are expanded"):
        GaussianNoise(circuit, verify(circuit, KEYS), KEYS, np.random.default_rng(0))


def test_every_step_names_the_node_it_is_for() -> None:
    expanded, _ = verify_expanded(program(coefficients(9), "chebyshev"), KEYS)
    steps: list[Instruction] = [ins for ins in expanded.instructions if not isinstance(ins, Input | Output)]
    assert {ins.source for ins in steps} == {"/act/Gelu"}


def test_the_limit_of_scales_is_the_verifiers() -> None:
    assert polynomials.MAX_SCALE_BITS == verify_module.MAX_SCALE_BITS
