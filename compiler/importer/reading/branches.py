"""If: where the condition is known at compile time, as one about shapes is, the nodes of the branch that is taken."""

from __future__ import annotations

import onnx
from onnx import helper

from hecc.compiler.importer.building.scope import Constant, Scope, array

__all__ = ["taken_branch"]


def taken_branch(scope: Scope, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The nodes to convert in place of an If; none where the node is no If, or its condition is not known.

    Names are unique in a whole model, so those of a branch stay as they are.
    """
    condition = scope.operands.get(node.input[0]) if node.op_type == "If" and not node.domain else None
    if not isinstance(condition, Constant) or condition.array.size != 1:
        return []
    wanted = "then_branch" if bool(condition.array.reshape(-1)[0]) else "else_branch"
    branch = next(attribute.g for attribute in node.attribute if attribute.name == wanted)
    for tensor in branch.initializer:
        scope.operands[tensor.name] = Constant(tensor.name, array(tensor))
    named = [
        helper.make_node("Identity", [inner.name], [outer], f"{node.name or outer}:{wanted}")
        for inner, outer in zip(branch.output, node.output, strict=True)
        if outer
    ]
    return [*branch.node, *named]
