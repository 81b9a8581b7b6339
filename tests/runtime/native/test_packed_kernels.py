"""What key switching and linear transforms are made of, against Python integers: products with packed residues, half
transforms of real vectors, images in runs, lifts."""

import functools
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import sympy

from hecc.runtime.ckks.keys import switching_keys
from hecc.runtime.native import GaloisPermutation, Kernels, NttTables, _native, implementations

Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]

LOG_DEGREES = range(11, 18)
BITS = (20, 30, 32, 33, 40, 41, 48, 49, 50)
KEY_RUN, RUN = 32, 16


@functools.cache
def prime(bits: int, step: int = 2) -> int:
    """The largest prime of so many bits that is 1 modulo `step`."""
    candidate = (2**bits - 2) // step * step + 1
    while not sympy.isprime(candidate):
        candidate -= step
    assert candidate.bit_length() == bits
    return candidate


# The largest of every length and, where another byte begins, the smallest.
MODULI = (3, *(prime(bits) for bits in BITS), *(int(sympy.nextprime(2**bits)) for bits in (32, 40, 48)))


def residues(seed: int, modulus: int, *shape: int) -> Words:
    """Random residues, a third of them 0 or q - 1."""
    generator = np.random.default_rng(seed)
    values = generator.integers(0, modulus, size=shape, dtype=np.uint64)
    values[generator.random(shape) < 1 / 6] = 0
    values[generator.random(shape) < 1 / 6] = modulus - 1
    return values


def packed(words: Words, modulus: int) -> Bytes:
    """Runs along the last dimension, packed."""
    width = switching_keys.packed_bytes(modulus)
    split = 8 if width == 8 else 4
    little = np.ascontiguousarray(words, dtype="<u8").view(np.uint8).reshape(*words.shape, 8)
    low, high = little[..., :split], little[..., split:width]
    parts = [part.reshape(*words.shape[:-1], words.shape[-1] * part.shape[-1]) for part in (low, high)]
    return np.ascontiguousarray(np.concatenate(parts, axis=-1))


def integers(values: Any) -> Any:
    return np.asarray(values).astype(object)


@pytest.fixture(params=implementations())
def kernels(request: pytest.FixtureRequest) -> Kernels:
    return Kernels(request.param)


# --- Packing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modulus", MODULI)
@pytest.mark.parametrize("count", [1, 2, 16, 32])
def test_a_packed_run_has_the_low_bytes_of_all_words_first(count: int, modulus: int) -> None:
    width = _native.packed_bytes(modulus)
    words = residues(count, modulus, 5, count)
    words[0] = modulus - 1
    out = np.empty((5, count * width), dtype=np.uint8)
    _native.pack(words, out, modulus)
    assert np.array_equal(out, packed(words, modulus))
    for run, row in zip(out, words.tolist(), strict=True):
        split = 4 * count if width < 8 else 8 * count
        low, high = run[:split].reshape(count, -1), run[split:].reshape(count, -1)
        both = [bytes(a) + bytes(b) for a, b in zip(low, high, strict=True)] if width < 8 else [bytes(a) for a in low]
        assert [int.from_bytes(b, "little") for b in both] == row


def test_packed_residues_take_the_bytes_that_files_say() -> None:
    assert [_native.packed_bytes(prime(bits)) for bits in BITS] == [4, 4, 4, 5, 5, 6, 6, 8, 8]
    assert [_native.packed_bytes(modulus) for modulus in MODULI[-3:]] == [5, 6, 8]
    for modulus in (*MODULI, *(prime(bits) for bits in range(2, 51))):
        assert _native.packed_bytes(modulus) == switching_keys.packed_bytes(modulus)


# --- Products with a switching key ------------------------------------------------------------------------------------


def packed_key(rows: Words, modulus: int) -> Bytes:
    """A key of one limb from its rows, of shape (digits, 2, count)."""
    runs = rows.shape[-1] // KEY_RUN
    return packed(rows.reshape(len(rows), 2, runs, KEY_RUN).transpose(2, 0, 1, 3), modulus)


def check_key_products(
    kernels: Kernels, modulus: int, digits: Words, rows: Words, addend: Words | None, factor: int
) -> None:
    out = np.empty((2, digits.shape[1]), dtype=np.uint64)
    kernels.key_products(digits, packed_key(rows, modulus), addend, factor, out, modulus)
    expected = (integers(digits)[:, None] * integers(rows[: len(digits)])).sum(axis=0)
    if addend is not None:
        expected[0] += integers(addend) * factor
    assert out.tolist() == (expected % modulus).tolist()


@pytest.mark.parametrize("modulus", MODULI)
def test_key_products_are_sums_of_products_with_a_key_of_any_prime(kernels: Kernels, modulus: int) -> None:
    for terms in range(1, 41):
        digits, rows = residues(terms, modulus, terms, 64), residues(-terms % 97, modulus, terms + terms % 3, 2, 64)
        addend = residues(100 + terms, modulus, 64) if terms % 2 else None
        factor = (0, 1, modulus - 1, modulus // 2)[terms // 2 % 4]
        check_key_products(kernels, modulus, digits, rows, addend, factor)


@pytest.mark.parametrize("count", [64, 128, 192, 2048, 2**13])
def test_key_products_of_any_number_of_runs(kernels: Kernels, count: int) -> None:
    for bits in (32, 40, 48, 50):
        modulus = prime(bits)
        digits, rows = residues(1, modulus, 3, count), residues(2, modulus, 4, 2, count)
        for addend in (None, residues(3, modulus, count)):
            check_key_products(kernels, modulus, digits, rows, addend, modulus - 2)


@pytest.mark.parametrize("terms", [0, 4094, 4095])
def test_key_products_hold_as_many_terms_as_a_lazy_sum(kernels: Kernels, terms: int) -> None:
    for bits in (32, 40, 48, 50):
        modulus = prime(bits)
        digits, rows = (np.full(shape, modulus - 1, dtype=np.uint64) for shape in ((terms, 64), (terms, 2, 64)))
        rows[:, 1, ::2] = residues(terms, modulus, terms, 32)
        addend = np.full(64, modulus - 1, dtype=np.uint64)
        check_key_products(kernels, modulus, digits, rows, addend if terms < 4095 else None, modulus - 1)


@pytest.mark.parametrize("modulus", [prime(bits) for bits in (32, 40, 48, 50)])
def test_key_products_do_not_depend_on_alignment(kernels: Kernels, modulus: int) -> None:
    digits, rows = residues(1, modulus, 3, 64), residues(2, modulus, 3, 2, 64)
    expected = np.empty((2, 64), dtype=np.uint64)
    kernels.key_products(digits, packed_key(rows, modulus), None, 0, expected, modulus)
    key = packed_key(rows, modulus)
    shifted = np.empty(key.size + 1, dtype=np.uint8)[1:].reshape(key.shape)
    shifted[:] = key
    out = np.empty(2 * 64 + 1, dtype=np.uint64)[1:].reshape(2, 64)
    kernels.key_products(digits, shifted, None, 0, out, modulus)
    assert np.array_equal(out, expected)


# --- Products with diagonals ------------------------------------------------------------------------------------------


def in_runs(images: Words) -> Words:
    """Pairs of polynomials, of shape (images, 2, N), as diagonal_products reads them."""
    count, _, degree = images.shape
    runs = degree // (2 * RUN)
    front = images[..., : degree // 2].reshape(count, 2, runs, RUN)
    back = images[..., degree // 2 :].reshape(count, 2, runs, RUN)[:, :, ::-1]
    return np.ascontiguousarray(np.stack([front, back], axis=2).transpose(3, 0, 1, 2, 4).reshape(runs, count, 4 * RUN))


def packed_diagonals(values: Words, repeats: int, modulus: int) -> Bytes:
    """Diagonals of shape (terms, ends, words of each half), run by run."""
    words = max(1, RUN // repeats)
    terms, ends, size = values.shape
    runs = packed(values.reshape(terms, ends, size // words, words).transpose(2, 0, 1, 3), modulus)
    return runs.reshape(runs.shape[0], terms, ends * runs.shape[-1])


def check_diagonal_products(
    kernels: Kernels,
    modulus: int,
    repeats: int,
    count: int,
    terms: int,
    *,
    added: bool,
    extreme: bool = False,
    apart: bool = False,
) -> None:
    half, images, stored = count // 2, terms // 2 + 2, terms + terms % 2
    rotated = residues(repeats, modulus, images, 2, count)
    values = residues(terms + 1000, modulus, stored, 1 + apart, -(-half // repeats))
    if extreme:
        rotated[:], values[:] = modulus - 1, modulus - 1
    rotations = np.random.default_rng(terms).integers(0, images, size=terms, dtype=np.uint32)
    before = residues(5, modulus, 2, count)
    out = before.copy()
    diagonals = packed_diagonals(values, repeats, modulus)
    kernels.diagonal_products(diagonals, repeats, apart, in_runs(rotated), rotations, out, added, modulus)
    ends = np.repeat(values[:terms], repeats, axis=2)[..., :half]
    full = integers(np.concatenate([ends[:, 0], ends[:, -1, ::-1]], axis=1))
    expected = integers(before) * added
    for diagonal, rotation in zip(full, rotations, strict=True):
        expected = expected + diagonal * integers(rotated[rotation])
    assert out.tolist() == (expected % modulus).tolist()


@pytest.mark.parametrize("repeats", [2**k for k in range(12)])
@pytest.mark.parametrize("modulus", MODULI)
def test_diagonal_products_meet_both_ends_at_any_prime(kernels: Kernels, modulus: int, repeats: int) -> None:
    for added in (False, True):
        check_diagonal_products(kernels, modulus, repeats, 128, 5, added=added)


@pytest.mark.parametrize("repeats", [2**k for k in range(12)])
@pytest.mark.parametrize("modulus", MODULI)
def test_products_with_apartdiagonals_have_words_for_each_end(kernels: Kernels, modulus: int, repeats: int) -> None:
    for count, terms, added in ((128, 5, False), (2048, 3, True), (64, 1, True)):
        check_diagonal_products(kernels, modulus, repeats, count, terms, added=added, apart=True)


@pytest.mark.parametrize("repeats", [2**k for k in range(12)])
def test_diagonal_products_of_any_number_of_runs_and_repeats(kernels: Kernels, repeats: int) -> None:
    for bits, count in itertools.product((32, 40, 48, 50), (64, 192, 2048, 2**13)):
        check_diagonal_products(kernels, prime(bits), repeats, count, 2, added=count % 128 == 0)


@pytest.mark.parametrize("repeats", [2**k for k in range(6)])
def test_diagonal_products_of_any_number_of_terms(kernels: Kernels, repeats: int) -> None:
    for bits, terms in itertools.product((30, 33, 41, 49), range(41)):
        check_diagonal_products(kernels, prime(bits), repeats, 64, terms, added=terms % 3 != 0)


@pytest.mark.parametrize("repeats", [1, 16])
def test_diagonal_products_hold_as_many_terms_as_a_lazy_sum(kernels: Kernels, repeats: int) -> None:
    for bits in (32, 40, 48, 50):
        check_diagonal_products(kernels, prime(bits), repeats, 64, 4095, added=True, extreme=True)


# --- Images in runs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_degree", LOG_DEGREES)
def test_an_image_in_runs_is_the_image(kernels: Kernels, log_degree: int) -> None:
    degree = 2**log_degree
    # Words are moved, whatever they are.
    polynomials = np.random.default_rng(log_degree).integers(0, 2**64, size=(2, degree), dtype=np.uint64)
    for element in (1, 3, 9, 2 * degree - 1, degree + 1, pow(3, degree // 4, 2 * degree), 12345 % (2 * degree)):
        permutation = GaloisPermutation(degree, element)
        expected = np.empty((1, 2, degree), dtype=np.uint64)
        for polynomial, image in zip(polynomials, expected[0], strict=True):
            permutation.apply(kernels, polynomial, image)
        for images, index in ((1, 0), (3, 2), (2, 0)):
            out = np.full((degree // (2 * RUN), images, 4 * RUN), 7, dtype=np.uint64)
            permutation.apply_to_runs(kernels, polynomials, out, index)
            assert np.array_equal(out[:, index], in_runs(expected)[:, 0])
            assert (np.delete(out, index, axis=1) == 7).all()


# --- Half transforms --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("log_degree", LOG_DEGREES)
def test_half_a_transform_is_enough_for_a_real_vector(kernels: Kernels, log_degree: int, bits: int) -> None:
    degree = 2**log_degree
    modulus = prime(bits, 2 * degree)
    tables = NttTables(degree, modulus, kernels.implementation)
    root = pow(tables.root, degree // 2, modulus)
    for log_size in range(7, log_degree + 1):
        half = 2 ** (log_size - 1)
        front = np.zeros(half + 1, dtype=np.uint64)
        front[:half] = residues(bits, modulus, half)
        if log_size % 3 == 0:
            front[1:half] = modulus - 1
        # Coefficient i is the negative of coefficient 2 half - i.
        full = np.concatenate([front, (modulus - front[1:half][::-1]) % np.uint64(modulus)])
        tables.forward(full, sparse=True)
        assert np.array_equal(full, full[::-1])
        folded = np.empty(half, dtype=np.uint64)
        kernels.fold_conjugates(front, root, folded, modulus)
        tables.forward_half(folded)
        assert np.array_equal(folded, full[:half])


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("log_degree", LOG_DEGREES)
def test_half_a_transform_is_the_first_half_of_any(kernels: Kernels, log_degree: int, bits: int) -> None:
    degree = 2**log_degree
    modulus = prime(bits, 2 * degree)
    tables = NttTables(degree, modulus, kernels.implementation)
    root = pow(tables.root, degree // 2, modulus)
    rows = residues(log_degree, modulus, 3, degree)
    rows[0] = modulus - 1
    first, second = integers(rows[:, : degree // 2]), integers(rows[:, degree // 2 :])
    halves = ((first + root * second) % modulus).astype(np.uint64)
    tables.forward_half(halves)
    tables.forward(rows)
    assert np.array_equal(halves, rows[:, : degree // 2])


@pytest.mark.parametrize("modulus", MODULI)
def test_conjugates_are_folded(kernels: Kernels, modulus: int) -> None:
    for count in (64, 128, 1024):
        values = residues(count, modulus, count + 1)
        values[count] = 0
        for root in (0, 1, modulus - 1, modulus // 2, 123456789 % modulus):
            out = np.empty(count, dtype=np.uint64)
            kernels.fold_conjugates(values, root, out, modulus)
            x = integers(values)
            assert out.tolist() == ((x[:count] - root * x[:0:-1]) % modulus).tolist()


# --- Lifts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", MODULI)
def test_a_lift_takes_the_representative_closest_to_zero(kernels: Kernels, source: int) -> None:
    values = residues(1, source, 128)
    special = [0, 1, 2, source - 1, source - 2, source // 2 - 1, source // 2, source // 2 + 1, source // 2 + 2]
    values[: len(special)] = np.array(special, dtype=np.uint64) % np.uint64(source)
    meant = [value - source if value > source // 2 else value for value in values.tolist()]
    for target in MODULI:
        out = np.empty_like(values)
        kernels.lift(values, source, out, target)
        assert out.tolist() == [value % target for value in meant], target
        in_place = values.copy()
        kernels.lift(in_place, source, in_place, target)
        assert np.array_equal(in_place, out)


# --- What is refused --------------------------------------------------------------------------------------------------


Q, SMALL = prime(50, 4096), prime(30, 4096)


def zeros(*shape: int) -> Words:
    return np.zeros(shape, dtype=np.uint64)


def empty(*shape: int) -> Bytes:
    return np.zeros(shape, dtype=np.uint8)


def with_word(array: Any, index: int, word: int) -> Any:
    array.reshape(-1)[index] = word
    return array


def key_products(kernels: Kernels, **changed: Any) -> None:
    arguments: dict[str, Any] = {
        "digits": zeros(3, 64),
        "key": empty(2, 3, 2, 256),
        "addend": zeros(64),
        "factor": 0,
        "out": zeros(2, 64),
        "modulus": Q,
    }
    kernels.key_products(**{**arguments, **changed})


def diagonal_products(kernels: Kernels, **changed: Any) -> None:
    arguments: dict[str, Any] = {
        "values": empty(2, 3, 128),
        "repeats": 1,
        "apart": False,
        "rotated": zeros(2, 4, 64),
        "rotations": np.array([0, 3, 1], dtype=np.uint32),
        "out": zeros(2, 64),
        "added": True,
        "modulus": Q,
    }
    kernels.diagonal_products(**{**arguments, **changed})


def forward_half(kernels: Kernels, array: Any) -> None:
    NttTables(2048, Q, kernels.implementation).forward_half(array)


def to_runs(kernels: Kernels, array: Words, out: Words, index: int = 0) -> None:
    GaloisPermutation(2048, 3).apply_to_runs(kernels, array, out, index)


LONG = zeros(8192)
BYTES = LONG.view(np.uint8)
LONG_DIGITS = 4096

REFUSALS: dict[str, tuple[str, Any]] = {
    "key: modulus": ("is not a prime above 2", lambda k: key_products(k, modulus=2)),
    "key: flat digits": ("digits must have two dimensions", lambda k: key_products(k, digits=zeros(64))),
    "key: short digits": ("of digits must be a multiple of 64", lambda k: key_products(k, digits=zeros(3, 32))),
    "key: many digits": ("at most 4095 terms", lambda k: key_products(k, digits=zeros(LONG_DIGITS, 64))),
    "key: unreduced digit": (
        f"residue {Q} at flat index 70",
        lambda k: key_products(k, digits=with_word(zeros(3, 64), 70, Q)),
    ),
    "key: fewer digits": (
        r"key must have shape \(2, 3, 2, 256\), not",
        lambda k: key_products(k, key=empty(2, 2, 2, 256)),
    ),
    "key: fewer runs": ("key must have shape", lambda k: key_products(k, key=empty(1, 3, 2, 256))),
    "key: another width": ("key must have shape", lambda k: key_products(k, key=empty(2, 3, 2, 160))),
    "key: width of a small prime": (r"not \(2, 3, 2, 256\)", lambda k: key_products(k, modulus=SMALL)),
    "key: flat": ("key must have shape", lambda k: key_products(k, key=empty(2 * 3 * 2 * 256))),
    "key: one polynomial": ("key must have shape", lambda k: key_products(k, key=empty(2, 3, 1, 256))),
    "key: unreduced": (
        "residue 1125899906842624 .* is not below the modulus",
        lambda k: key_products(k, key=with_word(empty(2, 3, 2, 256), 2 * 3 * 2 * 256 - 2, 4)),
    ),
    "key: unreduced and small": (
        "residue 2147483648 at flat index 31 is not below the modulus",
        lambda k: key_products(k, key=with_word(empty(2, 3, 2, 128), 127, 128), modulus=SMALL),
    ),
    "key: addend": (r"addend must have shape \(64,\)", lambda k: key_products(k, addend=zeros(128))),
    "key: unreduced addend": ("residue", lambda k: key_products(k, addend=with_word(zeros(64), 63, Q))),
    "key: unreduced factor": ("residue", lambda k: key_products(k, factor=Q)),
    "key: one output": (r"out must have shape \(2, 64\)", lambda k: key_products(k, out=zeros(1, 64))),
    "key: output is a digit": (
        "overlaps",
        lambda k: key_products(k, digits=LONG[:192].reshape(3, 64), out=LONG[64:192].reshape(2, 64)),
    ),
    "key: output is the addend": (
        "overlaps",
        lambda k: key_products(k, addend=LONG[:64], out=LONG[:128].reshape(2, 64)),
    ),
    "key: output is the key": (
        "overlaps",
        lambda k: key_products(k, key=BYTES[1:3073].reshape(2, 3, 2, 256), out=LONG[384:512].reshape(2, 64)),
    ),
    "diagonals: modulus": ("is not a prime above 2", lambda k: diagonal_products(k, modulus=15)),
    "diagonals: no repeats": ("repeats are 0, not a power of two", lambda k: diagonal_products(k, repeats=0)),
    "diagonals: three repeats": ("repeats are 3, not a power of two", lambda k: diagonal_products(k, repeats=3)),
    "diagonals: too few values": (
        r"values must have shape \(2, 3, 128\), not \(2, 2, 128\)",
        lambda k: diagonal_products(k, values=empty(2, 2, 128)),
    ),
    "diagonals: too few groups": ("values must have shape", lambda k: diagonal_products(k, values=empty(1, 3, 128))),
    "diagonals: other repeats": (r"values must have shape \(2, 3, 64\)", lambda k: diagonal_products(k, repeats=2)),
    "diagonals: many repeats": (r"values must have shape \(1, 3, 8\)", lambda k: diagonal_products(k, repeats=2048)),
    "diagonals: another width": ("values must have shape", lambda k: diagonal_products(k, modulus=SMALL)),
    "diagonals: one end": ("values must have shape", lambda k: diagonal_products(k, apart=True)),
    "diagonals: flat values": ("values must have shape", lambda k: diagonal_products(k, values=empty(768))),
    "diagonals: unreduced value": (
        "residue 1125899906842624 .* is not below the modulus",
        lambda k: diagonal_products(k, values=with_word(empty(2, 3, 128), 2 * 3 * 128 - 2, 4)),
    ),
    "diagonals: flat rotated": ("rotated must have shape", lambda k: diagonal_products(k, rotated=zeros(2, 256))),
    "diagonals: too few runs": ("rotated must have shape", lambda k: diagonal_products(k, rotated=zeros(1, 4, 64))),
    "diagonals: short runs": (
        r"\(2, 4, 64\), not \(2, 4, 32\)",
        lambda k: diagonal_products(k, rotated=zeros(2, 4, 32)),
    ),
    "diagonals: unreduced rotated": (
        f"residue {Q} at flat index 511",
        lambda k: diagonal_products(k, rotated=with_word(zeros(2, 4, 64), 511, Q)),
    ),
    "diagonals: a rotation too far": (
        "rotation 4 is not one of 4",
        lambda k: diagonal_products(k, rotations=np.array([0, 4, 1], dtype=np.uint32)),
    ),
    "diagonals: no rotations": (
        "rotation 0 is not one of 0",
        lambda k: diagonal_products(k, rotated=zeros(2, 0, 64)),
    ),
    "diagonals: many terms": (
        "at most 4095 terms",
        lambda k: diagonal_products(k, rotations=np.zeros(4096, dtype=np.uint32)),
    ),
    "diagonals: output shape": (r"out must have shape \(2, 64\)", lambda k: diagonal_products(k, out=zeros(3, 64))),
    "diagonals: output size": ("of out must be a multiple of 64", lambda k: diagonal_products(k, out=zeros(2, 32))),
    "diagonals: unreduced sum": ("residue", lambda k: diagonal_products(k, out=with_word(zeros(2, 64), 127, Q))),
    "diagonals: output is rotated": (
        "overlaps",
        lambda k: diagonal_products(k, rotated=LONG[:512].reshape(2, 4, 64), out=LONG[:128].reshape(2, 64)),
    ),
    "diagonals: output is values": (
        "overlaps",
        lambda k: diagonal_products(k, values=BYTES[:768].reshape(2, 3, 128), out=LONG[95:223].reshape(2, 64)),
    ),
    "diagonals: output is rotations": (
        "overlaps",
        lambda k: diagonal_products(k, rotations=LONG.view(np.uint32)[:3], out=LONG[1:129].reshape(2, 64)),
    ),
    "half: size": ("is not a power of two from 64 to half the degree 2048", lambda k: forward_half(k, zeros(2048))),
    "half: small": ("is not a power of two from 64", lambda k: forward_half(k, zeros(32))),
    "half: odd": ("is not a power of two from 64", lambda k: forward_half(k, zeros(192))),
    "half: none": ("is not a power of two from 64", lambda k: forward_half(k, zeros())),
    "half: unreduced": ("residue", lambda k: forward_half(k, with_word(zeros(2, 64), 127, Q))),
    "conjugates: shape": (
        r"residues must have shape \(65,\), not \(64,\)",
        lambda k: k.fold_conjugates(zeros(64), 1, zeros(64), Q),
    ),
    "conjugates: size": ("multiple of 64", lambda k: k.fold_conjugates(zeros(33), 1, zeros(32), Q)),
    "conjugates: last": (
        "the last of the residues is not zero",
        lambda k: k.fold_conjugates(with_word(zeros(65), 64, 1), 1, zeros(64), Q),
    ),
    "conjugates: unreduced": ("residue", lambda k: k.fold_conjugates(with_word(zeros(65), 0, Q), 1, zeros(64), Q)),
    "conjugates: root": ("residue", lambda k: k.fold_conjugates(zeros(65), Q, zeros(64), Q)),
    "conjugates: in place": ("overlaps", lambda k: k.fold_conjugates(LONG[:65], 1, LONG[:64], Q)),
    "lift: source": ("is not a prime above 2", lambda k: k.lift(zeros(64), 9, zeros(64), Q)),
    "lift: target": (r"is not below 2\^50", lambda k: k.lift(zeros(64), Q, zeros(64), 2**50 + 55)),
    "lift: unreduced": ("residue", lambda k: k.lift(with_word(zeros(64), 5, SMALL), SMALL, zeros(64), Q)),
    "lift: shape": (r"out must have shape \(64,\)", lambda k: k.lift(zeros(64), Q, zeros(128), SMALL)),
    "lift: size": ("multiple of 64", lambda k: k.lift(zeros(60), Q, zeros(60), SMALL)),
    "lift: overlap in part": ("overlaps an input in part", lambda k: k.lift(LONG[:64], Q, LONG[1:65], SMALL)),
    "runs: residues": (r"residues must have shape \(2, 2048\)", lambda k: to_runs(k, zeros(2048), zeros(64, 1, 64))),
    "runs: out": (r"out must have shape \(64, 1, 64\)", lambda k: to_runs(k, zeros(2, 2048), zeros(32, 1, 64))),
    "runs: flat out": ("out must have shape", lambda k: to_runs(k, zeros(2, 2048), zeros(64, 64))),
    "runs: index": ("image 2 is not one of 2", lambda k: to_runs(k, zeros(2, 2048), zeros(64, 2, 64), 2)),
    "runs: in place": (
        "overlaps",
        lambda k: to_runs(k, LONG[:4096].reshape(2, -1), LONG[4095:8191].reshape(64, 1, 64)),
    ),
    "pack: modulus": ("is not a prime above 2", lambda _: _native.packed_bytes(1)),
    "pack: out": (r"out must have shape \(2, 48\)", lambda _: _native.pack(zeros(2, 8), empty(2, 32), prime(48))),
    "pack: flat": ("words must have two dimensions", lambda _: _native.pack(zeros(8), empty(64), Q)),
    "pack: unreduced": ("residue", lambda _: _native.pack(with_word(zeros(1, 8), 3, Q), empty(1, 64), Q)),
    "pack: in place": ("overlaps", lambda _: _native.pack(LONG[:8].reshape(1, 8), BYTES[:64].reshape(1, 64), Q)),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_would_be_wrong_or_unsafe_is_refused(kernels: Kernels, case: str) -> None:
    message, call = REFUSALS[case]
    with pytest.raises(ValueError, match=message):
        call(kernels)


def test_what_is_not_refused_is_right_without_a_change(kernels: Kernels) -> None:
    key_products(kernels)
    key_products(kernels, addend=None, factor=Q)  # of no use then
    diagonal_products(kernels)
    diagonal_products(kernels, out=with_word(zeros(2, 64), 127, Q), added=False)  # overwritten


def test_other_dtypes_and_layouts_are_refused(kernels: Kernels) -> None:
    unaligned = np.frombuffer(bytearray(64 * 8 + 1), dtype=np.uint64, offset=1, count=64)
    half_aligned = np.frombuffer(bytearray(13), dtype=np.uint32, offset=1, count=3)
    read_only = zeros(2, 64)
    read_only.flags.writeable = False
    wrong: list[tuple[Any, dict[str, Any]]] = [
        (key_products, {"key": zeros(2, 3, 2, 32)}),
        (key_products, {"key": empty(2, 3, 2, 512)[..., ::2]}),
        (key_products, {"digits": zeros(6, 64)[::2]}),
        (key_products, {"addend": unaligned}),
        (key_products, {"addend": np.zeros(64)}),
        (key_products, {"out": read_only}),
        (diagonal_products, {"values": empty(2, 3, 128).view(np.int8)}),
        (diagonal_products, {"rotations": np.zeros(3, dtype=np.int32)}),
        (diagonal_products, {"rotations": np.zeros(3, dtype=np.uint64)}),
        (diagonal_products, {"rotations": np.zeros(6, dtype=np.uint32)[::2]}),
        (diagonal_products, {"rotations": half_aligned}),
        (diagonal_products, {"rotated": zeros(2, 4, 128)[..., ::2]}),
        (diagonal_products, {"out": read_only}),
        (diagonal_products, {"repeats": -1}),
    ]
    for call, changed in wrong:
        with pytest.raises((TypeError, ValueError)):
            call(kernels, **changed)
    for array in (unaligned, np.zeros(64), read_only[0], zeros(128)[::2]):
        with pytest.raises((TypeError, ValueError)):
            forward_half(kernels, array)
