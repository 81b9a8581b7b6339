"""Constant folding: a node whose inputs are all known is evaluated when the model is imported.

There are three ways, each checked against onnxruntime at every opset by ``tests/fuzz/importing.py``:

* a rule of its own, for arithmetic, comparisons, reductions, quantisation and shapes, in the types of ONNX;
* the operator's converter: the node is imported as if its first input were encrypted, and the graph is evaluated in
  double precision, so that a constant means what the same node means on encrypted data;
* ONNX's reference implementation, for operators that move elements or make shapes and indices.

What none of them covers is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, InputNode, Value
from hecc.compiler.importer.building.batch import Batch
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.reference import evaluate
from hecc.compiler.importer.building.refusals import RefusedNodeError
from hecc.compiler.importer.building.scope import Constant, Decoded, Tail
from hecc.compiler.importer.building.scope import array as tensor_array
from hecc.compiler.importer.folding.arithmetic import ELEMENTWISE, is_real
from hecc.compiler.importer.folding.quantisation import QUANTISATION
from hecc.compiler.importer.folding.reductions import REDUCTIONS
from hecc.compiler.importer.folding.shapes import SHAPES
from hecc.compiler.importer.operators import CONVERTERS
from hecc.compiler.importer.reading.inference import infer_constants

__all__ = ["CONVERTED", "REFERENCE", "RULES", "fold"]

Array = NDArray[Any]


RULES: Mapping[str, Callable[[Call, Sequence[Array | None]], Array | tuple[Array, ...]]] = MappingProxyType(
    {**ELEMENTWISE, **REDUCTIONS, **QUANTISATION, **SHAPES}
)
"""Rules of their own, by operator."""

REFERENCE = frozenset(
    {"BlackmanWindow", "CenterCropPad", "Compress", "Concat", "Constant", "ConstantOfShape", "DepthToSpace"}
    | {"Expand", "EyeLike", "Flatten", "Gather", "GatherElements", "GatherND", "HammingWindow", "HannWindow"}
    | {"Identity", "NonZero", "Pad", "Range", "Reshape", "ReverseSequence", "ScatterElements", "ScatterND"}
    | {"Size", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Trilu"}
)
"""Operators about which ONNX's reference implementation agrees with onnxruntime at every opset."""

UNCHECKED = frozenset({"GlobalMaxPool", "MaxPool"})
"""Operators that are converted, but whose results of constants nobody compared with onnxruntime's."""

CONVERTED = CONVERTERS.keys() - RULES.keys() - REFERENCE - UNCHECKED
"""Operators that are folded as they are converted."""

NO_TENSORS = frozenset(
    {"Optional", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SplitToSequence"}
)
"""Operators whose results are sequences or optionals."""

WAY_OUT = "fold the network's constants before importing, for instance with onnxsim"


def fold(call: Call) -> dict[str, Constant]:
    """Evaluate a node that depends on constants, or on nothing but the shape of a value.

    Returns
    -------
    dict
        The node's outputs by name.

    Raises
    ------
    RefusedNodeError
        There is no checked rule for it.
    """
    operator = call.node.op_type
    if call.node.domain:
        raise call.refuse_operator()
    if any(attribute.HasField("sparse_tensor") for attribute in call.node.attribute):
        raise call.refuse("it holds a sparse tensor", "store it densely: hecc finds the zeros by itself")
    if operator == "Constant" and isinstance(tensor := call.attributes.get("value"), onnx.TensorProto):
        return {call.name: Constant(call.name, tensor_array(tensor))}
    for _, shape in infer_constants(call.scope, call.node).values():
        call.bounded(shape or ())
    if operator in RULES:
        return _by_rule(call)
    if operator in REFERENCE:
        results = evaluate(call, {name: _array(call, name) for name in call.node.input if name}, WAY_OUT)
        return {name: Constant(name, array) for name, array in results.items()}
    if operator in CONVERTED:
        return _by_converter(call)
    raise _unchecked(call)


def _unchecked(call: Call) -> RefusedNodeError:
    """Refuse a node of constants that there is no rule for."""
    if call.node.op_type in NO_TENSORS:
        return call.refuse("its result is not a tensor", "use tensors instead of sequences, maps and optionals")
    return call.refuse("its inputs are constants, and hecc has no checked rule to compute it", WAY_OUT)


def _by_rule(call: Call) -> dict[str, Constant]:
    operands = [_array(call, name) if name else None for name in call.node.input]
    if any(array is not None and array.dtype.kind in "OSU" for array in operands):
        raise _unchecked(call)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = RULES[call.node.op_type](call, operands)
    arrays = found if isinstance(found, tuple) else (found,)
    return {n: Constant(n, np.asarray(array)) for n, array in zip(call.node.output, arrays, strict=False) if n}


def _by_converter(call: Call) -> dict[str, Constant]:
    """Import the node as if its first input were encrypted, all of it one example, and evaluate what that makes."""
    data = call.constant(0).array
    if not is_real(data):
        raise _unchecked(call)
    if data.size == 0:
        raise call.refuse("its input has no elements", "remove it from the network")
    name = call.node.input[0]
    value = Value(name, data.shape)
    side = replace(
        call.scope,
        batch=Batch(axis=False),
        tail=Tail(),
        operands={**call.scope.operands, name: value},
        nodes=[],
        parameters={},
        decoded={},
    )
    CONVERTERS[call.node.op_type].convert(Call.of(side, call.node))
    if not bool(np.isfinite(data).all()) and any(isinstance(node, AffineNode) for node in side.nodes):
        # A weight of zero times infinity is no zero.
        raise call.refuse(f"its constant '{name}' holds infinity or NaN", "use a finite number, such as -1e9 in a mask")
    made = {n: operand for n in call.node.output if n and isinstance(operand := side.operands.get(n), Value)}
    graph = Graph((InputNode(value, call.source), *side.nodes), tuple(made), side.parameters, batch_axis=False)
    values = graph.evaluate({name: data.astype(np.float64)[np.newaxis]})
    kinds = infer_constants(call.scope, call.node)
    results: dict[str, Constant] = {}
    for output, result in made.items():
        kind = kinds[output][0] if output in kinds else data.dtype
        if bool(np.isnan(values[output]).any()) and not bool(np.isnan(data).any()):
            raise call.refuse("its result is not a number", "remove it, or what makes its input, from the network")
        with np.errstate(over="ignore"):
            results[output] = Constant(output, values[output][0].reshape(result.shape).astype(kind))
    return results


def _array(call: Call, name: str) -> Array:
    """A constant's array; for a value, zeros of its shape in the file that take no memory."""
    operand = call.scope.operands[name]
    if isinstance(operand, Value | Decoded):
        return np.broadcast_to(np.float32(0), call.scope.batch.whole(operand.shape))
    assert isinstance(operand, Constant)
    return operand.array
