"""How a network's layers flow into each other: one after another, in branches side by side, or crosswise.

A layer that every way through the network passes is a *cut*. Between two cuts lie branches, which have cuts of their
own, and so on: a series-parallel decomposition, found from the order of the layers alone. What cannot be taken apart
that way is drawn in ranks, by the longest way to each layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import networkx as nx

__all__ = ["Box", "Branches", "Flow", "Rank", "arrange"]

DEEPEST = 4
"""How deep branches may lie in branches; deeper ones are drawn in ranks."""


@dataclass(frozen=True)
class Box:
    """One layer, by its position."""

    layer: int


@dataclass(frozen=True)
class Branches:
    """Ways side by side from one layer to the next; an empty one passes its values on as they are."""

    ways: tuple[Flow, ...]


@dataclass(frozen=True)
class Rank:
    """Layers side by side, none of which reads another; who reads whom across ranks is for words to say."""

    layers: tuple[int, ...]


Flow: TypeAlias = "tuple[Box | Branches | Rank, ...]"
"""One thing after another."""


def arrange(reads: Sequence[Sequence[int]]) -> Flow:
    """The flow of a network.

    Parameters
    ----------
    reads
        For every layer the positions of the layers that it reads, all before it.
    """
    count = len(reads)
    # One source before all layers, and one sink behind them.
    graph = nx.DiGraph()
    graph.add_nodes_from(range(-1, count + 1))
    for layer, arguments in enumerate(reads):
        graph.add_edges_from((argument, layer) for argument in arguments or (-1,))
    graph.add_edges_from((layer, count) for layer in range(count) if not graph.out_degree(layer))
    if not count:
        return ()
    return _series(graph, range(count), -1, count, DEEPEST)


def _series(graph: nx.DiGraph, inner: Sequence[int], source: int, sink: int, depth: int) -> Flow:
    """What lies between two layers, given in order: cuts, and what is between each and the next.

    What the source is read by elsewhere is another branch.
    """
    inside = set(inner)
    flow: list[Box | Branches | Rank] = []
    waiting: list[int] = []
    last, farthest = source, max((reader for reader in graph.successors(source) if reader in inside), default=source)
    for layer in inner:
        # No edge passes over a layer that all ways go through.
        if farthest <= layer:
            flow += _between(graph, waiting, last, layer, depth)
            flow.append(Box(layer))
            waiting, last = [], layer
        else:
            waiting.append(layer)
        farthest = max(farthest, *(reader if reader in inside else sink for reader in graph.successors(layer)))
    flow += _between(graph, waiting, last, sink, depth)
    return tuple(flow)


def _between(
    graph: nx.DiGraph, inner: Sequence[int], source: int, sink: int, depth: int
) -> Iterable[Box | Branches | Rank]:
    """What lies between two neighbouring cuts."""
    if not inner:
        return
    parts = sorted(sorted(part) for part in nx.weakly_connected_components(graph.subgraph(inner)))
    direct: list[Flow] = [()] if graph.has_edge(source, sink) else []
    if len(parts) + len(direct) > 1 and depth:
        yield Branches((*(_series(graph, part, source, sink, depth - 1) for part in parts), *direct))
    else:
        yield from _ranks(graph, inner)


def _ranks(graph: nx.DiGraph, inner: Sequence[int]) -> Iterable[Box | Rank]:
    rank: dict[int, int] = {}
    for layer in inner:
        rank[layer] = 1 + max((rank[read] for read in graph.predecessors(layer) if read in rank), default=-1)
    for row in range(max(rank.values()) + 1):
        layers = tuple(layer for layer in inner if rank[layer] == row)
        yield Rank(layers) if len(layers) > 1 else Box(layers[0])
