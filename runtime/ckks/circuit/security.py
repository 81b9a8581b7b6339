"""Which parameters are secure, decided from the primes themselves and from a published table.

The table is that of *Security Guidelines for Implementing Homomorphic Encryption* (Bossuat et al., ia.cr/2024/463,
tables for uniform ternary secrets and errors of standard deviation 3.2; rows that the paper leaves out were made with
its script): the largest log2(QP), special primes included, for a ring degree, a security level and an adversary.

That table has no rows for sparse secrets. The one that ciphertexts are raised under has a table of hecc's own, which
rests on hecc's own estimate (``docs/explanation/sparse-secrets.md``) and has a name of its own.

The client calls :func:`check_keys` before it makes a key, because it has no reason to believe a plan's own claim.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

from hecc.runtime.ckks.circuit.parameters import Encapsulation, KeySpecification
from hecc.runtime.errors import ParameterError, SecurityError
from hecc.runtime.figures import apart
from hecc.runtime.plan.keyset import InsecureLevel, MinSecurity

__all__ = [
    "LEVELS",
    "MAX_PRIME_BITS",
    "SPARSE_TABLE",
    "SPARSE_TABLE_SOURCE",
    "TABLE",
    "TABLE_SOURCE",
    "Adversary",
    "InsecureLevel",
    "MinSecurity",
    "check_keys",
    "check_structure",
    "is_prime",
    "limit",
    "ntt_primes",
    "smallest_ring_degree",
    "sparse_limit",
]

Adversary = Literal["classical", "quantum"]

LEVELS = (128, 192, 256)
TABLE_SOURCE = "ia.cr/2024/463"

_COLUMNS: tuple[tuple[int, Adversary], ...] = tuple(itertools.product(LEVELS, get_args(Adversary)))

TABLE: dict[int, dict[tuple[int, Adversary], int]] = {
    degree: {column: value for column, value in zip(_COLUMNS, row, strict=True) if value}
    for degree, row in {
        # N: 128 classical, 128 quantum, 192 classical, 192 quantum, 256 classical, 256 quantum; 0 where there is none
        1 << 10: (26, 20, 0, 0, 0, 0),
        1 << 11: (53, 40, 36, 29, 27, 22),
        1 << 12: (106, 80, 73, 59, 56, 47),
        1 << 13: (214, 161, 147, 119, 114, 95),
        1 << 14: (430, 322, 297, 239, 230, 192),
        1 << 15: (868, 644, 597, 479, 462, 385),
        1 << 16: (1747, 1289, 1199, 959, 929, 773),
        1 << 17: (3523, 2578, 2411, 1920, 0, 0),
    }.items()
}
"""Largest log2(QP) by ring degree and (level, adversary)."""

SPARSE_TABLE_SOURCE = "hecc-sparse-1"

SPARSE_TABLE: dict[tuple[int, int], dict[int, int]] = {
    # N and weight: largest log2 of the modulus by level
    (1 << 14, 32): {128: 84},
    (1 << 15, 32): {128: 100},
    (1 << 15, 64): {128: 100, 192: 100},
    (1 << 16, 32): {128: 126},
    (1 << 16, 40): {128: 126, 192: 100},
    (1 << 16, 64): {128: 126, 192: 100, 256: 100},
}
"""Largest log2 of the modulus of the one key under a sparse secret, by ring degree and weight, and by level, against
classical adversaries. All rows are below what ``benchmarks/sparse_secrets.py`` estimates: with 13 to 331 bits of
modulus more there would still be two bits more than the level."""

MAX_PRIME_BITS = 50
"""Primes are below 2^50: AVX-512 IFMA multiplies 52-bit lanes, two bits of which lazy reduction needs, and AVX2 has no
64-bit high multiply but double-precision FMA is exact enough below 2^50. SEAL itself would take 60 bits."""

MAX_PRIMES = 64
"""SEAL's largest number of primes, special ones included."""

MIN_DEGREE, MAX_DEGREE = 1 << 10, 1 << 17


def limit(ring_degree: int, level: int, adversary: Adversary = "classical") -> int:
    """Largest log2(QP) in bits at which ``ring_degree`` gives ``level`` bits of security.

    Raises
    ------
    SecurityError
        The table has no entry.
    """
    try:
        return TABLE[ring_degree][level, adversary]
    except KeyError:
        raise SecurityError(
            f"ring degree {ring_degree} has no {adversary} {level}-bit entry in {TABLE_SOURCE}; "
            f"ask for one of {', '.join(map(str, LEVELS))} bits, or a ring degree from 2^11 to 2^16"
        ) from None


def sparse_limit(ring_degree: int, weight: int, level: int) -> int:
    """Largest log2 of a modulus at which a sparse secret gives ``level`` bits of security, by hecc's own table.

    Raises
    ------
    SecurityError
        The table has no entry.
    """
    try:
        return SPARSE_TABLE[ring_degree, weight][level]
    except KeyError:
        rows = ", ".join(f"{w} at N = {n}" for (n, w), row in SPARSE_TABLE.items() if level in row)
        raise SecurityError(
            f"a sparse secret of weight {weight} at N = {ring_degree} has no {level}-bit row in the table "
            f"{SPARSE_TABLE_SOURCE}, which has weights {rows}; compile again with this hecc"
        ) from None


def smallest_ring_degree(log2_qp: float, level: int, adversary: Adversary = "classical") -> int:
    """Smallest ring degree that is secure with a modulus of ``log2_qp`` bits, special primes included.

    Raises
    ------
    SecurityError
        No ring degree of the table is large enough.
    """
    for degree, row in TABLE.items():
        if log2_qp <= row.get((level, adversary), -1):
            return degree
    raise SecurityError(
        f"no ring degree gives {adversary} {level}-bit security with a modulus of {log2_qp:.0f} bits "
        f"({TABLE_SOURCE}); make the network shallower, or ask for less precision"
    )


def check_keys(spec: KeySpecification, minimum: MinSecurity = 128) -> None:
    """Refuse parameters below ``minimum`` bits, whatever the specification claims of itself.

    Parameters
    ----------
    spec
        From a plan that somebody else may have written.
    minimum
        Bits of security that the caller insists on, at least 128, and against whom.

    Raises
    ------
    ParameterError
        Parameters that are impossible: see :func:`check_structure`.
    SecurityError
        A modulus too large for the ring, a claim that the table does not support, or a minimum below 128.
    """
    check_structure(spec)
    if isinstance(minimum, InsecureLevel):
        return
    level, adversary = _minimum(minimum)
    modulus = math.prod((*spec.data_primes, *spec.special_primes))
    allowed = limit(spec.ring_degree, level, adversary)
    options = f"--security {level}" + (" --quantum" if adversary == "quantum" else "")
    if modulus >> allowed:
        raise SecurityError(
            f"the plan's modulus has {_bits(spec, allowed)} bits, but ring degree {spec.ring_degree} gives "
            f"{level}-bit security ({adversary}) up to {allowed} only; compile again with {options}"
        )
    evidence = spec.security
    if evidence.level < level:
        raise SecurityError(
            f"the plan claims {evidence.level}-bit security, below the minimum of {level}; compile again with {options}"
        )
    claimed = limit(spec.ring_degree, evidence.level, evidence.adversary)
    if evidence.table != TABLE_SOURCE or evidence.log2_limit != claimed:
        raise SecurityError(
            f"the plan's security evidence ({evidence.table}: {evidence.log2_limit} bits) is not the row of "
            f"{TABLE_SOURCE} ({claimed} bits); compile again with this hecc"
        )
    if modulus >> claimed:
        raise SecurityError(
            f"the plan claims {evidence.level}-bit security ({evidence.adversary}) with a modulus of "
            f"{_bits(spec, claimed)} bits, but the table allows {claimed}; compile again with this hecc"
        )
    if spec.encapsulation is not msgspec.UNSET:
        _check_sparse(spec, spec.encapsulation, level, adversary)


def _check_sparse(spec: KeySpecification, encapsulation: Encapsulation, level: int, adversary: Adversary) -> None:
    """The same of the secret that ciphertexts are raised under: the plan's own claim is no stronger than it."""
    level = max(level, spec.security.level)
    if "quantum" in (adversary, spec.security.adversary):
        raise SecurityError(
            f"the plan bootstraps under a sparse secret, and the table {SPARSE_TABLE_SOURCE} has no rows against "
            "quantum computers; compile a network that needs no bootstrapping, or insist on classical security"
        )
    evidence, modulus = encapsulation.security, spec.sparse_modulus
    allowed = sparse_limit(spec.ring_degree, encapsulation.weight, level)
    claimed = sparse_limit(spec.ring_degree, encapsulation.weight, evidence.level)
    if evidence.level < level or evidence.table != SPARSE_TABLE_SOURCE or evidence.log2_limit != claimed:
        raise SecurityError(
            f"the plan's evidence for its sparse secret ({evidence.table}: {evidence.log2_limit} bits for "
            f"{evidence.level}-bit security) is not the row of {SPARSE_TABLE_SOURCE} for {level}-bit security "
            f"({allowed} bits); compile again with this hecc"
        )
    if modulus >> min(allowed, claimed):
        raise SecurityError(
            f"the key under the plan's sparse secret has a modulus of {math.log2(modulus):.1f} bits, but weight "
            f"{encapsulation.weight} at N = {spec.ring_degree} gives {level}-bit security up to "
            f"{min(allowed, claimed)} only ({SPARSE_TABLE_SOURCE}); compile again with this hecc"
        )


def _minimum(minimum: int | str) -> tuple[int, Adversary]:
    """The level and the adversary that a client names."""
    named: dict[int | str, tuple[int, Adversary]] = {}
    for level in LEVELS:
        named |= {level: (level, "classical"), str(level): (level, "classical")}
        named[f"{level}-quantum"] = (level, "quantum")
    try:
        return named[minimum]
    except (KeyError, TypeError):
        levels = ", ".join(map(str, LEVELS))
        raise SecurityError(
            f"a minimum of {minimum} bits; hecc knows {levels} and nothing below, each also against quantum computers, "
            f"as {LEVELS[0]}-quantum"
        ) from None


def _bits(spec: KeySpecification, most: int) -> str:
    """The bits of a modulus that has more than ``most``, so that this is seen."""
    shown = f"{spec.log2_qp:.1f}"
    return shown if float(shown) > most else apart(spec.log2_qp, most)[0]


def check_structure(spec: KeySpecification) -> None:
    """Refuse parameters that no scheme can have, secure or not.

    Raises
    ------
    ParameterError
        With the first rule broken.
    """
    degree = spec.ring_degree
    if not MIN_DEGREE <= degree <= MAX_DEGREE or degree & (degree - 1):
        raise ParameterError(f"key specification: ring degree {degree} is not a power of two from 2^10 to 2^17")
    primes = (*spec.data_primes, *spec.special_primes)
    if not spec.data_primes or not spec.special_primes or len(primes) > MAX_PRIMES:
        raise ParameterError(
            f"key specification: {len(spec.data_primes)} data and {len(spec.special_primes)} special primes; "
            f"expected at least one of each and at most {MAX_PRIMES} together"
        )
    if len(set(primes)) != len(primes):
        raise ParameterError("key specification: a prime occurs twice")
    for prime in primes:
        if not 2 * degree < prime < 1 << MAX_PRIME_BITS or prime % (2 * degree) != 1 or not is_prime(prime):
            raise ParameterError(
                f"key specification: {prime} is not a prime below 2^{MAX_PRIME_BITS} that is 1 modulo {2 * degree}"
            )
    limbs = len(spec.data_primes)
    if not 1 <= spec.digit_limbs <= limbs:
        raise ParameterError(f"key specification: digits of {spec.digit_limbs} limbs, of {limbs} data primes")
    if not 0 <= spec.relinearization_limbs <= limbs:
        raise ParameterError(f"key specification: relinearisation at {spec.relinearization_limbs} of {limbs} limbs")
    previous = 1
    for key in spec.galois:
        if not previous < key.element < 2 * degree or key.element % 2 == 0:
            raise ParameterError(
                f"key specification: Galois element {key.element} is not odd, between 3 and {2 * degree - 1}, "
                "and above the one before it"
            )
        if not 1 <= key.limbs <= limbs:
            raise ParameterError(f"key specification: Galois element {key.element} at {key.limbs} of {limbs} limbs")
        previous = key.element
    if spec.encapsulation is not msgspec.UNSET:
        weight, raised = spec.encapsulation.weight, spec.encapsulation.limbs
        if not 1 <= weight <= degree:
            raise ParameterError(f"key specification: a sparse secret of weight {weight} in a ring of degree {degree}")
        if not 2 <= raised <= limbs:
            raise ParameterError(f"key specification: ciphertexts raised to {raised} of {limbs} limbs")


def is_prime(number: int) -> bool:
    """Whether ``number`` is prime: Miller and Rabin's test, deterministic below 2^64.

    The first twelve primes are witnesses enough below 3.3e24 (Sorenson and Webster, Math. Comp. 86, 2017).
    """
    if number >= 1 << 64:
        raise ValueError("is_prime is deterministic below 2^64 only")
    witnesses = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
    if number < 2 or any(number % p == 0 for p in witnesses):
        return number in witnesses
    twos = ((number - 1) & (1 - number)).bit_length() - 1
    odd = (number - 1) >> twos
    return all(_passes(number, witness, odd, twos) for witness in witnesses)


def ntt_primes(bits: int, ring_degree: int, count: int, exclude: Iterable[int] = ()) -> tuple[int, ...]:
    """The ``count`` primes nearest to 2^bits that are 1 modulo ``2 * ring_degree``, nearest first.

    Parameters
    ----------
    bits
        Wanted size; a prime may lie on either side of 2^bits, but always below 2^50.
    exclude
        Primes already in use.

    Raises
    ------
    ParameterError
        There are not that many between 2^(bits - 1) and 2^(bits + 1).
    """
    step = 2 * ring_degree
    used = set(exclude)
    found: list[int] = []
    centre, low, high = 1 << bits, 1 << (bits - 1), min(1 << (bits + 1), 1 << MAX_PRIME_BITS)
    # The candidate next below 2^bits, and the one next above; the nearer of the two is tried first.
    below, above = (centre - 2) // step * step + 1, -(-(centre - 1) // step) * step + 1
    while len(found) < count:
        candidate = below if centre - below <= above - centre or above >= high else above
        if candidate <= low or candidate >= high:
            raise ParameterError(
                f"there are only {len(found)} unused primes of about {bits} bits that are 1 modulo {step}, "
                f"but {count} are needed; use larger primes"
            )
        if candidate not in used and is_prime(candidate):
            found.append(candidate)
        if candidate == below:
            below -= step
        else:
            above += step
    return tuple(found)


def _passes(number: int, witness: int, odd: int, twos: int) -> bool:
    power = pow(witness, odd, number)
    if power in (1, number - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False
