"""Units of inputs: what is encrypted in [-1, 1] becomes the network's input again, in front of the network.

Where the elements of an input have ranges of their own, the client brings each to [-1, 1]
(:mod:`hecc.runtime.inputs.ranges`). The inverse is an affine map; affine fusion makes it a part of the first linear
layer, and what a scaler there would do is done by the client.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import Scale
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, InputNode, Node, Term, Value
from hecc.runtime.inputs.ranges import ElementRanges

__all__ = ["with_normalised_inputs"]


def with_normalised_inputs(graph: Graph, ranges: Mapping[str, ElementRanges]) -> Graph:
    """A graph that computes the same of inputs that are brought to [-1, 1].

    Parameters
    ----------
    ranges
        Of the elements of some inputs, by name; none of them is an output as well.
    """
    if not ranges:
        return graph
    renamed = {name: f"{name}:in its units" for name in ranges}
    nodes: list[Node] = []
    parameters: dict[str, NDArray[np.float64]] = {}
    for node in graph.nodes:
        nodes.append(node.reading(renamed))
        name, shape = node.output.name, node.output.shape
        if isinstance(node, InputNode) and name in ranges:
            radius, centre = f"{name}:radius", f"{name}:centre"
            parameters |= {radius: ranges[name].radius.reshape(shape), centre: ranges[name].centre.reshape(shape)}
            value = Value(renamed[name], shape)
            nodes.append(AffineNode(value, node.source, (Term(name, Scale.of(shape, radius)),), centre))
    return graph.with_nodes(nodes, parameters)
