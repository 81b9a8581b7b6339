"""Operators: what is neither affine nor elementwise is taken apart into what CKKS can evaluate.

CKKS adds and multiplies. A softmax is exponentials over their sum, and a maximum is a tournament of rectifiers; all of
these are functions of one variable, to which polynomials are fitted later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hecc.compiler.ckks.operators.maxima import extremum, reduced_extremum, window_extremum
from hecc.compiler.ckks.operators.parts import Parts
from hecc.compiler.ckks.operators.softmax import log_softmax, softmax
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


def take_operators_apart(graph: Graph) -> Graph:
    """Replace operators by affine maps, functions and products.

    Raises
    ------
    UnsupportedError
        A maximum has a window without a pixel.
    """
    if not any(isinstance(node, OperatorNode) for node in graph.nodes):
        return graph
    parts = Parts(graph)
    for node in graph.nodes:
        if isinstance(node, OperatorNode):
            _PARTS.of(node.operator)(node, node.operator, parts)
        else:
            parts.define(node)
    return graph.with_nodes(parts.nodes, parts.parameters)


_PARTS: Reading[Callable[[OperatorNode, Any, Parts], None]] = Reading(
    "parts of operators under CKKS",
    OPERATORS,
    {
        Extremum: extremum,
        LogSoftmax: log_softmax,
        ReducedExtremum: reduced_extremum,
        Softmax: softmax,
        WindowExtremum: window_extremum,
    },
)
