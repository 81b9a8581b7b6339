"""Layout selection: where every tensor sits in the slots, chosen so that the whole network is cheapest.

Each affine node offers a few layouts for its result, given those of its arguments: the multiplexed one whose gap grows
with the stride, the same with the gap closed, and the repeated vector of the hybrid embedding. What a choice costs is
counted, not estimated: the diagonals and rotations that the pair of layouts leads to. The cheapest assignment is a
shortest path through the states "layouts of the values that are still needed", layer by layer.

The factors of a product have to sit in the same slots. Whatever is elementwise keeps its argument's layout, so it is
the affine nodes before a product that decide: one whose partner's layout is known offers that, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import msgspec
import numpy as np

from hecc.compiler.ckks.lowering.embedding import Embedding, measure
from hecc.compiler.graph.affine import AffineMap
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import (
    NODES,
    AffineNode,
    BootstrapNode,
    ChebyshevNode,
    FunctionNode,
    InputNode,
    Node,
    OperatorNode,
    ProductNode,
    QuadraticNode,
    WindowSumNode,
    image_shape,
)
from hecc.compiler.graph.traits import multiplies_values
from hecc.runtime.ckks.circuit.layout import Digit, Layout, image_layout, vector_layout
from hecc.runtime.reading import Reading

__all__ = ["LayoutChoice", "MisalignedError", "Offer", "Price", "select_layouts"]

HOPELESS = 4
"""A layout with this many times the diagonals of another is not considered further."""

MAX_STATES = 64
"""Assignments kept per layer; more never happens in a network with fewer than three live branches."""


@dataclass(frozen=True)
class Price:
    """Cost of what a transform is made of, in any unit.

    Attributes
    ----------
    baby, giant, rotation
        A baby rotation, a giant rotation, and one on its own, as a fold's.
    diagonal
        A plaintext product.
    ciphertext
        Everything that is done once for each ciphertext of a result.
    """

    baby: float
    giant: float
    rotation: float
    diagonal: float
    ciphertext: float


@dataclass(frozen=True)
class Offer:
    """One layout of a result, given those of its arguments.

    Attributes
    ----------
    target
        The layout.
    diagonals
        How many the node's terms need.
    rotations, cost
        Of the node; ``None`` where it is hopeless.
    """

    target: Layout
    diagonals: int
    rotations: int | None = None
    cost: float | None = None


class MisalignedError(Exception):
    """The factors of a product cannot have one layout: one of them has to be moved first.

    Attributes
    ----------
    product
        The value that the product defines.
    """

    def __init__(self, product: str) -> None:
        super().__init__(f"the factors of '{product}' have no layout in common")
        self.product = product


@dataclass(frozen=True)
class LayoutChoice:
    """The outcome: a layout for every value, and the embedding of every affine term.

    Attributes
    ----------
    layouts
        By value.
    embeddings
        By value of an affine node, one per term.
    cost
        In the units of the price.
    offers
        By value of an affine node, what was compared.
    """

    layouts: dict[str, Layout]
    embeddings: dict[str, tuple[Embedding, ...]]
    cost: float
    offers: dict[str, tuple[Offer, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Search:
    """What extending a state needs beside it.

    Attributes
    ----------
    partners
        For each affine node, the values whose layouts would do for its own.
    measured
        Embeddings, by an affine node's value, the layouts of its arguments and that of its result.
    """

    slots: int
    price: Price
    partners: Mapping[str, list[str]]
    measured: dict[tuple[str, tuple[Layout, ...], Layout], tuple[Embedding, ...]] = field(default_factory=dict)


def select_layouts(graph: Graph, slots: int, price: Price) -> LayoutChoice:
    """Choose layouts for all values of a canonical graph in ciphertexts of ``slots`` slots.

    Raises
    ------
    MisalignedError
        No assignment that was kept gives the factors of a product one layout.
    """
    partners = _partners(graph)
    last_use = {value: i for i, node in enumerate(graph.nodes) for value in (node.output.name, *node.inputs)}
    last_use |= dict.fromkeys(graph.outputs, len(graph.nodes))
    search = _Search(slots, price, partners)
    states = [LayoutChoice({}, {}, 0.0)]
    for i, node in enumerate(graph.nodes):
        if isinstance(node, AffineNode) and not node.reshapes_only:
            _measure_all(node, graph, states, search)
        grown = [successor for state in states for successor in _extend(node, state, search)]
        if not grown:
            raise MisalignedError(node.output.name)
        states = _prune(grown, {v for v, last in last_use.items() if last > i})
    return min(states, key=lambda state: state.cost)


def _extend(node: Node, state: LayoutChoice, search: _Search) -> list[LayoutChoice]:
    """What a state may become by a node."""
    return _EXTENDED.of(node)(node, state, search)


def _with(state: LayoutChoice, node: Node, layout: Layout, cost: float = 0.0) -> list[LayoutChoice]:
    return [replace(state, layouts={**state.layouts, node.output.name: layout}, cost=state.cost + cost)]


def _input(node: InputNode, state: LayoutChoice, search: _Search) -> list[LayoutChoice]:
    return _with(state, node, _input_layout(node.output.shape, search.slots))


def _window_sum(node: WindowSumNode, state: LayoutChoice, search: _Search) -> list[LayoutChoice]:
    source = state.layouts[node.value]
    if image_shape(source.shape) != node.window.in_shape:
        # It lies as a tensor of another shape does, with which it is to be multiplied.
        return []
    rotations = sum((taps - 1).bit_length() + (taps - 1).bit_count() - 1 for taps in node.window.kernel if taps > 1)
    return _with(state, node, _thinned(node, source), rotations * source.count * search.price.rotation)


def _product(node: ProductNode, state: LayoutChoice, search: _Search) -> list[LayoutChoice]:
    left, right = state.layouts[node.left], state.layouts[node.right]
    if not _aligned(left, right):
        return []
    # Where only one of them has another copy, the product has none.
    target = max(left, right, key=lambda layout: layout.period)
    return _with(state, node, target, target.count * search.price.rotation)


def _same(node: Node, state: LayoutChoice, _: _Search) -> list[LayoutChoice]:
    """Elementwise in one value, whose layout it keeps."""
    return _with(state, node, state.layouts[node.inputs[0]])


def _affine(node: AffineNode, state: LayoutChoice, search: _Search) -> list[LayoutChoice]:
    if node.reshapes_only:
        return _same(node, state, search)
    name, price = node.output.name, search.price
    sources = tuple(state.layouts[value] for value in node.inputs)
    shared = _shared_layouts(node, state, search.partners)
    candidates = {
        target: search.measured[name, sources, target] for target in _candidates(node, sources, search.slots, shared)
    }
    diagonals = {target: sum(e.diagonals for e in embeddings) for target, embeddings in candidates.items()}
    offers = []
    for target, embeddings in candidates.items():
        if diagonals[target] > HOPELESS * min(diagonals.values()) and target not in shared:
            offers.append(Offer(target, diagonals[target]))
            continue
        cost = target.count * price.ciphertext + sum(_cost(e, price) for e in embeddings)
        offers.append(Offer(target, diagonals[target], sum(e.rotations for e in embeddings), cost))
    return [
        LayoutChoice(
            {**state.layouts, name: offer.target},
            {**state.embeddings, name: candidates[offer.target]},
            state.cost + offer.cost,
            {**state.offers, name: tuple(offers)},
        )
        for offer in offers
        if offer.cost is not None
    ]


def _cost(embedding: Embedding, price: Price) -> float:
    split = embedding.split
    rotations = split.babies * price.baby + split.giants * price.giant + embedding.folds * price.rotation
    return rotations + embedding.diagonals * price.diagonal


def _measure_all(
    node: AffineNode,
    graph: Graph,
    states: list[LayoutChoice],
    search: _Search,
) -> None:
    """Measure every pair of layouts that the states lead to, enumerating each map's non-zeros once."""
    pairs: dict[tuple[tuple[Layout, ...], Layout], None] = {}
    for state in states:
        sources = tuple(state.layouts[value] for value in node.inputs)
        shared = _shared_layouts(node, state, search.partners)
        pairs |= dict.fromkeys((sources, target) for target in _candidates(node, sources, search.slots, shared))
    wanted = list(pairs)
    per_term = [
        measure(
            term.map,
            graph.parameters,
            [(sources[k], target) for sources, target in wanted],
            (search.price.baby, search.price.giant),
        )
        for k, term in enumerate(node.terms)
    ]
    for j, (sources, target) in enumerate(wanted):
        search.measured[node.output.name, sources, target] = tuple(results[j] for results in per_term)


def _partners(graph: Graph) -> dict[str, list[str]]:
    """For each affine node, the values whose layouts would do for its own, as products multiply the two."""
    nodes = graph.by_output()

    def origin(value: str) -> str:
        """The value from which another has its layout."""
        node = nodes[value]
        while multiplies_values(node) or (isinstance(node, AffineNode) and node.reshapes_only):
            node = nodes[node.inputs[0]]
        return node.output.name

    partners: dict[str, list[str]] = defaultdict(list)
    for node in graph.nodes:
        if isinstance(node, ProductNode):
            left, right = origin(node.left), origin(node.right)
            partners[left].append(right)
            partners[right].append(left)
    return partners


def _shared_layouts(node: AffineNode, state: LayoutChoice, partners: Mapping[str, list[str]]) -> list[Layout]:
    """Layouts of those that a node's result will be multiplied with, as far as they are known."""
    return [state.layouts[value] for value in partners.get(node.output.name, ()) if value in state.layouts]


def _aligned(left: Layout, right: Layout) -> bool:
    """Whether two tensors have their elements in the same slots."""
    return (left.slots, left.count) == (right.slots, right.count) and np.array_equal(left.positions, right.positions)


def _prune(states: list[LayoutChoice], live: set[str]) -> list[LayoutChoice]:
    """Of the states that agree on all values still needed, keep the cheapest."""
    best: dict[tuple[tuple[str, Layout], ...], LayoutChoice] = {}
    for state in states:
        key = tuple(sorted(((v, layout) for v, layout in state.layouts.items() if v in live), key=lambda kv: kv[0]))
        if key not in best or state.cost < best[key].cost:
            best[key] = state
    return sorted(best.values(), key=lambda state: state.cost)[:MAX_STATES]


def _thinned(node: WindowSumNode, source: Layout) -> Layout:
    """Every result where the first pixel of its window stood."""
    *outer, rows, columns = source.image_axes
    vertical, horizontal = node.window.strides
    pixels = (
        (Digit(node.output.shape[-2], rows[-1].stride * vertical),),
        (Digit(node.output.shape[-1], columns[-1].stride * horizontal),),
    )
    return msgspec.structs.replace(source, shape=node.output.shape, axes=(*outer, *pixels))


def _input_layout(shape: tuple[int, ...], slots: int) -> Layout:
    """Row by row, channel by channel; repeated where there is room, which costs the client nothing."""
    image = image_shape(shape)
    layout = vector_layout(shape, slots) if image is None else image_layout(image, slots)
    if layout.count > 1:
        return layout
    return msgspec.structs.replace(layout, period=min(slots, 1 << (layout.span - 1).bit_length()))


def _candidates(node: AffineNode, sources: tuple[Layout, ...], slots: int, shared: Sequence[Layout]) -> list[Layout]:
    """Layouts offered for a result, given the layouts of the arguments and of what the result is multiplied with."""
    shape = node.output.shape
    offered = [vector_layout(shape, slots), *shared]
    image = image_shape(shape)
    if image is not None and prod(image[-2:]) > 1:
        for source, term in zip(sources, node.terms, strict=True):
            if len(source.shape) == 4:
                offered += _multiplexed(image, source, _strides(term.map, source, image), slots)
        offered.append(image_layout(image, slots))
    return list(dict.fromkeys(offered))


def _strides(m: AffineMap, source: Layout, image: tuple[int, ...]) -> tuple[int, int]:
    """By how much a map thins rows and columns out."""
    if m.window_strides:
        _, rows, columns = (1, 1, *m.window_strides)[-3:]
        return rows, columns
    (height, width), (rows, columns) = source.shape[-2:], image[-2:]
    if (height < rows) != (width < columns):
        # Rows became columns: the pixels were not thinned out.
        return 1, 1
    return max(1, height // rows), max(1, width // columns)


def _multiplexed(image: tuple[int, ...], source: Layout, strides: tuple[int, int], slots: int) -> list[Layout]:
    """Keep the argument's rows and planes of pixels where they are, and let the gap grow with the stride, or not."""
    channel, rows, columns = source.axes[-3:]
    if len(channel) < 3:
        gap, pitch, plane = (1, 1), source.shape[-1], source.shape[-1] * source.shape[-2]
    else:
        pitch, plane = channel[-2].stride, channel[-3].stride
        gap = rows[-1].stride // pitch, columns[-1].stride
    wider = (gap[0] * strides[0], gap[1] * strides[1])
    # Planes a power of two apart wrap around at the end of a ciphertext, so that fewer distances between blocks occur.
    planes = dict.fromkeys((plane, 1 << (plane - 1).bit_length()))
    return [
        image_layout(image, slots, gap=g, pitch=pitch, plane=p) for g in dict.fromkeys((wider, gap)) for p in planes
    ]


_EXTENDED: Reading[Callable[[Any, LayoutChoice, _Search], list[LayoutChoice]]] = Reading(
    "layouts of a node",
    NODES,
    {
        InputNode: _input,
        AffineNode: _affine,
        QuadraticNode: _same,
        ChebyshevNode: _same,
        BootstrapNode: _same,
        WindowSumNode: _window_sum,
        ProductNode: _product,
    },
    without={
        FunctionNode: "functions are polynomials in an arithmetic graph",
        OperatorNode: "operators are taken apart or refused before",
    },
)
"""What a state may become by a node of each kind; nothing where it cannot be evaluated as things lie."""
