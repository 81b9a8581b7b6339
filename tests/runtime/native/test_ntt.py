"""The native NTT against Python integers and against Microsoft SEAL, to the bit."""

import functools
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import sympy
import tenseal.sealapi as seal
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hecc.runtime.native import NttTables, _native

Residues = npt.NDArray[np.uint64]

LOG_DEGREES = range(11, 18)
BITS = (20, 30, 40, 50)


@functools.cache
def largest_prime(degree: int, bits: int) -> int:
    """The largest prime of so many bits that is 1 modulo 2 * degree."""
    step = 2 * degree
    candidate = (2**bits - 2) // step * step + 1
    while not sympy.isprime(candidate):
        candidate -= step
    assert candidate.bit_length() == bits
    return candidate


@functools.cache
def tables_of(degree: int, bits: int) -> NttTables:
    return NttTables(degree, largest_prime(degree, bits))


def uniform(seed: int, modulus: int, shape: int | tuple[int, ...]) -> Residues:
    return np.random.default_rng(seed).integers(0, modulus, size=shape, dtype=np.uint64)


def reverse(index: int, width: int) -> int:
    return int(format(index, f"0{width}b")[::-1], 2)


def minimal_root(degree: int, modulus: int) -> int:
    """The least of the numbers whose degree-th power is -1, found without any of the code under test."""
    base = next(base for base in range(2, modulus) if pow(base, (modulus - 1) // 2, modulus) == modulus - 1)
    root = pow(base, (modulus - 1) // (2 * degree), modulus)
    square, roots = root * root % modulus, []
    for _ in range(degree):
        roots.append(root)
        root = root * square % modulus
    assert len(set(roots)) == degree
    assert pow(roots[0], degree, modulus) == modulus - 1
    return min(roots)


def negacyclic_product(a: Residues, b: Residues, modulus: int) -> Residues:
    """a * b modulo X^N + 1 and the modulus, by one product of big integers (Kronecker substitution)."""
    degree, width = len(a), 16  # 2 * 50 bits and 17 for the sum fit 16 bytes

    def pack(values: Residues) -> int:
        return int.from_bytes(b"".join(int(value).to_bytes(width, "little") for value in values), "little")

    product = (pack(a) * pack(b)).to_bytes(2 * degree * width, "little")
    full = [int.from_bytes(product[i : i + width], "little") for i in range(0, len(product), width)]
    return np.array([(full[i] - full[i + degree]) % modulus for i in range(degree)], dtype=np.uint64)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("log_degree", [11, 12])
def test_the_root_is_the_minimal_primitive_one(log_degree: int, bits: int) -> None:
    tables = tables_of(2**log_degree, bits)
    assert tables.root == minimal_root(2**log_degree, tables.modulus)


@pytest.mark.parametrize("bits", [20, 50])
def test_forward_evaluates_at_every_odd_power_in_bit_reversed_order(bits: int) -> None:
    degree, tables = 2048, tables_of(2048, bits)
    modulus = tables.modulus
    root = minimal_root(degree, modulus)
    coefficients = uniform(bits, modulus, degree)
    points = np.array([pow(root, 2 * reverse(i, 11) + 1, modulus) for i in range(degree)], dtype=object)
    expected = np.zeros(degree, dtype=object)
    for coefficient in coefficients[::-1]:
        expected = (expected * points + int(coefficient)) % modulus
    tables.forward(coefficients)
    assert coefficients.tolist() == expected.tolist()


@pytest.mark.parametrize("log_degree", LOG_DEGREES)
def test_forward_evaluates_at_sampled_points_for_every_degree(log_degree: int) -> None:
    degree, tables = 2**log_degree, tables_of(2**log_degree, 50)
    modulus = tables.modulus
    root = minimal_root(degree, modulus)
    coefficients = uniform(log_degree, modulus, degree)
    values = coefficients.copy()
    tables.forward(values)
    for index in (0, 1, degree // 2, degree - 1, 1234):
        point, expected = pow(root, 2 * reverse(index, log_degree) + 1, modulus), 0
        for coefficient in coefficients[::-1].tolist():
            expected = (expected * point + coefficient) % modulus
        assert values[index] == expected


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("log_degree", LOG_DEGREES)
def test_inverse_undoes_forward_and_forward_undoes_inverse(log_degree: int, bits: int) -> None:
    degree = 2**log_degree
    if bits < log_degree + 5:
        bits = 24  # few primes of 20 bits are 1 modulo a large 2N
    tables = tables_of(degree, bits)
    original = uniform(log_degree, tables.modulus, degree)
    for there, back in ((tables.forward, tables.inverse), (tables.inverse, tables.forward)):
        values = original.copy()
        there(values)
        assert values.max() < tables.modulus
        assert not np.array_equal(values, original)
        back(values)
        assert np.array_equal(values, original)


@pytest.mark.parametrize("log_degree", LOG_DEGREES)
def test_extreme_residues_do_not_overflow(log_degree: int) -> None:
    degree, tables = 2**log_degree, tables_of(2**log_degree, 50)
    modulus, top = tables.modulus, tables.modulus - 1
    alternating = np.zeros(degree, dtype=np.uint64)
    alternating[::2] = top
    halves = np.zeros(degree, dtype=np.uint64)
    halves[: degree // 2] = top
    for original in (np.full(degree, top, dtype=np.uint64), alternating, halves, (top - alternating).astype(np.uint64)):
        negated = (modulus - original) % np.uint64(modulus)
        for there, back in ((tables.forward, tables.inverse), (tables.inverse, tables.forward)):
            values, negated_values = original.copy(), negated.astype(np.uint64)
            there(values)
            there(negated_values)
            assert values.max() < modulus
            assert np.array_equal((values + negated_values) % np.uint64(modulus), np.zeros(degree, dtype=np.uint64))
            back(values)
            assert np.array_equal(values, original)


def test_a_lazy_product_at_or_above_the_modulus_is_subtracted_without_borrow() -> None:
    # A lazy product reaches the modulus once in some 2^15 times; subtracted from zero, it then needs the whole 2q.
    degree, tables = 2**17, tables_of(2**17, 50)
    original = uniform(0, tables.modulus, (8, degree))
    original[:, : degree // 2] = 0
    values = original.copy()
    tables.forward(values)
    tables.inverse(values)
    assert np.array_equal(values, original)


def test_a_constant_is_its_own_value_everywhere_and_zero_stays_zero() -> None:
    tables = tables_of(2048, 50)
    values = np.zeros((2, 2048), dtype=np.uint64)
    values[1, 0] = tables.modulus - 1
    tables.forward(values)
    assert not values[0].any()
    assert (values[1] == tables.modulus - 1).all()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    bits=st.sampled_from(BITS),
    log_degree=st.sampled_from([11, 12]),
    scalar=st.integers(0, 2**20 - 1),
)
def test_the_transforms_are_linear(seed: int, bits: int, log_degree: int, scalar: int) -> None:
    tables = tables_of(2**log_degree, bits)
    modulus = tables.modulus
    scalar %= modulus
    a, b = uniform(seed, modulus, (2, 2**log_degree))
    combination = ((a.astype(object) * scalar + b.astype(object)) % modulus).astype(np.uint64)
    for transform in (tables.forward, tables.inverse):
        values = np.stack([a, b, combination])
        transform(values)
        expected = (values[0].astype(object) * scalar + values[1].astype(object)) % modulus
        assert values[2].tolist() == expected.tolist()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bits=st.sampled_from(BITS), log_degree=st.sampled_from([11, 12, 13]))
def test_products_of_values_are_negacyclic_products_of_coefficients(seed: int, bits: int, log_degree: int) -> None:
    tables = tables_of(2**log_degree, bits)
    modulus = tables.modulus
    a, b = uniform(seed, modulus, (2, 2**log_degree))
    values = np.stack([a, b])
    tables.forward(values)
    product = (values[0].astype(object) * values[1].astype(object) % modulus).astype(np.uint64)
    tables.inverse(product)
    assert np.array_equal(product, negacyclic_product(a, b, modulus))


def test_the_reference_product_is_the_schoolbook_one() -> None:
    modulus, degree = largest_prime(2048, 50), 16
    a, b = uniform(0, modulus, (2, degree))
    expected = [0] * degree
    for i in range(degree):
        for j in range(degree):
            sign = 1 if i + j < degree else -1
            expected[(i + j) % degree] += sign * int(a[i]) * int(b[j])
    assert negacyclic_product(a, b, modulus).tolist() == [value % modulus for value in expected]


def test_every_row_of_a_batch_is_transformed_by_itself_and_in_place() -> None:
    tables = tables_of(2048, 40)
    batch = uniform(3, tables.modulus, (2, 3, 2048))
    rows = [row.copy() for row in batch.reshape(-1, 2048)]
    tables.forward(batch)
    for row in rows:
        tables.forward(row)
    assert np.array_equal(batch.reshape(-1, 2048), np.stack(rows))
    empty = np.empty((0, 2048), dtype=np.uint64)
    tables.forward(empty)
    tables.inverse(empty)


def test_threads_share_tables() -> None:
    tables = tables_of(2**13, 50)
    inputs = [uniform(seed, tables.modulus, (8, 2**13)) for seed in range(4)]
    outputs = [values.copy() for values in inputs]
    threads = [threading.Thread(target=tables.forward, args=(values,)) for values in outputs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for values, result in zip(inputs, outputs, strict=True):
        tables.forward(values)
        assert np.array_equal(values, result)


# --- Microsoft SEAL ---------------------------------------------------------------------------------------------------


def seal_context(scheme: Any, degree: int, bits: list[int], plain_bits: int | None = None) -> tuple[Any, list[int]]:
    """A SEAL context without its security check (nothing is kept secret here), and its primes."""
    parameters = seal.EncryptionParameters(scheme)
    parameters.set_poly_modulus_degree(degree)
    moduli = seal.CoeffModulus.Create(degree, bits)
    parameters.set_coeff_modulus(moduli)
    if plain_bits is not None:
        parameters.set_plain_modulus(2**plain_bits)
    context = seal.SEALContext(parameters, True, seal.SEC_LEVEL_TYPE.NONE)
    assert context.parameters_set()
    return context, [int(modulus.value()) for modulus in moduli]


@pytest.mark.parametrize("log_degree", [11, 12, 13, 14, 15])
def test_forward_is_seals_transform_of_a_plaintext(log_degree: int) -> None:
    degree = 2**log_degree
    context, primes = seal_context(seal.SCHEME_TYPE.BFV, degree, [50, 45, 30], plain_bits=20)
    # Below half the plaintext modulus, so that SEAL lifts each coefficient to itself modulo every prime.
    coefficients = uniform(log_degree, 2**19, degree)
    coefficients[-1] = 1
    polynomial = " + ".join(f"{value:X}x^{i}" for i, value in reversed(list(enumerate(coefficients.tolist()))) if value)
    plaintext = seal.Plaintext(polynomial.removesuffix("x^0"))
    transformed = seal.Plaintext()
    seal.Evaluator(context).transform_to_ntt(plaintext, context.first_parms_id(), transformed)
    data_primes = primes[:-1]
    assert transformed.coeff_count() == len(data_primes) * degree
    for limb, prime in enumerate(data_primes):
        ours = coefficients.copy()
        NttTables(degree, prime).forward(ours)
        theirs = [transformed.data(limb * degree + i) for i in range(degree)]
        assert ours.tolist() == theirs


@pytest.mark.parametrize("log_degree", [12, 13, 14])
def test_inverse_reads_seals_secret_key(log_degree: int, tmp_path: Path) -> None:
    degree = 2**log_degree
    context, primes = seal_context(seal.SCHEME_TYPE.CKKS, degree, [50, 40, 49])
    path = tmp_path / "secret.bin"
    seal.KeyGenerator(context).secret_key().save(str(path))
    residues = read_seal_residues(path.read_bytes(), len(primes) * degree).reshape(len(primes), degree)
    coefficients = []
    for limb, prime in enumerate(primes):
        values = residues[limb].copy()
        tables = NttTables(degree, prime)
        tables.inverse(values)
        coefficients.append(np.where(values == prime - 1, -1, values.astype(np.int64)))
        tables.forward(values)
        assert np.array_equal(values, residues[limb])
    assert set(coefficients[0].tolist()) == {-1, 0, 1}
    for other in coefficients[1:]:
        assert np.array_equal(coefficients[0], other)


def read_seal_residues(file: bytes, count: int) -> Residues:
    """The last `count` words of an object that SEAL saved: the residues come last in each."""
    magic, header_size, major, minor, compression, _reserved, size = struct.unpack_from("<HBBBBHQ", file)
    assert (magic, header_size, size) == (0xA15E, 16, len(file)), (major, minor)
    assert compression == 2, "zstd is SEAL's default"
    content = zstandard.ZstdDecompressor().decompressobj().decompress(file[header_size:])
    return np.frombuffer(content[-8 * count :], dtype="<u8").astype(np.uint64)


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [1, 2, 1024, 2047, 2049, 3 * 1024, 2**18, 2**63])
def test_a_degree_out_of_range_is_refused(degree: int) -> None:
    with pytest.raises(ValueError, match=rf"the degree {degree} is not a power of two from 2\^11 to 2\^17"):
        NttTables(degree, 12289)


@pytest.mark.parametrize(
    ("modulus", "message"),
    [
        (2**50, r"is not below 2\^50"),
        (2**64 - 1, r"is not below 2\^50"),
        (65537 * 2**35 + 1, r"is not below 2\^50"),
        (12290, "is not 1 modulo 4096, twice the degree"),
        (65539, "is not 1 modulo 4096, twice the degree"),
        (1, "is not a prime"),
        (4096 + 1, "is not a prime"),
        (12289 * 40961, "is not a prime"),
        (12289**2, "is not a prime"),
    ],
)
def test_an_unfit_modulus_is_refused(modulus: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"the modulus {modulus} {message}"):
        NttTables(2048, modulus)


def test_every_modulus_is_judged_as_sympy_judges_it() -> None:
    for modulus in range(4096 + 1, 2**22, 4096):
        if sympy.isprime(modulus):
            assert NttTables(2048, modulus).modulus == modulus
        else:
            with pytest.raises(ValueError, match="is not a prime"):
                NttTables(2048, modulus)


@pytest.mark.parametrize("value", [0, -1, 2**64])
def test_a_parameter_that_is_no_positive_word_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match=f"the degree {value} is not a positive 64-bit integer"):
        NttTables(value, 12289)
    with pytest.raises(ValueError, match=f"the modulus {value} is not a positive 64-bit integer"):
        NttTables(2048, value)


@pytest.mark.parametrize("value", [2048.0, "2048", None, True])
def test_a_parameter_that_is_no_integer_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="the degree must be an integer, not "):
        NttTables(value, 12289)
    with pytest.raises(TypeError, match="the modulus must be an integer, not "):
        NttTables(2048, value)


def test_parameters_may_be_numpy_integers() -> None:
    tables = NttTables(np.int64(2048), np.uint64(40961))
    assert (tables.degree, tables.modulus) == (2048, 40961)
    assert repr(tables) == "NttTables(degree=2048, modulus=40961)"


@pytest.mark.parametrize("excess", [0, 1, 2**63])
@pytest.mark.parametrize("name", ["forward", "inverse"])
def test_a_residue_not_below_the_modulus_is_refused_and_nothing_changes(name: str, excess: int) -> None:
    tables = tables_of(2048, 50)
    values = uniform(0, tables.modulus, (2, 2048))
    values[1, 7] = tables.modulus + excess
    before = values.copy()
    message = f"residue {tables.modulus + excess} at flat index 2055 is not below the modulus {tables.modulus}"
    with pytest.raises(ValueError, match=message):
        getattr(tables, name)(values)
    assert np.array_equal(values, before)


@pytest.mark.parametrize("dtype", [np.int64, np.uint32, np.float64, np.dtype(np.uint64).newbyteorder()])
def test_another_dtype_is_refused(dtype: Any) -> None:
    with pytest.raises(TypeError, match="residues must have dtype uint64, not "):
        tables_of(2048, 50).forward(np.zeros(2048, dtype=dtype))


@pytest.mark.parametrize("value", [[0] * 2048, None, b"\0" * 2048 * 8, memoryview(np.zeros(2048, dtype=np.uint64))])
def test_what_is_no_array_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="residues must be a numpy array, not "):
        tables_of(2048, 50).inverse(value)


@pytest.mark.parametrize("shape", [(), (0,), (2047,), (4096,), (2048, 1), (2048, 2), (2048, 0)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"residues must have shape \(\.\.\., 2048\), not "):
        tables_of(2048, 50).forward(np.zeros(shape, dtype=np.uint64))


def layouts() -> dict[str, Residues]:
    read_only = np.zeros(2048, dtype=np.uint64)
    read_only.flags.writeable = False
    return {
        "strided": np.zeros((2, 4096), dtype=np.uint64)[:, ::2],
        "reversed": np.zeros(2048, dtype=np.uint64)[::-1],
        "fortran": np.zeros((2048, 2048), dtype=np.uint64, order="F"),
        "broadcast": np.broadcast_to(np.zeros(2048, dtype=np.uint64), (2, 2048)),
        "unaligned": np.frombuffer(bytearray(2048 * 8 + 1), dtype=np.uint64, offset=1, count=2048),
        "read-only": read_only,
    }


@pytest.mark.parametrize("layout", sorted(layouts()))
def test_an_array_that_cannot_be_transformed_in_place_is_refused(layout: str) -> None:
    values = layouts()[layout]
    with pytest.raises(ValueError, match="residues must be C-contiguous, aligned and writable"):
        tables_of(2048, 50).forward(values)
    # The kernel module itself refuses too: memory safety does not rest on the face in front of it.
    with pytest.raises((TypeError, ValueError)):
        _native.NttTables.forward(tables_of(2048, 50), values)


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        [0] * 2048,
        np.zeros(2048),
        np.zeros(2048, dtype=np.int64),
        np.zeros(2047, dtype=np.uint64),
        np.uint64(0),
    ],
)
def test_the_kernel_module_refuses_what_its_face_would_never_pass(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        _native.NttTables.inverse(tables_of(2048, 50), value)
