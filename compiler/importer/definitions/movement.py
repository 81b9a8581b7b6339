"""Operators that only move elements: their maps are what ONNX's own reference implementation does to positions.

Every element of an encrypted tensor is represented by its number, counted from one, and the operator is evaluated on
the numbers. What comes out says where each element of the result comes from: that is the index of a
:class:`~hecc.compiler.graph.affine.Select`. Zero stands for what comes from nowhere, a filling or a constant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.reference import evaluate
from hecc.compiler.importer.building.scope import Constant
from hecc.compiler.importer.definitions.maps import select

__all__ = ["move"]


def move(call: Call, data: Sequence[int] = (0,)) -> None:
    """Define all outputs of a node that moves elements.

    Parameters
    ----------
    data
        Which inputs are moved. They may be encrypted or constant; the others (indices, axes, shapes, conditions) must
        be constant.
    """
    batch = call.scope.batch
    values: dict[str, Value] = {}
    constants: dict[str, Constant] = {}
    others: dict[str, NDArray[Any]] = {}
    for index, name in enumerate(call.node.input):
        if call.optional(index) is None:
            continue
        if index not in data:
            others[name] = call.constant(index).array
        elif isinstance(operand := call.operand(index), Value):
            values[name] = operand
        else:
            call.parameter(operand)
            constants[name] = operand
    positions: dict[str, NDArray[np.int64]] = {}
    starts = [1]
    for name, value in values.items():
        shape = batch.whole(value.shape)
        positions[name] = np.arange(starts[-1], starts[-1] + math.prod(shape)).reshape(shape)
        starts.append(starts[-1] + math.prod(shape))
    unmoved = {name: np.zeros(constant.shape, np.int64) for name, constant in constants.items()}
    remedy = "check that its indices, axes and shapes fit its input, and export the network again"
    sources = evaluate(call, {**others, **positions, **unmoved}, remedy)
    fillings: dict[str, NDArray[Any]] = {}
    if constants:
        kind = np.result_type(*(constant.array for constant in constants.values()))
        zeros = {name: np.zeros(array.shape, kind) for name, array in positions.items()}
        fillings = evaluate(call, {**others, **zeros, **{name: c.array for name, c in constants.items()}}, remedy)
    for name, source in sources.items():
        call.bounded(source.shape)
        if source.size == 0:
            # No elements: nothing of it is secret. Exporters cut tensors into parts of which one may be empty.
            call.scope.operands[name] = Constant(name, np.zeros(source.shape, np.float32))
            continue
        terms = []
        for value, start, end in zip(values.values(), starts, starts[1:], strict=False):
            origin = np.where((source >= start) & (source < end), source - start, -1)
            terms.append((value, select(value.shape, _example(call, origin, value))))
        bias = None
        if constants and bool(fillings[name].any()):
            bias = call.scope.parameter(f"{name}:constants", _filling(call, fillings[name]))
        call.affine(Value(name, terms[0][1].out_shape), *terms, bias=bias)


def _example(call: Call, index: NDArray[np.int64], value: Value) -> NDArray[np.int64]:
    """The index of one example, from that of the whole batch: each example must be made of itself, and all alike."""
    batch = call.scope.batch
    shape = batch.example(index.shape)
    if shape is None:
        raise call.refuse_mixing()
    rows: NDArray[np.int64] = index.reshape(batch.extent, -1)
    expected = rows[0] + np.arange(batch.extent)[:, np.newaxis] * math.prod(value.shape)
    if not np.array_equal(rows, np.where(rows[0] < 0, -1, expected)) or rows[0].max(initial=-1) >= math.prod(
        value.shape
    ):
        raise call.refuse_mixing()
    return np.asarray(rows[0].reshape(shape))


def _filling(call: Call, filling: NDArray[Any]) -> NDArray[Any]:
    """What constants contribute to one example."""
    batch = call.scope.batch
    rows = filling.reshape(batch.extent, -1)
    if not bool((rows == rows[0]).all()):
        raise call.refuse_mixing()
    return np.asarray(rows[0].reshape(batch.example(filling.shape) or ()))
