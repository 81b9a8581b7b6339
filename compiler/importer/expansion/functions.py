"""Operators that ONNX itself defines as functions of others: their nodes, for the types and shapes at hand."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.scope import Constant
from hecc.compiler.importer.expansion.writing import Writer, inner_graphs
from hecc.compiler.importer.reading.inlining import fill_references
from hecc.compiler.importer.reading.prepare import opset_of

__all__ = ["has_body", "write_body"]

HALF = ("float16", "bfloat16")


def has_body(operator: str, opset: int, domain: str = "") -> bool:
    """Whether ONNX defines an operator by others."""
    try:
        schema: Any = onnx.defs.get_schema(operator, opset, domain)
    except onnx.defs.SchemaError:
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)


def write_body(writer: Writer) -> bool:
    """Write the nodes by which ONNX defines an operator; False where it has none for these operands."""
    body = _body(writer)
    if body is None:
        return False
    node = writer.node
    given = {attribute.name: attribute for attribute in [*body.attribute_proto, *node.attribute]}
    schema = onnx.defs.get_schema(node.op_type, opset_of(writer.scope.model, node.domain), node.domain)
    for name, attribute in schema.attributes.items():
        if attribute.default_value.name:
            given.setdefault(name, attribute.default_value)
    nodes = list(body.node)
    for inner in nodes:
        _fill(inner, given)
    # Encrypted numbers are declared single; with them go the constants of half precision.
    given_names = [_single(writer, name) for name in node.input]
    formal = [*body.input, *body.output]
    actual = [*given_names, *[""] * (len(body.input) - len(node.input)), *node.output]
    called = dict(zip(formal, actual, strict=False))
    # An output that nobody reads is made all the same, under a name of its own.
    missing = {name for name in body.output if not called.get(name)}
    writer.body(nodes, {name: outer for name, outer in called.items() if name not in missing})
    return True


def _single(writer: Writer, name: str) -> str:
    operand = writer.scope.operands.get(name)
    if isinstance(operand, Constant) and operand.array.dtype.name in HALF:
        return writer.add("Cast", name, to=onnx.TensorProto.FLOAT)
    return name


def _body(writer: Writer) -> onnx.FunctionProto | None:
    node, scope = writer.node, writer.scope
    opset = opset_of(scope.model, node.domain)
    try:
        schema: Any = onnx.defs.get_schema(node.op_type, opset, node.domain)
    except onnx.defs.SchemaError:
        return None
    standard = opset_of(scope.model)
    body = onnx.FunctionProto()
    if schema.has_context_dependent_function:
        types = []
        for name in node.input:
            operand = scope.operands.get(name)
            kind = onnx.TypeProto()
            if isinstance(operand, Value):
                kind = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, scope.batch.whole(operand.shape))
            elif isinstance(operand, Constant):
                half = operand.array.dtype.name in HALF
                element = onnx.TensorProto.FLOAT if half else helper.np_dtype_to_tensor_dtype(operand.array.dtype)
                kind = helper.make_tensor_type_proto(element, operand.shape)
            elif name:
                return None
            types.append(kind.SerializeToString())
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= standard]
        if not versions:
            return None
        made = schema.get_context_dependent_function_with_opset_version(max(versions), node.SerializeToString(), types)
    elif schema.has_function:
        versions = [v for v in schema.function_opset_versions if v <= standard]
        if not versions:
            return None
        made = schema.get_function_with_opset_version(max(versions))
    else:
        return None
    body.ParseFromString(made if isinstance(made, bytes) else made.SerializeToString())
    return body if body.node else None


def _fill(node: onnx.NodeProto, given: dict[str, onnx.AttributeProto]) -> None:
    """Put attributes in place of references to them, also in inner graphs."""
    fill_references(node, given)
    for graph in inner_graphs(node):
        for inner in graph.node:
            _fill(inner, given)
