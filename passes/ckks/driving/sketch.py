"""A sketch: the circuit's graph with polynomials that nobody has fitted, to find out what no fit changes.

Layouts, rotations and with them the number of keys follow from the shape of the network. So what keys take at the least
is known before a single polynomial is fitted, or a row evaluated.
"""

from __future__ import annotations

import numpy as np

from hecc.compiler.ckks.chain.scaling import Magnitude
from hecc.compiler.ckks.options import Options
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import ChebyshevNode, FunctionNode, Node
from hecc.passes.ckks.parameters import Demand
from hecc.passes.graph.depth import multiplicative_depth

__all__ = ["sketched"]

ONE = Magnitude(1.0, 1.0, 1.0, quantiles=(-1.0, 0.0, 1.0))
"""Of all values: small ones need the least room."""


def sketched(graph: Graph, options: Options, levels: int) -> Demand:
    """What a network asks of parameters at the least, with polynomials of so many levels in place of functions.

    Parameters
    ----------
    graph
        Canonical.
    """
    nodes: list[Node] = []
    parameters = {}
    for node in graph.nodes:
        if isinstance(node, FunctionNode):
            name = f"{node.output.name}:sketch"
            parameters[name] = 0.5 ** np.arange(1 << levels)
            nodes.append(ChebyshevNode(node.output, node.source, node.value, name, (-1.0, 1.0)))
        else:
            nodes.append(node)
    arithmetic = graph.with_nodes(nodes, parameters)
    return Demand(
        arithmetic,
        multiplicative_depth(arithmetic),
        {node.output.name: ONE for node in arithmetic.nodes},
        options,
        precision_bits=0.0,
    )
