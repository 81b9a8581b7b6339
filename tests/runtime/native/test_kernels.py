"""The kernels of every implementation against Python integers, and against each other, to the bit."""

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from hecc.runtime.native import (
    BasisConversion,
    Encoder,
    GaloisPermutation,
    Kernels,
    ModDown,
    NttTables,
    implementations,
)

Words = npt.NDArray[np.uint64]

IMPLEMENTATIONS = implementations()
LOG_DEGREES = range(11, 18)
BLOCK = 64


@functools.cache
def primes(step: int, bits: int, count: int = 1) -> tuple[int, ...]:
    """The largest primes of so many bits that are 1 modulo `step`."""
    found: list[int] = []
    candidate = (2**bits - 2) // step * step + 1
    while len(found) < count:
        if sympy.isprime(candidate):
            found.append(candidate)
        candidate -= step
    assert found[-1].bit_length() == bits
    return tuple(found)


# Every length of a modulus at which some implementation changes its ways, the smallest modulus, and a bit on each side.
MODULI = [3, 5, 12289, *(primes(2, bits)[0] for bits in (24, 25, 26, 27, 32, 40, 46, 47, 48, 49, 50))]


def uniform(seed: int, bound: int, shape: int | tuple[int, ...]) -> Words:
    return np.random.default_rng(seed).integers(0, bound, size=shape, dtype=np.uint64)


def extremes(modulus: int, count: int) -> Words:
    """Random residues, in between them those at the ends and in the middle."""
    values = uniform(modulus, modulus, count)
    special = [0, 1, modulus - 1, modulus - 2, modulus // 2, modulus // 2 + 1, (modulus + 3) // 4]
    values[: 7 * 7] = np.repeat(np.array(special, dtype=np.uint64), 7)
    values[-8:] = modulus - 1
    return values


def words(values: Any) -> Words:
    return np.ascontiguousarray(values, dtype=np.uint64)


@pytest.fixture(params=IMPLEMENTATIONS)
def kernels(request: pytest.FixtureRequest) -> Kernels:
    return Kernels(request.param)


# --- The choice of an implementation ----------------------------------------------------------------------------------


def test_portable_is_always_there_and_last() -> None:
    assert IMPLEMENTATIONS[-1] == "portable"
    assert set(IMPLEMENTATIONS) <= {"avx512ifma", "avx2", "portable"}
    for name in IMPLEMENTATIONS:
        assert Kernels(name).implementation == name
        assert NttTables(2048, 40961, name).implementation == name


def test_an_unknown_implementation_is_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"there are no kernels 'sse9' for this machine; it can run: .*portable"):
        Kernels("sse9")


@pytest.mark.parametrize("name", [*IMPLEMENTATIONS, None])
def test_the_environment_chooses_the_default(name: str | None) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "HECC_KERNELS"}
    if name is not None:
        environment["HECC_KERNELS"] = name
    program = (
        "from hecc.runtime.native import *; print(Kernels().implementation, NttTables(2048, 40961).implementation)"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.split() == [name or IMPLEMENTATIONS[0]] * 2


def test_a_wrong_name_in_the_environment_is_an_error_not_another_choice() -> None:
    program = """
from hecc.runtime.native import Kernels
for _ in range(2):
    try:
        Kernels()
    except ValueError as error:
        print(error)
"""
    environment = {**os.environ, "HECC_KERNELS": "avx1024"}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.count("there are no kernels 'avx1024' for this machine") == 2


# --- Pointwise --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modulus", MODULI)
def test_sums_and_products_are_those_of_integers(kernels: Kernels, modulus: int) -> None:
    count = 8 * BLOCK
    a, b = extremes(modulus, count), np.roll(extremes(modulus, count), 3)
    x, y = a.astype(object), b.astype(object)
    out = np.empty_like(a)
    for name, expected in (("add", x + y), ("subtract", x - y), ("multiply", x * y)):
        getattr(kernels, name)(a, b, out, modulus)
        assert out.tolist() == (expected % modulus).tolist(), name
    kernels.negate(a, out, modulus)
    assert out.tolist() == (-x % modulus).tolist()
    for scalar in (0, 1, modulus // 2, modulus - 1, 12345678901234 % modulus):
        kernels.multiply_scalar(a, scalar, out, modulus)
        assert out.tolist() == (x * scalar % modulus).tolist()
        kernels.subtract_multiply_scalar(a, b, scalar, out, modulus)
        assert out.tolist() == ((x - y) * scalar % modulus).tolist()
    values, quotients = np.empty_like(a), np.empty_like(a)
    kernels.encode_factors(b, values, quotients, modulus)
    kernels.multiply_encoded(a, values, quotients, out, modulus)
    assert out.tolist() == (x * y % modulus).tolist()


@pytest.mark.parametrize("modulus", MODULI)
def test_any_word_below_2_to_the_52_is_reduced(kernels: Kernels, modulus: int) -> None:
    a = extremes(2**52, 2 * BLOCK)
    multiples = uniform(1, 2**52 // modulus, BLOCK) * np.uint64(modulus)
    a[BLOCK:] = multiples
    a[BLOCK + 1 :: 2] = multiples[1::2] + np.uint64(modulus - 1)
    out = np.empty_like(a)
    kernels.reduce(a, out, modulus)
    assert np.array_equal(out, a % np.uint64(modulus))


def test_results_may_be_written_in_place(kernels: Kernels) -> None:
    (modulus,) = primes(2, 50)
    a, b, out = extremes(modulus, BLOCK), uniform(1, modulus, BLOCK), np.empty(BLOCK, dtype=np.uint64)
    for name in ("add", "subtract", "multiply"):
        getattr(kernels, name)(a, b, out, modulus)
        for target in (0, 1):
            arguments = [a.copy(), b.copy()]
            getattr(kernels, name)(*arguments, arguments[target], modulus)
            assert np.array_equal(arguments[target], out)
    square = a.copy()
    kernels.multiply(square, square, square, modulus)
    assert square.tolist() == (a.astype(object) ** 2 % modulus).tolist()


@pytest.mark.parametrize("modulus", [12289, primes(2, 26)[0], primes(2, 50)[0], primes(2**18, 50)[0]])
@pytest.mark.parametrize("terms", [0, 1, 2, 3, 17, 4095, 4096])
def test_sums_hold_products_of_the_largest_residues(kernels: Kernels, modulus: int, terms: int) -> None:
    count = 2 * BLOCK
    a, b = (np.full((terms, count), modulus - 1, dtype=np.uint64) for _ in range(2))
    a[:, BLOCK:], b[:, BLOCK:] = uniform(terms, modulus, (terms, BLOCK)), uniform(terms + 1, modulus, (terms, BLOCK))
    b[:, 1:BLOCK:2] = 1
    expected = (a.astype(object) * b.astype(object)).sum(axis=0) % modulus
    out = np.empty(count, dtype=np.uint64)
    kernels.inner_product(a, b, out, modulus)
    assert out.tolist() == np.broadcast_to(expected, count).tolist()


@pytest.mark.parametrize("terms", [0, 1, 5, 4095, 4096, 9001, 81_901])
def test_inner_products_of_any_length(kernels: Kernels, terms: int) -> None:
    (modulus,) = primes(2, 50)
    a, b = (uniform(seed, modulus, (terms, BLOCK)) for seed in range(2))
    a[:, 0] = b[:, 0] = modulus - 1
    out = np.empty(BLOCK, dtype=np.uint64)
    kernels.inner_product(a, b, out, modulus)
    columns = slice(0, 4 if terms > 10_000 else BLOCK)  # Python integers are slow
    products = (a[:, columns].astype(object) * b[:, columns].astype(object)).sum(axis=0) % modulus
    assert out[columns].tolist() == np.broadcast_to(products, out[columns].shape).tolist()
    assert out[0] == terms % modulus


@pytest.mark.parametrize(("rows", "terms"), [(1, 1), (3, 2), (4, 5), (9, 40), (2, 5000), (0, 3), (3, 0)])
def test_the_matrix_product(kernels: Kernels, rows: int, terms: int) -> None:
    (modulus,) = primes(2, 50)
    weights, x = uniform(1, modulus, (rows, terms)), uniform(2, modulus, (terms, BLOCK))
    x[:, 0] = modulus - 1
    out = np.empty((rows, BLOCK), dtype=np.uint64)
    kernels.matrix_product(weights, x, out, modulus)
    expected = [[sum(w * y for w, y in zip(row, column, strict=True)) % modulus for column in x.T.tolist()]
                for row in weights.tolist()]  # fmt: skip
    assert out.tolist() == expected


# --- Transforms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [24, 40, 46, 47, 48, 49, 50])
@pytest.mark.parametrize("log_degree", LOG_DEGREES)
def test_all_implementations_transform_alike(log_degree: int, bits: int) -> None:
    degree = 2**log_degree
    (modulus,) = primes(2 * degree, bits)
    residues = np.stack([uniform(bits, modulus, degree), np.full(degree, modulus - 1, dtype=np.uint64)])
    residues = np.concatenate([residues, np.zeros((2, degree), dtype=np.uint64)])
    residues[2, :: degree // 16] = modulus - 1
    residues[3, : degree // 2] = modulus - 1
    results = []
    for name in IMPLEMENTATIONS:
        tables = NttTables(degree, modulus, name)
        forward, inverse = residues.copy(), residues.copy()
        tables.forward(forward)
        tables.inverse(inverse)
        results.append((forward, inverse))
        back = forward.copy()
        tables.inverse(back)
        assert np.array_equal(back, residues), name
    for forward, inverse in results[1:]:
        assert np.array_equal(forward, results[0][0])
        assert np.array_equal(inverse, results[0][1])


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
@pytest.mark.parametrize("bits", [40, 50])
@pytest.mark.parametrize("log_degree", [11, 13, 17])
def test_a_sparse_polynomial_needs_only_its_own_points(log_degree: int, bits: int, name: str) -> None:
    degree = 2**log_degree
    (modulus,) = primes(2 * degree, bits)
    tables = NttTables(degree, modulus, name)
    for log_size in range(6, log_degree + 1):
        size = 2**log_size
        short = uniform(log_size, modulus, (2, size))
        full = np.zeros((2, degree), dtype=np.uint64)
        full[:, :: degree // size] = short
        tables.forward(full)
        values = short.copy()
        tables.forward(values, sparse=True)
        assert np.array_equal(np.repeat(values, degree // size, axis=1), full)
        tables.inverse(values, sparse=True)
        assert np.array_equal(values, short)


@pytest.mark.parametrize("size", [32, 96, 4096])
def test_a_sparse_transform_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="the last dimension is not a power of two from 64 to the degree 2048"):
        NttTables(2048, 40961).forward(np.zeros(size, dtype=np.uint64), sparse=True)


def test_threads_make_and_share_tables() -> None:
    modulus = primes(2**14, 45)[0]
    made: list[NttTables] = []
    threads = [threading.Thread(target=lambda: made.append(NttTables(2**13, modulus))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {tables.root for tables in made} == {made[0].root}


# --- Residue number systems -------------------------------------------------------------------------------------------


def residues_of(values: Sequence[int], moduli: Sequence[int]) -> Words:
    return words([[value % modulus for value in values] for modulus in moduli])


def integers(seed: int, product: int, count: int) -> list[int]:
    """Integers from 0 to product - 1, uniform but for the ends and the middle."""
    generator = np.random.default_rng(seed)
    size = product.bit_length() // 8 + 8
    values = [int.from_bytes(generator.bytes(size), "little") % product for _ in range(count)]
    # Where rounding decides: not nearer than double precision can see, except with one prime, where all is exact.
    gap = product >> 40
    special = [gap, product - 1 - gap, product // 2 - 1 - gap, product // 2 + 1 + gap, product // 3]
    values[: len(special)] = special
    return values


@pytest.mark.parametrize("bits", [24, 40, 50])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("sources", [1, 2, 3, 7])
def test_base_conversion_is_exact(kernels: Kernels, sources: int, centred: bool, bits: int) -> None:
    chosen = primes(8192, bits, sources + 3)
    targets = (*chosen[sources:], *primes(8192, 30, 1), 40961)
    product = int(np.prod([int(q) for q in chosen[:sources]], dtype=object))
    for count in (BLOCK, 9 * BLOCK, 4096):
        values = integers(sources, product, count)
        out = np.empty((len(targets), count), dtype=np.uint64)
        conversion = BasisConversion(kernels, chosen[:sources], targets, centred=centred)
        conversion.convert(residues_of(values, chosen[:sources]), out)
        meant = [v - product if centred and v > product // 2 else v for v in values]
        assert np.array_equal(out, residues_of(meant, targets))


def test_a_conversion_from_one_prime_is_exact_at_the_ends(kernels: Kernels) -> None:
    source, *targets = primes(8192, 50, 4)
    values = [0, 1, source - 1, source // 2, source // 2 + 1, *range(2, BLOCK - 3)]
    for centred in (False, True):
        out = np.empty((3, BLOCK), dtype=np.uint64)
        BasisConversion(kernels, [source], targets, centred=centred).convert(residues_of(values, [source]), out)
        meant = [v - source if centred and v > source // 2 else v for v in values]
        assert np.array_equal(out, residues_of(meant, targets))


def test_all_implementations_convert_alike_even_where_double_precision_cannot_tell() -> None:
    chosen = primes(8192, 50, 6)
    product = int(np.prod([int(q) for q in chosen[:4]], dtype=object))
    values = [*range(-200, 200), *(product // 2 + i for i in range(-200, 200))]
    values += integers(0, product, 2048 - len(values))
    for centred in (False, True):
        results = []
        for name in IMPLEMENTATIONS:
            out = np.empty((2, 2048), dtype=np.uint64)
            conversion = BasisConversion(Kernels(name), chosen[:4], chosen[4:], centred=centred)
            conversion.convert(residues_of(values, chosen[:4]), out)
            results.append(out)
        for out in results[1:]:
            assert np.array_equal(out, results[0])


@pytest.mark.parametrize("dropped", [1, 2, 3])
def test_mod_down_divides_and_rounds(kernels: Kernels, dropped: int) -> None:
    degree, kept = 2048, 3
    chosen = primes(2 * degree, 49, kept + dropped)
    tables = [NttTables(degree, q, kernels.implementation) for q in chosen]
    divisor = int(np.prod([int(q) for q in chosen[kept:]], dtype=object))
    values = integers(dropped, int(np.prod([int(q) for q in chosen], dtype=object)), degree)
    limbs = residues_of(values, chosen)
    for limb, table in zip(limbs, tables, strict=True):
        table.forward(limb)
    out = np.empty((kept, degree), dtype=np.uint64)
    ModDown(kernels, tables[:kept], tables[kept:]).apply(limbs, out)
    in_place = limbs.copy()
    ModDown(kernels, tables[:kept], tables[kept:]).apply(in_place, in_place[:kept])
    assert np.array_equal(in_place[:kept], out)
    for limb, table in zip(out, tables[:kept], strict=True):
        table.inverse(limb)
    assert np.array_equal(out, residues_of([(v + divisor // 2) // divisor for v in values], chosen[:kept]))


# --- Automorphisms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_degree", LOG_DEGREES)
def test_the_permutation_is_the_automorphism_of_the_coefficients(kernels: Kernels, log_degree: int) -> None:
    degree = 2**log_degree
    (modulus,) = primes(2 * degree, 50)
    tables = NttTables(degree, modulus, kernels.implementation)
    coefficients = extremes(modulus, degree)
    values = coefficients.copy()
    tables.forward(values)
    for element in (1, 3, 2 * degree - 1, pow(3, 5, 2 * degree), pow(3, degree // 4, 2 * degree), degree + 1, 7, 12345):
        element %= 2 * degree
        expected = [0] * degree
        for i, value in enumerate(coefficients.tolist()):
            target = i * element % (2 * degree)
            expected[target % degree] = value if target < degree else -value % modulus
        image, permuted = np.empty_like(values), np.empty_like(values)
        kernels.automorphism_coefficients(coefficients, image, element, modulus)
        assert image.tolist() == expected
        tables.forward(image)
        GaloisPermutation(degree, element).apply(kernels, values, permuted)
        assert np.array_equal(permuted, image)


# --- Encoding ---------------------------------------------------------------------------------------------------------


def embedding(values: npt.NDArray[np.complex128]) -> npt.NDArray[np.float64]:
    """Coefficients of the real polynomial that is values[j] at zeta^(3^j): by the definition, in quadratic time."""
    slots = len(values)
    degree = 2 * slots
    exponents = np.array([pow(3, j, 2 * degree) for j in range(slots)])
    powers = np.exp(-1j * np.pi / degree * (np.outer(np.arange(degree), exponents) % (2 * degree)))
    return 2 / degree * (powers @ values).real


def slot_values(seed: int, slots: int, kind: str) -> Any:
    generator = np.random.default_rng(seed)
    values = generator.uniform(-1, 1, slots)
    if kind == "complex128":
        return values + 1j * generator.uniform(-1, 1, slots)
    return values.astype(kind)


@pytest.mark.parametrize("kind", ["float64", "float32", "complex128"])
@pytest.mark.parametrize("log_slots", [5, 6, 7, 8, 9, 10])
def test_coefficients_are_those_of_the_definition(kernels: Kernels, log_slots: int, kind: str) -> None:
    values = slot_values(log_slots, 2**log_slots, kind)
    coefficients = Encoder(kernels, 2048).embed(values, 2.0**30)
    assert np.array_equal(coefficients, np.trunc(coefficients))
    expected = embedding(values.astype(np.complex128)) * 2.0**30
    np.testing.assert_allclose(coefficients, expected, rtol=0, atol=0.5 + 1e-4)


@pytest.mark.parametrize("log_slots", range(16))
def test_all_implementations_embed_alike(log_slots: int) -> None:
    degree = max(2048, 2 * 2**log_slots)
    for kind, scale in (("float64", 2.0**40), ("float32", 2.0**45 / 3), ("complex128", 2.0**100), ("float64", 1e-3)):
        values = slot_values(log_slots, 2**log_slots, kind)
        results = [Encoder(Kernels(name), degree).embed(values, scale) for name in IMPLEMENTATIONS]
        for coefficients in results:
            assert len(coefficients) == max(64, 2 * 2**log_slots)
            assert np.array_equal(coefficients, results[0])


def test_values_that_repeat_are_a_polynomial_in_a_power_of_x(kernels: Kernels) -> None:
    for slots in (1, 2, 16, 32, 64, 512):
        values = slot_values(slots, slots, "complex128")
        coefficients = Encoder(kernels, 2048).embed(values, 2.0**30)
        full = Encoder(kernels, 2048).embed(np.tile(values, 1024 // slots), 2.0**30)
        step = 2048 // len(coefficients)
        np.testing.assert_allclose(full[::step], coefficients, rtol=0, atol=1)
        assert np.abs(full.reshape(-1, step)[:, 1:]).max(initial=0) <= 1


def test_halves_are_rounded_away_from_zero(kernels: Kernels) -> None:
    # A constant is its own coefficient, exactly: the transform only adds it to itself and divides by a power of two.
    for value in (
        0.5,
        1.5,
        2.5,
        -0.5,
        -1.5,
        -2.5,
        0.25,
        0.75,
        -0.75,
        np.nextafter(0.5, 0),
        np.nextafter(1.5, 0),
        2.0**51 + 0.5,
    ):
        coefficients = Encoder(kernels, 2048).embed(np.full(64, value), 1.0)
        expected = np.copysign(np.floor(abs(value) + 0.5), value) if value != np.nextafter(0.5, 0) else 0
        assert coefficients[0] == expected, value
        assert not coefficients[1:].any()


@pytest.mark.parametrize("exponent", [20, 45, 51, 52, 53, 60, 95, 99, 100, 101, 120, 147])
def test_coefficients_of_any_size_become_residues(kernels: Kernels, exponent: int) -> None:
    degree = 2048
    moduli = (*primes(2 * degree, 50, 2), *primes(2 * degree, 30, 1), 40961)
    tables = [NttTables(degree, q, kernels.implementation) for q in moduli]
    generator = np.random.default_rng(exponent)
    coefficients = np.trunc(np.ldexp(generator.uniform(-1, 1, degree), exponent))
    coefficients[:6] = [2.0**exponent, -(2.0**exponent), 0.0, -0.0, 1.0, -1.0]
    coefficients[6:8] = np.trunc(np.nextafter(2.0**exponent, 0)), -np.trunc(np.nextafter(2.0**exponent, 0))
    out = np.empty((len(moduli), degree), dtype=np.uint64)
    Encoder(kernels, degree).limbs(coefficients, tables, out)
    for limb, table in zip(out, tables, strict=True):
        table.inverse(limb)
    assert np.array_equal(out, residues_of([int(c) for c in coefficients], moduli))


@pytest.mark.parametrize("kind", ["float64", "float32", "complex128"])
@pytest.mark.parametrize("slots", [1, 32, 128, 256, 512, 1024])
def test_encoding_is_embedding_residues_and_transform(kernels: Kernels, slots: int, kind: str) -> None:
    degree, scale = 2048, 2.0**55
    moduli = primes(2 * degree, 45, 2)
    tables = [NttTables(degree, q, kernels.implementation) for q in moduli]
    encoder = Encoder(kernels, degree)
    values = slot_values(slots, slots, kind)
    out = np.empty((2, degree), dtype=np.uint64)
    encoder.encode(values, scale, tables, out)
    coefficients = encoder.embed(values, scale)
    full = np.zeros(degree)
    full[:: degree // len(coefficients)] = coefficients
    expected = residues_of([int(c) for c in full], moduli)
    for limb, table in zip(expected, tables, strict=True):
        table.forward(limb)
    assert np.array_equal(out, expected)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), log_slots=st.integers(0, 10), name=st.sampled_from(IMPLEMENTATIONS))
def test_encoding_is_multiplicative_in_the_slots(seed: int, log_slots: int, name: str) -> None:
    degree, (modulus,) = 2048, primes(4096, 50)
    tables, kernels = NttTables(degree, modulus, name), Kernels(name)
    encoder = Encoder(kernels, degree)
    a, b = (slot_values(seed + i, 2**log_slots, "complex128") for i in range(2))
    encoded = np.empty((2, 1, degree), dtype=np.uint64)
    encoder.encode(a, 2.0**24, [tables], encoded[0])
    encoder.encode(b, 2.0**20, [tables], encoded[1])
    product = np.empty(degree, dtype=np.uint64)
    kernels.multiply(encoded[0, 0], encoded[1, 0], product, modulus)
    tables.inverse(product)
    signed = np.where(product > modulus // 2, product.astype(np.int64) - modulus, product.astype(np.int64))
    expected = Encoder(kernels, degree).embed(np.tile(a * b, 1024 >> log_slots), 2.0**44)
    assert np.abs(signed - expected).max() < 2.0**33


# --- What is refused --------------------------------------------------------------------------------------------------


Q = primes(4096, 50)[0]


def zeros(*shape: int) -> Words:
    return np.zeros(shape, dtype=np.uint64)


REFUSALS: dict[str, tuple[str, Any]] = {
    "unreduced": (
        "residue .* at flat index 3 is not below the modulus",
        lambda k: k.add(bad(), zeros(64), zeros(64), Q),
    ),
    "unreduced second": ("residue", lambda k: k.multiply(zeros(64), bad(), zeros(64), Q)),
    "unreduced scalar": ("residue", lambda k: k.multiply_scalar(zeros(64), Q, zeros(64), Q)),
    "unreduced third": ("residue", lambda k: k.subtract_multiply_scalar(zeros(64), bad(), 1, zeros(64), Q)),
    "word": ("word 4503599627370496 at flat index 0", lambda k: k.reduce(zeros(64) + np.uint64(2**52), zeros(64), Q)),
    "modulus too large": (r"is not below 2\^50", lambda k: k.negate(zeros(64), zeros(64), 2**50)),
    "modulus not prime": ("is not a prime above 2", lambda k: k.negate(zeros(64), zeros(64), 9)),
    "modulus even": ("is not a prime above 2", lambda k: k.negate(zeros(64), zeros(64), 2)),
    "modulus zero": ("is not a prime above 2", lambda k: k.negate(zeros(64), zeros(64), 0)),
    "not a multiple of 64": ("must be a multiple of 64", lambda k: k.negate(zeros(65), zeros(65), Q)),
    "empty": ("must be a multiple of 64", lambda k: k.negate(zeros(0), zeros(0), Q)),
    "shapes differ": (r"b must have shape \(64,\), not \(128,\)", lambda k: k.add(zeros(64), zeros(128), zeros(64), Q)),
    "short out": (r"out must have shape \(128,\), not \(64,\)", lambda k: k.add(zeros(128), zeros(128), zeros(64), Q)),
    "dimensions": (r"a must have shape", lambda k: k.add(zeros(1, 64), zeros(1, 64), zeros(1, 64), Q)),
    "overlap in part": ("overlaps an input in part", lambda k: k.negate(LONG[:128], LONG[64:192], Q)),
    "quotients are values": ("overlaps", lambda k: k.encode_factors(zeros(64), LONG[:64], LONG[:64], Q)),
    "terms differ": ("b must have shape", lambda k: k.inner_product(zeros(2, 64), zeros(3, 64), zeros(64), Q)),
    "flat terms": ("a must have two dimensions", lambda k: k.inner_product(zeros(64), zeros(64), zeros(64), Q)),
    "output is a term": ("overlaps", lambda k: k.inner_product(LONG[:64].reshape(1, 64), zeros(1, 64), LONG[:64], Q)),
    "weights": ("weights must have shape", lambda k: k.matrix_product(zeros(2, 3), zeros(4, 64), zeros(2, 64), Q)),
    "element even": ("is not odd", lambda k: k.automorphism_coefficients(zeros(64), zeros(64), 2, Q)),
    "element large": ("is not odd and below 128", lambda k: k.automorphism_coefficients(zeros(64), zeros(64), 129, Q)),
    "degree": ("is not a power of two", lambda k: k.automorphism_coefficients(zeros(192), zeros(192), 3, Q)),
    "permutation element": ("is not odd and below 4096", lambda k: GaloisPermutation(2048, 4097)),
    "permutation degree": ("is not a power of two", lambda k: GaloisPermutation(1024, 3)),
    "permutation shape": ("must have shape", lambda k: GaloisPermutation(2048, 3).apply(k, zeros(1024), zeros(2048))),
    "permutation in place": ("overlaps", lambda k: GaloisPermutation(2048, 3).apply(k, LONG[:2048], LONG[:2048])),
    "no sources": ("1 to 64 source primes, not 0", lambda k: BasisConversion(k, [], [Q], centred=False)),
    "many sources": ("not 65", lambda k: BasisConversion(k, [Q] * 65, [], centred=False)),
    "many targets": ("at most 256", lambda k: BasisConversion(k, [Q], [Q] * 257, centred=False)),
    "one prime twice": ("occurs twice", lambda k: BasisConversion(k, [Q, 12289], [12289], centred=False)),
    "conversion shape": (
        "residues must have shape",
        lambda k: BasisConversion(k, [Q], [12289], centred=False).convert(zeros(2, 64), zeros(1, 64)),
    ),
    "conversion output": (
        "out must have shape",
        lambda k: BasisConversion(k, [Q], [12289], centred=False).convert(zeros(1, 64), zeros(1, 128)),
    ),
    "conversion unreduced": (
        "residue",
        lambda k: BasisConversion(k, [Q], [12289], centred=False).convert(bad().reshape(1, 64), zeros(1, 64)),
    ),
    "encoder degree": ("is not a power of two", lambda k: Encoder(k, 3000)),
    "three slots": ("the number of slots 3", lambda k: Encoder(k, 2048).embed(np.zeros(3), 1.0)),
    "no slots": ("the number of slots 0", lambda k: Encoder(k, 2048).embed(np.zeros(0), 1.0)),
    "many slots": ("the number of slots 2048", lambda k: Encoder(k, 2048).embed(np.zeros(2048), 1.0)),
    "not a number": ("slot value 1 is not finite", lambda k: Encoder(k, 2048).embed(np.array([0, np.nan]), 1.0)),
    "infinite": (
        "slot value 0 is not finite",
        lambda k: Encoder(k, 2048).embed(np.array([-np.inf], dtype=np.float32), 1.0),
    ),
    "scale": ("is not positive", lambda k: Encoder(k, 2048).embed(np.zeros(1), -1.0)),
    "scale not a number": ("is not positive", lambda k: Encoder(k, 2048).embed(np.zeros(1), np.nan)),
    "coefficient too large": (r"2\^148 or more", lambda k: Encoder(k, 2048).embed(np.ones(1), 2.0**148)),
    "coefficient overflows": (r"2\^148 or more", lambda k: Encoder(k, 2048).embed(np.full(64, 1e308), 1e300)),
    "fraction": (
        "coefficient 0 is not an integer",
        lambda k: Encoder(k, 2048).limbs(np.full(64, 0.5), [], zeros(0, 2048)),
    ),
    "coefficient infinite": (
        "is not an integer",
        lambda k: Encoder(k, 2048).limbs(np.full(64, np.inf), [], zeros(0, 2048)),
    ),
    "coefficients large": (
        r"2\^148 or more",
        lambda k: Encoder(k, 2048).limbs(np.full(64, 2.0**148), [], zeros(0, 2048)),
    ),
    "coefficient count": (
        "the number of coefficients 32",
        lambda k: Encoder(k, 2048).limbs(np.zeros(32), [], zeros(0, 2048)),
    ),
    "limbs shape": ("out must have shape", lambda k: Encoder(k, 2048).limbs(np.zeros(64), [tables(k)], zeros(2, 2048))),
    "tables of another degree": (
        "another degree",
        lambda k: Encoder(k, 4096).limbs(np.zeros(64), [tables(k)], zeros(1, 4096)),
    ),
    "nothing dropped": ("no limbs are dropped", lambda k: ModDown(k, [tables(k)], [])),
    "degrees differ": (
        "different degrees",
        lambda k: ModDown(k, [tables(k)], [NttTables(4096, 40961, k.implementation)]),
    ),
    "mod-down shape": ("residues must have shape", lambda k: mod_down(k).apply(zeros(3, 2048), zeros(1, 2048))),
    "mod-down unreduced": (
        "residue 12289 at flat index 0",
        lambda k: mod_down(k).apply(zeros(2, 2048) + np.uint64(12289), zeros(1, 2048)),
    ),
}

LONG = zeros(4096)


def bad() -> Words:
    values = zeros(64)
    values[3] = Q
    return values


def tables(kernels: Kernels) -> NttTables:
    return NttTables(2048, Q, kernels.implementation)


def mod_down(kernels: Kernels) -> ModDown:
    return ModDown(kernels, [tables(kernels)], [NttTables(2048, 12289, kernels.implementation)])


@pytest.mark.parametrize("case", REFUSALS)
def test_what_would_be_wrong_or_unsafe_is_refused(kernels: Kernels, case: str) -> None:
    message, call = REFUSALS[case]
    with pytest.raises(ValueError, match=message):
        call(kernels)


@pytest.mark.skipif(len(IMPLEMENTATIONS) == 1, reason="only one implementation runs here")
def test_tables_of_another_implementation_are_refused() -> None:
    first, other = IMPLEMENTATIONS[0], IMPLEMENTATIONS[-1]
    foreign = NttTables(2048, Q, other)
    with pytest.raises(ValueError, match="of different implementations"):
        ModDown(Kernels(first), [NttTables(2048, 12289, first)], [foreign])
    with pytest.raises(ValueError, match="of another implementation"):
        Encoder(Kernels(first), 2048).encode(np.zeros(1), 1.0, [foreign], zeros(1, 2048))


def test_other_dtypes_and_layouts_are_refused(kernels: Kernels) -> None:
    read_only = zeros(64)
    read_only.flags.writeable = False
    kernels.negate(read_only, zeros(64), Q)
    unaligned = np.frombuffer(bytearray(64 * 8 + 1), dtype=np.uint64, offset=1, count=64)
    wrong: list[Any] = [np.zeros(64), np.zeros(64, dtype=np.int64), zeros(128)[::2], [0] * 64, None, unaligned]
    for array in wrong:
        with pytest.raises((TypeError, ValueError)):
            kernels.negate(array, zeros(64), Q)
    for array in [*wrong, read_only]:
        with pytest.raises((TypeError, ValueError)):
            kernels.negate(zeros(64), array, Q)
    for values in (np.zeros(64, dtype=np.int64), zeros(64), np.zeros((8, 8)), np.zeros(128)[::2], [0.0]):
        with pytest.raises(TypeError):
            Encoder(kernels, 2048).embed(values, 1.0)  # type: ignore[arg-type]
