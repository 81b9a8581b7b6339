"""The client's own judgement of parameters."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sympy import isprime

from hecc.runtime.ckks.circuit.parameters import (
    Encapsulation,
    GaloisElement,
    KeySpecification,
    SecurityEvidence,
    SparseEvidence,
    union,
)
from hecc.runtime.ckks.circuit.security import (
    LEVELS,
    SPARSE_TABLE,
    SPARSE_TABLE_SOURCE,
    TABLE,
    TABLE_SOURCE,
    InsecureLevel,
    check_keys,
    check_structure,
    is_prime,
    limit,
    ntt_primes,
    smallest_ring_degree,
    sparse_limit,
)
from hecc.runtime.errors import KeyMismatchError, ParameterError, SecurityError

N = 8192
PRIMES = ntt_primes(40, N, 5)


def specification(**changes):
    fields = {
        "ring_degree": N,
        "data_primes": PRIMES[:4],
        "special_primes": PRIMES[4:],
        "relinearization_limbs": 4,
        "galois": (GaloisElement(3, 4), GaloisElement(9, 2)),
        "security": SecurityEvidence(128, "classical", TABLE_SOURCE, 214),
    }
    return KeySpecification(**(fields | changes))


@pytest.mark.parametrize(
    ("degree", "level", "adversary", "bits"),
    [
        (1 << 10, 128, "classical", 26),
        (1 << 11, 256, "quantum", 22),
        (1 << 12, 192, "quantum", 59),
        (1 << 13, 128, "classical", 214),
        (1 << 14, 128, "quantum", 322),
        (1 << 15, 256, "classical", 462),
        (1 << 16, 128, "classical", 1747),
        (1 << 17, 192, "quantum", 1920),
    ],
)
def test_spot_values_of_the_published_table(degree, level, adversary, bits):
    assert limit(degree, level, adversary) == bits


def test_more_security_means_fewer_bits_and_a_larger_ring_more():
    for degree, row in TABLE.items():
        for adversary in ("classical", "quantum"):
            values = [row[level, adversary] for level in LEVELS if (level, adversary) in row]
            assert values == sorted(values, reverse=True)
            assert len(set(values)) == len(values)
        for level in LEVELS:
            if (level, "classical") in row:
                assert row[level, "quantum"] < row[level, "classical"]
        for column, value in row.items():
            assert value > TABLE.get(degree // 2, {}).get(column, 0)


@pytest.mark.parametrize(("degree", "level"), [(1 << 10, 192), (1 << 17, 256), (1 << 18, 128), (1 << 14, 100)])
def test_no_entry_is_a_sentence(degree, level):
    with pytest.raises(SecurityError, match=rf"ring degree {degree} has no classical {level}-bit entry in ia.cr/"):
        limit(degree, level)


@pytest.mark.parametrize(("bits", "degree"), [(1, 1 << 10), (26, 1 << 10), (26.1, 1 << 11), (214, N), (215, 2 * N)])
def test_the_smallest_ring_that_holds_a_modulus(bits, degree):
    assert smallest_ring_degree(bits, 128) == degree


def test_no_ring_for_a_huge_modulus():
    with pytest.raises(SecurityError, match="no ring degree gives classical 256-bit security with a modulus of 1000"):
        smallest_ring_degree(1000, 256)


def test_good_parameters_pass():
    check_keys(specification())
    quantum = SecurityEvidence(128, "quantum", TABLE_SOURCE, 161)
    check_keys(specification(**SMALLER, security=quantum), "128-quantum")


SMALLER = {"data_primes": PRIMES[:2], "relinearization_limbs": 2, "galois": ()}


def replaced(*, like, by):
    return tuple(by if prime == like else prime for prime in PRIMES[:4])


*HUGE_PRIMES, HUGE_SPECIAL = ntt_primes(40, 1 << 17, 3)
LARGEST = SMALLER | {"ring_degree": 1 << 17, "data_primes": tuple(HUGE_PRIMES), "special_primes": (HUGE_SPECIAL,)}
COMPOSITE = next(q for q in range((1 << 40) + 1, 1 << 41, 2 * N) if not is_prime(q))
TOO_LARGE = next(q for q in range((1 << 50) + 1, 1 << 51, 2 * N) if is_prime(q))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"ring_degree": 0}, "ring degree 0 is not a power of two from"),
        ({"ring_degree": 512}, "ring degree 512 is not"),
        ({"ring_degree": 12288}, "ring degree 12288 is not"),
        ({"ring_degree": 1 << 18}, "ring degree 262144 is not"),
        ({"data_primes": ()}, "0 data and 1 special primes"),
        ({"special_primes": ()}, "4 data and 0 special primes"),
        ({"data_primes": ntt_primes(40, N, 64)}, "64 data and 1 special primes"),
        ({"special_primes": PRIMES[:1]}, "a prime occurs twice"),
        ({"data_primes": replaced(like=PRIMES[1], by=PRIMES[0])}, "a prime occurs twice"),
        ({"data_primes": replaced(like=PRIMES[1], by=COMPOSITE)}, f"{COMPOSITE} is not a prime below"),
        ({"data_primes": replaced(like=PRIMES[1], by=TOO_LARGE)}, f"{TOO_LARGE} is not a prime below"),
        ({"data_primes": replaced(like=PRIMES[1], by=(1 << 40) + 15)}, "that is 1 modulo 16384"),
        ({"data_primes": replaced(like=PRIMES[1], by=-PRIMES[1])}, "is not a prime below"),
        ({"data_primes": replaced(like=PRIMES[1], by=1)}, "1 is not a prime below"),
        ({"digit_limbs": 0}, "digits of 0 limbs, of 4 data primes"),
        ({"digit_limbs": -1}, "digits of -1 limbs"),
        ({"digit_limbs": 5}, "digits of 5 limbs, of 4 data primes"),
        ({"relinearization_limbs": 5}, "relinearisation at 5 of 4 limbs"),
        ({"relinearization_limbs": -1}, "relinearisation at -1 of 4 limbs"),
        ({"galois": (GaloisElement(4, 1),)}, "Galois element 4 is not odd"),
        ({"galois": (GaloisElement(1, 1),)}, "Galois element 1 is not odd"),
        ({"galois": (GaloisElement(2 * N + 1, 1),)}, "Galois element 16385 is not odd"),
        ({"galois": (GaloisElement(3, 1), GaloisElement(3, 1))}, "and above the one before it"),
        ({"galois": (GaloisElement(9, 1), GaloisElement(3, 1))}, "and above the one before it"),
        ({"galois": (GaloisElement(3, 0),)}, "Galois element 3 at 0 of 4 limbs"),
        ({"galois": (GaloisElement(3, 5),)}, "Galois element 3 at 5 of 4 limbs"),
    ],
)
def test_impossible_parameters_are_refused_at_any_level(changes, problem):
    spec = specification(**changes)
    with pytest.raises(ParameterError, match=problem):
        check_structure(spec)
    with pytest.raises(ParameterError, match=problem):
        check_keys(spec, InsecureLevel.INSECURE_FOR_TESTS_ONLY)


@pytest.mark.parametrize(
    ("changes", "minimum", "problem"),
    [
        # The claim is perfect, the primes are not.
        ({"data_primes": ntt_primes(50, N, 4)}, 128, "modulus has 240.0 bits, but ring degree 8192 gives 128-bit"),
        ({}, 192, "gives 192-bit security .classical. up to 147 only; compile again with --security 192"),
        (SMALLER, 192, "claims 128-bit security, below the minimum of 192"),
        ({"security": SecurityEvidence(0, "classical", TABLE_SOURCE, 214)}, 128, "claims 0-bit security"),
        ({"security": SecurityEvidence(128, "classical", TABLE_SOURCE, 215)}, 128, "is not the row of"),
        ({"security": SecurityEvidence(128, "classical", "my own", 214)}, 128, "my own: 214 bits. is not the row of"),
        ({"security": SecurityEvidence(129, "classical", TABLE_SOURCE, 214)}, 128, "no classical 129-bit entry"),
        ({"security": SecurityEvidence(256, "classical", TABLE_SOURCE, 114)}, 128, "claims 256-bit security"),
        ({"security": SecurityEvidence(128, "quantum", TABLE_SOURCE, 161)}, 128, "claims 128-bit security .quantum."),
        ({}, 0, "a minimum of 0 bits; hecc knows 128, 192, 256 and nothing below"),
        ({}, 127, "a minimum of 127 bits"),
        (LARGEST, 256, "ring degree 131072 has no classical 256-bit entry"),
    ],
)  # fmt: skip
def test_insecure_or_dishonest_parameters_are_refused(changes, minimum, problem):
    with pytest.raises(SecurityError, match=problem):
        check_keys(specification(**changes), minimum)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("adversary", ["classical", "quantum"])
def test_a_minimum_is_a_column_of_the_table(level, adversary):
    """The primes decide: whatever adversary a plan names, its modulus fits the column or not."""
    minimum = level if adversary == "classical" else f"{level}-quantum"
    most = TABLE[N][level, adversary]
    for bits in range(80, 216, 5):
        size = max(size for size in (50, 45, 40, 36, 30) if bits // size >= 2)
        primes = ntt_primes(size, N, bits // size)
        for claimed in ("classical", "quantum"):
            evidence = SecurityEvidence(level, claimed, TABLE_SOURCE, TABLE[N][level, claimed])
            changes = {"data_primes": primes[:-1], "special_primes": primes[-1:], "relinearization_limbs": 0}
            spec = specification(**changes, digit_limbs=1, galois=(), security=evidence)
            modulus = math.prod(primes)
            if modulus < 1 << most and modulus < 1 << TABLE[N][level, claimed]:
                check_keys(spec, minimum)
                continue
            fault = rf"\({adversary}\) up to {most} only; compile again" if modulus >> most else "the table allows"
            with pytest.raises(SecurityError, match=fault):
                check_keys(spec, minimum)


@pytest.mark.parametrize(
    "minimum", ["128-classical", "quantum", "128quantum", "127-quantum", "", "128-Quantum", None, 1.5]
)
def test_other_minimums_are_refused(minimum):
    with pytest.raises(SecurityError, match=r"a minimum of .* and nothing below, each also against .* as 128-quantum"):
        check_keys(specification(), minimum)


def test_the_modulus_is_compared_exactly():
    # 214 bits are allowed, 215 are not: the product decides, not a sum of rounded logarithms.
    fits = specification(data_primes=ntt_primes(43, N, 4), special_primes=ntt_primes(42, N, 1))
    product = math.prod((*fits.data_primes, *fits.special_primes))
    assert (product.bit_length() <= 214) == (fits.log2_qp <= 214)
    if product.bit_length() <= 214:
        check_keys(fits)
    else:
        with pytest.raises(SecurityError):
            check_keys(fits)


def test_a_modulus_just_above_the_limit_is_not_shown_as_the_limit():
    primes = []
    for bits in (43, 43, 43, 43, 42):
        primes.append(next(prime for prime in ntt_primes(bits, N, 12, primes) if prime > 1 << bits))
    assert 1 << 214 < math.prod(primes) < 1 << 214 | 1 << 200
    spec = specification(data_primes=tuple(primes[:-1]), special_primes=tuple(primes[-1:]))
    with pytest.raises(SecurityError, match=r"modulus has 214\.0000\d+ bits, .* up to 214 only"):
        check_keys(spec)


def test_another_secret_distribution_cannot_even_be_decoded():
    data = msgspec.json.encode(specification()).replace(b"uniform ternary", b"sparse ternary!")
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(data, type=KeySpecification)


def test_no_text_becomes_the_insecure_level():
    with pytest.raises(SecurityError):
        check_keys(specification(data_primes=ntt_primes(50, N, 4)), "insecure")


@given(st.integers(min_value=-5, max_value=1 << 60))
def test_primality_agrees_with_sympy(number):
    assert is_prime(number) == bool(isprime(number))


@pytest.mark.parametrize(
    "number", [341550071728321, 3825123056546413051, 318665857834031151, (1 << 61) - 1, 1, 0, 2, 37, 41]
)
def test_primality_of_strong_pseudoprimes(number):
    assert is_prime(number) == bool(isprime(number))


def test_primality_above_64_bits_is_refused():
    with pytest.raises(ValueError, match=r"below 2\^64 only"):
        is_prime(1 << 64)


@pytest.mark.parametrize(("bits", "degree"), [(25, 1 << 12), (40, 1 << 13), (49, 1 << 16), (50, 1 << 15)])
def test_primes_are_the_nearest(bits, degree):
    found = ntt_primes(bits, degree, 6)
    assert all(isprime(q) and q % (2 * degree) == 1 and q < 1 << 50 for q in found)
    farthest = max(abs(q - (1 << bits)) for q in found)
    window = range(((1 << bits) - farthest) // (2 * degree) * 2 * degree + 1, (1 << bits) + farthest + 1, 2 * degree)
    nearer = {q for q in window if abs(q - (1 << bits)) <= farthest and q < 1 << 50 and isprime(q)}
    assert set(found) == nearer
    assert list(found) == sorted(found, key=lambda q: abs(q - (1 << bits)))
    assert ntt_primes(bits, degree, 3, exclude=found[:3]) == found[3:]


def test_too_few_primes_is_a_sentence():
    with pytest.raises(ParameterError, match="there are only 0 unused primes of about 18 bits that are 1 modulo"):
        ntt_primes(18, 1 << 17, 5)


# Sparse secrets -------------------------------------------------------------------------------------------------------

DEEP = 1 << 15
FIRST, *UPPER = ntt_primes(32, DEEP, 4)
SPECIAL = ntt_primes(44, DEEP, 2)
EVIDENCE = SparseEvidence(128, SPARSE_TABLE_SOURCE, 100)
STRONGER = SecurityEvidence(192, "classical", TABLE_SOURCE, 597)


def raising(weight=32, limbs=4, evidence=EVIDENCE, **changes):
    """Parameters of a bootstrap, with few primes."""
    fields = {
        "ring_degree": DEEP,
        "data_primes": (FIRST, *UPPER),
        "special_primes": SPECIAL,
        "digit_limbs": 2,
        "security": SecurityEvidence(128, "classical", TABLE_SOURCE, 868),
        "encapsulation": Encapsulation(weight=weight, limbs=limbs, security=evidence),
    }
    return specification(**(fields | changes))


def test_the_table_of_sparse_secrets_has_a_name_of_its_own():
    assert SPARSE_TABLE_SOURCE == "hecc-sparse-1" != TABLE_SOURCE
    check_keys(raising())
    check_keys(raising(weight=64, evidence=SparseEvidence(192, SPARSE_TABLE_SOURCE, 100)))
    assert raising().sparse_modulus == FIRST * SPECIAL[0]


def test_a_larger_ring_a_larger_weight_and_a_lower_level_allow_as_much_at_least():
    for (degree, weight), row in SPARSE_TABLE.items():
        levels = sorted(row)
        assert [row[level] for level in levels] == sorted(row.values(), reverse=True)
        for level, bits in row.items():
            assert bits < TABLE[degree][level, "classical"]
            assert SPARSE_TABLE.get((2 * degree, weight), row).get(level, 0) >= bits
            assert sparse_limit(degree, weight, level) == bits


@pytest.mark.parametrize(
    ("spec", "minimum", "problem"),
    [
        (
            raising(weight=31),
            128,
            "a sparse secret of weight 31 at N = 32768 has no 128-bit row in the table hecc-sparse-1",
        ),
        (raising(weight=16384), 128, "which has weights 32 at N = 16384, 32 at N = 32768, 64 at N = 32768"),
        (raising(security=STRONGER), 192, "sparse secret of weight 32 at N = 32768 has no 192-bit row"),
        (
            raising(weight=64, security=STRONGER),
            192,
            r"hecc-sparse-1: 100 bits for 128-bit security. is not the row .* for 192-bit",
        ),
        (raising(), "128-quantum", "the table hecc-sparse-1 has no rows against quantum computers"),
        # The claim is of the whole plan: it is no stronger than its sparse secret.
        (
            raising(security=SecurityEvidence(128, "quantum", TABLE_SOURCE, 644)),
            128,
            "the table hecc-sparse-1 has no rows against quantum computers",
        ),
        (
            raising(weight=64, security=STRONGER),
            128,
            r"hecc-sparse-1: 100 bits for 128-bit security. is not the row .* for 192-bit",
        ),
        (raising(evidence=SparseEvidence(128, SPARSE_TABLE_SOURCE, 101)), 128, "evidence for its sparse secret"),
        (raising(evidence=SparseEvidence(128, TABLE_SOURCE, 100)), 128, r"ia.cr/2024/463: 100 bits .* is not the row"),
        (raising(evidence=SparseEvidence(64, SPARSE_TABLE_SOURCE, 100)), 128, "has no 64-bit row"),
    ],
)
def test_sparse_secrets_are_judged_by_their_own_table(spec, minimum, problem):
    with pytest.raises(SecurityError, match=problem):
        check_keys(spec, minimum)


def test_the_modulus_under_a_sparse_secret_is_computed_from_the_primes():
    degree = 1 << 14
    first, *upper = ntt_primes(40, degree, 4)
    special = ntt_primes(49, degree, 2)
    evidence = SparseEvidence(128, SPARSE_TABLE_SOURCE, 84)
    security = SecurityEvidence(128, "classical", TABLE_SOURCE, 430)
    changes = {"ring_degree": degree, "data_primes": (first, *upper), "special_primes": special, "security": security}
    problem = (
        r"sparse secret has a modulus of 89.0 bits, but weight 32 at N = 16384 gives 128-bit security up to 84 only"
    )
    with pytest.raises(SecurityError, match=problem):
        check_keys(raising(evidence=evidence, **changes))
    check_keys(raising(evidence=evidence, **changes | {"special_primes": ntt_primes(43, degree, 2)}))
    check_keys(raising(evidence=evidence, **changes), InsecureLevel.INSECURE_FOR_TESTS_ONLY)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"weight": 0}, "a sparse secret of weight 0 in a ring of degree 32768"),
        ({"weight": -1}, "a sparse secret of weight -1"),
        ({"weight": DEEP + 1}, "a sparse secret of weight 32769"),
        ({"limbs": 1}, "ciphertexts raised to 1 of 4 limbs"),
        ({"limbs": 5}, "ciphertexts raised to 5 of 4 limbs"),
    ],
)
def test_an_impossible_encapsulation_is_refused_at_any_level(changes, problem):
    with pytest.raises(ParameterError, match=problem):
        check_keys(raising(**changes), InsecureLevel.INSECURE_FOR_TESTS_ONLY)


def test_plans_that_never_raise_have_the_keys_that_they_had():
    # What is not there is not in the fingerprint: keys of earlier versions stay those of their plans.
    spec = specification()
    assert b"encapsulation" not in msgspec.json.encode(spec)
    assert msgspec.json.decode(msgspec.json.encode(spec), type=KeySpecification) == spec
    assert msgspec.json.decode(msgspec.json.encode(raising()), type=KeySpecification) == raising()
    assert raising().fingerprint != raising(limbs=3).fingerprint


def test_one_key_set_raises_for_two_plans_of_one_sparse_secret():
    none = msgspec.structs.replace(raising(), encapsulation=msgspec.UNSET)
    assert union(raising(limbs=3), raising(limbs=4)) == raising(limbs=4)
    assert union(raising(limbs=3), none) == union(none, raising(limbs=3)) == raising(limbs=3)
    assert union(none, none) == none
    with pytest.raises(KeyMismatchError, match="the plans have another sparse secret each"):
        union(raising(), raising(weight=64))
