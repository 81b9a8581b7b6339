"""Plan files: what they hold, and that a forged one is refused before it can do harm."""

import json
import math
from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hecc.runtime.ckks.circuit.instructions import (
    AddScalar,
    Bootstrap,
    Circuit,
    Conjugate,
    MatrixProduct,
    MultiplyScalar,
    Polynomial,
    Raise,
)
from hecc.runtime.ckks.circuit.parameters import Encapsulation, SparseEvidence
from hecc.runtime.ckks.plan.checks import check_header
from hecc.runtime.ckks.plan.header import CkksHeader, Disclosure
from hecc.runtime.ckks.plan.plan import CkksPlan, _Program
from hecc.runtime.errors import FileFormatError, InputError, ParameterError
from hecc.runtime.files import codec
from hecc.runtime.files.container import Container, ContainerWriter, Kind


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("plans")


@pytest.fixture(scope="module")
def path(folder, insecure_plan):
    insecure_plan.save(folder / "plan.bin")
    return folder / "plan.bin"


def tree(plan):
    """Header and circuit as the file holds them, to be forged."""
    header = json.loads(codec.encode(plan.header))
    instructions = json.loads(codec.encode(plan.circuit.instructions))
    return {"header": header, "circuit": {"slots": plan.circuit.slots, "instructions": instructions}}


def forge(path, forged, constants, *, extra=()):
    # In the order of the fields, which `codec.encode` would sort for a dict.
    header, circuit = (msgspec.Raw(msgspec.json.encode(forged[part])) for part in ("header", "circuit"))
    with ContainerWriter(path, Kind.SERVER_PLAN, header) as writer:
        writer.add("circuit", bytes(circuit))
        for name, array in sorted(constants.items()):
            writer.add(f"constant/{name}", array)
        for name in extra:
            writer.add(name, b"")
    return path


def change(forged, where, value):
    *outer, last = where
    for key in outer:
        forged = forged[key]
    forged[last] = value


def test_every_instruction_survives_a_file():
    instructions = (
        AddScalar(x=0, value=-0.25),
        MultiplyScalar(x=0, value=3.0, scale=Fraction(1, 3)),
        Conjugate(x=0),
        Raise(x=0, limbs=3),
        MatrixProduct(x=0, count=3, matrix="m", scale=Fraction(1 << 20)),
        Polynomial(x=0, coefficients="c", basis="chebyshev", dropped=(1, 0, 2), scale=Fraction(5, 7)),
        Polynomial(x=0, coefficients="c", basis="power"),
        Bootstrap(
            x=0,
            largest=13,
            double_angles=2,
            degree=31,
            phase=Fraction(9, 40),
            weight=32,
            to_coefficients=(7, 7),
            to_slots=(5, 5, 4),
            limbs=18,
            dropped=(1,) * 11,
            scale=Fraction(5, 7),
        ),
    )
    program = codec.encode(_Program(64, instructions))
    assert codec.decode(program, _Program, where="a test").instructions == instructions


def test_a_plan_with_a_polynomial_is_read_back(tmp_path, insecure_plan):
    source, result = insecure_plan.circuit.instructions[0], insecure_plan.circuit.instructions[-1]
    scale = insecure_plan.header.outputs[0].scale
    polynomial = Polynomial(x=0, coefficients="c", basis="power", dropped=(1, 1), scale=scale)
    constants = {"all": insecure_plan.circuit.constants["all"], "c": np.array([0.0, 0.5, 0.25])}
    circuit = Circuit(64, (source, polynomial, msgspec.structs.replace(result, x=1)), constants)
    CkksPlan(insecure_plan.header, circuit).save(tmp_path / "plan.bin")
    loaded = CkksPlan.load(tmp_path / "plan.bin").circuit
    assert loaded.instructions == circuit.instructions
    forged = tree(CkksPlan(insecure_plan.header, circuit))
    change(forged, ("circuit", "instructions", 1, "dropped"), [1, 2])
    with pytest.raises(FileFormatError, match=r"an impossible plan .*3 of 3 limbs are dropped, none would be left"):
        CkksPlan.load(forge(tmp_path / "forged.bin", forged, constants))


def test_both_files_are_read_back(tmp_path, insecure_plan, path):
    loaded = CkksPlan.load(path)
    insecure_plan.client().save(tmp_path / "plan.client.bin")
    client = CkksPlan.load(tmp_path / "plan.client.bin")
    assert loaded.header == client.header == insecure_plan.header
    assert loaded.fingerprint == client.fingerprint == insecure_plan.fingerprint
    assert loaded.input_fingerprint == client.input_fingerprint
    assert loaded.circuit.instructions == insecure_plan.circuit.instructions
    assert set(loaded.circuit.constants) == {"all", "w"}
    np.testing.assert_array_equal(loaded.circuit.constants["w"], insecure_plan.circuit.constants["w"])
    assert loaded.require_circuit() is loaded.circuit
    assert client.circuit is None


def test_a_weight_is_a_view_of_the_mapped_file(path):
    weights = CkksPlan.load(path).circuit.constants["w"]
    assert not weights.flags.owndata
    assert not weights.flags.writeable


def test_the_client_file_holds_no_weights_and_no_circuit(tmp_path, insecure_plan, path):
    insecure_plan.client().save(tmp_path / "client")
    weights = insecure_plan.circuit.constants["w"].tobytes()
    assert weights in path.read_bytes()
    assert weights not in (tmp_path / "client").read_bytes()
    assert b"multiply_plain" not in (tmp_path / "client").read_bytes()
    assert len(Container(tmp_path / "client", Kind.CLIENT_PLAN)) == 0


def test_a_client_plan_where_the_server_plan_is_needed_is_a_sentence(tmp_path, insecure_plan):
    insecure_plan.client().save(tmp_path / "client")
    with pytest.raises(
        InputError, match="client: this is the client's plan, without the circuit; give the server's plan"
    ):
        CkksPlan.load(tmp_path / "client").require_circuit()
    with pytest.raises(InputError, match=r"^this is the client's plan"):
        insecure_plan.client().require_circuit()


def test_equal_plans_give_equal_bytes(tmp_path, plans, insecure_plan, path):
    again = plans.square(plans.specification(1024, plans.insecure_evidence))
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    CkksPlan.load(path).save(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


def test_plans_of_different_models_have_different_fingerprints(plans, insecure_plan):
    other = plans.square(insecure_plan.header.keys, model="1" * 64)
    assert other.fingerprint != insecure_plan.fingerprint
    assert other.input_fingerprint == insecure_plan.input_fingerprint
    assert other.header.keys.fingerprint == insecure_plan.header.keys.fingerprint


def test_another_kind_of_file_is_a_sentence(tmp_path, insecure_plan):
    with ContainerWriter(tmp_path / "f", Kind.RESULT, insecure_plan.header):
        pass
    with pytest.raises(
        FileFormatError, match="this is a result file; expected a server plan file or a client plan file"
    ):
        CkksPlan.load(tmp_path / "f")


INPUT, OUTPUT, KEYS = ("header", "inputs", 0), ("header", "outputs", 0), ("header", "keys")
STATED = {"resize": None, "scale": 1.0, "mean": [], "std": [], "layout": "nchw"}
COMPOSITE = (1 << 40) + 2048 * 3 + 1


@pytest.mark.parametrize(
    ("where", "value", "problem"),
    [
        (("header", "model"), "0" * 63, "the model's fingerprint is not 64 hexadecimal digits"),
        (("header", "producer"), "\x1b[2J", "the producer is empty, not printable or over 256 characters"),
        (
            ("header", "scheme"),
            "other",
            "this file is of the scheme 'other', and this hecc knows ckks, more, sharing only",
        ),
        (("header", "inputs"), [], "the plan has no input, or two of the same name"),
        (("header", "outputs"), [], "the plan has no output, or two of the same name"),
        ((*INPUT, "name"), "", "input '': the name is empty, not printable"),
        ((*INPUT, "name"), "a\nb", "the name is empty, not printable"),
        ((*INPUT, "name"), "x2", "the circuit's inputs are not those of the header"),
        ((*OUTPUT, "name"), "x2", "the circuit's outputs are not those of the header"),
        ((*INPUT, "limbs"), 0, "input 'x': 0 limbs of a chain of 3"),
        ((*INPUT, "limbs"), 4, "input 'x': 4 limbs of a chain of 3"),
        ((*INPUT, "limbs"), 2, "input 'x': the circuit's ciphertexts, limbs or scale are not the header's"),
        ((*OUTPUT, "limbs"), 2, "output 'y': the circuit's ciphertexts, limbs or scale are not the header's"),
        ((*INPUT, "scale"), "1/" + "9" * 400, "input 'x': the scale is tiny"),
        ((*INPUT, "scale"), f"{1 << 130}/1", "or not below the modulus of 3 limbs"),
        ((*INPUT, "scale"), f"{1 << 31}/1", "limbs or scale are not the header's"),
        ((*INPUT, "scale"), "1/0", "expected a positive fraction"),
        ((*INPUT, "low"), 1.0, "input 'x': the range 1.0 to 1.0 is empty"),
        ((*INPUT, "high"), None, "Expected `float`, got `null`"),
        ((*OUTPUT, "bound"), 0.0, "output 'y': bound .* is not positive"),
        ((*OUTPUT, "error"), -1.0, "output 'y': bound .* is not positive"),
        ((*INPUT, "shape"), [4, 17], r"input 'x': shape \(4, 17\) is not the layout's \(4, 16\)"),
        ((*INPUT, "shape"), [16, 4], "is not the layout's"),
        ((*INPUT, "preprocessing"), None, "not in canonical form"),
        ((*INPUT, "preprocessing"), {**STATED, "scale": 0.0}, "input 'x': a scale of 0"),
        ((*INPUT, "preprocessing"), {**STATED, "resize": 3}, "input 'x': a resize to 3 is smaller"),
        ((*INPUT, "preprocessing"), {**STATED, "mean": [1.0, 2.0]}, "input 'x': a mean of 2 values"),
        ((*INPUT, "preprocessing"), {**STATED, "crop": 3}, "unknown field `crop`"),
        ((*OUTPUT, "labels"), [], "not in canonical form"),
        ((*OUTPUT, "labels"), ["a", "b"], "output 'y': 2 names of classes for an output of shape"),
        ((*INPUT, "layout", "slots"), 63, "layout: 63 slots is not a power of two"),
        ((*INPUT, "layout", "slots"), 1024, "input 'x': a layout of 1024 slots does not fit"),
        ((*OUTPUT, "layout", "slots"), 128, "output 'y': "),
        ((*INPUT, "layout", "count"), 1 << 50, "slots are over the limit"),
        ((*INPUT, "layout", "count"), 0, "layout: 0 ciphertexts is out of range"),
        ((*INPUT, "layout", "axes", 0, 0), [2, 16], "layout: the digits do not cover an axis of 4"),
        ((*INPUT, "layout", "axes", 0, 0), [4, 15], "layout: two tensor elements share a slot"),
        ((*INPUT, "layout", "axes", 0, 0), [1 << 80, 16], "layout: a digit is out of range|malformed"),
        ((*INPUT, "layout", "shape"), [1] * 100, "layout|shape"),
        ((*INPUT, "layout", "period"), 32, "layout: position 63 is outside 32 slots"),
        ((*KEYS, "ring_degree"), 1000, "key specification: ring degree 1000 is not a power of two"),
        ((*KEYS, "ring_degree"), 2048, "key specification: .* is not a prime below"),
        ((*KEYS, "data_primes", 0), COMPOSITE, f"key specification: {COMPOSITE} is not a prime"),
        ((*KEYS, "galois", 0, 0), 4, "key specification: Galois element 4 is not odd"),
        ((*KEYS, "secret"), "sparse", "Invalid enum value 'sparse'"),
        ((*KEYS, "relinearization_limbs"), 2, "relinearisation at 3 limbs, but the key is for 2"),
        (("header", "outputs", 0, "of"), "z", "output 'y' is not the same value as one before it, 'z'"),
        (("circuit", "slots"), 32, "a circuit of 32 slots and 1 lanes with layouts of 64 and 1"),
        (("circuit", "lanes"), 2, "a circuit of 64 slots and 2 lanes with layouts of 64 and 1"),
        (("circuit", "instructions", 0, "period"), 32, "period"),
        (("circuit", "instructions", 1, "op"), "explode", "Invalid value 'explode'"),
        (("circuit", "instructions", 1, "x"), 1, "impossible plan"),
        (("circuit", "instructions", 1, "more"), 1, "unknown field `more`"),
        (("circuit", "instructions", 4, "vector"), "missing", "impossible plan"),
        (("circuit", "instructions", 4, "source"), "\x1b[2J", "source of an instruction is not printable"),
        (("circuit", "instructions", 4, "vector"), "\x1b[2J", "vector of an instruction is not printable"),
        (("circuit", "instructions", 4, "vector"), "w" * 1025, "vector of an instruction .* over 1024 characters"),
        (("circuit", "instructions", 8, "occupied"), "w", "impossible plan"),
        (("circuit", "instructions", 7, "limbs"), 2, "impossible plan"),
    ],
)
def test_an_impossible_plan_is_named(folder, insecure_plan, where, value, problem):
    forged = tree(insecure_plan)
    change(forged, where, value)
    with pytest.raises(FileFormatError, match=problem) as refusal:
        CkksPlan.load(forge(folder / "forged", forged, insecure_plan.circuit.constants))
    assert str(refusal.value).startswith(str(folder / "forged"))


def test_occupied_slots_that_differ_from_the_layout_are_refused(folder, insecure_plan):
    occupied = np.ones((1, 64), np.uint8)
    occupied[0, 5] = 0
    constants = {**insecure_plan.circuit.constants, "all": occupied}
    with pytest.raises(FileFormatError, match="impossible plan"):
        CkksPlan.load(forge(folder / "forged", tree(insecure_plan), constants))


@pytest.mark.parametrize(
    "constants",
    [
        {"w": np.ones((1, 64), np.float32)},
        {"w": np.ones((1, 63))},
        {"w": np.full((1, 64), np.nan)},
        {"all": np.ones((1, 64), np.int64)},
        {"all": np.ones((2, 64), np.uint8)},
    ],
)
def test_a_constant_of_another_type_or_shape_is_refused(folder, insecure_plan, constants):
    with pytest.raises(FileFormatError, match="impossible plan"):
        CkksPlan.load(forge(folder / "forged", tree(insecure_plan), {**insecure_plan.circuit.constants, **constants}))


def test_other_blobs_are_refused(folder, insecure_plan):
    path = forge(folder / "forged", tree(insecure_plan), insecure_plan.circuit.constants, extra=["other"])
    with pytest.raises(FileFormatError, match="blobs that a plan does not have"):
        CkksPlan.load(path)


def test_constants_in_another_order_are_refused(folder, insecure_plan):
    forged = tree(insecure_plan)
    header, circuit = (msgspec.Raw(msgspec.json.encode(forged[part])) for part in ("header", "circuit"))
    with ContainerWriter(folder / "forged", Kind.SERVER_PLAN, header) as writer:
        writer.add("circuit", bytes(circuit))
        for name, array in sorted(insecure_plan.circuit.constants.items(), reverse=True):
            writer.add(f"constant/{name}", array)
    with pytest.raises(FileFormatError, match="blobs that a plan does not have, or in another order"):
        CkksPlan.load(folder / "forged")


def test_a_plan_without_its_circuit_is_refused(folder, insecure_plan):
    with ContainerWriter(folder / "forged", Kind.SERVER_PLAN, insecure_plan.header):
        pass
    with pytest.raises(FileFormatError, match="blob 'circuit' is missing"):
        CkksPlan.load(folder / "forged")


def test_an_altered_weight_is_named(folder, insecure_plan, path):
    data = bytearray(path.read_bytes())
    data[data.index(insecure_plan.circuit.constants["w"].tobytes()) + 9] ^= 1
    (folder / "altered").write_bytes(data)
    with pytest.raises(FileFormatError, match="blob 'constant/w' was altered"):
        CkksPlan.load(folder / "altered")


def test_a_layout_may_have_more_axes_of_one(insecure_plan):
    header = insecure_plan.header
    (source,) = header.inputs
    squeezed = {"shape": (1, 4, 16, 1)} | {n: getattr(source, n) for n in source.__struct_fields__ if n != "shape"}
    fields = {n: getattr(header, n) for n in header.__struct_fields__}
    check_header(CkksHeader(**(fields | {"inputs": (type(source)(**squeezed),)})))


def leaves(value, at=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*at, key))
    elif isinstance(value, list):
        yield at
        for key, inner in enumerate(value):
            yield from leaves(inner, (*at, key))
    else:
        yield at


VALUES = st.one_of(
    st.integers(-3, 300),
    st.integers(-(2**70), 2**70),
    st.sampled_from([1 << k for k in (5, 6, 10, 16, 17, 24, 31, 32, 40, 62, 63, 64)]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none(),
    st.text(max_size=4),
    st.sampled_from(["x", "y", "w", "all", "1/3", "5/1", f"{1 << 90}/7"]),
    st.lists(st.integers(0, 70), max_size=4),
)


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_whatever_is_forged_nothing_but_a_refusal_comes_of_it(folder, insecure_plan, data):
    forged = tree(insecure_plan)
    for _ in range(data.draw(st.integers(1, 2))):
        where = data.draw(st.sampled_from(sorted(leaves(forged), key=str)))
        change(forged, where, data.draw(VALUES))
    try:
        CkksPlan.load(forge(folder / "forged", forged, insecure_plan.circuit.constants))
    except FileFormatError:
        return


def test_scales_are_exact_in_the_file(path, insecure_plan):
    (output,) = CkksPlan.load(path).header.outputs
    primes = insecure_plan.header.keys.data_primes
    assert output.scale == Fraction(1 << 110, primes[1] * primes[2])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"high": 1e308}, "values up to 1e.308 do not fit into the modulus at the input's scale"),
        ({"low": -1e300, "high": 0.0}, "values up to 1e.300 do not fit"),
        ({"high": math.inf}, "the range .* is empty or has no end"),
        ({"low": math.nan}, "the range .* is empty or has no end"),
        ({"scale": None}, "do not fit into the modulus at the input's scale"),
    ],
)
def test_inputs_that_do_not_fit_into_the_modulus_are_refused(insecure_plan, changes, says):
    """Beyond it SEAL would refuse them, or they would wrap around without a word."""
    (source, *others) = insecure_plan.header.inputs
    modulus = math.prod(insecure_plan.header.keys.data_primes[: source.limbs])
    if "scale" in changes:
        changes = {"scale": Fraction(modulus - 1)}
    header = msgspec.structs.replace(insecure_plan.header, inputs=(msgspec.structs.replace(source, **changes), *others))
    with pytest.raises(ParameterError, match=says):
        check_header(header)


def raising(plan, **changes):
    """The header of a plan whose keys raise ciphertexts."""
    security = SparseEvidence(level=0, table="INSECURE test parameters", log2_limit=0)
    encapsulation = Encapsulation(**({"weight": 32, "limbs": 3, "security": security} | changes))
    keys = msgspec.structs.replace(plan.header.keys, encapsulation=encapsulation)
    return msgspec.structs.replace(plan.header, keys=keys)


def test_keys_that_raise_survive_a_file(tmp_path, insecure_plan):
    plan = CkksPlan(raising(insecure_plan), insecure_plan.circuit)
    plan.save(tmp_path / "plan.bin")
    assert CkksPlan.load(tmp_path / "plan.bin").header.keys.encapsulation == plan.header.keys.encapsulation
    assert plan.fingerprint != insecure_plan.fingerprint


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"weight": 0}, "a sparse secret of weight 0"),
        ({"weight": 1 << 62}, "a sparse secret of weight 4611686018427387904"),
        ({"limbs": 1}, "ciphertexts raised to 1 of 3 limbs"),
        ({"limbs": 4}, "ciphertexts raised to 4 of 3 limbs"),
        ({"weight": "32"}, "malformed field"),
        ({"security": None}, "malformed field"),
        ({"prime": 7}, "malformed field"),
    ],
)
def test_keys_that_raise_impossibly_are_refused(folder, insecure_plan, changes, problem):
    forged = tree(CkksPlan(raising(insecure_plan), insecure_plan.circuit))
    forged["header"]["keys"]["encapsulation"] |= changes
    path = forge(folder / "forged.bin", forged, insecure_plan.circuit.constants)
    with pytest.raises(FileFormatError, match=problem):
        CkksPlan.load(path)


def test_results_of_a_plan_that_bootstraps_cannot_be_disclosed(insecure_plan):
    header = raising(insecure_plan)
    check_header(header)
    disclosed = msgspec.structs.replace(header, disclosure=Disclosure(results=10, deviations=(1 << 40,)))
    with pytest.raises(ParameterError, match=r"results of a plan that bootstraps cannot be disclosed: .* --disclose"):
        check_header(disclosed)
