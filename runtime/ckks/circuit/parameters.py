"""The key specification: everything that keys depend on, and nothing else of a plan.

Plans that agree on it can share keys: retraining a network changes weights, not keys.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from hecc.runtime.errors import KeyMismatchError

__all__ = [
    "Encapsulation",
    "GaloisElement",
    "KeyLayout",
    "KeyShape",
    "KeySpecification",
    "SecurityEvidence",
    "SparseEvidence",
    "conjugation_element",
    "digit_products",
    "galois_element",
    "union",
]


KeyShape: TypeAlias = Literal["native", "seal"]
"""The two kinds of evaluation keys: hybrid ones for hecc's own kernels, and SEAL's own for SEAL."""


class SecurityEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the parameters are as secure as claimed: the table, the row, the limit. The client checks it for itself.

    Attributes
    ----------
    level
        Bits of security.
    adversary
        Which columns of the table were used.
    table
        Where the table is published.
    log2_limit
        Largest log2(QP) that the table allows for this ring degree.
    """

    level: int
    adversary: Literal["classical", "quantum"]
    table: str
    log2_limit: int


class GaloisElement(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A Galois key: its element, and the largest number of data limbs at which the plan uses it."""

    element: int
    limbs: int


class SparseEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a sparse secret is as safe as claimed, beside :class:`SecurityEvidence`, whose table has no such secrets.

    Attributes
    ----------
    level
        Bits of security, against classical adversaries.
    table
        The name of the table.
    log2_limit
        Largest log2 of the modulus of the one key that is encrypted under the sparse secret.
    """

    level: int
    table: str
    log2_limit: int


class Encapsulation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How ciphertexts are raised: under a sparse secret that only two switching keys know.

    What a raise adds to a message is a multiple of the first prime q, by integers whose size grows with the root of the
    secret's weight. So the ciphertext is switched to a sparse secret while it has one limb, raised, and switched back
    (Bossuat, Troncoso-Pastoriza and Hubaux, ACNS 2022, section 3). The secret key itself stays what it is.

    The key to the sparse secret is modulo q and the first special prime, and no other key is under the sparse secret:
    that product of two primes is what its security depends on.

    Attributes
    ----------
    weight
        Coefficients of the sparse secret that are not zero, each 1 or -1.
    limbs
        Largest number of data limbs to which the plan raises.
    security
        The row of the table of sparse secrets.
    """

    weight: int
    limbs: int
    security: SparseEvidence


@dataclass(frozen=True)
class KeyLayout:
    """What a switching key consists of.

    Attributes
    ----------
    limbs
        Data primes.
    primes
        All its primes: the data primes, and special ones.
    digits
        Rows, each of two polynomials.
    """

    limbs: int
    primes: tuple[int, ...]
    digits: int


class KeySpecification(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ring, primes and switching keys.

    Attributes
    ----------
    ring_degree
        N, a power of two; ciphertexts have N / 2 slots.
    data_primes
        The modulus chain in SEAL's order: a rescale drops the last one in use.
    special_primes
        Used only inside key switching. SEAL's own evaluator uses the last one so, and takes the others for further
        data primes.
    digit_limbs
        Data primes of one digit of hybrid key switching (Han and Ki, CT-RSA 2020), alpha: digit j covers
        ``data_primes[j * alpha : (j + 1) * alpha]``. The noise of a key switch grows with the product of a digit's
        primes divided by the product of the special ones, which should therefore be about as large as the largest
        digit, or larger. Nothing refuses less: the compiler's noise model decides. SEAL's own keys have digits of one
        prime whatever it is.
    secret
        Distribution of the secret key.
    relinearization_limbs
        Largest number of data limbs at which the plan relinearises, 0 when it never does.
    galois
        Keys of rotations and of the conjugation, by ascending element.
    encapsulation
        How ciphertexts are raised; of plans that never raise one it is not there.
    """

    scheme: Literal["ckks"] = "ckks"
    ring_degree: int
    data_primes: tuple[int, ...]
    special_primes: tuple[int, ...]
    digit_limbs: int = 1
    secret: Literal["uniform ternary"] = "uniform ternary"
    relinearization_limbs: int
    galois: tuple[GaloisElement, ...]
    security: SecurityEvidence
    encapsulation: Encapsulation | msgspec.UnsetType = msgspec.UNSET

    @property
    def log2_qp(self) -> float:
        """log2 of the product of all primes, special ones included."""
        return sum(math.log2(q) for q in (*self.data_primes, *self.special_primes))

    @property
    def slots(self) -> int:
        """Slots of the ring."""
        return self.ring_degree // 2

    def digits(self, limbs: int) -> int:
        """Digits of a polynomial of ``limbs`` limbs; the last may have fewer primes than the others."""
        return -(-limbs // self.digit_limbs)

    def primes(self, limbs: int) -> tuple[int, ...]:
        """Those of key switching at ``limbs`` limbs: so many data primes, and the special ones."""
        return (*self.data_primes[:limbs], *self.special_primes)

    def hybrid(self, limbs: int) -> KeyLayout:
        """The key of a rotation or of relinearisation that is used at up to ``limbs`` limbs."""
        return KeyLayout(limbs, self.primes(limbs), self.digits(limbs))

    @property
    def dense_to_sparse(self) -> KeyLayout:
        """The key to the sparse secret, at one limb: one digit, and the first special prime."""
        return KeyLayout(1, (self.data_primes[0], self.special_primes[0]), 1)

    def sparse_to_dense(self, limbs: int) -> KeyLayout:
        """The key from the sparse secret, at ``limbs`` limbs: small integers are one digit."""
        return KeyLayout(limbs, self.primes(limbs), 1)

    @property
    def sparse_modulus(self) -> int:
        """Modulus of the one key that is encrypted under the sparse secret."""
        return math.prod(self.dense_to_sparse.primes)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the specification: what keys are bound to."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


def union(first: KeySpecification, second: KeySpecification) -> KeySpecification:
    """The smallest specification whose keys serve the plans of both.

    Raises
    ------
    KeyMismatchError
        Saying why no key set can.
    """
    for name in ("scheme", "ring_degree", "data_primes", "special_primes", "digit_limbs", "secret", "security"):
        if getattr(first, name) != getattr(second, name):
            raise KeyMismatchError(
                f"the plans have another {name.replace('_', ' ')} each, so that no keys serve both; compile one of "
                "them with --chain-of the other"
            )
    limbs = {key.element: key.limbs for key in first.galois}
    for key in second.galois:
        limbs[key.element] = max(key.limbs, limbs.get(key.element, 0))
    return msgspec.structs.replace(
        first,
        encapsulation=_both(first.encapsulation, second.encapsulation),
        relinearization_limbs=max(first.relinearization_limbs, second.relinearization_limbs),
        galois=tuple(GaloisElement(element, limbs[element]) for element in sorted(limbs)),
    )


def _both(
    first: Encapsulation | msgspec.UnsetType, second: Encapsulation | msgspec.UnsetType
) -> Encapsulation | msgspec.UnsetType:
    """What raises for the plans of both."""
    if first is msgspec.UNSET or second is msgspec.UNSET:
        return second if first is msgspec.UNSET else first
    if (first.weight, first.security) != (second.weight, second.security):
        raise KeyMismatchError(
            "the plans have another sparse secret each, so that no keys serve both; compile one of them with "
            "--chain-of the other"
        )
    return msgspec.structs.replace(first, limbs=max(first.limbs, second.limbs))


def digit_products(primes: Sequence[int], digit_limbs: int) -> tuple[int, ...]:
    """Product of the primes of each digit of a polynomial over ``primes``; the last digit may have fewer."""
    return tuple(math.prod(primes[i : i + digit_limbs]) for i in range(0, len(primes), digit_limbs))


def galois_element(step: int, ring_degree: int) -> int:
    """SEAL's Galois element of a rotation by ``step`` slots to the left: 3^step modulo 2N."""
    return pow(3, step % (ring_degree // 2), 2 * ring_degree)


def conjugation_element(ring_degree: int) -> int:
    """Galois element of the complex conjugation of all slots: -1 modulo 2N."""
    return 2 * ring_degree - 1
