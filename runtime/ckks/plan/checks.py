"""What the header of a CKKS plan must not say: the rules that keep clients from what cannot be evaluated."""

from __future__ import annotations

import math
from fractions import Fraction

import msgspec

from hecc.runtime.ckks.circuit.security import check_structure
from hecc.runtime.ckks.disclosure import flooding_factor
from hecc.runtime.ckks.plan.header import CkksHeader, CkksInput, CkksOutput, Disclosure
from hecc.runtime.ckks.readings.types import HEADROOM
from hecc.runtime.errors import ParameterError
from hecc.runtime.plan import header as common

__all__ = ["check_header"]

MAX_SLOTS = 1 << 26
"""Slots of all ciphertexts of one input or output: what a header may make us allocate."""


def check_header(header: CkksHeader) -> None:
    """Refuse a header that contradicts itself.

    Raises
    ------
    ParameterError
        With the first rule broken.
    """
    check_structure(header.keys)
    common.check_header(header)
    for source in header.inputs:
        _check_signature(f"input {source.name!r}", source, header)
        _check_room(source, header)
    for result in header.outputs:
        _check_signature(f"output {result.name!r}", result, header)
        if not (result.bound > 0 and result.error > 0):
            raise ParameterError(
                f"output {result.name!r}: bound {result.bound} or error {result.error} is not positive"
            )
    if header.disclosure:
        if header.keys.encapsulation is not msgspec.UNSET:
            raise ParameterError(
                "results of a plan that bootstraps cannot be disclosed: no bound holds for all of its errors; compile "
                "without --disclose, and show results to nobody but the owner of the key"
            )
        _check_disclosure(header.disclosure, header)


def _check_signature(what: str, signature: CkksInput | CkksOutput, header: CkksHeader) -> None:
    keys, layout = header.keys, signature.layout
    if layout.count * layout.slots > MAX_SLOTS:
        raise ParameterError(f"{what}: {layout.count} ciphertexts of {layout.slots} slots are over the limit")
    layout.check()
    first = header.inputs[0].layout
    if layout.slots * layout.lanes > keys.slots or (layout.slots, layout.batch) != (first.slots, first.batch):
        raise ParameterError(
            f"{what}: a layout of {layout.slots} slots does not fit the ring or the other layouts with {layout.batch} "
            "examples in a ciphertext"
        )
    same = [n for n in layout.shape if n != 1] == [n for n in signature.shape if n != 1]
    # A network may end in a reshape, which moves no slot.
    reshaped = isinstance(signature, CkksOutput) and math.prod(signature.shape) == layout.size
    if not (same or reshaped) or min(signature.shape, default=1) < 1:
        raise ParameterError(f"{what}: shape {signature.shape} is not the layout's {layout.shape}")
    if not 1 <= signature.limbs <= len(keys.data_primes):
        raise ParameterError(f"{what}: {signature.limbs} limbs of a chain of {len(keys.data_primes)}")
    # SEAL keeps scales as doubles, whose exponents end at 2^1023 and 2^-1022. Large values have scales below one.
    if not Fraction(1, 1 << 1000) <= signature.scale < min(math.prod(keys.data_primes[: signature.limbs]), 1 << 1000):
        raise ParameterError(f"{what}: the scale is tiny, or not below the modulus of {signature.limbs} limbs")


def _check_room(source: CkksInput, header: CkksHeader) -> None:
    """An input's values at its scale, and the scale itself, are below the modulus that they are encrypted at."""
    modulus = math.prod(header.keys.data_primes[: source.limbs])
    largest = Fraction(max(map(abs, source.encrypted_range)))
    if not max(Fraction(2), HEADROOM * largest) * source.scale < modulus:
        raise ParameterError(
            f"input {source.name!r}: values up to {float(largest):.6g} do not fit into the modulus at the input's scale"
        )


def _check_disclosure(disclosure: Disclosure, header: CkksHeader) -> None:
    """What can be checked without the circuit: the noise hides the least error that any circuit has.

    A result's error is that of its last rescale at least, or of an encryption, which has no smaller bound.
    """
    from hecc.runtime.ckks.readings.noise_bound import least_error

    factor = flooding_factor(disclosure.results, sum(result.layout.count for result in header.sent))
    least = factor * least_error(header.keys.ring_degree)
    modulus = [math.prod(header.keys.data_primes[: result.limbs]) for result in header.sent]
    if len(disclosure.deviations) != len(header.sent) or any(
        not least <= deviation < whole for deviation, whole in zip(disclosure.deviations, modulus, strict=False)
    ):
        raise ParameterError(
            f"the noise for {disclosure.results} results to be disclosed is less than hides any error, or more than "
            "the modulus holds; compile the plan again"
        )
