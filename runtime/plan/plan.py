"""A plan, and its two files: the server's holds the circuit and the weights, the client's only the header."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from hecc.runtime.ckks.circuit.instructions import AnyInstruction, Circuit, Input, Output, PairedInput
from hecc.runtime.ckks.circuit.security import check_structure
from hecc.runtime.ckks.disclosure import deviations, flooding_factor
from hecc.runtime.ckks.readings.types import HEADROOM
from hecc.runtime.errors import CircuitError, FileFormatError, InputError, ParameterError
from hecc.runtime.files import codec
from hecc.runtime.files.container import Container, ContainerWriter, Kind
from hecc.runtime.plan.choices import Choices
from hecc.runtime.plan.header import Disclosure, InputSignature, OutputSignature, PlanHeader
from hecc.runtime.tail.epilogue import result_shape

if TYPE_CHECKING:
    from hecc.runtime.ckks.readings.types import ArrayType

__all__ = ["Plan", "check_header", "check_labels", "signature_fingerprint"]

MAX_NAME = 256
"""Longest name of an input, an output or a compiler, in characters."""

MAX_TEXT = 1024
"""Longest name of a constant or an ONNX node in a circuit, in characters; those of blobs are no longer."""

MAX_SLOTS = 1 << 26
"""Slots of all ciphertexts of one input or output: what a header may make us allocate."""

ROUNDED = 1e-9
"""By how much, relatively, a bound may differ when another machine computes it again."""

_CIRCUIT = "circuit"
_CHOICES = "choices"
_CONSTANTS = "constant/"


class _Program(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The circuit as the server's file holds it, constants apart."""

    slots: int
    instructions: tuple[AnyInstruction, ...]
    lanes: int = 1


@dataclass(frozen=True)
class Plan:
    """What to encrypt and how, and, in the server's file, what to do with it.

    Parameters
    ----------
    header
        What both files say.
    circuit
        Instructions and weights; ``None`` for the client's plan.
    path
        The file it came from, for error messages.
    choices
        What the compiler compared, in a server's plan that records it.
    """

    header: PlanHeader
    circuit: Circuit | None = None
    path: Path | None = None
    choices: Choices | None = None

    def __post_init__(self) -> None:
        """Bring the header into the form that it has in a file, so that its fingerprint does not depend on it."""
        object.__setattr__(self, "header", codec.normalise(self.header))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the header, the same for both files: what results are bound to."""
        return codec.fingerprint(self.header)

    @property
    def input_fingerprint(self) -> str:
        """SHA-256 of the input signatures: what ciphertexts are bound to."""
        return signature_fingerprint(self.header.inputs)

    def client(self) -> Plan:
        """The plan without circuit and weights."""
        return Plan(self.header)

    def require_circuit(self) -> Circuit:
        """The circuit.

        Raises
        ------
        InputError
            This is the client's plan.
        """
        if self.circuit is None:
            where = f"{self.path}: " if self.path else ""
            raise InputError(f"{where}this is the client's plan, without the circuit; give the server's plan file")
        return self.circuit

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the server's file, or the client's when there is no circuit. Equal plans give equal bytes.

        Parameters
        ----------
        path
            The file. One of the same kind is replaced.
        force
            Replace a file of another kind, too.

        Raises
        ------
        InputError
            The file cannot be written, or would replace one of another kind.
        """
        kind = Kind.CLIENT_PLAN if self.circuit is None else Kind.SERVER_PLAN
        with ContainerWriter(path, kind, self.header, force=force) as writer:
            if self.circuit is not None:
                program = _Program(self.circuit.slots, self.circuit.instructions, self.circuit.lanes)  # type: ignore[arg-type]
                writer.add(_CIRCUIT, codec.encode(program))
                if self.choices is not None:
                    writer.add(_CHOICES, codec.encode(codec.normalise(self.choices)))
                for name in sorted(self.circuit.constants):
                    writer.add(_CONSTANTS + name, self.circuit.constants[name])

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Plan:
        """Read either plan file, and check all that it says; constants stay in the mapped file.

        Raises
        ------
        InputError
            The file cannot be opened.
        FileFormatError
            It is not a plan, is damaged, or describes something impossible.
        """
        container = Container(path, Kind.SERVER_PLAN, Kind.CLIENT_PLAN)
        header = container.header(PlanHeader)
        try:
            check_header(header)
            circuit = _load_circuit(container, header) if container.kind is Kind.SERVER_PLAN else None
            choices = _load_choices(container) if circuit is not None and _CHOICES in container else None
        except (ParameterError, CircuitError) as error:
            raise FileFormatError(f"{path}: an impossible plan ({error}); compile it again") from None
        expected = [] if choices is None else [_CHOICES]
        if circuit is not None:
            expected = [_CIRCUIT, *expected, *(_CONSTANTS + name for name in sorted(circuit.constants))]
        if list(container) != expected:
            raise FileFormatError(f"{path}: blobs that a plan does not have, or in another order; compile it again")
        return cls(header, circuit, Path(path), choices)


def signature_fingerprint(inputs: Iterable[InputSignature]) -> str:
    """SHA-256 of input signatures."""
    return codec.fingerprint(tuple(inputs))


def check_header(header: PlanHeader) -> None:
    """Refuse a header that contradicts itself.

    Raises
    ------
    ParameterError
        With the first rule broken.
    """
    check_structure(header.keys)
    if re.fullmatch("[0-9a-f]{64}", header.model) is None:
        raise ParameterError("the model's fingerprint is not 64 hexadecimal digits")
    _check_text("the producer", header.producer)
    for kind, signatures in (("input", header.inputs), ("output", header.outputs)):
        names = [signature.name for signature in signatures]
        if not names or len(set(names)) != len(names):
            raise ParameterError(f"the plan has no {kind}, or two of the same name")
        for signature in signatures:
            _check_signature(f"{kind} {signature.name!r}", signature, header)
    for source in header.inputs:
        if not -math.inf < source.low < source.high < math.inf:
            raise ParameterError(
                f"input {source.name!r}: the range {source.low} to {source.high} is empty or has no end"
            )
        _check_room(source, header)
        try:
            if source.preprocessing is not None:
                source.preprocessing.check(source.shape)
        except InputError as error:
            raise ParameterError(f"input {source.name!r}: {error}") from None
    own: dict[str, OutputSignature] = {}
    for result in header.outputs:
        if not result.of:
            own[result.name] = result
        elif result.of not in own or _sent_as(result) != _sent_as(own[result.of]):
            raise ParameterError(f"output {result.name!r} is not the same value as one before it, {result.of!r}")
        result_shape(result.shape, result.epilogue)
        if not (result.bound > 0 and result.error > 0):
            raise ParameterError(
                f"output {result.name!r}: bound {result.bound} or error {result.error} is not positive"
            )
        try:
            check_labels(result.labels, result.shape)
        except InputError as error:
            raise ParameterError(f"output {result.name!r}: {error}") from None
    if header.disclosure:
        _check_disclosure(header.disclosure, header)


def _check_room(source: InputSignature, header: PlanHeader) -> None:
    """An input's values at its scale, and the scale itself, are below the modulus that they are encrypted at."""
    modulus = math.prod(header.keys.data_primes[: source.limbs])
    largest = Fraction(max(abs(source.low), abs(source.high)))
    if not max(Fraction(2), HEADROOM * largest) * source.scale < modulus:
        raise ParameterError(
            f"input {source.name!r}: values up to {float(largest):.6g} do not fit into the modulus at the input's scale"
        )


def _sent_as(result: OutputSignature) -> OutputSignature:
    """What two outputs with the same ciphertexts have in common."""
    return msgspec.structs.replace(result, name="", epilogue=(), labels=(), of="")


def check_labels(labels: Sequence[str], shape: tuple[int, ...]) -> None:
    """Refuse names of classes that are not one for each score of an output of ``shape``; none at all are right.

    Raises
    ------
    InputError
        A wrong number of names, or names that are empty, not printable, too long, or the same.
    """
    if not labels:
        return
    scores = math.prod(shape)
    if scores != (shape[-1] if shape else 1) or len(labels) != (scores if scores > 1 else 2):
        wanted = f"{scores}, one for each score" if scores > 1 else "2 for a single score, that of no and that of yes"
        raise InputError(f"{len(labels)} labels for an output of shape {shape}, which takes {wanted}")
    for number, label in enumerate(labels, 1):
        if not 0 < len(label) <= MAX_NAME or not label.isprintable():
            raise InputError(f"label {number} is empty, not printable or over {MAX_NAME} characters")
    if len(set(labels)) != len(labels):
        twice = next(label for number, label in enumerate(labels) if label in labels[:number])
        raise InputError(f"two labels are {twice!r}; every class needs a name of its own")


def _check_disclosure(disclosure: Disclosure, header: PlanHeader) -> None:
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


def _check_noise(circuit: Circuit, types: Sequence[ArrayType], header: PlanHeader) -> None:
    """With the circuit at hand: the noise of every output hides the largest error that it can have."""
    from hecc.runtime.ckks.readings.noise_bound import worst_errors

    if not header.disclosure:
        return
    errors = worst_errors(
        circuit, types, header.keys, {source.name: (source.low, source.high) for source in header.inputs}
    )
    least = deviations(header.disclosure.results, header.sent, [errors[result.name] for result in header.sent])
    for result, needed, promised in zip(header.sent, least, header.disclosure.deviations, strict=True):
        if promised < needed * (1 - ROUNDED):
            raise ParameterError(
                f"output {result.name!r}: noise of deviation {promised:.3g} for {header.disclosure.results} results to "
                f"be disclosed, and its errors need {needed:.3g}"
            )


def _check_signature(what: str, signature: InputSignature | OutputSignature, header: PlanHeader) -> None:
    keys, layout = header.keys, signature.layout
    _check_text(f"{what}: the name", signature.name)
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
    reshaped = isinstance(signature, OutputSignature) and math.prod(signature.shape) == layout.size
    if not (same or reshaped) or min(signature.shape, default=1) < 1:
        raise ParameterError(f"{what}: shape {signature.shape} is not the layout's {layout.shape}")
    if not 1 <= signature.limbs <= len(keys.data_primes):
        raise ParameterError(f"{what}: {signature.limbs} limbs of a chain of {len(keys.data_primes)}")
    # SEAL keeps scales as doubles, whose exponents end at 2^1023 and 2^-1022. Large values have scales below one.
    if not Fraction(1, 1 << 1000) <= signature.scale < min(math.prod(keys.data_primes[: signature.limbs]), 1 << 1000):
        raise ParameterError(f"{what}: the scale is tiny, or not below the modulus of {signature.limbs} limbs")


def _check_text(what: str, text: str) -> None:
    """Refuse what could not be shown: a terminal obeys some characters instead of printing them."""
    if not 0 < len(text) <= MAX_NAME or not text.isprintable():
        raise ParameterError(f"{what} is empty, not printable or over {MAX_NAME} characters")


def _check_texts(instruction: AnyInstruction) -> None:
    """As :func:`_check_text`, for the names that a refused circuit is shown with."""
    for field, text in msgspec.structs.asdict(instruction).items():
        if isinstance(text, str) and (len(text) > MAX_TEXT or not text.isprintable()):
            raise ParameterError(f"{field} of an instruction is not printable or over {MAX_TEXT} characters")


def _load_circuit(container: Container, header: PlanHeader) -> Circuit:
    # The verifier is needed for server plans only; a client's command does not pay for its import.
    from hecc.runtime.ckks.readings.types import verify

    where = f"{container.path}: the circuit"
    program = codec.decode(container.bytes(_CIRCUIT), _Program, where=where)
    layout = header.inputs[0].layout
    if (program.slots, program.lanes) != (layout.slots, layout.lanes):
        raise ParameterError(
            f"a circuit of {program.slots} slots and {program.lanes} lanes with layouts of {layout.slots} and "
            f"{layout.lanes}"
        )
    for instruction in program.instructions:
        _check_texts(instruction)
    circuit = Circuit(program.slots, program.instructions, container.arrays(_CONSTANTS), program.lanes)
    types = verify(circuit, header.keys)
    _check_declared("input", list(circuit.inputs()), header.inputs, circuit, types)
    _check_declared("output", list(circuit.outputs()), header.sent, circuit, types)
    _check_noise(circuit, types, header)
    return circuit


def _load_choices(container: Container) -> Choices:
    choices = codec.decode(container.bytes(_CHOICES), Choices, where=f"{container.path}: the choices")
    choices.check()
    return choices


def _check_declared(
    kind: str,
    found: Sequence[tuple[int, Input] | tuple[int, Output]],
    declared: Sequence[InputSignature | OutputSignature],
    circuit: Circuit,
    types: Sequence[ArrayType],
) -> None:
    """Refuse a circuit whose inputs or outputs are not what the header tells the client."""
    if [instruction.name for _, instruction in found] != [signature.name for signature in declared]:
        raise ParameterError(f"the circuit's {kind}s are not those of the header")
    for (value, instruction), signature in zip(found, declared, strict=True):
        what, derived, layout = f"{kind} {signature.name!r}", types[value], signature.layout
        scale, paired = derived.scale, False
        if isinstance(instruction, Input):
            scale, paired = instruction.encoding_scale, isinstance(instruction, PairedInput)
        if (derived.count, derived.limbs, scale) != (layout.count, signature.limbs, signature.scale):
            raise ParameterError(f"{what}: the circuit's ciphertexts, limbs or scale are not the header's")
        if not np.array_equal(circuit.constants[instruction.occupied] != 0, layout.occupied):
            raise ParameterError(f"{what}: the circuit's occupied slots are not the layout's")
        if isinstance(instruction, Input) and instruction.period != layout.period:
            raise ParameterError(f"{what}: the circuit's period is not the layout's")
        if isinstance(signature, InputSignature) and signature.paired != paired:
            raise ParameterError(f"{what}: the circuit's ciphertexts hold two vectors, or the header's do, not both")
