"""One bootstrap at N = 2^12, INSECURE: the chain of the set that is secure at N = 2^15."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
from tests.runtime.conftest import insecure_small_specification

from hecc.runtime.ckks.circuit.bootstraps import expand_macros
from hecc.runtime.ckks.circuit.instructions import Bootstrap, Circuit, Input, Output
from hecc.runtime.ckks.circuit.parameters import GaloisElement, KeySpecification
from hecc.runtime.ckks.circuit.security import ntt_primes
from hecc.runtime.ckks.circuit.traits import Trait

SLOTS = 2048
MESSAGE_SCALE = Fraction(1 << 32)


def bootstrap(**changed: Any) -> Bootstrap:
    """K = 13, degree 31 and two double angles at a phase of 0.225, to 18 limbs and down to 8.

    Double angles take a scale of 2^35 to 2^32 with primes of 36 bits: that of messages.
    """
    fields: dict[str, Any] = {
        "x": 0,
        "largest": 13,
        "double_angles": 2,
        "degree": 31,
        "phase": Fraction(9, 40),
        "weight": 32,
        "to_coefficients": (6, 5),
        "to_slots": (4, 4, 3),
        "limbs": 18,
        "dropped": (1,) * 11,
        "scale": Fraction(1 << 35),
        "source": "/relu",
    }
    return Bootstrap(**{**fields, **changed})


def circuit(count: int = 1, **changed: Any) -> Circuit:
    """An input of all slots, a bootstrap, an output."""
    source = Input(name="x", count=count, occupied="all", period=SLOTS, limbs=2, scale=MESSAGE_SCALE)
    steps = (source, bootstrap(**changed), Output(x=1, name="y", occupied="all"))
    return Circuit(SLOTS, steps, {"all": np.ones((count, SLOTS), dtype=np.uint8)})


def keys_for(program: Circuit, limbs: Sequence[int], spec: KeySpecification) -> KeySpecification:
    """A specification with the keys that a program needs, and no other; ``limbs`` are those of its values."""
    expanded = expand_macros(program, limbs)
    steps = zip(expanded.circuit.instructions, expanded.limbs, strict=True)
    uses = expanded.circuit.galois_uses(spec.ring_degree)
    return msgspec.structs.replace(
        spec,
        relinearization_limbs=max(left for step, left in steps if Trait.RELINEARIZES in step.traits),
        galois=tuple(GaloisElement(element, max(expanded.limbs[i] for i in users)) for element, users in uses.items()),
    )


@functools.cache
def keys() -> KeySpecification:
    """Of :func:`circuit`."""
    return keys_for(circuit(), [2, 8, 8], insecure_small_specification())


QUIET: dict[str, Any] = {"degree": 39, "limbs": 19, "dropped": (1,) * 12}
"""A level more, of which rescales cost three bits less: what the transforms add shows."""


@functools.cache
def quiet_keys() -> KeySpecification:
    """Of :func:`circuit` with :data:`QUIET`: a prime more."""
    spec = insecure_small_specification()
    upper = ntt_primes(36, spec.ring_degree, 11)
    spec = msgspec.structs.replace(spec, data_primes=(*spec.data_primes[:8], *upper))
    assert spec.encapsulation is not msgspec.UNSET
    spec = msgspec.structs.replace(spec, encapsulation=msgspec.structs.replace(spec.encapsulation, limbs=19))
    return keys_for(circuit(**QUIET), [2, 8, 8], spec)
