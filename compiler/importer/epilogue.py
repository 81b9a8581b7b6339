"""The end of a network that the client computes: softmax, argmax, names of classes.

Nodes that lead to outputs only, and that the client can compute after decryption, are cut off here. What they start
from is encrypted under the output's own name; the nodes become :mod:`~hecc.runtime.epilogue` steps. The same operators
in the middle of a network go the way of all others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

import onnx

from hecc.compiler.importer.batch import FLOATS
from hecc.compiler.importer.call import Call
from hecc.compiler.importer.operators import CONVERTERS
from hecc.compiler.importer.operators.ml import ML
from hecc.compiler.importer.scope import Constant, Decoded, Scope
from hecc.compiler.ir.graph import AffineNode, Value
from hecc.runtime import epilogue as steps

__all__ = ["RESHAPING", "STEPS", "convert_step", "is_step", "tail"]

RESHAPING = frozenset({"Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators that may follow a step, and are ordinary layers where none came before."""


def tail(graph: onnx.GraphProto) -> frozenset[str]:
    """The tensors that only outputs depend on, through operators that the client can compute."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found: set[str] = set()
    # What may stand behind a step; a classifier may only be the first.
    following: set[str] = set()
    for node in reversed(graph.node):
        standard = node.domain == ""
        follows = (node.op_type in STEPS and (standard or node.domain == ML)) or (
            standard and node.op_type in RESHAPING
        )
        starts = follows or (node.domain == ML and node.op_type == "LinearClassifier")
        if starts and all(reader.output[0] in following for name in node.output for reader in readers.get(name, [])):
            found.update(node.output)
            following.update(node.output if follows else ())
    return frozenset(found)


def is_step(call: Call) -> bool:
    """Whether a node of the tail is computed by the client: it is a step, or follows one."""
    return call.node.op_type in STEPS or isinstance(call.operands[0], Decoded)


def convert_step(call: Call) -> None:
    """Make a node of the tail a step, or the steps, of its outputs."""
    source = call.operands[0]
    if isinstance(source, Constant) or source is None:
        raise call.refuse("its input is a constant where the data is expected", "remove it from the network")
    if isinstance(source, Value):
        source = Decoded(source, source.shape, (), call.source)
    assert isinstance(source, Decoded), "the unknown is not converted"
    rule = STEPS.get(call.node.op_type)
    call.scope.operands[call.name] = rule(call, source) if rule else _reshape(call, source)


def _then(decoded: Decoded, step: steps.Step, shape: tuple[int, ...] | None = None) -> Decoded:
    return replace(decoded, shape=decoded.shape if shape is None else shape, steps=(*decoded.steps, step))


def _axes(call: Call, axes: tuple[int, ...], decoded: Decoded) -> tuple[int, ...]:
    """Axes of one example, which has no batch axis."""
    counted = call.axes(axes, len(decoded.shape))
    if not call.scope.batch.axis:
        return counted
    if 0 in counted:
        raise call.refuse(
            "it combines the examples of a batch, which are encrypted apart", "use another axis than the first"
        )
    return tuple(axis - 1 for axis in counted)


def _over(call: Call, decoded: Decoded, kind: Callable[[tuple[int, ...]], steps.Step]) -> Decoded:
    """Softmax and its like: over one axis, or before opset 13 over all axes from one on."""
    rank = len(decoded.shape)
    if call.source.opset >= 13:
        return _then(decoded, kind(_axes(call, (call.attribute("axis", -1),), decoded)))
    (first,) = call.axes((call.attribute("axis", 1),), rank)
    return _then(decoded, kind(_axes(call, tuple(range(first, rank)), decoded)))


def _extreme(call: Call, decoded: Decoded, *, largest: bool) -> Decoded:
    axis = call.attribute("axis", 0)
    (place,) = call.axes((axis,), len(decoded.shape))
    (inner,) = _axes(call, (axis,), decoded)
    step = steps.ArgMax(axis=inner, largest=largest, last=bool(call.attribute("select_last_index", 0)))
    found = _then(decoded, step, (*decoded.shape[:place], *decoded.shape[place + 1 :]))
    if not call.attribute("keepdims", 1):
        return found
    kept = (*decoded.shape[:place], 1, *decoded.shape[place + 1 :])
    return _then(found, steps.Reshape(_example(call.scope, kept)), kept)


def _normalize(call: Call, decoded: Decoded) -> Decoded:
    norm, axis = call.attribute("norm", "MAX"), -1
    if call.node.op_type == "LpNormalization":
        norm, axis = {1: "L1", 2: "L2"}.get(call.attribute("p", 2), "of this order"), call.attribute("axis", -1)
    kinds: dict[str, Literal["l1", "l2", "max"]] = {"L1": "l1", "L2": "l2", "MAX": "max"}
    if norm not in kinds:
        raise call.fault(f"its norm '{norm}' does not exist")
    (inner,) = _axes(call, (axis,), decoded)
    return _then(decoded, steps.Normalize(norm=kinds[norm], axis=inner))


def _zip_map(call: Call, decoded: Decoded) -> Decoded:
    labels = call.attribute("classlabels_int64s", ()) or call.attribute("classlabels_strings", ())
    if decoded.shape[-1:] != (len(labels),):
        raise call.fault(f"it has {len(labels)} names for {decoded.shape[-1:]} columns")
    return _then(decoded, steps.Columns(labels=labels))


def _reshape(call: Call, decoded: Decoded) -> Decoded:
    """A node that only reshapes, converted on the side to learn the shape; or a cast."""
    if call.node.op_type == "Cast":
        element = call.attribute("to", 0)
        names = any(isinstance(step, steps.Labels) and isinstance(step.labels[0], str) for step in decoded.steps)
        if element in (onnx.TensorProto.INT32, onnx.TensorProto.INT64) and not names:
            integers = any(isinstance(step, steps.ArgMax | steps.Truncate | steps.Labels) for step in decoded.steps)
            return decoded if integers else _then(decoded, steps.Truncate())
        if element not in FLOATS or names:
            name = onnx.TensorProto.DataType.Name(element).lower()
            raise call.refuse(f"a cast to {name} is not supported after decryption", "remove it from the network")
        return decoded
    side = replace(call.scope, operands=dict(call.scope.operands), nodes=[], parameters={})
    side.operands[call.node.input[0]] = Value(call.node.input[0], decoded.shape)
    CONVERTERS[call.node.op_type].convert(Call.of(side, call.node))
    reshaped = side.nodes[-1]
    assert isinstance(reshaped, AffineNode)
    assert reshaped.reshapes_only
    shape = reshaped.output.shape
    if shape == decoded.shape:
        return decoded
    return _then(decoded, steps.Reshape(_example(call.scope, shape)), shape)


def _example(scope: Scope, shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[1:] if scope.batch.axis else shape


STEPS: Mapping[str, Callable[[Call, Decoded], Decoded]] = MappingProxyType(
    {
        "ArgMax": lambda call, decoded: _extreme(call, decoded, largest=True),
        "ArgMin": lambda call, decoded: _extreme(call, decoded, largest=False),
        "Hardmax": lambda call, decoded: _over(call, decoded, steps.Hardmax),
        "LogSoftmax": lambda call, decoded: _over(call, decoded, steps.LogSoftmax),
        "LpNormalization": _normalize,
        "Normalizer": _normalize,
        "Sigmoid": lambda call, decoded: _then(decoded, steps.Sigmoid()),
        "Softmax": lambda call, decoded: _over(call, decoded, steps.Softmax),
        "ZipMap": _zip_map,
    }
)
"""The operators that the client computes at the end of a network."""
