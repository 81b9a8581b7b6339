"""Types and shapes that ONNX itself infers, one node at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.shape_inference
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.scope import Constant, Scope
from hecc.compiler.importer.reading.prepare import FLOATS

__all__ = ["infer_constants", "infer_shapes"]

SMALL = 4096
"""Constants up to this many elements take part with their values: shapes, axes, pads."""


def infer_shapes(scope: Scope, node: onnx.NodeProto) -> dict[str, tuple[int, ...]]:
    """Shapes in the file (of the whole batch) of those outputs of a node for which ONNX can tell them."""
    # All real types are one here, as they are for encrypted values.
    inferred = _infer(scope, node, one_real_type=True)
    return {name: shape for name, kind in inferred.items() if (shape := _extents(kind)) is not None}


def infer_constants(scope: Scope, node: onnx.NodeProto) -> dict[str, tuple[np.dtype[Any], tuple[int, ...] | None]]:
    """Types and shapes of the outputs of a node of constants, where ONNX can tell; the shape may be None."""
    found: dict[str, tuple[np.dtype[Any], tuple[int, ...] | None]] = {}
    for name, kind in _infer(scope, node, one_real_type=False).items():
        if kind.HasField("tensor_type") and kind.tensor_type.elem_type:
            found[name] = (helper.tensor_dtype_to_np_dtype(kind.tensor_type.elem_type), _extents(kind))
    return found


def _infer(scope: Scope, node: onnx.NodeProto, *, one_real_type: bool) -> dict[str, onnx.TypeProto]:
    """What ONNX infers about the outputs of a node; nothing where it can tell nothing."""
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
            array: NDArray[Any] = operand.array
            if one_real_type and helper.np_dtype_to_tensor_dtype(array.dtype) in FLOATS:
                array = array.astype(np.float32) if array.size <= SMALL else np.broadcast_to(np.float32(0), array.shape)
            types[name] = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            if array.size <= SMALL:
                data[name] = numpy_helper.from_array(array, name)
        else:
            return {}
    imports = list(scope.model.opset_import)
    version = next((entry.version for entry in imports if entry.domain == node.domain), 1)
    try:
        schema = onnx.defs.get_schema(node.op_type, version, node.domain)
        return dict(onnx.shape_inference.infer_node_outputs(schema, node, types, data, opset_imports=imports))
    except (
        onnx.defs.SchemaError,
        onnx.shape_inference.InferenceError,
        onnx.checker.ValidationError,
        RuntimeError,
        ValueError,
    ):
        # Not knowing is an answer here: inference serves the error messages and the checks.
        return {}


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


def _extents(kind: onnx.TypeProto) -> tuple[int, ...] | None:
    """The shape of a tensor of known extents."""
    tensor = kind.tensor_type
    if not kind.HasField("tensor_type") or not tensor.HasField("shape"):
        return None
    dims = tensor.shape.dim
    return tuple(dim.dim_value for dim in dims) if all(dim.HasField("dim_value") for dim in dims) else None
