"""The loop: batches of rows, their gradients, and the optimiser's steps, on values of any arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import InputError, OutputError
from hecc.runtime.network.evaluation import Arithmetic, evaluate, row_count
from hecc.runtime.network.instructions import Output, Parameter
from hecc.runtime.network.program import TensorProgram
from hecc.runtime.training.names import GRADIENT, LOSS
from hecc.runtime.training.optimisers import OPTIMISERS, Update
from hecc.runtime.training.schedules import SCHEDULES
from hecc.runtime.training.settings import TrainingSettings
from hecc.runtime.training.statistics import Statistic

__all__ = ["RANGE", "Checkpoint", "DivergedError", "Trainer", "TrainingArithmetic", "batches"]

T = TypeVar("T")

RANGE = 1e9
"""The largest number that a parameter or the loss may hold: with larger ones few digits of smaller ones are left."""


class TrainingArithmetic(Arithmetic[T], Protocol[T]):
    """An arithmetic that can say how large values are."""

    def settled(self, x: T) -> T:
        """Without what rounding added that is no value of this arithmetic."""

    def extent(self, x: T) -> float:
        """The largest absolute value of all numbers; infinite or not a number where one of them is."""

    def extent_words(self, x: T) -> str:
        """Which numbers left their range, in words."""

    @property
    def another_way(self) -> str:
        """What can be done about it besides a smaller learning rate and smaller inputs, as the end of a list."""


class DivergedError(OutputError):
    """A value left its range; the parameters are those before."""


@dataclass(frozen=True)
class Checkpoint(Generic[T]):
    """All that a training goes on from.

    Attributes
    ----------
    steps
        Done so far.
    parameters
        By name.
    memories
        What the optimiser remembers, by the name of a parameter and that of the memory.
    losses
        Of each step.
    """

    steps: int
    parameters: Mapping[str, T]
    memories: Mapping[str, Mapping[str, T]] = field(default_factory=dict)
    losses: Sequence[T] = ()


class Trainer(Generic[T]):
    """Trains the parameters of a program.

    Parameters
    ----------
    program
        As :func:`hecc.compiler.graph.gradients.training.training_program` makes it.
    arithmetic
        Of inputs, targets and parameters.
    settings
        How to train.
    start
        What to go on from.
    statistics
        Parameters that are running averages.
    """

    def __init__(
        self,
        program: TensorProgram,
        arithmetic: TrainingArithmetic[T],
        settings: TrainingSettings,
        start: Checkpoint[T],
        statistics: Sequence[Statistic] = (),
    ) -> None:
        settings.check()
        self._statistics = tuple(statistics)
        self._program, self._arithmetic, self._settings = program, arithmetic, settings
        self._optimiser = OPTIMISERS[settings.optimizer]
        self.checkpoint = start

    def step(self, given: Mapping[str, T], steps: int, epoch: int = 1) -> T:
        """One step on a batch of inputs and targets; returns the loss before it.

        Parameters
        ----------
        steps
            Of the whole training, for the schedule.

        Raises
        ------
        DivergedError
            A value left its range. The checkpoint is the one before the step.
        """
        before = self.checkpoint
        found = evaluate(self._program, self._arithmetic, given, before.parameters)
        # Each by itself: the largest of several numbers says nothing where one of them is no number.
        if not all(self._arithmetic.extent(value) <= RANGE for value in found.values()):
            self._refuse_value(given, before, epoch)
        parameters, memories = self._moved(found, before, steps)
        parameters |= self._averaged(found, before, given)
        for name, value in parameters.items():
            if not self._arithmetic.extent(value) <= RANGE:
                self._refuse(
                    value,
                    f"in the parameter {name!r} of {self._layer(name)}, by a step of {self._settings.optimizer}",
                    before,
                    epoch,
                )
        loss = found[LOSS]
        self.checkpoint = replace(
            before,
            steps=before.steps + 1,
            parameters=parameters,
            memories=memories,
            losses=(*before.losses, loss),
        )
        return loss

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def _moved(
        self, found: Mapping[str, T], before: Checkpoint[T], steps: int
    ) -> tuple[dict[str, T], dict[str, Mapping[str, T]]]:
        """The parameters after a step with these gradients, and what to remember; perhaps not finite."""
        settings = self._settings
        rate = settings.learning_rate * SCHEDULES[settings.schedule](before.steps, steps)
        update = Update(self._arithmetic, rate, before.steps + 1)
        parameters, memories = dict(before.parameters), dict(before.memories)
        for name in before.parameters:
            gradient = found.get(f"{GRADIENT}{name}")
            if gradient is not None:
                moved: Any
                remembered: Any
                moved, remembered = self._optimiser.step(
                    update, before.parameters[name], gradient, before.memories.get(name, {})
                )
                settled = self._arithmetic.settled
                parameters[name] = settled(moved)
                memories[name] = {each: settled(kept) for each, kept in remembered.items()}
        return parameters, memories

    @np.errstate(over="ignore", invalid="ignore")
    def _averaged(self, found: Mapping[str, T], before: Checkpoint[T], given: Mapping[str, T]) -> dict[str, T]:
        """Running averages after a step with these statistics."""
        averages = {}
        first = next(ins for _, ins in self._program.inputs())
        rows = row_count(self._arithmetic, given[first.name], len(first.shape))
        for each in self._statistics:
            terms = [before.parameters[each.name], found[f"{Statistic.OUTPUT}{each.name}"]]
            factors = (each.momentum, (1 - each.momentum) * each.factor(rows))
            averages[each.name] = self._arithmetic.settled(self._arithmetic.add(terms, factors, 0.0))
        return averages

    def _check_rows(self, rows: int) -> None:
        """Refuse batches of which a channel has one element, and so no variance, as PyTorch does."""
        least = min((rows - 1) % self._settings.batch_size + 1, self._settings.batch_size)
        for each in self._statistics:
            if each.unbiased and least * each.elements < 2:
                raise InputError(
                    f"a batch of one row has no variance, which the batch normalization of {each.name!r} divides by; "
                    f"choose a batch size of 2 or more that does not leave one of {rows} rows over"
                )

    def _refuse_value(self, given: Mapping[str, T], before: Checkpoint[T], epoch: int) -> None:
        """Say where values left their range first: the step once more, with a look at every value."""

        def watch(index: int, ins: Any, value: T, _: Sequence[T]) -> T:
            if not self._arithmetic.extent(value) <= RANGE:
                self._refuse(value, f"at {ins.source or ins.op}", before, epoch)
            return value

        evaluate(self._program, self._arithmetic, given, before.parameters, after=watch)

    def _refuse(self, value: T, where: str, before: Checkpoint[T], epoch: int) -> NoReturn:
        raise DivergedError(
            f"step {before.steps + 1} (epoch {epoch}): {self._arithmetic.extent_words(value)} left the range of "
            f"{RANGE:g} {where}. Train with a smaller learning rate, scale inputs to about -1 to 1"
            f"{self._arithmetic.another_way}"
        )

    def _layer(self, parameter: str) -> str:
        """The node of the network that a parameter is first read by, or that it is a running average of."""
        statistic = f"{Statistic.OUTPUT}{parameter}"
        return next(
            ins.source
            for ins in self._program.instructions
            if (isinstance(ins, Parameter) and ins.name == parameter)
            or (isinstance(ins, Output) and ins.name == statistic)
        )

    def run(
        self,
        given: Mapping[str, T],
        rows: int,
        *,
        progress: Callable[[int, int, T], None] | None = None,
        after_epoch: Callable[[Checkpoint[T]], None] | None = None,
    ) -> Checkpoint[T]:
        """All epochs that are left.

        Parameters
        ----------
        given
            Inputs and targets by name, with all rows.
        progress
            Called after each step with the steps done, those of the whole training, and the loss.
        after_epoch
            Called with what the training could go on from.
        """
        self._check_rows(rows)
        per_epoch = math.ceil(rows / self._settings.batch_size)
        steps = per_epoch * self._settings.epochs
        for number, (epoch, places) in enumerate(batches(rows, self._settings)):
            if number < self.checkpoint.steps:
                continue
            chosen = {name: self._rows(name, value, places) for name, value in given.items()}
            loss = self.step(chosen, steps, epoch)
            if progress is not None:
                progress(number + 1, steps, loss)
            if after_epoch is not None and (number + 1) % per_epoch == 0:
                after_epoch(self.checkpoint)
        return self.checkpoint

    def _rows(self, name: str, value: T, places: NDArray[np.int64]) -> T:
        """Some rows of an input."""
        rank = next(len(ins.shape) for _, ins in self._program.inputs() if ins.name == name)
        return self._arithmetic.linear(lambda v: np.take(v, places, axis=v.ndim - rank - 1), value)


def batches(rows: int, settings: TrainingSettings) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """The rows of each step, with the number of its epoch, from 1."""
    random = None if settings.seed is None else np.random.default_rng(settings.seed)
    for epoch in range(1, settings.epochs + 1):
        order = np.arange(rows) if random is None else random.permutation(rows)
        for start in range(0, rows, settings.batch_size):
            yield epoch, order[start : start + settings.batch_size]
