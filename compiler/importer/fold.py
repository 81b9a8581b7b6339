"""Constant folding: a node whose inputs are all known is evaluated at once, by ONNX's reference implementation."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from hecc.compiler.importer.call import Call
from hecc.compiler.importer.inference import infer_shapes
from hecc.compiler.importer.scope import Constant, Decoded
from hecc.compiler.ir.graph import Value

__all__ = ["evaluate", "fold"]


def fold(call: Call) -> dict[str, Constant]:
    """Evaluate a node that depends on constants, or on nothing but the shape of a value.

    Returns
    -------
    dict
        The node's outputs by name.
    """
    if call.node.domain:
        raise call.refuse_operator()
    if any(attribute.HasField("sparse_tensor") for attribute in call.node.attribute):
        raise call.refuse("it holds a sparse tensor", "store it densely: hecc finds the zeros by itself")
    remedy = "fold the network's constants before importing, for instance with onnxsim"
    results = evaluate(call, {name: _array(call, name) for name in call.node.input if name}, remedy)
    return {name: Constant(name, array) for name, array in results.items()}


def evaluate(call: Call, feeds: Mapping[str, NDArray[Any]], remedy: str) -> dict[str, NDArray[Any]]:
    """What ONNX's reference implementation computes for a node, by the names of its outputs.

    Raises
    ------
    RefusedNodeError
        It cannot; ``remedy`` says what to do.
    """
    for shape in infer_shapes(call.scope, call.node).values():
        call.bounded(shape)
    if call.node.op_type == "CumSum":
        # PyTorch writes the axis as a vector of one, which onnxruntime takes and the reference does not.
        feeds = {name: array.reshape(()) if name == call.node.input[1] else array for name, array in feeds.items()}
    outputs = [name for name in call.node.output if name]
    graph = helper.make_graph(
        [call.node],
        "folded",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in feeds.items()],
        [helper.make_value_info(name, onnx.TypeProto()) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=call.scope.model.opset_import)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            results: Any = ReferenceEvaluator(model).run(None, dict(feeds))
    except Exception as error:  # the evaluator raises whatever its numpy code happens to raise
        raise call.refuse(
            f"ONNX's reference implementation cannot evaluate it ({type(error).__name__})", remedy
        ) from None
    if not all(isinstance(result, np.ndarray | np.generic) for result in results):
        raise call.refuse("its result is not a tensor", "use tensors instead of sequences, maps and optionals")
    return {name: np.asarray(result) for name, result in zip(outputs, results, strict=True)}


def _array(call: Call, name: str) -> NDArray[Any]:
    """A constant's array; for a value, zeros of its shape in the file that take no memory."""
    operand = call.scope.operands[name]
    if isinstance(operand, Value | Decoded):
        return np.broadcast_to(np.float32(0), call.scope.batch.whole(operand.shape))
    assert isinstance(operand, Constant)
    return operand.array
