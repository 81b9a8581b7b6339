"""The loop that runs programs: whatever values are, ciphertexts or numbers, they come and go in one way.

A program is a list of instructions in execution order, each of which makes one value of earlier ones. A
:class:`hecc.runtime.reading.Reading` says how, a value is freed when its last reader has run, and what the client
gives and gets has names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from hecc.runtime.reading import Reading

__all__ = ["After", "Program", "Progress", "Step", "execute"]


class Step(Protocol):
    """An instruction, as far as the loop needs it."""

    @property
    def operands(self) -> tuple[int, ...]:
        """The values that it reads."""


class Named(Protocol):
    """An input or an output."""

    @property
    def name(self) -> str:
        """The client's name for it."""


Ins = TypeVar("Ins", bound=Step)
Ins_co = TypeVar("Ins_co", bound=Step, covariant=True)


class Program(Protocol[Ins_co]):
    """Instructions in execution order; instruction ``i`` makes value ``i``."""

    @property
    def instructions(self) -> Sequence[Ins_co]:
        """All of them."""

    def inputs(self) -> Iterable[tuple[int, Named]]:
        """Those that take what is given."""

    def outputs(self) -> Iterable[tuple[int, Named]]:
        """Those whose values are the results; no instruction reads these."""

    def last_uses(self) -> Mapping[int, int]:
        """For each value that is read, the last instruction that reads it."""


After = Callable[[int, Any, Any, Sequence[Any]], Any]
"""Takes the number of an instruction, the instruction, its value and its operands; returns the value to go on with."""

Progress = Callable[[int, int, Any], None]
"""Takes how many instructions have run, how many there are, and the last that ran."""


def execute(
    program: Program[Ins],
    reading: Reading[Callable[..., Any]],
    context: Any,
    *,
    given: Mapping[str, Any],
    made: dict[int, Any] | None = None,
    after: After | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run a program.

    Parameters
    ----------
    program
        What to run, verified.
    reading
        What each kind of instruction does: a rule is called with ``context``, the number of the instruction, the
        instruction and its operands' values. An input's rule gets what is given for its name instead.
    given
        By the name of each input, what its rule starts from.
    made
        Values that were made in another way; the run goes on behind the last of them, and takes each out once it is
        used, so that nothing holds on to it.
    after
        Called with every value before it is kept, and returns what is kept in its place.
    progress
        Called after every instruction.

    Returns
    -------
    dict
        The value of each output, by its name.
    """
    instructions = program.instructions
    last_uses = program.last_uses()
    inputs = {index: ins.name for index, ins in program.inputs()}
    outputs = {index: ins.name for index, ins in program.outputs()}
    values: dict[int, Any] = {} if made is None else made
    first = max(values, default=-1) + 1
    results: dict[str, Any] = {}
    for index in range(first, len(instructions)):
        instruction = instructions[index]
        operands = [given[inputs[index]]] if index in inputs else [values[v] for v in instruction.operands]
        for v in instruction.operands:
            if last_uses[v] == index:
                values.pop(v, None)
        value = reading.of(instruction)(context, index, instruction, *operands)
        if after is not None:
            value = after(index, instruction, value, operands)
        if index in outputs:
            results[outputs[index]] = value
        elif index in last_uses:
            values[index] = value
        # Nothing but ``values`` holds on to a value while the next instruction runs.
        del operands, value
        if progress is not None:
            progress(index + 1, len(instructions), instruction)
    return results
