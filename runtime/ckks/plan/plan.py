"""Plans of CKKS: the circuit and the weights in the server's file, and that they are what the header says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from hecc.runtime.ckks.circuit.instructions import AnyInstruction, Circuit, Input, Output, PairedInput
from hecc.runtime.ckks.disclosure import deviations
from hecc.runtime.ckks.plan.choices import Choices
from hecc.runtime.ckks.plan.header import CkksHeader, CkksInput, CkksOutput
from hecc.runtime.errors import FileFormatError, ParameterError
from hecc.runtime.files import codec
from hecc.runtime.files.container import Container, ContainerWriter, Kind
from hecc.runtime.plan.plan import Plan

if TYPE_CHECKING:
    from hecc.runtime.ckks.readings.types import ArrayType

__all__ = ["CkksPlan", "read_program", "write_program"]

MAX_TEXT = 1024
"""Longest name of a constant or an ONNX node in a circuit, in characters; those of blobs are no longer."""

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


@dataclass(frozen=True, repr=False)
class CkksPlan(Plan):
    """A plan of CKKS.

    Parameters
    ----------
    header
        What both files say.
    circuit
        Instructions and weights; ``None`` for the client's plan.
    choices
        What the compiler compared, in a server's plan that records it.
    """

    header: CkksHeader
    circuit: Circuit | None = None
    choices: Choices | None = None

    @property
    def program(self) -> Circuit | None:
        """The circuit."""
        return self.circuit

    @property
    def summary(self) -> str:
        """Instructions and constants of the circuit."""
        circuit = self.require_circuit()
        return f"{len(circuit.instructions)} instructions, {len(circuit.constants)} constants"

    def require_circuit(self) -> Circuit:
        """The circuit.

        Raises
        ------
        InputError
            This is the client's plan.
        """
        self.require_program()
        assert self.circuit is not None
        return self.circuit


def write_program(writer: ContainerWriter, plan: CkksPlan) -> None:
    """Write circuit, choices and weights into the server's file."""
    circuit = plan.require_circuit()
    program = _Program(circuit.slots, circuit.instructions, circuit.lanes)  # type: ignore[arg-type]
    writer.add(_CIRCUIT, codec.encode(program))
    if plan.choices is not None:
        writer.add(_CHOICES, codec.encode(codec.normalise(plan.choices)))
    for name in sorted(circuit.constants):
        writer.add(_CONSTANTS + name, circuit.constants[name])


def read_program(container: Container, header: CkksHeader) -> CkksPlan:
    """The plan in a file, whose header is checked already; constants stay in the mapped file.

    Raises
    ------
    FileFormatError
        The file is damaged.
    ParameterError, CircuitError
        It describes something impossible.
    """
    circuit = _load_circuit(container, header) if container.kind is Kind.SERVER_PLAN else None
    choices = _load_choices(container) if circuit is not None and _CHOICES in container else None
    expected = [] if choices is None else [_CHOICES]
    if circuit is not None:
        expected = [_CIRCUIT, *expected, *(_CONSTANTS + name for name in sorted(circuit.constants))]
    if list(container) != expected:
        raise FileFormatError(
            f"{container.where}: blobs that a plan does not have, or in another order; compile it again"
        )
    return CkksPlan(header, circuit, choices, path=container.path)


def _load_circuit(container: Container, header: CkksHeader) -> Circuit:
    # The verifier is needed for server plans only; a client's command does not pay for its import.
    from hecc.runtime.ckks.readings.types import verify

    where = f"{container.where}: the circuit"
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
    choices = codec.decode(container.bytes(_CHOICES), Choices, where=f"{container.where}: the choices")
    choices.check()
    return choices


def _check_texts(instruction: AnyInstruction) -> None:
    """As :func:`hecc.runtime.plan.header.check_text`, for the names that a refused circuit is shown with."""
    for field, text in msgspec.structs.asdict(instruction).items():
        if isinstance(text, str) and (len(text) > MAX_TEXT or not text.isprintable()):
            raise ParameterError(f"{field} of an instruction is not printable or over {MAX_TEXT} characters")


def _check_noise(circuit: Circuit, types: Sequence[ArrayType], header: CkksHeader) -> None:
    """With the circuit at hand: the noise of every output hides the largest error that it can have."""
    from hecc.runtime.ckks.readings.noise_bound import worst_errors

    if not header.disclosure:
        return
    errors = worst_errors(
        circuit, types, header.keys, {source.name: source.encrypted_range for source in header.inputs}
    )
    least = deviations(header.disclosure.results, header.sent, [errors[result.name] for result in header.sent])
    for result, needed, promised in zip(header.sent, least, header.disclosure.deviations, strict=True):
        if promised < needed * (1 - ROUNDED):
            raise ParameterError(
                f"output {result.name!r}: noise of deviation {promised:.3g} for {header.disclosure.results} results to "
                f"be disclosed, and its errors need {needed:.3g}"
            )


def _check_declared(
    kind: str,
    found: Sequence[tuple[int, Input] | tuple[int, Output]],
    declared: Sequence[CkksInput | CkksOutput],
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
        if isinstance(signature, CkksInput) and signature.paired != paired:
            raise ParameterError(f"{what}: the circuit's ciphertexts hold two vectors, or the header's do, not both")
