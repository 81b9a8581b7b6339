"""The program of a training step: the loss of a graph's output, and the gradients of its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from hecc.compiler.graph.gradients.batch_normalisation import BatchNormalisation
from hecc.compiler.graph.gradients.nodes import gradients
from hecc.compiler.graph.gradients.polynomials import trained_polynomial
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import ChebyshevNode
from hecc.compiler.graph.programs.builder import ProgramBuilder
from hecc.compiler.graph.programs.nodes import lower_graph
from hecc.compiler.graph.programs.operators import LOG, Shares
from hecc.runtime.network.program import TensorProgram
from hecc.runtime.training.names import GRADIENT, LOSS, TARGET

__all__ = ["LOSSES", "training_program"]


def training_program(
    graph: Graph,
    output: str,
    loss: str,
    wanted: Collection[str],
    normalised: Mapping[str, BatchNormalisation] = MappingProxyType({}),
) -> TensorProgram:
    """Of inputs and targets the loss, averaged over rows, and the gradient of each wanted parameter.

    Parameters
    ----------
    output
        The graph's output that the targets are for.
    loss
        A key of :data:`LOSSES`.
    normalised
        By the name of values what makes them of statistics of the batch, which become outputs, too.
    """
    build = ProgramBuilder()

    def by_batch(each: BatchNormalisation) -> Callable[[Mapping[str, int]], int]:
        return lambda places: each.forward(build, places[each.value])

    def trained(node: ChebyshevNode) -> Callable[[Mapping[str, int]], int]:
        return lambda places: trained_polynomial(build, node, places[node.value], graph)

    instead = {name: by_batch(each) for name, each in normalised.items()}
    for node in graph.nodes:
        if isinstance(node, ChebyshevNode) and node.coefficients in wanted:
            instead[node.output.name] = trained(node)
    places = lower_graph(build, graph, instead)
    shape = graph.example_shape(graph.node(output).output.shape)
    build.source = f"loss {loss}"
    predicted = build.reshape(places[output], shape)
    target = build.input(TARGET, shape)
    value, seed = LOSSES[loss](build, predicted, target)
    build.output(build.mean_rows(build.reshape(value, ())), LOSS)
    seeds = {output: build.reshape(seed, graph.node(output).output.shape)}
    for name, slope in gradients(build, graph, places, seeds, wanted, normalised).items():
        build.output(slope, f"{GRADIENT}{name}")
    return build.program()


def _all(build: ProgramBuilder, x: int) -> int:
    """The sum of all elements of a row."""
    return build.total(x, (1,) * len(build.shape(x)))


def _mean_squared_error(build: ProgramBuilder, predicted: int, target: int) -> tuple[int, int]:
    size = math.prod(build.shape(predicted))
    error = build.add([predicted, target], [1.0, -1.0])
    mean = build.add([_all(build, build.multiply(error, error))], [1 / size])
    return mean, build.add([error], [2 / size])


def _cross_entropy(build: ProgramBuilder, predicted: int, target: int) -> tuple[int, int]:
    shape = build.shape(predicted)
    places = math.prod(shape[:-1])
    parts = Shares(build, predicted, (len(shape) - 1,))
    surprise = build.add([parts.below, build.function(LOG, parts.sum)], [-1.0, 1.0])
    loss = build.add([_all(build, build.multiply(target, surprise))], [1 / places])
    expected = build.multiply(parts.shares, build.total(target, parts.reduced))
    return loss, build.add([expected, target], [1 / places, -1 / places])


LOSSES: Mapping[str, Callable[[ProgramBuilder, int, int], tuple[int, int]]] = MappingProxyType(
    {"cross-entropy": _cross_entropy, "mse": _mean_squared_error}
)
"""By name: from predictions and targets the loss of each row, and its gradient in the predictions.

The cross-entropy is that of logits with the probabilities of classes, the mean squared error is over all elements."""
