"""If: where the condition is known at compile time, as one about shapes is, the nodes of the branch that is taken."""

from __future__ import annotations

from hecc.compiler.importer.building.scope import Constant, array
from hecc.compiler.importer.expansion.writing import Writer

__all__ = ["write_branch"]


def write_branch(writer: Writer) -> bool:
    """Write the nodes of an If; False where its condition is not known.

    Names are unique in a whole model, so those of a branch stay as they are.
    """
    node = writer.node
    condition = writer.scope.operands.get(node.input[0])
    if not isinstance(condition, Constant) or condition.array.size != 1:
        return False
    wanted = "then_branch" if bool(condition.array.reshape(-1)[0]) else "else_branch"
    branch = next(attribute.g for attribute in node.attribute if attribute.name == wanted)
    for tensor in branch.initializer:
        writer.constant(array(tensor), output=tensor.name)
    writer.nodes.extend(branch.node)
    for inner, outer in zip(branch.output, node.output, strict=True):
        if outer:
            writer.add("Identity", inner.name, output=outer)
    return True
