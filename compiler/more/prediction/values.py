"""The values of a program as a server has them: which are encoded, and how many numbers each is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from hecc.runtime.network.instructions import Input, Parameter
from hecc.runtime.network.program import TensorProgram

__all__ = ["Values"]


@dataclass(frozen=True)
class Values:
    """A program's values for some rows.

    Attributes
    ----------
    size
        The n of the n x n matrices; 1 for numbers as they are.
    rows
        Evaluated together.
    trained
        Names of parameters that are encoded.
    """

    program: TensorProgram
    size: int
    rows: int
    trained: Collection[str] = ()

    def __post_init__(self) -> None:
        """Find what is encoded: whatever depends on an input, or on a parameter that is."""
        encoded: list[bool] = []
        for ins in self.program.instructions:
            own = isinstance(ins, Input) or (isinstance(ins, Parameter) and ins.name in self.trained)
            encoded.append(own or any(encoded[operand] for operand in ins.operands))
        object.__setattr__(self, "_encoded", tuple(encoded))

    _encoded: tuple[bool, ...] = ()

    def is_encoded(self, value: int) -> bool:
        """Whether each of its elements is a matrix."""
        return self._encoded[value]

    def planes(self, value: int) -> int:
        """Numbers of one element."""
        return self.size**2 if self.is_encoded(value) else 1

    def elements(self, value: int) -> int:
        """Of all rows."""
        kind = self.program.types[value]
        return kind.size * (self.rows if kind.by_row else 1)

    def numbers(self, value: int) -> int:
        """Of all elements."""
        return self.planes(value) * self.elements(value)
