"""Graph: the tensor IR.

A graph is a list of nodes in topological order (:mod:`hecc.compiler.graph.nodes`); each defines one value. Shapes
include the batch axis, if the network has one, with extent one: a plan evaluates one example, and many examples are
many ciphertexts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.clear import CLEAR
from hecc.compiler.graph.nodes import InputNode, Node
from hecc.runtime.tail.epilogue import Step

__all__ = ["Graph"]


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order, the parameters they name, and the names of the results.

    Attributes
    ----------
    nodes
        Each value is defined once, before its uses.
    outputs
        Names of the values that the network returns.
    parameters
        Arrays by name; several nodes may share one.
    batch_axis
        True when axis 0 of inputs and outputs is the network's batch axis (of extent one here).
    epilogues
        What the client does to the outputs after decryption, by the names of those to which it does anything.
    aliases
        Where several outputs are one value: for each of the network's, in their order, which of ``outputs`` it is.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    parameters: Mapping[str, NDArray[Any]]
    batch_axis: bool = True
    epilogues: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def node(self, value: str) -> Node:
        """The node that defines a value."""
        return self.by_output()[value]

    def by_output(self) -> dict[str, Node]:
        """Nodes by the name of the value that they define."""
        return {node.output.name: node for node in self.nodes}

    def consumers(self) -> dict[str, list[Node]]:
        """For every value, the nodes that read it."""
        readers: dict[str, list[Node]] = {node.output.name: [] for node in self.nodes}
        for node in self.nodes:
            for value in dict.fromkeys(node.inputs):
                readers[value].append(node)
        return readers

    def example_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape without the batch axis, which has extent one here."""
        return shape[1:] if self.batch_axis else shape

    def inputs(self) -> Iterator[InputNode]:
        """The input nodes, in order."""
        return (node for node in self.nodes if isinstance(node, InputNode))

    def with_nodes(self, nodes: Sequence[Node], parameters: Mapping[str, NDArray[Any]] | None = None) -> Graph:
        """A copy with other nodes and more parameters; what no result depends on is left out."""
        live = set(self.outputs)
        kept = []
        for node in reversed(nodes):
            if node.output.name in live or isinstance(node, InputNode):
                kept.append(node)
                live.update(node.inputs)
        merged = {**self.parameters, **(parameters or {})}
        used = {name for node in kept for name in node.parameters}
        return replace(self, nodes=tuple(reversed(kept)), parameters={k: v for k, v in merged.items() if k in used})

    def with_changed(
        self, changed: Mapping[str, Sequence[Node]], parameters: Mapping[str, NDArray[Any]] | None = None
    ) -> Graph:
        """As :meth:`with_nodes`, with other nodes in the place of those that define some values, by their names."""
        return self.with_nodes(
            [other for node in self.nodes for other in changed.get(node.output.name, (node,))], parameters
        )

    def digraph(self) -> nx.DiGraph[str]:
        """The data flow between values, for the analyses that want a graph; nodes carry their :class:`Node`."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        for node in self.nodes:
            graph.add_node(node.output.name, node=node)
            graph.add_edges_from((value, node.output.name) for value in node.inputs)
        return graph

    def evaluate(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
        """Every value in clear, each of shape (rows, size), from inputs of shape (rows, ...)."""
        values: dict[str, NDArray[np.float64]] = {}
        for node in self.nodes:
            if isinstance(node, InputNode):
                given = np.asarray(inputs[node.output.name], dtype=np.float64)
                values[node.output.name] = given.reshape(len(given), -1)
            else:
                # What overflows shows in the values.
                with np.errstate(over="ignore", invalid="ignore"):
                    values[node.output.name] = self.evaluate_node(node, values)
        return values

    def evaluate_node(self, node: Node, values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """The value that a node other than an input defines, from those that it reads, each of shape (rows, size)."""
        return CLEAR.of(node)(node, values, self.parameters)

    def __str__(self) -> str:
        """One line per node: the debugging tool."""
        return "\n".join([*map(str, self.nodes), f"return {', '.join(self.outputs)}"])
