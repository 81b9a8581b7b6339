"""The network itself, in clear and with its true functions: what a plan's answers are held against.

A plan has polynomials where the network has activations, so what the plan computes without noise is not yet what the
network says.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.graph import Graph
from hecc.compiler.importer import import_model
from hecc.inputs.models import Model, model_bytes, onnx_model
from hecc.runtime.errors import InputError, UnsupportedError
from hecc.runtime.plan.header import PlanHeader
from hecc.runtime.tail.epilogue import apply_steps, result_shape

__all__ = ["Reference"]

MOST = 1 << 25
"""Elements that are in memory at once, of all values inside the network, unless a single row has more."""

Interface = tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]


class Reference:
    """The network that a plan was compiled from.

    Parameters
    ----------
    model
        As for :func:`hecc.compile`.
    header
        The plan's.
    example_input
        As for :func:`hecc.compile`.

    Raises
    ------
    InputError
        The file cannot be read, or the model is not the plan's.
    UnsupportedError
        The model cannot be imported.
    """

    def __init__(self, model: Model, header: PlanHeader, example_input: Any = None) -> None:
        self._graph = _import(model, header, example_input)

    def evaluate(self, tensors: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[Any]]:
        """Every output of the network, as :func:`hecc.simulate` returns them, from rows of every input."""
        rows = len(next(iter(tensors.values())))
        step = max(1, MOST // sum(math.prod(node.output.shape) for node in self._graph.nodes))
        parts = [
            self._part({name: values[begin : begin + step] for name, values in tensors.items()})
            for begin in range(0, rows, step)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._graph.outputs}

    def _part(self, tensors: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[Any]]:
        graph, values = self._graph, self._graph.evaluate(tensors)
        return {
            name: apply_steps(values[name].reshape(-1, *_shape(graph, name)), graph.epilogues.get(name, ()))
            for name in graph.outputs
        }


def _import(model: Model, header: PlanHeader, example_input: Any) -> Graph:
    """Import the plan's own model as the plan was compiled: its inputs tell whether axis 0 is the batch."""
    wanted, refusals = _interface_of_plan(header), []
    for batch_axis in (True, False):
        network, graph = onnx_model(model, example_input, batch_axis), None
        try:
            # First, as the importer says best what is wrong with a file that is no model.
            graph = import_model(network, batch_axis=batch_axis)
        except UnsupportedError as error:
            refusals.append(error)
        if isinstance(network, bytes | str | os.PathLike):
            _check_fingerprint(network, header)
        if graph is not None and _interface(graph) == wanted:
            return graph
    if len(refusals) == 2:
        raise refusals[0]
    raise InputError(
        "the model has other inputs or outputs than the plan; give the network that the plan was compiled from"
    )


def _check_fingerprint(model: str | os.PathLike[str] | bytes, header: PlanHeader) -> None:
    if hashlib.sha256(model_bytes(model)).hexdigest() != header.model:
        what = "the bytes given are" if isinstance(model, bytes) else f"{os.fspath(model)} is"
        raise InputError(
            f"{what} not the model that the plan was compiled from, whose SHA-256 is {header.model[:16]}...; give that "
            "one, or compile this one again"
        )


def _interface(graph: Graph) -> Interface:
    """Shapes of one example of every input and every result."""
    return (
        {node.output.name: graph.example_shape(node.output.shape) for node in graph.inputs()},
        {name: result_shape(_shape(graph, name), graph.epilogues.get(name, ())) for name in graph.outputs},
    )


def _interface_of_plan(header: PlanHeader) -> Interface:
    return (
        {signature.name: signature.shape for signature in header.inputs},
        {signature.name: result_shape(signature.shape, signature.epilogue) for signature in header.outputs},
    )


def _shape(graph: Graph, name: str) -> tuple[int, ...]:
    return graph.example_shape(graph.node(name).output.shape)
