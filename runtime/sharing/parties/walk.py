"""The types of a program's instructions, and what all of it costs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from hecc.runtime.errors import CircuitError
from hecc.runtime.sharing.arithmetic.packing import Field
from hecc.runtime.sharing.gates.parties import Cost, Message, Role, Types
from hecc.runtime.sharing.gates.tables import GATES
from hecc.runtime.sharing.program.instructions import Affine
from hecc.runtime.sharing.program.program import Program
from hecc.runtime.sharing.program.types import verify

__all__ = ["Checked", "WeightShape", "program_cost", "weight_shapes"]


class WeightShape(NamedTuple):
    """A weight, and the bits of the largest ring that it is used in."""

    shape: tuple[int, ...]
    ring: int


@dataclass(frozen=True)
class Checked:
    """A program that was verified.

    Attributes
    ----------
    types
        Of the operands and results of each instruction.
    """

    program: Program
    types: tuple[Types, ...]

    @classmethod
    def of(cls, program: Program) -> Checked:
        """Verify a program.

        Raises
        ------
        CircuitError
            With the first rule broken.
        """
        values = verify(program)
        types = [
            Types(tuple(values[x] for x in ins.operands), value)
            for ins, value in zip(program.instructions, values, strict=True)
        ]
        weight_shapes(program)
        return cls(program, tuple(types))


def weight_shapes(program: Program) -> dict[str, WeightShape]:
    """The weights by name, in the order in which they are first used.

    Raises
    ------
    CircuitError
        One is used as if it had two shapes.
    """
    found: dict[str, WeightShape] = {}
    for ins in program.instructions:
        if not isinstance(ins, Affine):
            continue
        for term in ins.private:
            shape, ring = found.get(term.weight, WeightShape(term.map.weight_shape, 0))
            if shape != term.map.weight_shape:
                raise CircuitError(f"weight {term.weight!r} has shape {shape} here, and {term.map.weight_shape} there")
            found[term.weight] = WeightShape(shape, max(ring, ins.ring))
    return found


@dataclass(frozen=True)
class ProgramCost:
    """Bytes and messages of a program, exactly as they are written.

    Attributes
    ----------
    instructions
        What each costs.
    """

    instructions: tuple[Cost, ...]

    @property
    def messages(self) -> tuple[Message, ...]:
        """Online, in order."""
        return tuple(message for cost in self.instructions for message in cost.messages)

    def sent(self, sender: Role, rows: int = 1) -> int:
        """Bytes that a party sends online."""
        return sum(message.bytes(rows) for message in self.messages if message.sender is sender)

    def online(self, rows: int = 1) -> int:
        """Bytes in both directions."""
        return sum(message.bytes(rows) for message in self.messages)

    @property
    def block_bytes(self) -> int:
        """From the dealer to the server, for one example."""
        return _bytes(field for cost in self.instructions for field in cost.dealt)

    @property
    def upload_bytes(self) -> int:
        """From the client to the server ahead of the input, for one example."""
        return _bytes(field for cost in self.instructions for field in cost.uploaded)


def program_cost(checked: Checked) -> ProgramCost:
    """What all instructions of a program make parties write."""
    return ProgramCost(
        tuple(
            GATES.of(ins).cost(ins, types)
            for ins, types in zip(checked.program.instructions, checked.types, strict=True)
        )
    )


def _bytes(fields: Iterable[Field]) -> int:
    return sum(field.bytes for field in fields)
