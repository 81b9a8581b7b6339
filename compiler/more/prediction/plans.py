"""What plans take: evaluating a file of rows, and training on one, layer by layer and together."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from hecc.compiler.more.prediction.memory import NUMBER, program_bytes
from hecc.compiler.more.prediction.values import Values
from hecc.compiler.more.prediction.work import RATES, instruction_work
from hecc.runtime.more.plan import MorePlan
from hecc.runtime.more.server import rows_at_a_time
from hecc.runtime.network.instructions import Input, Output, Parameter, Reshape
from hecc.runtime.network.program import TensorProgram
from hecc.runtime.training.optimisers import OPTIMISERS

__all__ = ["BATCH", "OPTIMIZER", "ROWS", "Layer", "MemoryUse", "Use", "evaluation_use", "plan_layers", "training_use"]

ROWS = 1000
"""Of a file that nobody has yet."""

BATCH, OPTIMIZER = 64, "adam"
"""Of a training whose settings nobody has said: those of `hecc train`."""

PROGRAM_BYTES = 52 << 20
"""`hecc run` or `hecc train` with Python and NumPy, measured."""

GRADIENT_OF = "gradient of "
"""What stands before a layer in what is computed for its gradients."""

CONSTANT = "constant:"
"""What stands before names of arrays that stem from no weight."""

MOVING = 2
"""Tensors as large as a parameter that an optimiser works in while it makes the next one, and one for each memory."""


MOVED, REMEMBERED = 3, 11
"""Passes over products of matrices that it takes for each number of a parameter, and more for each of its memories."""


@dataclass(frozen=True)
class MemoryUse:
    """Bytes that a server needs at its worst, by what they hold.

    Attributes
    ----------
    program
        Python and its libraries.
    weights
        The plan's, and those that are trained with what the optimiser remembers of them.
    values
        What is computed with the rows that are worked on together.
    rows
        The file of rows, which stays while it is worked on, and results.
    """

    program: int
    weights: int
    values: int
    rows: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.program + self.weights + self.values + self.rows


@dataclass(frozen=True)
class Use:
    """What working on a file of rows takes.

    Attributes
    ----------
    rows
        In the file.
    together
        Worked on at a time.
    seconds
        Of one processor core, for each row.
    memory
        At the worst.
    """

    rows: int
    together: int
    seconds: float
    memory: MemoryUse


@dataclass(frozen=True)
class Layer:
    """A node of the network, an input, or the loss of a training.

    Attributes
    ----------
    source
        Which, in words.
    is_input
        Whether it is one, and computes nothing.
    reads
        Positions of the layers that it reads.
    shape
        Of what it makes of a row.
    parameters
        Numbers of its weights.
    outputs
        Names of the outputs that it makes.
    seconds, training_seconds
        For each row, of an evaluation and of a training step.
    share
        Of the whole evaluation's time.
    """

    source: str
    is_input: bool
    reads: tuple[int, ...]
    shape: tuple[int, ...]
    parameters: int
    outputs: tuple[str, ...]
    seconds: float
    share: float
    training_seconds: float


def evaluation_use(plan: MorePlan, *, rows: int = ROWS) -> Use:
    """What evaluating a file of rows takes.

    Raises
    ------
    InputError
        This is the client's plan.
    """
    network = _network(plan)
    size = plan.header.size
    together = min(rows, rows_at_a_time(network, size))
    values = Values(network, size, together)
    given = sum(math.prod(each.shape) for each in plan.header.inputs)
    made = sum(math.prod(each.shape) for each in plan.header.sent)
    # Results are collected in parts, and then put together.
    files = NUMBER * size**2 * rows * (given + 2 * made)
    memory = MemoryUse(PROGRAM_BYTES, _array_bytes(network), program_bytes(values), files)
    return Use(rows, together, sum(_seconds(values).values()) / together, memory)


def training_use(
    plan: MorePlan, *, rows: int = ROWS, batch_size: int = BATCH, optimizer: str = OPTIMIZER
) -> Use | None:
    """What an epoch of training on a file of rows takes; ``None`` for a plan that does not train.

    Raises
    ------
    InputError
        This is the client's plan.
    """
    plan.require_program()
    training = plan.training
    if training is None:
        return None
    size, together = plan.header.size, min(rows, batch_size)
    values = Values(training.step, size, together, training.parameters)
    counts = [array.size for array in training.parameters.values()]
    one, most = NUMBER * size**2 * sum(counts), NUMBER * size**2 * max(counts)
    memories = len(OPTIMISERS[optimizer].memories)
    kept = one * (1 + memories)
    row = NUMBER * size**2 * sum(math.prod(ins.shape) for _, ins in training.step.inputs())
    # A step has its rows, and then either all values, or all gradients beside what the optimiser makes.
    working = together * row + max(program_bytes(values), one + kept + (MOVING + memories) * most)
    memory = MemoryUse(PROGRAM_BYTES, _array_bytes(training.step) + kept, working, row * rows)
    moved = RATES.number * (MOVED + REMEMBERED * memories) * size**3 * sum(counts)
    return Use(rows, together, (sum(_seconds(values).values()) + moved) / together, memory)


def plan_layers(plan: MorePlan) -> tuple[Layer, ...]:
    """The plan layer by layer, in the order of the network; what a training's gradients take is their layer's.

    Raises
    ------
    InputError
        This is the client's plan.
    """
    network, training, size = _network(plan), plan.training, plan.header.size
    rows = rows_at_a_time(network, size)
    seconds = _seconds(Values(network, size, rows))
    trained: dict[str, float] = {}
    if training is not None:
        trained = _seconds(Values(training.step, size, BATCH, training.parameters))
    whole = sum(seconds.values())
    forward = [network] if training is None else [network, training.step]
    places = {source: place for place, source in enumerate(dict.fromkeys((*seconds, *trained)))}
    found: dict[str, Layer] = {}
    for program in forward:
        for source, made in _made(program).items():
            if source in found or source not in places:
                continue
            found[source] = Layer(
                source=source,
                is_input=_is_input(program, made),
                reads=tuple(sorted({places[each] for each in _read(program, made) if each in places})),
                shape=program.types[made[-1]].shape,
                parameters=sum(program.arrays[name].size for name in _weights(program, made)),
                outputs=tuple(ins.name for i in made if isinstance(ins := program.instructions[i], Output)),
                seconds=seconds.get(source, 0.0) / rows,
                share=seconds.get(source, 0.0) / whole if whole else 0.0,
                training_seconds=trained.get(source, 0.0) / BATCH,
            )
    return tuple(found[source] for source in places)


def _made(program: TensorProgram) -> dict[str, list[int]]:
    """The values of each layer, without gradients."""
    found: dict[str, list[int]] = {}
    for index, ins in enumerate(program.instructions):
        if not ins.source.startswith(GRADIENT_OF):
            found.setdefault(ins.source, []).append(index)
    return found


def _is_input(program: TensorProgram, made: Collection[int]) -> bool:
    kinds = {type(program.instructions[index]) for index in made}
    return Input in kinds and kinds <= {Input, Reshape}


def _read(program: TensorProgram, made: Collection[int]) -> set[str]:
    """The other layers that a layer reads values of, and no weights that it shares with them."""
    operands = {operand for index in made for operand in program.instructions[index].operands} - set(made)
    return {program.instructions[operand].source for operand in operands if program.types[operand].by_row}


def _weights(program: TensorProgram, made: Collection[int]) -> list[str]:
    """Names of the parameters that a layer reads first, without constants that the compiler made."""
    names = [ins.name for index in made if isinstance(ins := program.instructions[index], Parameter)]
    return [name for name in names if not name.startswith(CONSTANT)]


def _network(plan: MorePlan) -> TensorProgram:
    plan.require_program()
    assert plan.network is not None, "it was asked for"
    return plan.network


def _seconds(values: Values) -> dict[str, float]:
    """Of each layer, gradients included."""
    found: dict[str, float] = {}
    for index, ins in enumerate(values.program.instructions):
        source = ins.source.removeprefix(GRADIENT_OF)
        found[source] = found.get(source, 0.0) + RATES.seconds(instruction_work(values, index))
    return found


def _array_bytes(program: TensorProgram) -> int:
    return sum(array.nbytes for array in program.arrays.values())
