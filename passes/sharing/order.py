"""The order of maxima and functions: what does not decrease goes behind a maximum, where there are fewer numbers.

The largest ReLU in a window is the ReLU of the largest number: one comparison instead of one for each pixel.
"""

from __future__ import annotations

from dataclasses import replace

from hecc.compiler.graph.function import is_nondecreasing
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import FunctionNode, Node, OperatorNode, Value
from hecc.compiler.graph.operators import ReducedExtremum, WindowExtremum

__all__ = ["functions_behind_maxima"]


def functions_behind_maxima(graph: Graph) -> Graph:
    """Let maxima read the arguments of functions that nothing else reads, and the functions what these make."""
    consumers = graph.consumers()
    nodes: dict[str, Node] = {}
    for node in graph.nodes:
        before = _moved(node, nodes)
        if (
            not isinstance(node, OperatorNode)
            or before is None
            or len(consumers[before.output.name]) > 1
            or before.output.name in graph.outputs
        ):
            nodes[node.output.name] = node
            continue
        del nodes[before.output.name]
        inner = Value(f"{node.output.name}:argument", node.output.shape)
        nodes[inner.name] = replace(node, output=inner, values=(before.value,))
        nodes[node.output.name] = FunctionNode(node.output, before.source, inner.name, before.function)
    return graph.with_nodes(list(nodes.values()))


def _moved(node: Node, nodes: dict[str, Node]) -> FunctionNode | None:
    """The function that an extremum reads, if it commutes with that."""
    if not isinstance(node, OperatorNode) or not isinstance(node.operator, WindowExtremum | ReducedExtremum):
        return None
    before = nodes[node.values[0]]
    moves = isinstance(before, FunctionNode) and is_nondecreasing(before.function) and node.operator.least is None
    return before if moves and isinstance(before, FunctionNode) else None
