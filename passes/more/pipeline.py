"""From an imported graph to a plan under MORE: every node is evaluated as it is, so there is little to do."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec
import numpy as np
import onnx.numpy_helper
from numpy.typing import NDArray

from hecc.compiler.graph.gradients.training import training_program
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, FunctionNode, Node, OperatorNode
from hecc.compiler.graph.operators import Extremum, ReducedExtremum, WindowExtremum
from hecc.compiler.graph.programs.nodes import graph_program
from hecc.compiler.more.normalisation import batch_normalisations
from hecc.compiler.more.options import Options
from hecc.compiler.more.smooth import COMPARING, smoothed
from hecc.passes.graph.operators.masks import hide_masked
from hecc.passes.graph.outputs import merge_outputs
from hecc.runtime.errors import UnsupportedError
from hecc.runtime.figures import count_words, listed
from hecc.runtime.more.header import MAX_AXES, MoreHeader, MoreInput, MoreOutput, Training
from hecc.runtime.more.plan import MorePlan, TrainingProgram
from hecc.runtime.more.words import NO_SECURITY
from hecc.runtime.tail.epilogue import describe
from hecc.runtime.tail.steps import LogSoftmax, Softmax
from hecc.runtime.training.names import GRADIENT, TARGET
from hecc.runtime.training.statistics import Statistic

__all__ = ["build_plan"]

log = logging.getLogger(__name__)

MEASURED = 200
"""Calibration inputs that arguments of comparisons are measured on, at most."""


def build_plan(
    imported: Graph,
    model: bytes,
    calibration: Mapping[str, NDArray[np.float64]],
    declared: Mapping[str, tuple[float, float]],
    options: Options,
    progress: Callable[[str], None] = lambda _: None,
) -> MorePlan:
    """Compile an imported graph; see :class:`hecc.passes.schemes.Compiler`.

    Raises
    ------
    UnsupportedError
        There are comparisons, and they are not wanted; or a training is asked for that the network cannot have.
    """
    progress("fuse and simplify")
    log.warning("security %s", NO_SECURITY)
    graph = merge_outputs(imported)
    if options.train is None:
        graph = hide_masked(graph, calibration)
    if options.comparisons == "refuse":
        _refuse_comparisons(graph)
    inputs = tuple(
        MoreInput(
            name=node.output.name,
            shape=graph.example_shape(node.output.shape),
            low=declared[node.output.name][0],
            high=declared[node.output.name][1],
        )
        for node in graph.inputs()
    )
    for node in (*graph.inputs(), *(graph.node(name) for name in graph.outputs)):
        axes = len(graph.example_shape(node.output.shape))
        if axes > MAX_AXES:
            raise UnsupportedError(
                f"{node.output.name!r} has {axes} axes besides that of the rows, and the scheme more takes "
                f"{MAX_AXES}; export the network with a Reshape, so that it has fewer"
            )
    progress("make the program")
    network = graph_program(graph)
    training = None if options.train is None else _training(graph, model, options.train)
    told: tuple[str, ...] = ()
    if options.comparisons == "smooth":
        given = {name: np.asarray(values[:MEASURED], dtype=np.float64) for name, values in calibration.items()}
        network, told = smoothed(network, given)
        if training is not None:
            rows = len(next(iter(given.values())))
            targets = np.zeros((rows, *graph.example_shape(graph.node(graph.outputs[0]).output.shape)))
            training = replace(training, step=smoothed(training.step, {**given, TARGET: targets})[0])
    header = MoreHeader(
        producer=options.producer,
        model=hashlib.sha256(model).hexdigest(),
        inputs=inputs,
        outputs=_outputs(graph),
        size=options.matrix_size,
        smoothed=told,
        training=None
        if training is None or options.train is None
        else Training(loss=options.train, output=graph.outputs[0], parameters=tuple(training.initializers.values())),
    )
    return MorePlan(header, network, training)


def _outputs(graph: Graph) -> tuple[MoreOutput, ...]:
    """The outputs of the network, of which several may be one value."""
    known = {
        name: MoreOutput(
            name=name,
            shape=graph.example_shape(graph.node(name).output.shape),
            epilogue=tuple(graph.epilogues.get(name, ())),
        )
        for name in graph.outputs
    }
    if not graph.aliases:
        return tuple(known.values())
    return tuple(
        known[name]
        if name == source
        else msgspec.structs.replace(known[source], name=name, epilogue=tuple(graph.epilogues.get(name, ())), of=source)
        for name, source in graph.aliases.items()
    )


def _compares(node: Node) -> bool:
    if isinstance(node, FunctionNode):
        return bool(node.function.primitives() & COMPARING)
    return isinstance(node, OperatorNode) and isinstance(node.operator, Extremum | WindowExtremum | ReducedExtremum)


def _refuse_comparisons(graph: Graph) -> None:
    found = [str(node.source) for node in graph.nodes if _compares(node)]
    if found:
        raise UnsupportedError(
            f"{listed(found)}: {'it compares' if len(found) == 1 else 'they compare'} numbers, which is no analytic "
            "function; use a smooth one such as SiLU, GELU or tanh, or average pooling, and train again, or compile "
            "with --comparisons exact or smooth"
        )


def _training(graph: Graph, model: bytes, loss: str) -> TrainingProgram:
    """The step's program, and which parameters it trains."""
    if len(graph.outputs) != 1 or len(graph.aliases) > 1:
        raise UnsupportedError(
            f"a training is for networks with one output, and this one has "
            f"{count_words(max(len(graph.outputs), len(graph.aliases)), 'output')}; export it with one"
        )
    (output,) = graph.outputs
    steps = tuple(graph.epilogues.get(output, ()))
    fits = not steps or (loss == "cross-entropy" and len(steps) == 1 and isinstance(steps[0], Softmax | LogSoftmax))
    if not fits:
        raise UnsupportedError(
            f"the network ends in {describe(steps)}, which the loss {loss} does not take; export it without, so that "
            f"its output is what {'a softmax takes' if loss == 'cross-entropy' else 'the labels are'}"
        )
    if any(node.output.name == TARGET for node in graph.inputs()):
        raise UnsupportedError(f"an input is called {TARGET!r}, as labels are; give it another name")
    initializers = _initializers(graph, model)
    if not initializers:
        raise UnsupportedError(
            "the network has no weights that are initializers of the ONNX file; nothing can be trained"
        )
    normalised = batch_normalisations(graph, model)
    averages = [each for by_batch in normalised.values() for each in by_batch.statistics]
    for by_batch in normalised.values():
        initializers |= {name: name for name in by_batch.values}
    read = {
        name
        for node in graph.nodes
        if isinstance(node, AffineNode) and node.output.name not in normalised
        for name in node.parameters
    }
    left = sorted(name for name in read if name not in initializers)
    if left:
        log.warning(
            "not trained, as they are constants or made of several weights: %s",
            listed(left),
        )
    step = training_program(graph, output, loss, list(initializers), normalised)
    trained = {ins.name for _, ins in step.outputs()}
    kept = {
        name: each
        for name, each in initializers.items()
        if f"{GRADIENT}{name}" in trained or f"{Statistic.OUTPUT}{name}" in trained
    }
    values = {**graph.parameters, **{name: each for made in normalised.values() for name, each in made.values.items()}}
    parameters = {name: np.asarray(values[name], dtype=np.float64) for name in kept}
    return TrainingProgram(step, parameters, kept, model, tuple(averages))


def _initializers(graph: Graph, model: bytes) -> dict[str, str]:
    """Parameters that are initializers of the ONNX file, perhaps under another shape, by the graph's names."""
    known = {
        each.name: onnx.numpy_helper.to_array(each)
        for each in onnx.load_model_from_string(model).graph.initializer
        if each.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
    }
    found: dict[str, str] = {}
    for name, values in graph.parameters.items():
        own = name if name in known else name.partition(":")[0]
        if own in known and own not in found.values() and known[own].size == np.size(values):
            flat = np.asarray(values, dtype=np.float64).reshape(-1)
            if np.array_equal(known[own].astype(np.float64).reshape(-1), flat):
                found[name] = own
    return found
