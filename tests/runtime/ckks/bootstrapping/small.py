"""One bootstrap at N = 2^12, INSECURE: the chain of the set that is secure at N = 2^15."""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
from tests.runtime.conftest import insecure_small_specification

from hecc.runtime.ckks.circuit.bootstraps import expand_macros
from hecc.runtime.ckks.circuit.instructions import Bootstrap, Circuit, Input, Output
from hecc.runtime.ckks.circuit.parameters import GaloisElement, KeySpecification
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


@functools.cache
def keys(alpha: int = 6, special: int = 5) -> KeySpecification:
    """The keys that it needs, and no other."""
    spec = insecure_small_specification(alpha, special)
    expanded = expand_macros(circuit(), [2, 8, 8], [MESSAGE_SCALE, None, None], spec.data_primes)
    steps = zip(expanded.circuit.instructions, expanded.limbs, strict=True)
    uses = expanded.circuit.galois_uses(spec.ring_degree)
    return msgspec.structs.replace(
        spec,
        relinearization_limbs=max(limbs for step, limbs in steps if Trait.RELINEARIZES in step.traits),
        galois=tuple(GaloisElement(element, max(expanded.limbs[i] for i in users)) for element, users in uses.items()),
    )
