"""Every rule of the verifier: what it accepts and derives, and each rule broken once."""

from __future__ import annotations

import dataclasses
import math
import time
from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hecc.runtime.ckks.circuit.instructions import (
    INSTRUCTIONS,
    Add,
    AddPlain,
    AddScalar,
    Circuit,
    Conjugate,
    Diagonals,
    DropLimbs,
    Fold,
    Input,
    Instruction,
    LinearTransform,
    MatrixProduct,
    Multiply,
    MultiplyPlain,
    MultiplyScalar,
    Negate,
    Output,
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
    GaloisElement,
    KeySpecification,
    SecurityEvidence,
    SparseEvidence,
    conjugation_element,
    galois_element,
)
from hecc.runtime.ckks.circuit.security import ntt_primes
from hecc.runtime.ckks.readings import types as verify_module
from hecc.runtime.ckks.readings.types import HEADROOM, Content, matrix_entries, verify
from hecc.runtime.errors import CircuitError

SLOTS = 8
DEGREE = 2048
PRIMES = ntt_primes(40, DEGREE, 4)
DATA, SPECIAL = PRIMES[:3], PRIMES[3:]
MASKS = {
    "all": np.ones((1, SLOTS), np.uint8),
    "half": np.uint8([[1, 0] * 4]),
    "first": np.eye(1, SLOTS, dtype=np.uint8),
    "two": np.ones((2, SLOTS), np.uint8),
}


def keys_for(*steps: int, limbs: int = 3, relinearization: int = 3, slots: int = DEGREE // 2) -> KeySpecification:
    elements = sorted(galois_element(step, 2 * slots) for step in steps)
    return KeySpecification(
        ring_degree=2 * slots,
        data_primes=DATA,
        special_primes=SPECIAL,
        relinearization_limbs=relinearization,
        galois=tuple(GaloisElement(element, limbs) for element in elements),
        security=SecurityEvidence(level=0, adversary="classical", table="none: insecure, for tests", log2_limit=0),
    )


ALL_KEYS = keys_for(*range(1, SLOTS))


def raising(limbs: int) -> KeySpecification:
    """Keys that raise to so many limbs, too."""
    evidence = SparseEvidence(level=0, table="none: insecure, for tests", log2_limit=0)
    return msgspec.structs.replace(ALL_KEYS, encapsulation=Encapsulation(weight=32, limbs=limbs, security=evidence))


def diagonals(*entries: tuple[int, int, int, int, dict[int, float]]) -> dict[str, np.ndarray]:
    """Constants of a linear transform ``d`` from (row, column, baby, giant, {slot: value})."""
    row, column, baby, giant = (np.array([e[k] for e in entries], dtype="<i4") for k in range(4))
    lengths = [len(e[4]) for e in entries]
    arrays = Diagonals(
        row=row,
        column=column,
        baby=baby,
        giant=giant,
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype("<i8"),
        slots=np.array([s for e in entries for s in e[4]], dtype="<u2"),
        values=np.array([v for e in entries for v in e[4].values()], dtype="<f4"),
    )
    return {f"d.{name}": getattr(arrays, name) for name in Diagonals.FIELDS}


FULL = dict.fromkeys(range(SLOTS), 1.0)
IDENTITY = diagonals((0, 0, 0, 0, FULL))
SUMS = diagonals((0, 0, 0, 0, FULL), (0, 0, 1, 0, FULL))


def matrix(*rows: dict[int, float], **changes: np.ndarray) -> dict[str, np.ndarray]:
    """Constants of a matrix ``m``, whose rows give values by column."""
    arrays = {
        "offsets": np.cumsum([0, *map(len, rows)]).astype("<i8"),
        "columns": np.array([column for row in rows for column in row], dtype="<i4"),
        "values": np.array([value for row in rows for value in row.values()], dtype="<f4"),
        **changes,
    }
    return {f"m.{name}": array for name, array in arrays.items()}


def circuit(*instructions: Instruction, slots: int = SLOTS, **constants: np.ndarray) -> Circuit:
    return Circuit(slots, instructions, {**MASKS, **constants})


def source(
    limbs: int | None = 3,
    scale: Fraction | None = Fraction(1 << 30),
    occupied: str = "all",
    name: str = "x",
    period: int = SLOTS,
    count: int | None = None,
) -> Input:
    count = len(MASKS[occupied]) if count is None else count
    return Input(name=name, count=count, occupied=occupied, period=period, limbs=limbs, scale=scale)


def result(x: int, occupied: str = "all", name: str = "y") -> Output:
    return Output(x=x, name=name, occupied=occupied)


def vector(*values: float) -> np.ndarray:
    return np.array([values if len(values) == SLOTS else values * SLOTS], dtype=np.float64)


PLAIN = Fraction(1 << 20)


def test_there_is_a_rule_for_every_instruction() -> None:
    assert all(kind in verify_module._RULES for kind in INSTRUCTIONS)


def test_types_follow_scales_limbs_and_polynomials() -> None:
    program = circuit(
        source(),
        Square(x=0),
        Rescale(x=1),
        Relinearize(x=2),
        MultiplyPlain(x=3, vector="v", scale=Fraction(1 << 10)),
        DropLimbs(x=4),
        Negate(x=5),
        result(6),
        v=vector(2.0),
    )
    types = verify(program, ALL_KEYS)
    square = Fraction(1 << 60)
    assert [t.scale for t in types] == [
        Fraction(1 << 30),
        square,
        square / DATA[2],
        square / DATA[2],
        square / DATA[2] * (1 << 10),
        square / DATA[2] * (1 << 10),
        square / DATA[2] * (1 << 10),
        square / DATA[2] * (1 << 10),
    ]
    assert [t.limbs for t in types] == [3, 3, 2, 2, 2, 1, 1, 1]
    assert [t.polynomials for t in types] == [2, 3, 3, 2, 2, 2, 2, 2]
    assert [t.count for t in types] == [1] * 8


def test_a_rescale_by_two_limbs_divides_by_the_last_two_primes_in_use() -> None:
    types = verify(circuit(source(scale=Fraction(1 << 90)), Rescale(x=0, limbs=2), result(1)), ALL_KEYS)
    assert types[1].scale == Fraction(1 << 90, DATA[2] * DATA[1])
    assert types[1].limbs == 1


def test_without_keys_only_structure_and_hygiene_count() -> None:
    program = circuit(source(None, None, "half"), Rotate(x=0, step=1), MultiplyPlain(x=1, vector="v"), v=vector(1.0))
    program = dataclasses.replace(program, instructions=(*program.instructions, result(2)))
    types = verify(program, None)
    assert [t.limbs for t in types] == [0] * 4
    assert [t.scale for t in types] == [None] * 4
    assert types[1].content.tolist() == [[0, 1] * 4]


def test_a_linear_transform_gives_data_where_an_entry_lands_on_data() -> None:
    entries = diagonals((0, 0, 0, 0, {0: 1.0, 1: 1.0}), (0, 0, 1, 2, {2: 1.0, 3: 1.0, 5: 0.0}))
    types = verify(circuit(source(occupied="half"), transform(), result(1), **entries), ALL_KEYS)
    # Slots 0 and 1 read slots 0 (data) and 1 (zero); 2, 3 and 5 read 5 (zero), 6 and 0 (data), the last with value 0.
    assert types[1].content.tolist() == [[1, 0, 0, 1, 0, 0, 0, 0]]


def test_partial_sums_are_junk_until_their_fold() -> None:
    program = circuit(
        source(),
        LinearTransform(x=0, count=1, diagonals="d", partial=2, scale=PLAIN),
        Add(x=1, y=1),
        Rescale(x=2),
        DropLimbs(x=3),
        Negate(x=4),
        Fold(x=5, period=2, span=8),
        result(6),
        **SUMS,
    )
    types = verify(program, ALL_KEYS)
    assert [t.partial for t in types] == [0, 2, 2, 2, 2, 2, 0, 0]
    assert set(types[5].content.ravel().tolist()) == {Content.JUNK}
    assert set(types[6].content.ravel().tolist()) == {Content.DATA}


def test_content_of_a_fold_and_of_vectors() -> None:
    program = circuit(
        source(occupied="first"),
        AddPlain(x=0, vector="v"),
        MultiplyPlain(x=1, vector="v", scale=PLAIN),
        Fold(x=0, period=4, span=8),
        result(1),
        v=vector(0, 0, 3, 0, 0, 0, 0, 0),
    )
    types = verify(program, ALL_KEYS)
    assert types[1].content.tolist() == [[1, 0, 1, 0, 0, 0, 0, 0]]
    assert types[2].content.tolist() == [[0, 0, 1, 0, 0, 0, 0, 0]]
    assert types[3].content.tolist() == [[1, 0, 0, 0, 1, 0, 0, 0]]


def test_scalars_move_scales_and_content() -> None:
    program = circuit(
        source(occupied="half"),
        MultiplyScalar(x=0, value=-2.0, scale=PLAIN),
        AddScalar(x=1, value=0.0),
        MultiplyScalar(x=2, value=0.0, scale=PLAIN),
        AddScalar(x=2, value=1.0),
        result(4),
    )
    types = verify(program, ALL_KEYS)
    assert [t.scale for t in types[1:5]] == [Fraction(1 << 50), Fraction(1 << 50), Fraction(1 << 70), Fraction(1 << 50)]
    assert types[2].content.tolist() == MASKS["half"].tolist()
    assert not types[3].content.any()
    assert types[4].content.all()
    assert [t.period for t in types] == [SLOTS] * 6


def test_a_conjugation_needs_the_key_of_minus_one_and_changes_no_slot() -> None:
    program = circuit(source(occupied="half"), DropLimbs(x=0), Conjugate(x=1), Rotate(x=0, step=2), result(2, "half"))
    elements = {galois_element(2, DEGREE): [3], conjugation_element(DEGREE): [2]}
    assert program.galois_uses(DEGREE) == dict(sorted(elements.items()))
    assert program.rotations() == {2: [3]}
    keys = keys_for(2)
    conjugation = GaloisElement(2 * DEGREE - 1, 2)
    types = verify(program, msgspec.structs.replace(keys, galois=(*keys.galois, conjugation)))
    assert types[2].content is types[0].content


def test_a_raised_value_has_more_limbs_and_something_in_every_slot() -> None:
    program = circuit(source(occupied="half", period=2), DropLimbs(x=0, limbs=2), Raise(x=1, limbs=3), result(2))
    low, raised = verify(program, raising(3))[1:3]
    assert (low.limbs, raised.limbs, raised.scale) == (1, 3, low.scale)
    assert (low.content == MASKS["half"]).all()
    assert (raised.content == Content.DATA).all()
    assert (low.period, raised.period) == (2, SLOTS)
    assert verify(program, None)[2].limbs == 0


def test_a_matrix_product_derives_rows_from_the_columns_that_they_read() -> None:
    masks = np.uint8([[1, 0] * 4, [0] * 8, [0, 0, 0, 0, 0, 0, 0, 1]])
    rows = ({0: 1.0, 2: 1.0}, {}, {1: 2.0}, {0: 0.0, 1: 1.0, 2: 1.0}, {0: 1.0})
    program = circuit(
        source(count=3, occupied="three"),
        MatrixProduct(x=0, count=5, matrix="m", scale=PLAIN),
        result(1, "five"),
        three=masks,
        five=np.ones((5, SLOTS), np.uint8),
        **matrix(*rows),
    )
    for keys in (ALL_KEYS, None):
        kind = verify(program, keys)[1]
        both = np.maximum(masks[0], masks[2])
        assert kind.content.tolist() == [m.tolist() for m in (both, masks[1], masks[1], masks[2], masks[0])]
        assert kind.count == 5
    assert verify(program, ALL_KEYS)[1].scale == Fraction(1 << 50)


def test_a_bias_fills_the_rows_that_it_is_added_to() -> None:
    program = circuit(
        source(),
        MatrixProduct(x=0, count=3, matrix="m", bias="b", scale=PLAIN),
        result(1, "three"),
        three=np.ones((3, SLOTS), np.uint8),
        b=np.array([0.0, 0.5, 0.0]),
        **matrix({0: 1.0}, {}, {}),
    )
    content = verify(program, ALL_KEYS)[1].content
    assert content[1].all()
    assert not content[2].any()


def test_the_content_of_a_matrix_product_is_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    content = rng.integers(0, 3, (40, SLOTS), dtype=np.uint8)
    dense = rng.uniform(-1, 1, (30, 40)) * (rng.random((30, 40)) < 0.2)
    rows = [{int(c): float(row[c]) for c in np.flatnonzero(row)} for row in dense]
    arrays = matrix(*rows)
    weights = SparseMatrix(**{name: arrays[f"m.{name}"] for name in SparseMatrix.FIELDS})
    expected = [np.max(content[np.flatnonzero(row)], axis=0, initial=0).tolist() for row in dense]
    for limit in (1, 50, 1 << 24):
        monkeypatch.setattr(verify_module, "PIECE", limit)
        assert verify_module._product_content(weights, content).tolist() == expected


def test_partial_sums_pass_a_matrix_product() -> None:
    program = circuit(
        source(),
        LinearTransform(x=0, count=1, diagonals="d", partial=2, scale=PLAIN),
        MatrixProduct(x=1, count=1, matrix="m", scale=PLAIN),
        Fold(x=2, period=2, span=8),
        result(3),
        **SUMS,
        **matrix({0: 2.0}),
    )
    assert [t.partial for t in verify(program, ALL_KEYS)] == [0, 2, 2, 0, 0]


def test_products_are_zero_where_one_operand_is() -> None:
    both = circuit(source(occupied="half"), source(name="z", occupied="first"), Multiply(x=0, y=1), Relinearize(x=2))
    program = dataclasses.replace(both, instructions=(*both.instructions, result(3, occupied="first")))
    assert verify(program, ALL_KEYS)[2].content.tolist() == MASKS["first"].tolist()


def test_a_fold_over_part_of_the_slots_needs_a_proof_that_its_operand_repeats() -> None:
    program = circuit(
        source(),
        Fold(x=0, period=4, span=8),
        AddPlain(x=1, vector="v"),
        Rotate(x=2, step=3),
        Fold(x=3, period=1, span=4),
        result(4),
        v=vector(*([1, 2] * 4)),
    )
    types = verify(program, ALL_KEYS)
    assert [t.period for t in types] == [8, 4, 4, 4, 1, 1]


def test_an_input_repeats_as_declared() -> None:
    program = circuit(source(occupied="half", period=2), Fold(x=0, period=1, span=2), result(1))
    assert [t.period for t in verify(program, ALL_KEYS)] == [2, 1, 1]


def test_a_linear_transform_repeats_with_its_operand_and_its_diagonals() -> None:
    def period(values: dict[int, float], declared: int = 2) -> int:
        program = circuit(source(period=declared), transform(), result(1), **diagonals((0, 0, 1, 0, values)))
        return verify(program, ALL_KEYS)[1].period

    assert period(FULL) == 2
    assert period(FULL, declared=1) == 1
    assert period(FULL, declared=8) == 8
    assert period({0: 1.0, 4: 1.0}) == 4
    assert period({0: 1.0, 4: 2.0}) == 8
    assert period({0: 1.0, 3: 1.0}) == 8
    assert period({0: 1.0}) == 8


def test_a_vector_of_another_period_ends_a_repetition() -> None:
    program = circuit(
        source(),
        Fold(x=0, period=2, span=8),
        AddPlain(x=1, vector="v"),
        Fold(x=2, period=1, span=4),
        result(3),
        v=vector(*range(SLOTS)),
    )
    with pytest.raises(CircuitError, match="a fold over span 4 needs an operand that repeats with it, not with 8"):
        verify(program, ALL_KEYS)


def test_headroom_leaves_a_sign_bit_and_one_bit_more() -> None:
    program = circuit(source(limbs=1), result(0))
    limit = DATA[0] / HEADROOM / 2**30
    verify(program, ALL_KEYS, bounds={0: limit * 0.999})
    with pytest.raises(CircuitError, match=r"headroom: 4 x scale 2\^30.000 x bound \d+ is 2\^40.00\d, .* of 1 limbs"):
        verify(program, ALL_KEYS, bounds={0: limit * 1.001})


def transform(**changes: object) -> LinearTransform:
    fields: dict[str, object] = {"x": 0, "count": 1, "diagonals": "d", "scale": PLAIN, **changes}
    return LinearTransform(**fields)  # type: ignore[arg-type]


def product(**changes: object) -> MatrixProduct:
    fields: dict[str, object] = {"x": 0, "count": 1, "matrix": "m", "scale": PLAIN, **changes}
    return MatrixProduct(**fields)  # type: ignore[arg-type]


def altered(**changes: np.ndarray) -> dict[str, np.ndarray]:
    return {**SUMS, **{f"d.{name}": array for name, array in changes.items()}}


@dataclasses.dataclass
class Fault:
    """Instructions that break one rule, and the sentence that says so."""

    says: str
    instructions: tuple[Instruction, ...]
    constants: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    keys: KeySpecification | None = ALL_KEYS
    slots: int = SLOTS


class Unknown(Instruction, frozen=True, tag="unknown"):
    """An instruction that no rule knows."""

    x: int


THREE = (source(), Square(x=0))
LOW = (source(), DropLimbs(x=0, limbs=2))
HUGE = Fraction(1 << 119)
TWO_INPUTS = (source(), source(name="z", occupied="two"))

FAULTS = {
    # bias
    "bias missing": Fault("constant 'b' is missing", (source(), product(bias="b"), result(1)), matrix({0: 1.0})),
    "bias of another shape": Fault(
        "constant 'b' is float64 of shape (2,), not float64 of shape (1,)",
        (source(), product(bias="b"), result(1)),
        {**matrix({0: 1.0}), "b": np.zeros(2)},
    ),
    "bias not finite": Fault(
        "a constant is not finite",
        (source(), product(bias="b"), result(1)),
        {**matrix({0: 1.0}), "b": np.array([math.nan])},
    ),
    "bias of partial sums": Fault(
        "partial sums are read as data",
        (source(), transform(partial=2), product(x=1, bias="b"), result(2)),
        {**SUMS, **matrix({0: 1.0}), "b": np.ones(1)},
    ),
    # structure
    "slots": Fault("3 slots is not a power of two up to 65536", (source(), result(0)), slots=3),
    "ring": Fault("2048 slots of 1 lanes do not fit the ring's 1024", (source(), result(0)), slots=2048),
    "empty": Fault("0 instructions is outside 1..65536", ()),
    "order": Fault("operand %2 is not an earlier value", (source(), Negate(x=2), Negate(x=1), result(2))),
    "itself": Fault("operand %1 is not an earlier value", (source(), Negate(x=1), result(1))),
    "negative": Fault("operand %-1 is not an earlier value", (source(), Negate(x=-1), result(1))),
    "output": Fault("operand %1 is an output", (source(), result(0), Negate(x=1))),
    "unknown": Fault("instruction 'unknown' is unknown", (source(), Unknown(x=0), result(1))),
    "no output": Fault("outputs [] are not one or more distinct names", (source(), Negate(x=0))),
    "same outputs": Fault("outputs ['y', 'y'] are not one or more distinct", (source(), result(0), result(0))),
    "same inputs": Fault("inputs ['x', 'x'] are not one or more distinct", (source(), source(), result(0))),
    # inputs
    "count": Fault("0 ciphertexts are outside 1..8388608", (source(count=0), result(0))),
    "many": Fault("8388609 ciphertexts are outside 1..8388608", (source(count=8388609), result(0))),
    "no period": Fault("the data of an input cannot repeat every 0 of 8 slots", (source(period=0), result(0))),
    "odd period": Fault("the data of an input cannot repeat every 3 of 8 slots", (source(period=3), result(0))),
    "long period": Fault("the data of an input cannot repeat every 16 of 8 slots", (source(period=16), result(0))),
    "copies": Fault("an input cannot repeat every 1 of 8 slots", (source(occupied="half", period=1), result(0))),
    "chain": Fault("4 limbs are outside 1..3, the modulus chain", (source(limbs=4), result(0))),
    "no limbs": Fault("0 limbs are outside 1..3, the modulus chain", (source(limbs=0), result(0))),
    "unplanned": Fault("the limbs or the scale of an input are missing", (source(limbs=None), result(0))),
    "unplanned scale": Fault("the limbs or the scale of an input are missing", (source(scale=None), result(0))),
    "no scale": Fault("a scale is not positive", (source(scale=Fraction(0)), result(0))),
    "long scale": Fault(
        "a scale is a fraction of more than 65536 bits", (source(scale=Fraction(1 << 65537, 3)), result(0))
    ),
    "large scale": Fault(
        "scale 2^50.000 is not below the modulus, 2^40.", (source(limbs=1, scale=Fraction(1 << 50)), result(0))
    ),
    # constants
    "missing": Fault("constant 'v' is missing", (source(), AddPlain(x=0, vector="v"), result(1))),
    "shape": Fault(
        "constant 'v' is float64 of shape (2, 8), not float64 of shape (1, 8)",
        (source(), AddPlain(x=0, vector="v"), result(1)),
        {"v": np.ones((2, 8))},
    ),
    "dtype": Fault(
        "constant 'v' is float32 of shape (1, 8), not float64",
        (source(), MultiplyPlain(x=0, vector="v", scale=PLAIN), result(1)),
        {"v": np.ones((1, 8), np.float32)},
    ),
    "mask": Fault("constant 'all' is a mask but holds 2", (source(), result(0)), {"all": np.full((1, 8), 2, np.uint8)}),
    "not finite": Fault(
        "a constant is not finite", (source(), AddPlain(x=0, vector="v"), result(1)), {"v": vector(math.nan)}
    ),
    "magnitude": Fault(
        "a constant of 1e+12 at scale 2^30.000 exceeds the modulus",
        (source(limbs=1), AddPlain(x=0, vector="v"), result(1)),
        {"v": vector(-1e12)},
    ),
    "plain scale": Fault(
        "the scale of the plaintext is missing",
        (source(), MultiplyPlain(x=0, vector="v"), result(1)),
        {"v": vector(1.0)},
    ),
    # operands that meet
    "counts": Fault("the operands have 1 and 2 ciphertexts", (*TWO_INPUTS, Add(x=0, y=1), result(2))),
    "limbs": Fault("the operands have 3 and 2 limbs", (source(), DropLimbs(x=0), Subtract(x=0, y=1), result(2))),
    "product limbs": Fault(
        "the operands have 3 and 2 limbs", (source(), DropLimbs(x=0), Multiply(x=0, y=1), result(2))
    ),
    "scales": Fault(
        "the operands have different scales: 2^30.000 and 2^30.000, a relative difference of 9.31e-10",
        (source(), source(name="z", scale=Fraction((1 << 30) + 1)), Add(x=0, y=1), result(2)),
    ),
    "scales far apart": Fault(
        "the operands have different scales: 2^30.000 and 2^-2000.000, a relative difference of inf",
        (source(), source(name="z", scale=Fraction(1, 1 << 2000)), Add(x=0, y=1), result(2)),
    ),
    "overflow": Fault(
        "scale 2^160.000 is not below the modulus, 2^120.", (source(scale=Fraction(1 << 80)), Square(x=0), result(1))
    ),
    # levels
    "rescale nothing": Fault("0 limbs cannot be dropped", (source(), Rescale(x=0, limbs=0), result(1))),
    "rescale all": Fault("3 of 3 limbs are dropped, none", (source(), Rescale(x=0, limbs=3), result(1))),
    "drop all": Fault("1 of 1 limbs are dropped, none", (source(limbs=1), DropLimbs(x=0), result(1))),
    # three polynomials
    "three: rotate": Fault(
        "has three polynomials and has to be relinearised", (*THREE, Rotate(x=1, step=1), result(2))
    ),
    "three: fold": Fault("has three polynomials", (*THREE, Fold(x=1, period=1, span=8), result(2))),
    "three: square": Fault(
        "has three polynomials", (source(limbs=3, scale=PLAIN), Square(x=0), Square(x=1), result(2))
    ),
    "three: multiply": Fault("has three polynomials", (*THREE, Multiply(x=0, y=1), result(2))),
    "three: transform": Fault("has three polynomials", (*THREE, transform(x=1), result(2)), IDENTITY),
    "three: output": Fault("has three polynomials", (*THREE, result(1))),
    "two": Fault("only three polynomials can be relinearised", (source(), Relinearize(x=0), result(1))),
    # keys
    "step": Fault("a rotation by 8 is outside 1..7", (source(), Rotate(x=0, step=8), result(1))),
    "step zero": Fault("a rotation by 0 is outside 1..7", (source(), Rotate(x=0, step=0), result(1)), keys=None),
    "rotation key": Fault(
        "the rotation key for step 3 (element 27) at 3 limbs is missing",
        (source(), Rotate(x=0, step=3), result(1)),
        keys=keys_for(1, 2),
    ),
    "rotation key limbs": Fault(
        "the rotation key for step 1 (element 3) at 3 limbs is only for 2 limbs",
        (source(), Rotate(x=0, step=1), result(1)),
        keys=keys_for(1, limbs=2),
    ),
    "fold key": Fault(
        "the rotation key for step 4",
        (source(), Fold(x=0, period=1, span=8), result(1)),
        keys=keys_for(1, 2),
    ),
    "baby key": Fault("the rotation key for step 1", (source(), transform(), result(1)), SUMS, keys=keys_for(2)),
    "giant key": Fault(
        "the rotation key for step 2",
        (source(), transform(), result(1)),
        diagonals((0, 0, 0, 2, FULL)),
        keys=keys_for(1),
    ),
    "relinearisation key": Fault(
        "relinearisation at 3 limbs, but the key is for 2",
        (*THREE, Relinearize(x=1), result(2)),
        keys=keys_for(relinearization=2),
    ),
    "conjugation key": Fault(
        "the conjugation key (element 4095) at 3 limbs is missing", (source(), Conjugate(x=0), result(1))
    ),
    "conjugation key limbs": Fault(
        "the conjugation key (element 4095) at 3 limbs is only for 2 limbs",
        (source(), Conjugate(x=0), result(1)),
        keys=msgspec.structs.replace(ALL_KEYS, galois=(GaloisElement(4095, 2),)),
    ),
    # raises
    "raise limbs": Fault(
        "a value of 3 limbs is raised, and only values of one limb can be", (source(), Raise(x=0, limbs=3), result(1))
    ),
    "raise to one": Fault("raised to 1 limbs, outside 2..3", (*LOW, Raise(x=1, limbs=1), result(2))),
    "raise above": Fault("raised to 4 limbs, outside 2..3", (*LOW, Raise(x=1, limbs=4), result(2))),
    "raise key": Fault(
        "the keys that raise a value, to a sparse secret and back, are missing", (*LOW, Raise(x=1, limbs=3), result(2))
    ),
    "raise key limbs": Fault(
        "a value is raised to 3 limbs, but the key is for 2", (*LOW, Raise(x=1, limbs=3), result(2)), keys=raising(2)
    ),
    "raise and come back": Fault(
        "a value of 2 limbs is raised",
        (*LOW, Raise(x=1, limbs=3), DropLimbs(x=2), Raise(x=3, limbs=3), result(4)),
        keys=raising(3),
    ),
    "raise leaves no slot zero": Fault(
        "slot hygiene: 4 slots outside the output are not zero",
        (source(occupied="half"), DropLimbs(x=0, limbs=2), Raise(x=1, limbs=3), result(2, "half")),
        keys=raising(3),
    ),
    "three: raise": Fault("has three polynomials", (*THREE, Raise(x=1, limbs=3), result(2)), keys=raising(3)),
    "partial: raise": Fault(
        "partial sums are read", (source(), transform(partial=2), Raise(x=1, limbs=3), result(2)), SUMS, keys=raising(3)
    ),
    "three: conjugate": Fault("has three polynomials", (*THREE, Conjugate(x=1), result(2))),
    # scalars
    "scalar": Fault("a constant is not finite", (source(), AddScalar(x=0, value=math.inf), result(1))),
    "scalar magnitude": Fault(
        "a constant of 1e+12 at scale 2^30.000 exceeds the modulus",
        (source(limbs=1), AddScalar(x=0, value=-1e12), result(1)),
    ),
    "scalar scale": Fault(
        "the scale of the plaintext is missing", (source(), MultiplyScalar(x=0, value=1.0), result(1))
    ),
    "partial: add scalar": Fault(
        "partial sums are read", (source(), transform(partial=2), AddScalar(x=1, value=1.0), result(2)), SUMS
    ),
    # matrices
    "matrix missing": Fault("matrix_product: constant 'm.offsets' is missing", (source(), product(), result(1))),
    "matrix count": Fault(
        "8388609 ciphertexts are outside 1..8388608", (source(), product(count=8388609), result(1)), matrix({0: 1.0})
    ),
    "matrix rows": Fault("matrix: 2 offsets, not 3", (source(), product(count=2), result(1, "two")), matrix({0: 1.0})),
    "matrix offsets": Fault(
        "matrix: offsets do not partition the values",
        (source(), product(count=2), result(1, "two")),
        matrix({0: 1.0}, {0: 1.0}, offsets=np.array([0, 3, 2], "<i8")),
    ),
    "matrix ends": Fault(
        "matrix: offsets do not partition the values",
        (source(), product(), result(1)),
        matrix({0: 1.0}, offsets=np.array([0, 2], "<i8")),
    ),
    "matrix empty": Fault("matrix: 0 columns for 0 values", (source(), product(), result(1)), matrix({})),
    "matrix column": Fault("matrix: a column is outside 0..0", (source(), product(), result(1)), matrix({1: 1.0})),
    "matrix order": Fault(
        "matrix: columns are not strictly increasing within a row",
        (source(occupied="two"), product(), result(1)),
        matrix({1: 1.0, 0: 1.0}),
    ),
    "matrix dtype": Fault(
        "matrix: columns is not a vector of <i4",
        (source(), product(), result(1)),
        matrix({0: 1.0}, columns=np.zeros(1, "<i8")),
    ),
    "matrix not finite": Fault(
        "matrix: a value is not finite", (source(), product(), result(1)), matrix({0: math.nan})
    ),
    "matrix scale": Fault(
        "the scale of the plaintext is missing", (source(), product(scale=None), result(1)), matrix({0: 1.0})
    ),
    "matrix magnitude": Fault(
        "a constant of 1e+20 at scale 2^20.000 exceeds the modulus",
        (source(limbs=2), product(), result(1)),
        matrix({0: 1e20}),
    ),
    # folds
    "fold shape": Fault(
        "a fold from span 8 to period 3 is not of powers of two up to 8 slots",
        (source(), Fold(x=0, period=3, span=8), result(1)),
    ),
    "fold span": Fault("a fold from span 16 to period 2", (source(), Fold(x=0, period=2, span=16), result(1))),
    "fold order": Fault("a fold from span 2 to period 4", (source(), Fold(x=0, period=4, span=2), result(1))),
    "fold repeats": Fault(
        "a fold over span 4 needs an operand that repeats with it, not with 8",
        (source(), Fold(x=0, period=2, span=4), result(1)),
    ),
    # partial sums
    "partial: period": Fault(
        "partial sums of period 2 meet a fold of period 4",
        (source(), transform(partial=2), Fold(x=1, period=4, span=8), result(2)),
        SUMS,
    ),
    "partial: output": Fault(
        "partial sums are read as data: a fold with period 2", (source(), transform(partial=2), result(1)), SUMS
    ),
    "partial: square": Fault("partial sums are read", (source(), transform(partial=2), Square(x=1), result(2)), SUMS),
    "partial: multiply": Fault(
        "partial sums are read",
        (source(scale=PLAIN), transform(partial=2), Multiply(x=0, y=1), result(2)),
        SUMS,
    ),
    "partial: rotate": Fault(
        "partial sums are read", (source(), transform(partial=2), Rotate(x=1, step=1), result(2)), SUMS
    ),
    "partial: add plain": Fault(
        "partial sums are read",
        (source(), transform(partial=2), AddPlain(x=1, vector="v"), result(2)),
        {**SUMS, "v": vector(1.0)},
    ),
    "partial: multiply plain": Fault(
        "partial sums are read",
        (source(), transform(partial=2), MultiplyPlain(x=1, vector="v", scale=PLAIN), result(2)),
        {**SUMS, "v": vector(1.0)},
    ),
    "partial: mixed": Fault(
        "the operands are partial sums of periods 2 and 0",
        (source(), transform(partial=2), transform(), Add(x=1, y=2), result(3)),
        SUMS,
    ),
    "partial: not a period": Fault(
        "partial sums of period 3: not zero or a power of two up to 8",
        (source(), transform(partial=3), result(1)),
        SUMS,
    ),
    # slot hygiene
    "leak": Fault(
        "slot hygiene: 7 slots outside the output are not zero, the first is slot 1 of ciphertext 0",
        (source(), result(0, occupied="first")),
    ),
    "junk": Fault(
        "slot hygiene: slot 0 of ciphertext 0 of %1 is junk but is read as data; a fold with period 2",
        (source(), transform(partial=2), transform(x=1), result(2)),
        SUMS,
    ),
    # diagonals
    "diagonals missing": Fault("constant 'd.row' is missing", (source(), transform(), result(1))),
    "transform count": Fault(
        "8388609 ciphertexts are outside 1..8388608", (source(), transform(count=8388609), result(1)), SUMS
    ),
    "diagonal row": Fault(
        "diagonals: row is outside 0..0", (source(), transform(), result(1)), altered(row=np.array([0, 1], "<i4"))
    ),
    "diagonal dtype": Fault(
        "diagonals: values is not a vector of <f4",
        (source(), transform(), result(1)),
        altered(values=SUMS["d.values"].astype("<f8")),
    ),
    "diagonals of rank 0": Fault(
        "diagonals: row is not a vector of <i4",
        (source(), transform(), result(1)),
        altered(row=np.array(0, "<i4")),
    ),
    "diagonal offsets that wrap around": Fault(
        "diagonals: offsets do not partition the values",
        (source(), transform(), result(1)),
        # Their differences are all positive in 64 bits.
        altered(
            row=np.zeros(4, "<i4"),
            column=np.zeros(4, "<i4"),
            baby=np.zeros(4, "<i4"),
            giant=np.zeros(4, "<i4"),
            offsets=np.array([0, 1 << 62, -(1 << 63), -(1 << 62), 16], "<i8"),
        ),
    ),
    "diagonal order": Fault(
        "the diagonals are not in the order (giant, row, column, baby), each once",
        (source(), transform(), result(1)),
        altered(baby=np.array([1, 0], "<i4")),
    ),
    "diagonal twice": Fault(
        "the diagonals are not in the order (giant, row, column, baby), each once",
        (source(), transform(), result(1)),
        altered(baby=np.array([1, 1], "<i4")),
    ),
    "transform scale": Fault(
        "the scale of the plaintext is missing", (source(), transform(scale=None), result(1)), SUMS
    ),
    "transform magnitude": Fault(
        "a constant of 1e+20 at scale 2^20.000 exceeds the modulus",
        (source(limbs=2), transform(), result(1)),
        diagonals((0, 0, 0, 0, {0: 1e20})),
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_each_rule_broken_once_is_refused_by_name(fault: Fault) -> None:
    broken = circuit(*fault.instructions, slots=fault.slots, **fault.constants)
    with pytest.raises(CircuitError) as caught:
        verify(broken, fault.keys)
    assert fault.says in str(caught.value)


def test_the_bounds_have_to_be_magnitudes() -> None:
    for bound in (-1.0, math.inf, math.nan):
        with pytest.raises(CircuitError, match="is not a finite magnitude"):
            verify(circuit(source(), result(0)), ALL_KEYS, bounds={0: bound})


def test_a_fault_names_its_source_and_quotes_the_instructions_around_it() -> None:
    steps = [Negate(x=i, source=f"/node_{i}") for i in range(20)]
    steps[9] = Negate(x=15, source="/relu/Neg")
    with pytest.raises(CircuitError) as caught:
        verify(circuit(source(), *steps, result(20)), ALL_KEYS)
    first, *quoted = str(caught.value).split("\n")
    assert first == "circuit: operand %15 is not an earlier value; at %10 (/relu/Neg):"
    assert quoted == [
        ("> " if i == 10 else "  ")
        + f"%{i} = negate(%{15 if i == 10 else i - 1})   # "
        + ("/relu/Neg" if i == 10 else f"/node_{i - 1}")
        for i in range(5, 16)
    ]


def test_a_circuit_with_an_impossible_scale_can_still_be_quoted() -> None:
    for scale in (Fraction(-3), Fraction(0), Fraction(1 << 5000)):
        with pytest.raises(CircuitError, match="> %0 = input"):
            verify(circuit(source(scale=scale), result(0)), ALL_KEYS)


def test_sizes_are_bounded_before_anything_is_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    program = circuit(source(), Rotate(x=0, step=1), Rotate(x=1, step=1), result(2))
    monkeypatch.setattr(verify_module, "MAX_TOTAL_SLOTS", 3 * SLOTS)
    verify(program, ALL_KEYS)
    monkeypatch.setattr(verify_module, "MAX_TOTAL_SLOTS", 3 * SLOTS - 1)
    with pytest.raises(CircuitError, match="the values have more than 23 slots in all"):
        verify(program, ALL_KEYS)
    monkeypatch.setattr(verify_module, "MAX_CONSTANT_BYTES", sum(mask.nbytes for mask in MASKS.values()) - 1)
    with pytest.raises(CircuitError, match="bytes of constants are more than"):
        verify(program, ALL_KEYS)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 40))
def test_matrix_entries_are_the_diagonals_however_they_are_cut(seed: int, number: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    entries = []
    for row, column, baby, giant in rng.integers(0, (2, 3, SLOTS, SLOTS), (number, 4)).tolist():
        where = np.flatnonzero(rng.random(SLOTS) < 0.6).tolist() or [0]
        entries.append((row, column, baby, giant, dict(zip(where, rng.standard_normal(len(where)), strict=True))))
    arrays = Diagonals(**{name: diagonals(*entries)[f"d.{name}"] for name in Diagonals.FIELDS})
    expected = np.zeros((2 * SLOTS, 3 * SLOTS))
    for row, column, baby, giant, values in entries:
        for slot, value in values.items():
            expected[row * SLOTS + slot, column * SLOTS + (slot + baby + giant) % SLOTS] += np.float32(value)
    found = np.zeros_like(expected)
    for place, read, values in matrix_entries(arrays, SLOTS, limit=limit):
        assert len(place) <= max(limit, SLOTS)
        np.add.at(found, (place, read), values)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_million_entries_take_a_tenth_of_a_second() -> None:
    slots, number = 4096, 256
    shift = np.arange(number, dtype="<i4")
    big = Diagonals(
        row=np.zeros(number, "<i4"),
        column=np.zeros(number, "<i4"),
        baby=shift % 16,
        giant=shift // 16 * 16,
        offsets=np.arange(number + 1, dtype="<i8") * slots,
        slots=np.tile(np.arange(slots, dtype="<u2"), number),
        values=np.ones(number * slots, "<f4"),
    )
    constants = {f"d.{name}": getattr(big, name) for name in Diagonals.FIELDS}
    mask = np.ones((1, slots), np.uint8)
    program = Circuit(
        slots, (source(None, None, "all", period=slots), transform(), result(1)), {"all": mask, **constants}
    )
    # The best of three, since others may be using the machine; with a factor of five to spare for a slower one.
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        verify(program, None)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5
