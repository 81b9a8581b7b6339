"""What can be said of a CKKS plan before any key exists, in words and for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec

from hecc.runtime.ckks.circuit.layout import Layout
from hecc.runtime.ckks.circuit.parameters import Encapsulation, KeySpecification
from hecc.runtime.ckks.circuit.security import check_keys
from hecc.runtime.ckks.devices.device import load_device
from hecc.runtime.ckks.keys.shapes import KEY_FORMATS
from hecc.runtime.ckks.plan.header import Agreement, CkksHeader, CkksInput, CkksOutput, Estimate
from hecc.runtime.errors import ParameterError, SecurityError
from hecc.runtime.figures import count_words, size_words, time_words
from hecc.runtime.plan.facts import run_words, tensor_facts, tensor_fields, tensor_words

__all__ = [
    "outside_words",
    "plan_facts",
    "plan_fields",
    "plan_summary",
    "ring_facts",
    "ring_fields",
    "security_words",
    "sent_words",
]


def security_words(keys: KeySpecification) -> str:
    """The level, and why the parameters have it."""
    evidence = keys.security
    return (
        f"{evidence.level} bits ({evidence.adversary} adversary): log2 QP {keys.log2_qp:.1f} of at most "
        f"{evidence.log2_limit} for N = {keys.ring_degree}, by the table of {evidence.table}"
    )


def ring_facts(keys: KeySpecification) -> Iterator[tuple[str, str]]:
    """The encryption parameters."""
    yield "security", security_words(keys)
    yield "ring degree N", f"{keys.ring_degree} ({keys.slots} slots per ciphertext)"
    sizes = [[prime.bit_length() for prime in primes] for primes in (keys.data_primes, keys.special_primes)]
    yield "primes", f"{_list(sizes[0])} bits, special {_list(sizes[1])} bits"
    relinearization = "relinearisation and " if keys.relinearization_limbs else ""
    raising = "" if keys.encapsulation is msgspec.UNSET else ", and two that raise ciphertexts"
    yield "switching keys", f"{relinearization}{len(keys.galois)} rotations{raising}"
    if keys.encapsulation is not msgspec.UNSET:
        yield "sparse secret", _sparse_words(keys, keys.encapsulation)


def _sparse_words(keys: KeySpecification, encapsulation: Encapsulation) -> str:
    """What ciphertexts are raised under, and why it is as safe as claimed."""
    evidence = encapsulation.security
    return (
        f"{evidence.level} bits (classical adversary): weight {encapsulation.weight}, one key of "
        f"{math.log2(keys.sparse_modulus):.1f} of at most {evidence.log2_limit} bits for N = {keys.ring_degree}, by "
        f"hecc's own table {evidence.table}, an estimate that nobody has confirmed"
    )


def plan_summary(header: CkksHeader) -> Iterator[tuple[str, str]]:
    """What there is to know of a plan for whoever knows no cryptography."""
    cost, each = header.estimate, run_words(header)
    yield "in and out", tensor_words(header)
    yield "security", _level_words(header.keys)
    if cost.agreement is not msgspec.UNSET:
        yield "decisions", agreement_words(cost.agreement)
    outside = cost.outside_per_thousand
    beside = "" if outside is msgspec.UNSET else f"; rows that may be further off: {outside_words(outside)}"
    yield "precision", f"{_error_words(cost)}{beside}"
    together = f"{each} of up to {header.batch} rows" if header.batch > 1 else each
    each_words = f"{time_words(cost.seconds)} per {together}, {size_words(cost.input_bytes)} to send"
    yield "cost", f"{each_words}, {size_words(cost.peak_memory)} of memory; keys of {sent_words(header)}, sent once"


def _level_words(keys: KeySpecification) -> str:
    """The level, in place of which a plan that only claims to have it is found out."""
    try:
        check_keys(keys)
    except (ParameterError, SecurityError) as error:
        return f"none: {error}"
    evidence = keys.security
    quantum = " and from quantum computers" if evidence.adversary == "quantum" else ""
    return f"{evidence.level} bits, like AES-{evidence.level}: inputs and results are hidden from the server{quantum}"


def _error_words(cost: Estimate) -> str:
    """The largest error, as a part of the range that it is an error of."""
    bits, far = cost.precision_bits, cost.far_precision_bits
    if not math.isfinite(bits):
        return "results are exact"
    of = "" if cost.agreement is msgspec.UNSET else " beside the network with polynomials"
    beyond = "" if far is msgspec.UNSET or far >= bits else f", {_percent(max(far, 0.0))} where they leave it"
    return f"results are off by at most {_percent(bits)} of their range{beyond}{of} ({bits:.1f} bits)"


def _percent(bits: float) -> str:
    return f"{100 * 2**-bits:.2g}%"


def plan_facts(header: CkksHeader) -> Iterator[tuple[str, str]]:
    """All that is known before any key exists."""
    cost, each = header.estimate, run_words(header)
    yield from tensor_facts(header, [*map(_carried, header.inputs)], [*map(_carried, header.outputs)])
    if header.batch > 1:
        yield (
            "batch",
            f"up to {header.batch} rows at once, {_packing_words(header.inputs[0].layout)}",
        )
    yield "depth", f"{cost.depth} multiplications in a row"
    yield from ring_facts(header.keys)
    yield "rotations", f"{cost.rotations} per {each}"
    if cost.agreement is not msgspec.UNSET:
        yield "decisions", agreement_words(cost.agreement)
    yield "precision", precision_words(cost)
    if cost.far_precision_bits is not msgspec.UNSET and cost.far_precision_bits < cost.precision_bits:
        yield "", f"{max(cost.far_precision_bits, 0.0):.1f} bits for inputs whose results leave that range"
    if (outside := cost.outside_per_thousand) is not msgspec.UNSET:
        yield "rows outside", outside_words(outside)
    if header.disclosure:
        shown = f"{header.disclosure.results} results of one key, a {each} each"
        yield "to be disclosed", f"{shown}, with noise that the precision allows for"
    yield "predicted time", f"{time_words(cost.seconds)} per {each} on one core, with {load_device(cost.device).words}"
    if (machine := cost.machine) is not msgspec.UNSET:
        together = f", {time_words(machine.parallel_seconds)} on {machine.threads}" if machine.threads > 1 else ""
        yield "predicted for", f"{machine.name} ({machine.kernels}){together}"
    yield "peak memory", f"{size_words(cost.peak_memory)} for the server"
    yield "evaluation keys", f"{sent_words(header)}, sent once; {size_words(cost.evaluation_key_bytes)} in memory"
    yield "encrypted input", f"at most {size_words(cost.input_bytes)} per {each}"
    yield "encrypted result", f"at most {size_words(cost.output_bytes)} per {each}"


def precision_words(cost: Estimate) -> str:
    """What is promised, and of which element more could not be."""
    worst = cost.worst_element or ""
    of = "" if cost.agreement is msgspec.UNSET else ", beside the network with polynomials"
    return (
        f"{cost.precision_bits:.1f} bits{f' in {worst}' if worst else ''} (largest error over the element's range{of})"
    )


def agreement_words(found: Agreement) -> str:
    """How many decisions are kept, on which inputs."""
    on = f"{count_words(found.rows, 'input')} held back" if found.held_back else f"the {found.rows} calibration inputs"
    of = "right answers of the network are kept" if found.labelled else "are as by the network in clear"
    left = f"; {found.outside} of them left an interval" if found.outside else ""
    return f"{100 * found.kept:.1f}% {of} on {on} ({found.decided}{left})"


def outside_words(per_thousand: float | None) -> str:
    """How many rows are expected to leave the interval of a polynomial in place of an activation."""
    if per_thousand is None:
        return "unknown; calibrate with 50 rows or more to have them estimated"
    number = f"{per_thousand:.1g}" if per_thousand < 10 else f"{per_thousand:.0f}"
    return f"at most {number} of 1,000 expected, if they are like the calibration inputs"


def sent_words(header: CkksHeader) -> str:
    """Size of the file of evaluation keys."""
    size = header.estimate.evaluation_key_bytes
    shape = load_device(header.estimate.device).key_shape
    return f"at most {size_words(size / 2)}" if KEY_FORMATS[shape].seeded else size_words(size)


def plan_fields(header: CkksHeader) -> dict[str, Any]:
    """The same for JSON."""
    keys, cost, each = header.keys, header.estimate, run_words(header)
    return {
        **tensor_fields(header, [*map(_carried_fields, header.inputs)], [*map(_carried_fields, header.outputs)]),
        "ring": ring_fields(keys),
        "device": cost.device,
        "depth": cost.depth,
        "rotations": cost.rotations,
        "batch": header.batch,
        "disclose": header.disclosure.results if header.disclosure else None,
        f"seconds_per_{each}": cost.seconds,
        "machine": _machine_fields(cost),
        "peak_memory_bytes": cost.peak_memory,
        "evaluation_key_bytes": cost.evaluation_key_bytes,
        f"input_bytes_per_{each}": cost.input_bytes,
        f"output_bytes_per_{each}": cost.output_bytes,
        "precision_bits": cost.precision_bits,
        "worst_element": cost.worst_element or None,
        "far_precision_bits": None if cost.far_precision_bits is msgspec.UNSET else cost.far_precision_bits,
        "agreement": None if cost.agreement is msgspec.UNSET else msgspec.structs.asdict(cost.agreement),
        "rows_outside_per_thousand": None if cost.outside_per_thousand is msgspec.UNSET else cost.outside_per_thousand,
    }


def ring_fields(keys: KeySpecification) -> dict[str, Any]:
    """The encryption parameters for JSON."""
    evidence = keys.security
    return {
        "security": evidence.level,
        "adversary": evidence.adversary,
        "table": evidence.table,
        "log2_qp": keys.log2_qp,
        "log2_qp_limit": evidence.log2_limit,
        "ring_degree": keys.ring_degree,
        "data_primes": list(keys.data_primes),
        "special_primes": list(keys.special_primes),
        "rotation_keys": len(keys.galois),
        "sparse_secret": _sparse_fields(keys),
    }


def _sparse_fields(keys: KeySpecification) -> dict[str, Any] | None:
    """The secret that ciphertexts are raised under; nothing where none is."""
    if (encapsulation := keys.encapsulation) is msgspec.UNSET:
        return None
    evidence = encapsulation.security
    return {
        "weight": encapsulation.weight,
        "security": evidence.level,
        "table": evidence.table,
        "log2_modulus": math.log2(keys.sparse_modulus),
        "log2_modulus_limit": evidence.log2_limit,
    }


def _machine_fields(cost: Estimate) -> dict[str, Any] | None:
    """The machine that times are predicted for; nothing where it is the one that hecc was developed on."""
    if (machine := cost.machine) is msgspec.UNSET:
        return None
    return {
        "name": machine.name,
        "kernels": machine.kernels,
        "threads": machine.threads,
        "parallel_seconds": machine.parallel_seconds,
    }


def _packing_words(layout: Layout) -> str:
    """How several rows share ciphertexts."""
    if layout.slots == 1:
        return "with a ciphertext for each element of the input, of which a slot holds one row"
    return "side by side in the slots"


def _carried(signature: CkksInput | CkksOutput) -> str:
    """What is sent for a tensor."""
    if isinstance(signature, CkksOutput) and signature.of:
        return f"in the ciphertexts of {signature.of}"
    sent = f"{count_words(signature.ciphertexts, 'ciphertext')} of {count_words(signature.limbs, 'limb')}"
    return f"{sent} per batch" if signature.layout.batch > 1 else sent


def _carried_fields(signature: CkksInput | CkksOutput) -> dict[str, Any]:
    """The same for JSON."""
    fields: dict[str, Any] = {"ciphertexts": signature.ciphertexts, "limbs": signature.limbs}
    if isinstance(signature, CkksOutput):
        fields |= {"of": signature.of or None, "error": signature.error}
    return fields


def _list(numbers: list[int]) -> str:
    return " + ".join(map(str, numbers))
