"""What would make a network run that was refused: less precision, or other operators in place of some.

Nothing here is a rule of thumb: a way is named if the changed network (:mod:`hecc.words.substitutes`) compiles,
and its cost is that of the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hecc.compiler.ckks.imprecise import ImpreciseError, UnreachedError
from hecc.compiler.ckks.options import NOISE_PRECISION
from hecc.compiler.graph.graph import Graph
from hecc.passes.ckks.pipeline import canonicalise
from hecc.passes.graph import variants
from hecc.preparation import Task
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.errors import CompileError, HeccError, UnsupportedError
from hecc.runtime.figures import count_words, size_words, time_words
from hecc.words import substitutes

__all__ = ["Way", "explain", "ways_out"]

LARGE = 32.0
"""Of the arguments of squares, products and activations: smaller ones are no reason for a refusal."""

NORMAL = 1.0
"""The standard deviation of what a batch normalization returns before its scales are trained."""


@dataclass(frozen=True)
class Way:
    """One change that makes a refused network run.

    Attributes
    ----------
    changes
        What to do, as clauses.
    trains
        Whether the network has to be trained again.
    precision
        Bits that were asked for.
    accuracy_loss
        Points that may be lost, where that is what to ask for.
    seconds
        Predicted time of one row.
    memory
        Bytes that a server needs at its worst.
    key_bytes
        Of the evaluation keys.
    ring_degree
        N.
    """

    changes: tuple[str, ...]
    trains: bool
    precision: float
    seconds: float
    memory: int
    key_bytes: int
    ring_degree: int
    accuracy_loss: float | None = None

    @property
    def sentence(self) -> str:
        """What to change, and what a run would cost then."""
        again = " and train again" if self.trains else ""
        cost = f"{time_words(self.seconds)} a row, {size_words(self.memory)} of memory"
        return f"{' and '.join(self.changes)}{again}: {cost}, {size_words(self.key_bytes)} of keys"

    @property
    def fields(self) -> Mapping[str, Any]:
        """The same as JSON has it."""
        return {
            "changes": list(self.changes),
            "trains": self.trains,
            "precision": self.precision,
            "accuracy_loss": self.accuracy_loss,
            "seconds": self.seconds,
            "peak_memory": self.memory,
            "key_bytes": self.key_bytes,
            "ring_degree": self.ring_degree,
        }


def ways_out(task: Task, refusal: HeccError, progress: Callable[[str], None] = lambda _: None) -> tuple[Way, ...]:
    """What would make a network run, that which needs no training first.

    Parameters
    ----------
    task
        The compilation, as it was refused.
    refusal
        Why.
    progress
        Called with what is tried next.
    """
    trials = _Trials(task.normalised(), progress)
    found = sorted(trials.ways(refusal), key=lambda way: (way.trains, way.precision < task.options.precision))
    if found:
        refusal.add_note("\n".join(["what would make it run, as tried:", *(f"  {way.sentence}" for way in found)]))
    return tuple(found)


def explain(refusal: CompileError) -> None:
    """Note beside a refusal who knows more."""
    if isinstance(refusal, ImpreciseError | UnreachedError):
        refusal.add_note("`hecc estimate` tries what would make it run, and says what each way costs")


AVERAGES = "use average pooling in place of maxima"


class _Trials:
    """Compiles changed networks."""

    def __init__(self, task: Task, progress: Callable[[str], None]) -> None:
        self._task, self._progress = task, progress

    def ways(self, refusal: HeccError) -> Iterator[Way]:
        """All that was found."""
        graph, options = self._task.imported, self._task.options
        done: tuple[str, ...] = ()
        if isinstance(refusal, UnsupportedError):
            return
        if isinstance(refusal, ImpreciseError) and refusal.precision is not None:
            yield from self._tried((), graph, precision=refusal.precision)
        if isinstance(refusal, UnreachedError) and refusal.accuracy_loss is not None:
            yield from self._tried((), graph, accuracy_loss=refusal.accuracy_loss)
        averaged = substitutes.averaged(graph)
        if averaged is not None:
            graph, done = averaged, (AVERAGES,)
            yield from self._tried(done, graph, trains=True)
        canonical = self._canonical(graph)
        rescaled = substitutes.rescaled(canonical, self._task.calibration)
        if rescaled is not None and rescaled[2] > LARGE:
            changed, source, size = rescaled
            closer = f"keep the values of {source}, which reach {size:.3g}, near one, with a BatchNormalization"
            yield from self._tried((*done, closer), changed, trains=True)
        yield from self._standardised(done, canonical)
        kinked = substitutes.kinked(graph)
        if kinked:
            names = sorted({node.source.operator for node in kinked})
            which = " and ".join(names)
            yield from self._tried((*done, f"replace {which} by SiLU"), substitutes.smoothed(graph), trains=True)
            graph = substitutes.squared(graph, self._task.calibration)
            done = (*done, f"replace {which} by squares")
            found = list(self._tried(done, graph, trains=True))
            yield from found
            if found:
                return
        yield from self._shorter(done, self._canonical(graph), options.precision)

    def _canonical(self, graph: Graph) -> Graph:
        """As it is compiled: without kinks that no input of the declared range reaches."""
        return canonicalise(graph, self._task.bounds, self._task.calibration)

    def _tried(
        self,
        changes: tuple[str, ...],
        graph: Graph,
        *,
        precision: float | None = None,
        accuracy_loss: float | None = None,
        trains: bool = False,
    ) -> Iterator[Way]:
        """A change, or the same with less precision."""
        try:
            yield self.compiled(changes, graph, precision=precision, accuracy_loss=accuracy_loss, trains=trains)
        except CompileError as refusal:
            if isinstance(refusal, ImpreciseError) and refusal.precision is not None and precision is None:
                yield self.compiled(changes, graph, precision=refusal.precision, trains=trains)
        except UnsupportedError:
            return

    def _standardised(self, done: tuple[str, ...], graph: Graph) -> Iterator[Way]:
        """The network with arguments of activations as a batch normalization makes them, where some are large now."""
        wide = variants.steep(graph, self._task.calibration, LARGE)
        if wide:
            closer = variants.standardised(graph, wide, self._task.calibration, NORMAL)
            change = variants.smaller_arguments(graph, wide, NORMAL)
            yield from self._tried((*done, change), closer, trains=True)

    def _shorter(self, done: tuple[str, ...], graph: Graph, precision: float) -> Iterator[Way]:
        """The network without its last activations, as few of them as have to go."""
        activations = [node.output.name for node in graph.nodes if variants.is_activation(node)]

        def without(number: int) -> Way | None:
            shorter = graph
            for name in activations[-number:]:
                shorter = variants.without_activation(shorter, name)
            change = f"leave out {count_words(number, 'activation')} of {len(activations)}"
            try:
                return self.compiled((*done, change), shorter, trains=True, offers_less=False)
            except CompileError:
                return None

        low, high, best = 0, len(activations), None
        while high - low > 1:
            middle = (low + high) // 2
            found = without(middle)
            low, high, best = (low, middle, found) if found else (middle, high, best)
        if best is not None:
            yield best

    def compiled(
        self,
        changes: tuple[str, ...],
        graph: Graph,
        *,
        precision: float | None = None,
        accuracy_loss: float | None = None,
        trains: bool = False,
        offers_less: bool = True,
    ) -> Way:
        """What a changed network costs."""
        asked = self._task.options.precision
        if precision is not None:
            changes = (*changes, f"ask for --precision {precision:g}")
        if accuracy_loss is not None:
            changes = (*changes, f"ask for --accuracy-loss {accuracy_loss:g}")
        self._progress(f"try to {' and '.join(changes)}")
        options = replace(self._task.options, quiet=True, offers_less=offers_less, precision=precision or asked)
        if accuracy_loss is not None:
            options = replace(options, accuracy_loss=accuracy_loss, precision=NOISE_PRECISION)
        plan = CkksPlan.of(replace(self._task, imported=graph, model=b"", options=options).build())
        header = plan.header
        return Way(
            changes,
            trains,
            options.precision,
            header.estimate.seconds / header.batch,
            header.peak_memory,
            header.estimate.evaluation_key_bytes,
            header.keys.ring_degree,
            accuracy_loss,
        )
