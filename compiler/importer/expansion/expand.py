"""What a node stands for, where it stands for others: they are imported in its place.

The nodes depend on what is known when the node is met: on constants, such as a condition or a number of steps, and on
the shapes of its operands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import onnx

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.refusals import WAYS_OUT
from hecc.compiler.importer.building.scope import Decoded, Scope, Unknown
from hecc.compiler.importer.expansion.branches import write_branch
from hecc.compiler.importer.expansion.functions import has_body, write_body
from hecc.compiler.importer.expansion.loops import MAX_STEPS, write_loop, write_scan
from hecc.compiler.importer.expansion.quantised import (
    write_conv_integer,
    write_dequantize,
    write_dynamic,
    write_matmul_integer,
    write_qlinear_conv,
    write_qlinear_matmul,
    write_quantize,
)
from hecc.compiler.importer.expansion.recurrent import write_gru, write_lstm, write_rnn
from hecc.compiler.importer.expansion.writing import Writer
from hecc.compiler.importer.operators import CONVERTERS
from hecc.compiler.importer.reading.prepare import opset_of
from hecc.compiler.importer.tail.rules import STARTING

__all__ = ["EXPANDED", "NOTES", "expand", "is_function"]

EXPANDED: Mapping[str, Callable[[Writer], bool]] = MappingProxyType(
    {
        "ConvInteger": write_conv_integer,
        "DequantizeLinear": write_dequantize,
        "DynamicQuantizeLinear": write_dynamic,
        "GRU": write_gru,
        "If": write_branch,
        "LSTM": write_lstm,
        "Loop": write_loop,
        "MatMulInteger": write_matmul_integer,
        "QLinearConv": write_qlinear_conv,
        "QLinearMatMul": write_qlinear_matmul,
        "QuantizeLinear": write_quantize,
        "RNN": write_rnn,
        "Scan": write_scan,
    }
)
"""Operators that are written out by rules of their own. Each rule writes the nodes, or returns False."""

UNROUNDED = "not rounded, which a warning says, but by the client at the end of a network"

NOTES: Mapping[str, str] = MappingProxyType(
    {
        "ConvInteger": "constant weights",
        "DequantizeLinear": "constant scale and zero point",
        "DynamicQuantizeLinear": f"{UNROUNDED}, with a step of one",
        "If": "a condition that is known at compile time",
        "MatMulInteger": "constant weights, the second factor",
        "QLinearConv": f"constant weights; {UNROUNDED}",
        "QLinearMatMul": f"constant weights, the second factor; {UNROUNDED}",
        "QuantizeLinear": f"to integers of at most 16 bits; {UNROUNDED}",
        "Loop": f"a number of steps that is known at compile time, at most {MAX_STEPS}; a condition that stays true",
        "Scan": f"from opset 9; at most {MAX_STEPS} steps",
        **dict.fromkeys(("GRU", "LSTM", "RNN"), f"all attributes; constant weights; at most {MAX_STEPS} steps"),
    }
)
"""What the operator table says about each of them."""

PREVIEW = "ai.onnx.preview"


def is_function(operator: str, opset: int, domain: str = "") -> bool:
    """Whether an operator has no rule of hecc's, but is a function of others by ONNX's definition."""
    if domain not in ("", PREVIEW) or operator in WAYS_OUT or (not domain and operator in {*CONVERTERS, *STARTING}):
        return False
    return has_body(operator, opset, domain)


def expand(scope: Scope, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The nodes to convert in place of one; none where it stands for itself.

    Raises
    ------
    RefusedNodeError
        It would be written out, but not like this.
    """
    writer = Writer(scope, node)
    operands = [scope.operands.get(name) for name in node.input if name]
    if any(operand is Unknown.UNKNOWN for operand in operands):
        return []
    if rule := EXPANDED.get(node.op_type) if not node.domain else None:
        written = rule(writer)
    elif any(isinstance(operand, Value | Decoded) for operand in operands):
        opset = opset_of(scope.model, node.domain)
        written = is_function(node.op_type, opset, node.domain) and write_body(writer)
    else:
        written = False
    if not written:
        return []
    scope.taken |= {name for made in writer.nodes for name in made.output}
    return writer.nodes
