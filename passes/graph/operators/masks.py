"""Masks: what a large negative constant hides from a softmax is left out of it.

Exporters write an attention mask as a constant such as -1e4, -1e9 or the smallest number there is, which is added, or
chosen, ahead of a softmax. In floating point its exponential is zero. On encrypted or shared numbers it would be a
value a thousand times larger than all others. So it becomes what it means, the softmax's own mask, where the values on
the calibration inputs say that it is none of them that decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, Node, OperatorNode
from hecc.compiler.graph.operators import Softmax

__all__ = ["hide_masked"]

Array = NDArray[np.float64]

FAR = -100.0
"""Larger constants are no masks: in single precision the exponential of a smaller one is zero."""

SPREADS = 8.0
"""By how many times what is kept differs on the calibration inputs a hidden number has to be below it, and more."""

ROWS = 256
"""Calibration inputs that are looked at."""


def hide_masked(graph: Graph, calibration: Mapping[str, Array] | None) -> Graph:
    """Leave out of every softmax what a large negative constant hides.

    Parameters
    ----------
    graph
        Imported.
    calibration
        Inputs by name, shape (rows, ...); without them nothing changes.
    """
    masked = [] if calibration is None else [node for node in graph.nodes if _biased(graph, node) is not None]
    if not masked:
        return graph
    values = graph.evaluate({name: rows[:ROWS] for name, rows in (calibration or {}).items()})
    changed: dict[str, tuple[Node, ...]] = {}
    parameters: dict[str, NDArray[Any]] = {}
    for node in masked:
        assert isinstance(node, OperatorNode)
        assert isinstance(node.operator, Softmax)
        before = _biased(graph, node)
        assert before is not None
        assert before.bias is not None
        shape = before.output.shape
        bias = np.broadcast_to(np.asarray(graph.parameters[before.bias], dtype=np.float64), shape)
        hidden = _hidden(values[before.output.name].reshape(-1, *shape), bias, graph, node.operator)
        if not bool(hidden.any()):
            continue
        name = f"{node.output.name}:hidden"
        shown = np.ones(shape) if node.operator.mask is None else np.asarray(graph.parameters[node.operator.mask])
        parameters[f"{name}:mask"] = np.where(hidden, 0.0, shown).astype(np.float32)
        parameters[f"{name}:bias"] = np.where(hidden, 0.0, bias)
        changed[before.output.name] = (replace(before, bias=f"{name}:bias"),)
        changed[node.output.name] = (replace(node, operator=replace(node.operator, mask=f"{name}:mask")),)
    return graph.with_changed(changed, parameters) if changed else graph


def _biased(graph: Graph, node: Node) -> AffineNode | None:
    """The sum that a softmax is taken of, where a constant of it is far below zero and nothing else reads it."""
    if not isinstance(node, OperatorNode) or not isinstance(node.operator, Softmax):
        return None
    before = graph.node(node.values[0])
    if not isinstance(before, AffineNode) or before.bias is None or before.output.name in graph.outputs:
        return None
    read = graph.consumers()[before.output.name]
    return before if len(read) == 1 and float(np.min(graph.parameters[before.bias])) <= FAR else None


def _hidden(values: Array, bias: Array, graph: Graph, operator: Softmax) -> NDArray[np.bool_]:
    """What is so far below all that is kept that it has no share, on any row; shape (rows, ...) to the rest of it."""
    along = tuple(axis + 1 for axis in operator.axes)
    shown = np.ones(bias.shape, dtype=bool)
    if operator.mask is not None:
        shown = np.broadcast_to(np.asarray(graph.parameters[operator.mask]) != 0, bias.shape)
    far = (bias <= FAR) & shown
    kept = shown & ~far
    largest = np.where(kept, values, -np.inf).max(axis=along, keepdims=True)
    least = np.where(kept, values, np.inf).min(axis=along, keepdims=True)
    with np.errstate(invalid="ignore"):
        below = values < largest - SPREADS * (largest - least) + FAR
    return np.asarray(far & below.all(axis=0))
