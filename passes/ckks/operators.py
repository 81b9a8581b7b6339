"""Operators: what is neither affine nor elementwise is taken apart into what CKKS can evaluate.

CKKS adds and multiplies. A softmax is exponentials over their sum, and a maximum is a tournament of rectifiers; all of
these are functions of one variable, to which polynomials are fitted later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.ckks.operators.maxima import extremum, reduced_extremum, window_extremum
from hecc.compiler.ckks.operators.parts import Parts
from hecc.compiler.ckks.operators.softmax import Spread, log_softmax, softmax
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import OperatorNode
from hecc.compiler.graph.operators import (
    OPERATORS,
    Extremum,
    LogSoftmax,
    ReducedExtremum,
    Softmax,
    WindowExtremum,
)
from hecc.runtime.reading import Reading

__all__ = ["take_operators_apart"]

ROWS = 256
"""Calibration inputs that tell how far apart numbers lie."""


def take_operators_apart(graph: Graph, calibration: Mapping[str, NDArray[np.float64]] | None = None) -> Graph:
    """Replace operators by affine maps, functions and products.

    Parameters
    ----------
    calibration
        Inputs by name, shape (rows, ...), which tell how far apart the numbers of a softmax lie; a few are looked at.

    Raises
    ------
    UnsupportedError
        A maximum has a window without a pixel.
    """
    if not any(isinstance(node, OperatorNode) for node in graph.nodes):
        return graph
    parts, spreads = Parts(graph), _spreads(graph, calibration)
    for node in graph.nodes:
        if isinstance(node, OperatorNode):
            _PARTS.of(node.operator)(node, node.operator, parts, spreads)
        else:
            parts.define(node)
    return graph.with_nodes(parts.nodes, parts.parameters)


def _spreads(graph: Graph, calibration: Mapping[str, NDArray[np.float64]] | None) -> dict[str, Spread]:
    """How far apart the numbers of each softmax lie, by the names of the results."""
    found = {}
    operators = [(node, node.operator) for node in graph.nodes if isinstance(node, OperatorNode)]
    softmaxes = [(node, operator) for node, operator in operators if isinstance(operator, Softmax)]
    if calibration and softmaxes:
        values = graph.evaluate({name: rows[:ROWS] for name, rows in calibration.items()})
        for node, operator in softmaxes:
            (shape,) = operator.in_shapes
            numbers = values[node.values[0]].reshape(-1, *shape)
            if np.isfinite(numbers).all():
                found[node.output.name] = Spread.of(numbers, operator.axes)
    return found


_PARTS: Reading[Callable[[OperatorNode, Any, Parts, Mapping[str, Spread]], None]] = Reading(
    "parts of operators under CKKS",
    OPERATORS,
    {
        Extremum: lambda node, operator, parts, _: extremum(node, operator, parts),
        LogSoftmax: lambda node, operator, parts, _: log_softmax(node, operator, parts),
        ReducedExtremum: lambda node, operator, parts, _: reduced_extremum(node, operator, parts),
        Softmax: lambda node, operator, parts, spreads: softmax(node, operator, parts, spreads.get(node.output.name)),
        WindowExtremum: lambda node, operator, parts, _: window_extremum(node, operator, parts),
    },
)
