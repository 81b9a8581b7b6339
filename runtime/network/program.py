"""A program of tensors: instructions with the arrays that they name, checked as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import ParameterError
from hecc.runtime.network.instructions import AnyInstruction, Input, Instruction, Output, Parameter
from hecc.runtime.network.types import TensorType, type_of

__all__ = ["MAX_INSTRUCTIONS", "TensorProgram"]

MAX_INSTRUCTIONS = 1 << 20


@dataclass(frozen=True)
class TensorProgram:
    """Instructions in execution order; instruction ``i`` makes value ``i``.

    Parameters
    ----------
    instructions
        All of them.
    arrays
        By name: parameters, of floats, and indices.

    Raises
    ------
    ParameterError
        It is impossible: an instruction cannot take its operands, or an output is read or named twice.
    """

    instructions: tuple[AnyInstruction, ...]
    arrays: Mapping[str, NDArray[Any]]

    def __post_init__(self) -> None:
        if not 0 < len(self.instructions) <= MAX_INSTRUCTIONS:
            raise ParameterError(f"a program of {len(self.instructions)} instructions")
        for name, array in self.arrays.items():
            if array.dtype.kind == "f" and not bool(np.isfinite(array).all()):
                raise ParameterError(f"the array {name!r} holds a value that is not finite")
        assert self.types  # derived now, so that nothing impossible is ever run
        for kind in (Input, Output):
            names = [ins.name for ins in self.instructions if isinstance(ins, kind)]
            if len(set(names)) < len(names) or not names:
                raise ParameterError(f"a program has no {kind.__name__.lower()}, or two of one name")

    @cached_property
    def types(self) -> tuple[TensorType, ...]:
        """The type of each value."""
        types: list[TensorType] = []
        for index, ins in enumerate(self.instructions):
            for operand in ins.operands:
                if operand >= index or isinstance(self.instructions[operand], Output):
                    raise ParameterError(f"instruction {index} reads {operand}, which is no value before it")
            try:
                types.append(type_of(ins, [types[operand] for operand in ins.operands], self.arrays))
            except ParameterError as error:
                raise ParameterError(f"instruction {index} ({ins.op} of {ins.source}): {error}") from None
        return tuple(types)

    def inputs(self) -> Iterator[tuple[int, Input]]:
        """Those that take what is given."""
        return ((i, ins) for i, ins in enumerate(self.instructions) if isinstance(ins, Input))

    def outputs(self) -> Iterator[tuple[int, Output]]:
        """The results."""
        return ((i, ins) for i, ins in enumerate(self.instructions) if isinstance(ins, Output))

    def parameters(self) -> frozenset[str]:
        """Names of the parameters that it reads."""
        return frozenset(ins.name for ins in self.instructions if isinstance(ins, Parameter))

    def last_uses(self) -> dict[int, int]:
        """For each value that is read, the last instruction that reads it."""
        return {operand: index for index, ins in enumerate(self.instructions) for operand in ins.operands}

    def pruned(self) -> TensorProgram:
        """Without instructions that no output depends on; inputs stay."""
        live: set[int] = set()
        for index in reversed(range(len(self.instructions))):
            ins = self.instructions[index]
            if isinstance(ins, Output | Input) or index in live:
                live.add(index)
                live.update(ins.operands)
        moved = {old: new for new, old in enumerate(sorted(live))}
        kept = tuple(renumbered(self.instructions[old], moved) for old in sorted(live))
        used = {getattr(ins, "name", None) for ins in kept} | {getattr(ins, "index", None) for ins in kept}
        return TensorProgram(kept, {name: array for name, array in self.arrays.items() if name in used})

    def __str__(self) -> str:
        """One line per instruction."""
        return "\n".join(
            f"v{i}[{'rows, ' if kind.by_row else ''}{'x'.join(map(str, kind.shape))}] = {ins}"
            for i, (ins, kind) in enumerate(zip(self.instructions, self.types, strict=True))
        )


def renumbered(ins: Instruction, moved: Mapping[int, int] | Sequence[int]) -> Any:
    """An instruction that reads other values."""
    fields = {}
    for name in ins.__struct_fields__:
        value = getattr(ins, name)
        if name in ("x", "a", "b"):
            value = moved[value]
        elif name == "terms":
            value = tuple(moved[each] for each in value)
        fields[name] = value
    return type(ins)(**fields)
