"""Single operations of the native evaluator, at sizes of one's choice: what ``hecc bench`` times besides kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.parameters import KeySpecification, SecurityEvidence, galois_element
from hecc.runtime.ckks.circuit.security import limit, ntt_primes
from hecc.runtime.ckks.keys.switching_keys import packed_key
from hecc.runtime.errors import SecurityError
from hecc.runtime.native import _evaluator

__all__ = ["HOISTED", "PRIME_BITS", "SECURITY", "Primitive", "primitive_keys", "primitive_work"]

SECURITY = 128

PRIME_BITS, SPECIAL_BITS = 40, 41
"""Of data primes and of special primes."""

HOISTED = 8
"""Rotations of one ciphertext that are hoisted together."""


class Primitive(NamedTuple):
    """A call, and how many of the operation it does."""

    run: Callable[[], Any]
    number: int


def primitive_keys(degree: int, limbs: int) -> KeySpecification:
    """Keys with the fewest digits that 128 bits of security allow, and of those with the fewest special primes."""
    try:
        allowed = limit(degree, SECURITY, "classical")
    except SecurityError:
        allowed = 0  # such rings are for tests
    fitting = [a for a in range(1, limbs + 1) if limbs * PRIME_BITS + a * SPECIAL_BITS <= allowed] or [1]
    digit_limbs = min(fitting, key=lambda a: (-(-limbs // a), a))
    data = ntt_primes(PRIME_BITS, degree, limbs)
    return KeySpecification(
        ring_degree=degree,
        data_primes=data,
        special_primes=ntt_primes(SPECIAL_BITS, degree, digit_limbs, exclude=data),
        digit_limbs=digit_limbs,
        relinearization_limbs=limbs,
        galois=(),
        security=SecurityEvidence(
            level=SECURITY if allowed else 0, adversary="classical", table="ia.cr/2024/463", log2_limit=allowed
        ),
    )


def primitive_work(keys: KeySpecification, threads: int) -> Mapping[str, Primitive]:
    """What the native evaluator does for each primitive, on random residues at the top of the chain."""
    degree, limbs = keys.ring_degree, len(keys.data_primes)
    context = _evaluator.Context(degree, keys.data_primes, keys.special_primes, keys.digit_limbs, threads, "")
    generator = np.random.default_rng(0)

    def residues(primes: Sequence[int], *shape: int) -> NDArray[np.uint64]:
        limbs_of = [generator.integers(0, q, (*shape, degree), dtype=np.uint64) for q in primes]
        return np.ascontiguousarray(np.stack(limbs_of, axis=-2))

    x, y = (context.ciphertexts(residues(keys.data_primes, 1, 2)) for _ in range(2))
    # Kernels take the same time whatever the residues; keys of any random ones do.
    digits = keys.digits(limbs)
    switching = [
        _evaluator.SwitchingKey(
            context, packed_key(residues((*keys.data_primes, *keys.special_primes), digits, 2), keys, limbs)
        )
        for _ in range(HOISTED)
    ]
    elements = [galois_element(step, degree) for step in range(1, HOISTED + 1)]
    vector = generator.uniform(-1, 1, (1, degree // 2))
    return {
        "rotate": Primitive(lambda: context.rotate(x, switching[0], elements[0]), 1),
        "multiply and relinearise": Primitive(lambda: context.relinearize(context.multiply(x, y), switching[0]), 1),
        "hoisted rotation": Primitive(lambda: context.rotate_hoisted(x, switching, elements), HOISTED),
        "encode": Primitive(lambda: context.encode(vector, 2.0**PRIME_BITS, limbs), 1),
    }
