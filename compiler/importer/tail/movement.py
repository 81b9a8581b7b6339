"""Operators that only move elements, and casts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx

from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, InputNode, Node, Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.scope import Constant, Decoded, Tail
from hecc.compiler.importer.operators import CONVERTERS
from hecc.compiler.importer.operators.ml import ML_CONVERTERS
from hecc.compiler.importer.reading.inference import infer_shapes
from hecc.compiler.importer.reading.prepare import FLOATS, type_name
from hecc.compiler.importer.tail.decoded import after, constant, inner, operand, settled, then
from hecc.runtime.tail import epilogue as steps

__all__ = ["MOVING", "RESHAPING", "cast", "cast_like", "move"]

RESHAPING = frozenset({"Cast", "CastLike", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators that leave the elements where they are."""

MOVING = frozenset(
    {"ArrayFeatureExtractor", "Compress", "Concat", "Expand", "Gather", "GatherElements", "GatherND", "Pad", "Slice"}
    | {"Split", "Tile", "Transpose"}
)
"""Operators that move them."""


def cast(call: Call) -> Decoded:
    """Between real numbers, integers and truth values."""
    return _cast(call, operand(call, 0), call.attribute("to", 0))


def cast_like(call: Call) -> Decoded:
    """To the type of another tensor."""
    decoded, like = operand(call, 0), operand(call, 1)
    types = onnx.TensorProto
    kinds = {"real": types.FLOAT, "integer": types.INT64, "boolean": types.BOOL, "name": types.STRING}
    return _cast(call, decoded, kinds[like.values.kind])


def _cast(call: Call, decoded: Decoded, element: int) -> Decoded:
    kind = decoded.values.kind
    integral = element in (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
    if kind == "name" or not (integral or element in FLOATS or element == onnx.TensorProto.BOOL):
        if kind == "name" and element == onnx.TensorProto.STRING:
            return decoded
        raise call.refuse(
            f"a cast to {type_name(element)} is not supported after decryption", "remove it from the network"
        )
    if element == onnx.TensorProto.BOOL:
        nonzero = steps.Elementwise(operator="nonzero", values=(0,))
        return decoded if kind == "boolean" else then(call, decoded, nonzero)
    if element in FLOATS:
        return decoded if kind == "real" else then(call, decoded, steps.Real())
    if kind == "integer":
        return decoded
    # Exporters cast integers to float and back, and reshape them in between.
    before = decoded
    while isinstance(before.step, steps.Reshape):
        (before,) = before.operands
    if isinstance(before.step, steps.Real) and before.operands[0].values.kind == "integer":
        return settled(call, replace(before.operands[0], shape=decoded.shape))
    return then(call, decoded, steps.Truncate())


def move(call: Call) -> dict[str, Decoded | Constant]:
    """The outputs of a node that moves elements.

    Its own converter says how: it is run on the side, on values of the same shapes, and the maps that it makes on the
    numbers of their elements.
    """
    scope = call.scope
    moved = {
        name: operand(call, index)
        for index, name in enumerate(call.node.input)
        if name and not isinstance(scope.operands[name], Constant)
    }
    side = replace(scope, operands=dict(scope.operands), nodes=[], parameters={}, tail=Tail())
    inputs: list[Node] = []
    for name, decoded in moved.items():
        value = Value(name, decoded.shape)
        side.operands[name] = value
        inputs.append(InputNode(value, call.source))
    known = ML_CONVERTERS if call.node.domain else CONVERTERS
    known[call.node.op_type].convert(Call.of(side, call.node))
    results: dict[str, Decoded | Constant] = {}
    whole = infer_shapes(side, call.node) if scope.batch.extent > 1 else {}
    for name in filter(None, call.node.output):
        result = side.operands.get(name)
        if isinstance(result, Value) and name in whole and whole[name] != scope.batch.whole(result.shape):
            raise call.refuse_mixing()
        if isinstance(result, Constant):
            results[name] = result
        elif isinstance(result, Value):
            results[name] = _picked(call, moved, Graph((*inputs, *side.nodes), (name,), side.parameters), result)
    return results


def _picked(call: Call, moved: dict[str, Decoded], graph: Graph, result: Value) -> Decoded:
    """The elements of one output, by where they come from."""
    positions, start = {}, 1
    for name, decoded in moved.items():
        size = math.prod(decoded.shape)
        positions[name] = np.arange(start, start + size, dtype=np.float64)[np.newaxis]
        start += size
    # Constants that are moved too are what the maps add to zeros.
    zeros = {name: np.zeros_like(array) for name, array in positions.items()}
    constants = graph.evaluate(zeros)[result.name][0]
    bare = [replace(node, bias=None) if isinstance(node, AffineNode) else node for node in graph.nodes]
    index = replace(graph, nodes=tuple(bare)).evaluate(positions)[result.name][0].astype(np.int64) - 1
    operands = list(moved.values())
    if len(operands) == 1 and np.array_equal(index, np.arange(math.prod(operands[0].shape))):
        return settled(call, replace(operands[0], shape=result.shape))
    if bool((index < 0).any()):
        operands.append(constant(call, constants))
        index = np.where(index < 0, start - 1 + np.arange(index.size), index)
    places = tuple(range(len(operands)))
    step = steps.Pick(values=places, index=tuple(index.tolist()), shape=inner(call, result.shape))
    return after(call, result.shape, step, *operands)
