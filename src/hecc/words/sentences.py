"""Numbers and plans in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from hecc.runtime.ckks.devices.device import load_device
from hecc.runtime.ckks.keys.shapes import KEY_FORMATS
from hecc.runtime.plan.header import OutputSignature
from hecc.runtime.tail.epilogue import describe
from hecc.runtime.tail.predictions import class_names

if TYPE_CHECKING:
    from hecc.measure.layers import Layer
    from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile
    from hecc.runtime.ckks.circuit.layout import Layout
    from hecc.runtime.ckks.circuit.parameters import KeySpecification
    from hecc.runtime.inputs.preprocessing import Preprocessing
    from hecc.runtime.plan.choices import Choices, LayoutOffer
    from hecc.runtime.plan.header import Estimate, InputSignature, PlanHeader

__all__ = [
    "bits_words",
    "choice_lines",
    "choices_fields",
    "count_words",
    "layer_fields",
    "layout_words",
    "outside_words",
    "plan_facts",
    "plan_fields",
    "preprocessing_words",
    "ring_facts",
    "ring_fields",
    "rows_words",
    "run_words",
    "security_words",
    "sent_words",
    "size_words",
    "time_words",
]

SHOWN = 8
"""How many of many words are shown."""

MIN_RATIO = 1e-6
"""Smallest factor that is shown as one over an integer."""


def size_words(count: float) -> str:
    """Bytes, in decimal units."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB" if count < 1000 else f"{count:.0f} GB"


def time_words(seconds: float) -> str:
    """Seconds, or minutes when there are many."""
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def count_words(number: int, noun: str) -> str:
    """A number of things."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def bits_words(bits: float | None) -> str:
    """Bits of precision, if they were measured; a value without an error has any number of them."""
    if bits is None:
        return "unknown"
    return f"{bits:.1f} bits" if math.isfinite(bits) else "exact"


def rows_words(file: CiphertextFile | ResultFile) -> str:
    """How many rows a file holds, and in how many batches where there are such."""
    rows, batch = file.header.rows, file.header.batch
    if batch == 1:
        return count_words(rows, "row")
    plural = "batch" if file.batches == 1 else "batches"
    return f"{count_words(rows, 'row')} in {file.batches} {plural} of up to {batch}"


def run_words(header: PlanHeader) -> str:
    """What one run of a plan evaluates."""
    return "row" if header.batch == 1 else "batch"


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
    yield "switching keys", f"{relinearization}{len(keys.galois)} rotations"


def plan_facts(header: PlanHeader) -> Iterator[tuple[str, str]]:
    """All that is known before any key exists."""
    cost, each = header.estimate, run_words(header)
    for source in header.inputs:
        yield f"input {source.name}", f"{_tensor(source)}, values {source.low:g} to {source.high:g}"
        if source.preprocessing is not None:
            name = "preprocessing" if len(header.inputs) == 1 else f"preprocessing {source.name}"
            yield name, preprocessing_words(source.preprocessing, source.shape)
    for target in header.outputs:
        steps = f", then {describe(target.epilogue)} on the client" if target.epilogue else ""
        yield f"output {target.name}", _tensor(target) + steps
        if names := class_names(target):
            yield f"labels {target.name}", _shortened(names)
    if header.batch > 1:
        yield (
            "batch",
            f"up to {header.batch} rows at once, {_packing_words(header.inputs[0].layout)}",
        )
    yield "depth", f"{cost.depth} multiplications in a row"
    yield from ring_facts(header.keys)
    yield "rotations", f"{cost.rotations} per {each}"
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
    return f"{cost.precision_bits:.1f} bits{f' in {worst}' if worst else ''} (largest error over the element's range)"


def outside_words(per_thousand: float | None) -> str:
    """How many rows are expected to leave the interval of a polynomial in place of an activation."""
    if per_thousand is None:
        return "unknown; calibrate with 50 rows or more to have them estimated"
    number = f"{per_thousand:.1g}" if per_thousand < 10 else f"{per_thousand:.0f}"
    return f"at most {number} of 1,000 expected, if they are like the calibration inputs"


def preprocessing_words(stated: Preprocessing, shape: tuple[int, ...]) -> str:
    """What is done to raw values, step by step."""
    steps = []
    if stated.resize is not None:
        height, width, channels = stated.image_shape(shape)
        words = f"shorter side to {stated.resize}" if isinstance(stated.resize, int) else f"to {_shape(stated.resize)}"
        steps += [f"{'grey' if channels == 1 else 'RGB'} images resized ({words})", f"centre {height}x{width}"]
    if stated.scale != 1:
        # Written as users write it, if it is one over a bit pattern's largest value or the like.
        ratio = round(1 / stated.scale) if MIN_RATIO < stated.scale < 1 else 0
        steps.append(f"times 1/{ratio}" if ratio and stated.scale == 1 / ratio else f"times {stated.scale:g}")
    if stated.mean:
        steps.append(f"minus {_shortened([f'{value:g}' for value in stated.mean])}")
    if stated.std:
        steps.append(f"divided by {_shortened([f'{value:g}' for value in stated.std])}")
    return "; ".join([*steps, f"layout {stated.layout}"])


def sent_words(header: PlanHeader) -> str:
    """Size of the file of evaluation keys."""
    size = header.estimate.evaluation_key_bytes
    shape = load_device(header.estimate.device).key_shape
    return f"at most {size_words(size / 2)}" if KEY_FORMATS[shape].seeded else size_words(size)


def plan_fields(header: PlanHeader) -> dict[str, Any]:
    """The same for JSON."""
    keys, cost, each = header.keys, header.estimate, run_words(header)
    return {
        "producer": header.producer,
        "model_sha256": header.model,
        "scheme": header.scheme,
        "inputs": [
            {
                **_signature(source),
                "low": source.low,
                "high": source.high,
                "preprocessing": None if source.preprocessing is None else msgspec.to_builtins(source.preprocessing),
            }
            for source in header.inputs
        ],
        "outputs": [
            {
                **_signature(target),
                "of": target.of or None,
                "error": target.error,
                "epilogue": msgspec.to_builtins(target.epilogue),
                "labels": list(target.labels),
            }
            for target in header.outputs
        ],
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
        "rows_outside_per_thousand": None if cost.outside_per_thousand is msgspec.UNSET else cost.outside_per_thousand,
    }


def layout_words(layout: Layout) -> str:
    """Where a tensor's elements sit, in words."""
    slots = f"{count_words(layout.count, 'ciphertext')} of {layout.slots} slots"
    channel, rows, columns = ((), (), (), *layout.axes)[-3:]
    gap = math.prod(digit.extent for digit in channel[-2:]) if len(channel) > 2 else 1
    if gap > 1:
        order = f"channels multiplexed, {gap} in the gaps between the pixels of one"
    elif columns and columns[-1].stride > 1:
        order = f"pixels {columns[-1].stride} slots apart"
    else:
        order = "row by row" if rows and layout.shape[-2] > 1 else "in order"
    copies = f", repeated every {count_words(layout.period, 'slot')}" if layout.period < layout.slots else ""
    return f"{slots}, {order}{copies}"


def choice_lines(choices: Choices, ring_degree: int) -> Iterator[str]:
    """What the compiler compared."""
    trials = [
        f"2^{trial.ring_degree.bit_length() - 1} "
        + ("nothing fits" if trial.seconds is None else _milliseconds(trial.seconds))
        for trial in choices.rings
    ]
    yield f"N = 2^{ring_degree.bit_length() - 1} was chosen of: {', '.join(trials)} per row"
    for layer in choices.layers:
        taken = layer.offers[layer.chosen]
        yield f"{layer.source}: {_offer_words(taken)}"
        others = [offer for number, offer in enumerate(layer.offers) if number != layer.chosen]
        for offer in sorted(others, key=lambda offer: (offer.seconds is None, offer.seconds or 0.0, offer.diagonals)):
            yield f"    instead of {_offer_words(offer)}"


def _offer_words(offer: LayoutOffer) -> str:
    channel = ((), (), (), *offer.layout.axes)[-3]
    blocks = f", blocks of channels {channel[-3].stride} slots apart" if len(channel) > 2 else ""
    cost = f"{layout_words(offer.layout)}{blocks}: {count_words(offer.diagonals, 'diagonal')}"
    if offer.seconds is None:
        return f"{cost}, too many to be considered"
    return f"{cost}, {count_words(offer.rotations or 0, 'rotation')}, {_milliseconds(offer.seconds)}"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def choices_fields(choices: Choices) -> dict[str, Any]:
    """What the compiler compared, for JSON."""
    return {
        "rings": [{"ring_degree": trial.ring_degree, "seconds": trial.seconds} for trial in choices.rings],
        "choices": [
            {
                "layer": layer.source,
                "chosen": layer.chosen,
                "offers": [
                    {
                        "layout": layout_words(offer.layout),
                        "diagonals": offer.diagonals,
                        "rotations": offer.rotations,
                        "seconds": offer.seconds,
                    }
                    for offer in layer.offers
                ],
            }
            for layer in choices.layers
        ],
    }


def layer_fields(layer: Layer) -> dict[str, Any]:
    """A layer for JSON, which knows no infinity."""
    fields = {name: getattr(layer, name) for name in layer.__dataclass_fields__}
    bits = layer.precision_bits
    return {**fields, "precision_bits": bits if bits is not None and math.isfinite(bits) else None}


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


def _tensor(signature: InputSignature | OutputSignature) -> str:
    if isinstance(signature, OutputSignature) and signature.of:
        return f"{_shape(signature.shape)} per row, in the ciphertexts of {signature.of}"
    ciphertexts = count_words(signature.ciphertexts, "ciphertext")
    limbs = count_words(signature.limbs, "limb")
    if signature.layout.batch > 1:
        return f"{_shape(signature.shape)} per row, {ciphertexts} of {limbs} per batch"
    return f"{_shape(signature.shape)} per row, {ciphertexts} of {limbs}"


def _signature(signature: InputSignature | OutputSignature) -> dict[str, Any]:
    return {
        "name": signature.name,
        "shape": list(signature.shape),
        "ciphertexts": signature.ciphertexts,
        "limbs": signature.limbs,
    }


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _shortened(words: Sequence[str]) -> str:
    """The first few of many words."""
    more = f", ... ({len(words)})" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more


def _list(numbers: list[int]) -> str:
    return " + ".join(map(str, numbers))
