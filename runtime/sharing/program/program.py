"""A program: instructions in order, and the index structure of their maps. It is public; weights are none of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hecc.runtime.sharing.program.instructions import AnyInstruction, Input, Output
from hecc.runtime.sharing.program.maps import Constants

__all__ = ["Program"]


@dataclass(frozen=True, eq=False)
class Program:
    """What client, server and dealer run.

    Attributes
    ----------
    instructions
        Instruction ``i`` makes value ``i``.
    constants
        Index structure by name.
    """

    instructions: tuple[AnyInstruction, ...]
    constants: Constants

    def inputs(self) -> Iterator[tuple[int, Input]]:
        """Those that take what the client gives."""
        return ((index, ins) for index, ins in enumerate(self.instructions) if isinstance(ins, Input))

    def outputs(self) -> Iterator[tuple[int, Output]]:
        """Those that the client gets."""
        return ((index, ins) for index, ins in enumerate(self.instructions) if isinstance(ins, Output))

    def last_uses(self) -> dict[int, int]:
        """For each value that is read, the last instruction that reads it."""
        return {value: index for index, ins in enumerate(self.instructions) for value in ins.operands}

    def __str__(self) -> str:
        """One line per instruction: the debugging tool."""
        return "\n".join(f"%{index} = {ins.op} {ins}" for index, ins in enumerate(self.instructions))
