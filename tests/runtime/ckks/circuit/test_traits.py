"""Traits say of kinds what the verifier finds of instructions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit import instructions
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
    constant_names,
)
from hecc.runtime.ckks.circuit.parameters import (
    Encapsulation,
    GaloisElement,
    KeySpecification,
    SecurityEvidence,
    SparseEvidence,
)
from hecc.runtime.ckks.circuit.polynomials import expand
from hecc.runtime.ckks.circuit.security import ntt_primes
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.types import verify
from hecc.runtime.errors import CircuitError

DEGREE, SLOTS = 64, 32
LIMBS = 12
PRIMES = ntt_primes(30, DEGREE, LIMBS + 1)
SCALE = Fraction(1 << 30)
CONSTANTS: dict[str, NDArray[Any]] = {
    "all": np.ones((2, SLOTS), np.uint8),
    "v": np.linspace(0.5, 1, 2 * SLOTS).reshape(2, SLOTS),
    "c": np.array([0.1, 0.2, 0.3]),
    **{
        f"d.{name}": np.array(value, dtype)
        for (name, dtype), value in zip(
            Diagonals.FIELDS.items(),
            ([0, 1], [1, 0], [0, 1], [0, 0], [0, SLOTS, 2 * SLOTS], [*range(SLOTS)] * 2, [0.5] * 2 * SLOTS),
            strict=True,
        )
    },
    **{
        f"m.{name}": np.array(value, dtype)
        for (name, dtype), value in zip(SparseMatrix.FIELDS.items(), ([0, 2, 3], [0, 1, 0], [0.5, 1, 2]), strict=True)
    },
}

ONE_OF_EACH: dict[type[Instruction], Instruction] = {
    type(ins): ins
    for ins in (
        Input(name="z", count=2, occupied="all", period=SLOTS, limbs=5, scale=SCALE),
        PairedInput(name="z", count=2, occupied="all", period=SLOTS, limbs=5, scale=SCALE),
        Output(x=0, name="z", occupied="all"),
        Add(x=0, y=1),
        Subtract(x=0, y=1),
        Negate(x=0),
        Multiply(x=0, y=1),
        Square(x=0),
        Relinearize(x=2),
        AddPlain(x=0, vector="v"),
        MultiplyPlain(x=0, vector="v", scale=SCALE),
        AddScalar(x=0, value=0.5),
        MultiplyScalar(x=0, value=0.5, scale=SCALE),
        Rotate(x=0, step=1),
        Conjugate(x=0),
        Fold(x=0, period=8, span=SLOTS),
        LinearTransform(x=0, count=2, diagonals="d", scale=SCALE),
        MatrixProduct(x=0, count=2, matrix="m", scale=SCALE),
        Polynomial(x=0, coefficients="c", basis="power", dropped=(1, 1), scale=SCALE),
        Rescale(x=2),
        DropLimbs(x=0),
        Raise(x=0, limbs=5),
        Bootstrap(
            x=0,
            largest=13,
            double_angles=2,
            degree=31,
            phase=Fraction(9, 40),
            weight=32,
            to_coefficients=(3, 2),
            to_slots=(2, 3),
            limbs=LIMBS,
            dropped=(1,) * 10,
            scale=SCALE,
        ),
    )
}
"""Each behind two inputs and a product of them."""

LIMBS_BEFORE = {Raise: 1, Bootstrap: 2}
"""Of the operand, where it has to have so many; otherwise five."""


def circuit(instruction: Instruction) -> Circuit:
    limbs = LIMBS_BEFORE.get(type(instruction), 5)
    # One limb holds small scales only, and so does the product of two.
    scale = Fraction(1 << 12) if limbs < 5 else SCALE
    sources = [Input(name=name, count=2, occupied="all", period=SLOTS, limbs=limbs, scale=scale) for name in "xy"]
    last = Output(x=1 if isinstance(instruction, Output) else 0, name="out", occupied="all")
    return Circuit(SLOTS, (*sources, Multiply(x=0, y=1), instruction, last), CONSTANTS)


def keys(galois: set[int] | None = None, relinearization: int = LIMBS, raised: int = LIMBS) -> KeySpecification:
    every = range(1, 2 * DEGREE, 2) if galois is None else galois
    return KeySpecification(
        ring_degree=DEGREE,
        data_primes=PRIMES[:LIMBS],
        special_primes=PRIMES[LIMBS:],
        relinearization_limbs=relinearization,
        galois=tuple(GaloisElement(element, LIMBS) for element in sorted(every) if element != 1),
        security=SecurityEvidence(level=0, adversary="classical", table="INSECURE", log2_limit=0),
        encapsulation=Encapsulation(weight=32, limbs=raised, security=SparseEvidence(0, "INSECURE", 0)),
    )


# A factor of a Fourier transform stands only in what a bootstrap expands to: test_bootstraps.py.
@pytest.fixture(params=[kind for kind in INSTRUCTIONS if kind is not FourierFactor], ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> type[Instruction]:
    found: type[Instruction] = request.param
    return found


def test_results_are_what_traits_say(kind: type[Instruction]) -> None:
    types = verify(circuit(ONE_OF_EACH[kind]), keys())
    result = types[3]
    if not kind.arity:
        assert result.polynomials == 2
        return
    before = types[ONE_OF_EACH[kind].operands[0]]
    assert (Trait.PRODUCT in kind.traits) == (result.polynomials > before.polynomials)
    assert (Trait.LEVELS in kind.traits) == (result.limbs < before.limbs)
    assert (Trait.RAISES in kind.traits) == (result.limbs > before.limbs)
    if Trait.LEVELS not in kind.traits:
        assert (Trait.SCALES in kind.traits) == (result.scale != before.scale)


def test_fields_are_what_traits_say(kind: type[Instruction]) -> None:
    fields = {field.name for field in msgspec.structs.fields(kind)}
    assert (Trait.COUNTED in kind.traits) == ("count" in fields)
    assert (Trait.WEIGHTS in kind.traits) == bool(circuit(ONE_OF_EACH[kind]).weights(ONE_OF_EACH[kind]))
    assert (Trait.BOUNDARY in kind.traits) == ("name" in fields)
    assert all(name in CONSTANTS for name in constant_names(ONE_OF_EACH[kind]))


def test_keys_are_asked_for_as_traits_say(kind: type[Instruction]) -> None:
    program = circuit(ONE_OF_EACH[kind])
    used = program.galois_uses(DEGREE)
    assert bool(kind.traits & (Trait.ROTATES | Trait.CONJUGATES | Trait.EMBEDS)) == bool(used)
    assert (Trait.CONJUGATES in kind.traits) == (2 * DEGREE - 1 in used)
    verify(program, keys(set(used)))
    without = keys(set(used), relinearization=0)
    if Trait.RELINEARIZES in kind.traits:
        with pytest.raises(CircuitError, match=r"relinearisation at \d+ limbs, but the key is for 0"):
            verify(program, without)
    else:
        verify(program, without)
    lower = keys(set(used), raised=4)
    if Trait.RAISES in kind.traits:
        with pytest.raises(CircuitError, match=r"raised to \d+ limbs, but the key is for 4"):
            verify(program, lower)
    else:
        verify(program, lower)


def test_elementwise_results_depend_on_their_own_slots(kind: type[Instruction]) -> None:
    """One slot of one ciphertext is changed, and where that shows is looked for."""
    if not kind.arity:
        assert Trait.ELEMENTWISE not in kind.traits
        return
    program = circuit(ONE_OF_EACH[kind])
    if kind is not Output:
        program = Circuit(SLOTS, (*program.instructions, Output(x=3, name="z", occupied="all")), CONSTANTS)
    inputs = {name: np.full((2, 2, SLOTS), 0.5) for name in "xy"}
    inputs["x"][1, 0, 5] = 0.75
    first, second = Simulator(program).run(inputs)["z"]
    changed = {(int(c), int(s)) for c, s in np.argwhere(first != second)}
    assert (changed == {(0, 5)}) == (Trait.ELEMENTWISE in kind.traits)


def test_polynomials_are_evaluated_by_what_traits_say() -> None:
    # Of degree 9, so that a power is a product of two different ones.
    vectors = np.random.default_rng(0).uniform(-1, 1, (10, 1, SLOTS))
    used: set[type[Instruction]] = set()
    for basis in ("power", "chebyshev"):
        for coefficients in (vectors, vectors[:, 0, 0].copy()):
            ins = Polynomial(x=0, coefficients="c", basis=basis, dropped=(1, 1, 1, 1), scale=SCALE)
            expansion = expand(ins, coefficients, limbs=5, scale=SCALE, primes=PRIMES[:5])
            used |= {type(step) for step in expansion.instructions}
    assert used == set(instructions.kinds_with(Trait.EVALUATES))


def test_a_kind_that_declares_no_traits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Negate, frozen=True, tag="silent"):
        """Derived from one that does."""

    monkeypatch.setattr(instructions, "INSTRUCTIONS", (*INSTRUCTIONS, Silent))
    with pytest.raises(TypeError, match="instruction Silent declares no traits"):
        instructions._check_traits()
