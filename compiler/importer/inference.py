"""Shapes that ONNX itself infers, one node at a time."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.shape_inference
from onnx import helper, numpy_helper

from hecc.compiler.importer.prepare import FLOATS
from hecc.compiler.importer.scope import Constant, Scope
from hecc.compiler.ir.graph import Value

__all__ = ["infer_shapes"]

SMALL = 4096
"""Constants up to this many elements take part with their values: shapes, axes, pads."""


def infer_shapes(scope: Scope, node: onnx.NodeProto) -> dict[str, tuple[int, ...]]:
    """Shapes in the file (of the whole batch) of those outputs of a node for which ONNX can tell them."""
    if not _axes_exist(scope, node):
        return {}
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    for name in filter(None, node.input):
        operand = scope.operands[name]
        if isinstance(operand, Value):
            # What a comparison makes is one or zero, and only these operators read it as such.
            truth = node.op_type == "Not" or (node.op_type == "Where" and name == node.input[0])
            kind = onnx.TensorProto.BOOL if truth else onnx.TensorProto.FLOAT
            types[name] = helper.make_tensor_type_proto(kind, scope.batch.whole(operand.shape))
        elif isinstance(operand, Constant):
            # All real types are one here, as they are for encrypted values.
            element = helper.np_dtype_to_tensor_dtype(operand.array.dtype)
            real = element in FLOATS
            types[name] = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT if real else element, operand.shape)
            if operand.array.size <= SMALL:
                array = operand.array.astype(np.float32) if real else operand.array
                data[name] = numpy_helper.from_array(array, name)
        else:
            return {}
    imports = list(scope.model.opset_import)
    version = next((entry.version for entry in imports if entry.domain == node.domain), 1)
    try:
        schema = onnx.defs.get_schema(node.op_type, version, node.domain)
        inferred = onnx.shape_inference.infer_node_outputs(schema, node, types, data, opset_imports=imports)
    except (
        onnx.defs.SchemaError,
        onnx.shape_inference.InferenceError,
        onnx.checker.ValidationError,
        RuntimeError,
        ValueError,
    ):
        # Not knowing is an answer here: inference serves the error messages and the checks.
        return {}
    shapes = {}
    for name, kind in inferred.items():
        tensor = kind.tensor_type
        if kind.HasField("tensor_type") and tensor.HasField("shape"):
            dims = tensor.shape.dim
            if all(dim.HasField("dim_value") for dim in dims):
                shapes[name] = tuple(dim.dim_value for dim in dims)
    return shapes


def _axes_exist(scope: Scope, node: onnx.NodeProto) -> bool:
    """Whether a node's axes are within its operands: for some operators, inference reads outside of memory else."""
    ranks = [
        len(operand.shape) for name in node.input if isinstance(operand := scope.operands.get(name), Value | Constant)
    ]
    rank = max(ranks, default=0)
    # Where an axis is new, or an end, there is one more.
    last = rank - 1 if node.op_type in ("LayerNormalization", "RMSNormalization") else rank
    numbers = [
        number
        for attribute in node.attribute
        if attribute.name in ("axis", "axes", "batch_axis", "time_axis", "perm", "stash_axis")
        for number in (attribute.i, *attribute.ints)
    ]
    return all(-last - 1 <= number <= last for number in numbers) or node.op_type == "Unsqueeze"
