"""Plans of sharing: both files hold the program, which is public, and the server's holds the weights."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import FileFormatError, ParameterError
from hecc.runtime.files import codec
from hecc.runtime.files.container import Container, ContainerWriter, Kind
from hecc.runtime.plan.plan import Plan
from hecc.runtime.sharing.arithmetic.packing import Field
from hecc.runtime.sharing.gates.parties import Role
from hecc.runtime.sharing.parties.walk import Checked, program_cost, weight_shapes
from hecc.runtime.sharing.plan.header import RunCost, SharingHeader
from hecc.runtime.sharing.program.instructions import Affine, AnyInstruction
from hecc.runtime.sharing.program.maps import Constants
from hecc.runtime.sharing.program.program import Program

__all__ = [
    "SALT_BYTES",
    "Secrets",
    "SharingPlan",
    "program_digest",
    "read_program",
    "run_cost",
    "weights_digest",
    "write_program",
]

SALT_BYTES = 32

MOST_INSTRUCTIONS = 1 << 16

_PROGRAM, _SALT = "program", "salt"
_CONSTANTS, _WEIGHTS, _BIASES = "constant/", "weight/", "bias/"


class _Instructions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The program as a file holds it, index structure apart."""

    instructions: tuple[AnyInstruction, ...]


@dataclass(frozen=True, eq=False)
class Secrets:
    """What the server alone has of a plan.

    Attributes
    ----------
    weights, biases
        Integers by name.
    salt
        Random; it keeps the fingerprint of the weights from saying anything of them.
    program
        To be printed.
    """

    weights: Mapping[str, NDArray[np.int64]]
    biases: Mapping[str, NDArray[np.int64]]
    salt: bytes
    program: Program = field(repr=False)

    def __str__(self) -> str:
        """The program, one line per instruction."""
        return str(self.program)


@dataclass(frozen=True, repr=False)
class SharingPlan(Plan):
    """A plan of sharing.

    Parameters
    ----------
    header
        What both files say.
    public
        The program that all parties run.
    secrets
        ``None`` for the client's plan.
    """

    header: SharingHeader
    public: Program
    secrets: Secrets | None = None

    @property
    def program(self) -> Secrets | None:
        """What the server runs."""
        return self.secrets

    @property
    def has_program(self) -> bool:
        """Both files hold the program."""
        return True

    @cached_property
    def checked(self) -> Checked:
        """The program with the types of its values.

        Raises
        ------
        CircuitError
            It breaks a rule.
        """
        return Checked.of(self.public)

    @property
    def summary(self) -> str:
        """Instructions and messages."""
        return f"{len(self.public.instructions)} instructions, {self.header.cost.messages} messages"

    def client(self) -> Self:
        """The plan without weights."""
        return type(self)(self.header, self.public)


def run_cost(checked: Checked) -> RunCost:
    """What a program makes its parties write, as headers say it."""
    cost = program_cost(checked)
    return RunCost(
        messages=len(cost.messages),
        client_bytes=cost.sent(Role.CLIENT),
        server_bytes=cost.sent(Role.SERVER),
        dealt_bytes=cost.block_bytes,
        prepared_bytes=cost.upload_bytes,
        difference_bytes=sum(
            Field(math.prod(shape), ring).bytes for shape, ring in weight_shapes(checked.program).values()
        ),
    )


def program_digest(program: Program) -> str:
    """SHA-256 of a program, with its index structure."""
    digest = hashlib.sha256(codec.encode(_Instructions(program.instructions)))
    for part in _array_parts(program.constants):
        digest.update(part)
    return digest.hexdigest()


def weights_digest(secrets: Secrets) -> str:
    """SHA-256 of the salt and the weights."""
    digest = hashlib.sha256(secrets.salt)
    for arrays in (secrets.weights, secrets.biases):
        for part in _array_parts(arrays):
            digest.update(part)
    return digest.hexdigest()


def write_program(writer: ContainerWriter, plan: SharingPlan) -> None:
    """Write the program, and into the server's file the weights."""
    writer.add(_PROGRAM, codec.encode(_Instructions(plan.public.instructions)))
    groups: list[tuple[str, Mapping[str, NDArray[np.int64]]]] = [(_CONSTANTS, plan.public.constants)]
    if plan.secrets is not None:
        writer.add(_SALT, plan.secrets.salt)
        groups += [(_WEIGHTS, plan.secrets.weights), (_BIASES, plan.secrets.biases)]
    for prefix, arrays in groups:
        for name in sorted(arrays):
            writer.add(prefix + name, arrays[name])


def read_program(container: Container, header: SharingHeader) -> SharingPlan:
    """The plan in a file, whose header is checked already.

    Raises
    ------
    FileFormatError
        The file is damaged.
    ParameterError, CircuitError
        It describes something impossible.
    """
    where = f"{container.where}: the program"
    instructions = codec.decode(container.bytes(_PROGRAM), _Instructions, where=where).instructions
    if len(instructions) > MOST_INSTRUCTIONS:
        raise ParameterError(f"a program of {len(instructions)} instructions; at most {MOST_INSTRUCTIONS} are read")
    program = Program(instructions, container.arrays(_CONSTANTS))
    secrets = None
    expected = [_PROGRAM, *(_CONSTANTS + name for name in sorted(program.constants))]
    if container.kind is Kind.SERVER_PLAN:
        salt = bytes(container.bytes(_SALT))
        secrets = Secrets(container.arrays(_WEIGHTS), container.arrays(_BIASES), salt, program)
        own = [(_WEIGHTS, secrets.weights), (_BIASES, secrets.biases)]
        expected = [_PROGRAM, _SALT, *expected[1:], *(prefix + name for prefix, each in own for name in sorted(each))]
    if list(container) != expected:
        raise FileFormatError(
            f"{container.where}: blobs that a plan does not have, or in another order; compile it again"
        )
    plan = SharingPlan(header, program, secrets, path=container.path)
    _check_ends(plan)
    if program_digest(program) != header.program:
        raise ParameterError("the program is not the one of the header")
    if run_cost(plan.checked) != header.cost:
        raise ParameterError("the program costs something else than the header says")
    if secrets is not None:
        _check_secrets(plan.checked, secrets)
        if weights_digest(secrets) != header.weights:
            raise ParameterError("the weights are not those of the header")
    return plan


def _check_ends(plan: SharingPlan) -> None:
    """Refuse a program whose inputs or outputs are not what the header tells the client."""
    checked, header = plan.checked, plan.header
    inputs = [(ins.name, checked.types[index].result.size) for index, ins in checked.program.inputs()]
    outputs = [(ins.name, checked.types[index].result.size) for index, ins in checked.program.outputs()]
    for kind, found, declared in (
        ("inputs", inputs, [(each.name, math.prod(each.shape)) for each in header.inputs]),
        ("outputs", outputs, [(each.name, math.prod(each.shape)) for each in header.sent]),
    ):
        if found != declared:
            raise ParameterError(f"the program's {kind} do not have the names and sizes that the header says")


def _check_secrets(checked: Checked, secrets: Secrets) -> None:
    """Refuse weights and biases that are not those that the program names."""
    if len(secrets.salt) != SALT_BYTES:
        raise ParameterError(f"a salt of {len(secrets.salt)} bytes, not {SALT_BYTES}")
    shapes = weight_shapes(checked.program)
    if {name: array.shape for name, array in secrets.weights.items()} != {n: each.shape for n, each in shapes.items()}:
        raise ParameterError("the weights do not have the names and shapes that the program has for them")
    biases = {ins.bias: (ins.size,) for ins in checked.program.instructions if isinstance(ins, Affine) and ins.bias}
    if {name: array.shape for name, array in secrets.biases.items()} != biases:
        raise ParameterError("the biases do not have the names and sizes that the program has for them")
    if any(array.dtype != np.int64 for each in (secrets.weights, secrets.biases) for array in each.values()):
        raise ParameterError("weights and biases are integers of 64 bits")


def _array_parts(arrays: Constants) -> Iterator[bytes]:
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        yield f"{name}\0{array.dtype.str}\0{array.shape}\0".encode()
        yield array.tobytes()
