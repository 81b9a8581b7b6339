"""Smooth functions of smooth functions become one: each that is left costs messages, and is followed on its own.

A square root is steep at zero, and its reciprocal has a pole there; the reciprocal of a square root, as it stands in a
normalization, is followed from where the calibration inputs begin to come.
"""

from __future__ import annotations

from hecc.compiler.graph.function import apply
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import FunctionNode, Node
from hecc.compiler.sharing.lines import lines_of

__all__ = ["join_functions"]


def join_functions(graph: Graph) -> Graph:
    """Let a function read what the one before it reads, where neither is made of lines and nothing else reads that."""
    consumers, known = graph.consumers(), graph.by_output()
    nodes: list[Node] = []
    joined: dict[str, FunctionNode] = {}
    for node in graph.nodes:
        if isinstance(node, FunctionNode):
            before = joined.get(node.value, known[node.value])
            alone = len(consumers[node.value]) == 1 and node.value not in graph.outputs
            if (
                alone
                and isinstance(before, FunctionNode)
                and not (lines_of(node.function) or lines_of(before.function))
            ):
                node = FunctionNode(node.output, node.source, before.value, apply(node.function, before.function))
            joined[node.output.name] = node
        nodes.append(node)
    return graph.with_nodes(nodes)


def _is_smooth(node: FunctionNode) -> bool:
    return lines_of(node.function) is None
