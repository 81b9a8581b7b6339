"""What to change in a network so that it becomes cheaper, found by compiling the changed networks.

Nothing here is a rule of thumb: a change is advised if its variant (:mod:`hecc.passes.graph.variants`) compiles, at the
same security and for the same calibration inputs, to a plan that is predicted to be faster by a factor worth
mentioning.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, Node, WindowSumNode
from hecc.measure.layers import Layer
from hecc.passes.ckks.pipeline import canonicalise
from hecc.passes.graph import variants
from hecc.preparation import Task
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.errors import CompileError

__all__ = ["Advice", "advise"]

DOMINANT = 0.5
"""Share of the time from which on a layer decides what the network costs."""

WORTH_CHANGING = 1.15
"""Speedup of the whole network from which on a change is advised."""

FREE = 1.02
"""What a change may add to the time, at the most, to be called free."""

RELEVANT = 0.2
"""Share of the time, of a layer or one that reads it, from which on variants of it are compiled."""

MAX_ACTIVATIONS = 4
"""Activations that are left out in turn, the last ones: each time the network is compiled."""

LESS_PRECISION, LEAST_PRECISION = 4.0, 8.0
"""Bits that are tried to be done without, and bits that are always asked for."""


@dataclass(frozen=True)
class Advice:
    """One change that makes a network cheaper, or what makes it expensive.

    Attributes
    ----------
    kind
        "dominant layer", "depth", "precision", "features", "channels", "stride" or "pooling".
    layer
        The ONNX node that it is about, as its operator and name; empty if it is about all of the network.
    text
        What to do, and what is gained, as a sentence.
    speedup
        Time of the network over that of the variant, per row, both predicted; ``None`` where nothing was compared.
    ring_degree
        N of the variant.
    """

    kind: str
    layer: str
    text: str
    speedup: float | None = None
    ring_degree: int | None = None


def advise(
    task: Task,
    plan: CkksPlan,
    layers: Sequence[Layer],
    names: Mapping[str, str],
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Advice, ...]:
    """Advice for a network, that which gains most first.

    Parameters
    ----------
    task
        The compilation.
    plan, layers
        What came of it.
    names
        What the layers are called, by their sources: a convolution may be part of the normalisation behind it.
    progress
        Called with what is tried next.
    """
    trial = _Trial(task.normalised(), plan, layers, names, progress)
    tried = [advice for find in (_depth, _precision, _pooling, _stride, _channels, _features) for advice in find(trial)]
    gains = sorted(tried, key=lambda advice: -(advice.speedup or 0.0))
    return (*_dominant(trial), *gains)


class _Trial:
    """Compiles variants and compares them with the plan."""

    def __init__(
        self,
        task: Task,
        plan: CkksPlan,
        layers: Sequence[Layer],
        names: Mapping[str, str],
        progress: Callable[[str], None],
    ) -> None:
        self.task, self.layers, self._names = task, layers, names
        self.graph: Graph = canonicalise(task.imported, task.bounds, task.calibration)
        self.consumers = self.graph.consumers()
        self.ring_degree = plan.header.keys.ring_degree
        self.elementwise = layers[0].slots == 1
        self._seconds = _row_seconds(plan)
        self._progress = progress

    def compiled(self, what: str, graph: Graph | None = None, *, precision: float | None = None) -> tuple[float, int]:
        """Speedup and ring degree of a variant; a speedup of 0 where no parameters do."""
        self._progress(f"try {what}")
        # What is wrong with a variant is no concern of its user.
        options = replace(self.task.options, quiet=True, offers_less=False)
        if precision is not None:
            options = replace(options, precision=precision)
        with contextlib.suppress(CompileError):
            changed = replace(self.task, imported=graph or self.task.imported, model=b"", options=options)
            plan = CkksPlan.of(changed.build())
            return self._seconds / _row_seconds(plan), plan.header.keys.ring_degree
        return 0.0, 0

    def name(self, source: object) -> str:
        """What a layer is called."""
        return self._names.get(str(source), str(source))

    def share(self, node: Node) -> float:
        """Of the time: the largest of a node and, behind its activations, of those that read it."""
        largest, waiting = 0.0, [node]
        while waiting:
            current = waiting.pop()
            source = str(current.source)
            largest = max([largest, *(layer.share for layer in self.layers if layer.source == source)])
            readers = self.consumers[current.output.name] if current is node or variants.is_activation(current) else []
            waiting += readers
        return largest

    def linear(self) -> Iterator[AffineNode]:
        """Affine nodes that matter, whose results are not the network's."""
        for node in self.graph.nodes:
            if not isinstance(node, AffineNode) or node.reshapes_only or node.output.name in self.graph.outputs:
                continue
            # With another layer behind it a pooling might be fused after all, which no variant of this graph shows.
            pooled = any(isinstance(self.graph.node(value), WindowSumNode) for value in node.inputs)
            if not pooled and self.share(node) >= RELEVANT:
                yield node

    def gain(self, speedup: float, ring_degree: int) -> str:
        """The gain in words."""
        ring = "" if ring_degree == self.ring_degree else f", with N = {_power(ring_degree)}"
        return f"make the network {speedup:.1f} times as fast{ring}"


def _row_seconds(plan: CkksPlan) -> float:
    """Of one row: a variant in another ring may have another batch."""
    return plan.header.estimate.seconds / plan.header.batch


def _power(number: int) -> str:
    return f"2^{number.bit_length() - 1}"


def _dominant(trial: _Trial) -> Iterator[Advice]:
    """Which layer decides what the network costs, and why."""
    computing = [layer for layer in trial.layers if not layer.is_input]
    top = max(computing, key=lambda layer: layer.share)
    if len(computing) < 2 or top.share < DOMINANT:
        return
    switching, products = (100 * part / top.seconds for part in (top.key_switching_seconds, top.diagonal_seconds))
    if switching >= products:
        steps = f"{top.rotations} rotations" if top.rotations else "relinearisations"
        why = f"{switching:.0f}% of which are key switches ({steps} at {top.limbs} limbs)"
    else:
        factors = "weights" if trial.elementwise else "diagonals"
        why = f"{products:.0f}% of which are products ({top.diagonals} {factors} at {top.limbs} limbs)"
    text = f"{trial.name(top.source)} takes {100 * top.share:.0f}% of the time, {why}; what is saved there counts most"
    yield Advice("dominant layer", top.source, text)


def _depth(trial: _Trial) -> Iterator[Advice]:
    """The activation without which a smaller ring would do."""
    best: Advice | None = None
    activations = [node for node in trial.graph.nodes if variants.is_activation(node)]
    # Without its only one a network would be linear.
    for node in activations[-MAX_ACTIVATIONS:] if len(activations) > 1 else ():
        variant = variants.without_activation(trial.graph, node.output.name)
        speedup, degree = trial.compiled(f"the network without {trial.name(node.source)}", variant)
        if 0 < degree < trial.ring_degree and speedup >= max(WORTH_CHANGING, (best and best.speedup) or 0.0):
            text = (
                f"one activation less, {trial.name(node.source)}, would allow N = {_power(degree)} instead of "
                f"{_power(trial.ring_degree)}, and make the network {speedup:.1f} times as fast"
            )
            best = Advice("depth", str(node.source), text, speedup, degree)
    if best is not None:
        yield best


def _precision(trial: _Trial) -> Iterator[Advice]:
    """Whether some bits of precision less would make a difference."""
    asked = trial.task.options.precision
    less = max(LEAST_PRECISION, asked - LESS_PRECISION)
    if less >= asked:
        return
    speedup, degree = trial.compiled(f"{less:g} bits of precision", precision=less)
    if speedup >= WORTH_CHANGING:
        text = (
            f"{less:g} bits of precision instead of {asked:g} (--precision {less:g}) would "
            f"{trial.gain(speedup, degree)}; `hecc simulate` tells whether predictions change"
        )
        yield Advice("precision", "", text, speedup, degree)


def _pooling(trial: _Trial) -> Iterator[Advice]:
    """Poolings that are sums over windows of their own, where a stride in the layer before would do."""
    for node in trial.graph.nodes:
        if not isinstance(node, WindowSumNode):
            continue
        variant = variants.without_pooling(trial.graph, node.output.name)
        if variant is None:
            continue
        strides = "x".join(map(str, node.window.strides))
        speedup, degree = trial.compiled(f"a stride instead of {trial.name(node.source)}", variant)
        if speedup >= WORTH_CHANGING:
            text = (
                f"a stride of {strides} in the layer before instead of {trial.name(node.source)} would "
                f"{trial.gain(speedup, degree)}"
            )
            yield Advice("pooling", str(node.source), text, speedup, degree)


def _stride(trial: _Trial) -> Iterator[Advice]:
    """Images that a dense layer reads with all of their pixels."""
    for node in trial.linear():
        shape = node.output.shape
        if len(shape) != 4 or min(shape[2:]) < 4 or not _read_by_dense(trial, node):
            continue
        variant = variants.strided(trial.graph, node.output.name)
        if variant is None:
            continue
        speedup, degree = trial.compiled(f"every second pixel of {trial.name(node.source)}", variant)
        if speedup >= WORTH_CHANGING:
            rows, columns = (-(-size // 2) for size in shape[2:])
            text = (
                f"twice the stride, or an average pooling, in {trial.name(node.source)} ({rows}x{columns} pixels "
                f"instead of {shape[2]}x{shape[3]}) would {trial.gain(speedup, degree)}"
            )
            yield Advice("stride", str(node.source), text, speedup, degree)


def _read_by_dense(trial: _Trial, node: Node) -> bool:
    """Whether nothing but layers without pixels reads a node, behind its activations."""
    readers = trial.consumers[node.output.name]
    return bool(readers) and all(
        _read_by_dense(trial, reader)
        if variants.is_activation(reader)
        else isinstance(reader, AffineNode) and math.prod(reader.output.shape[2:]) == 1
        for reader in readers
    )


def _channels(trial: _Trial) -> Iterator[Advice]:
    """Convolutions with more channels than come cheap."""
    for node in trial.linear():
        shape = node.output.shape
        if len(shape) != 4 or math.prod(shape[2:]) == 1 or shape[1] < 4:
            continue
        number = shape[1] // 2
        variant = variants.with_features(trial.graph, node.output.name, number)
        if variant is None:
            continue
        speedup, degree = trial.compiled(f"{number} channels in {trial.name(node.source)}", variant)
        if speedup >= WORTH_CHANGING:
            name, gain = trial.name(node.source), trial.gain(speedup, degree)
            text = f"{number} channels instead of {shape[1]} in {name} would {gain}"
            yield Advice("channels", str(node.source), text, speedup, degree)


def _features(trial: _Trial) -> Iterator[Advice]:
    """Dense layers whose number of outputs is just above a power of two, up to the next of which they are laid out."""
    # A ciphertext for each element is no layout: there only less is faster.
    for node in () if trial.elementwise else trial.linear():
        shape = node.output.shape
        if len(shape) < 2 or math.prod(shape) != shape[1] or shape[1] & (shape[1] - 1) == 0:
            continue
        below, above = 1 << (shape[1].bit_length() - 1), 1 << shape[1].bit_length()
        variant = variants.with_features(trial.graph, node.output.name, below)
        if variant is None:
            continue
        speedup, degree = trial.compiled(f"{below} outputs of {trial.name(node.source)}", variant)
        if speedup < WORTH_CHANGING:
            continue
        wider = variants.with_features(trial.graph, node.output.name, above)
        free = (
            wider is not None and trial.compiled(f"{above} outputs of {trial.name(node.source)}", wider)[0] >= 1 / FREE
        )
        text = (
            f"the {shape[1]} outputs of {trial.name(node.source)} are not a power of two: {below} would "
            f"{trial.gain(speedup, degree)}{f', and {above} would cost no more than now' if free else ''}"
        )
        yield Advice("features", str(node.source), text, speedup, degree)
