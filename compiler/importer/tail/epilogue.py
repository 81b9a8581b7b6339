"""The end of a network that the client computes: softmax, argmax, names of classes, and what stands between them.

Nodes that lead to outputs only, and that the client can compute after decryption, are cut off here. What they start
from is encrypted under the output's own name; the nodes become :mod:`~hecc.runtime.tail.epilogue` steps. The same
operators in the middle of a network go the way of all others.
"""

from __future__ import annotations

from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.scope import Constant, Decoded, Unknown
from hecc.compiler.importer.tail.arithmetic import FUNCTIONS
from hecc.compiler.importer.tail.choices import looked_up, looks_up, top
from hecc.compiler.importer.tail.movement import move
from hecc.compiler.importer.tail.rules import FOLLOWING, RULES, STARTING

__all__ = ["convert_step", "could_be_step", "is_step"]


def could_be_step(call: Call) -> bool:
    """Whether the client could compute a node, whatever it acts on."""
    return call.node.output[0] in call.scope.tail.names and call.node.op_type in FOLLOWING


def is_step(call: Call) -> bool:
    """Whether a node is computed by the client: it belongs to the tail, and it starts there or follows a step."""
    if not could_be_step(call):
        return False
    operator = call.node.op_type
    if operator in STARTING or any(isinstance(operand, Decoded) for operand in call.operands):
        return True
    if operator == "Pow" and isinstance(exponent := call.operands[1], Constant):
        # Roots and reciprocals; a server computes powers.
        return bool(((exponent.array < 0) | (exponent.array % 1 != 0)).any())
    # A division by a constant is a scaling.
    function = operator in FUNCTIONS and not (operator == "Div" and isinstance(call.operands[1], Constant))
    return function and call.node.output[0] in call.scope.tail.chosen


def convert_step(call: Call) -> None:
    """Make a node of the tail a step, or the steps, of its outputs."""
    assert not any(operand is Unknown.UNKNOWN for operand in call.operands), "the unknown is not converted"
    if looks_up(call):
        call.scope.operands[call.name] = looked_up(call)
    elif not any(isinstance(operand, Decoded | Value) for operand in call.operands):
        raise call.refuse("its input is a constant where the data is expected", "remove it from the network")
    elif call.node.op_type in RULES:
        call.scope.operands[call.name] = RULES[call.node.op_type](call)
    else:
        call.scope.operands.update(top(call) if call.node.op_type == "TopK" else move(call))
