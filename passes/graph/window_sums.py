"""Window sums: average pooling without a product, so without a level.

An average that affine fusion left alone, because fusing it would multiply the non-zeros of the convolution behind it,
is a sum over a window times a constant. The sum takes a few rotations and additions and no plaintext; the constant is
an affine map, which a second round of fusion folds into the layer behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import AffineMap, Composition, Pool, Reshape, Scale, compose
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
    Term,
    Value,
    WindowSumNode,
    image_shape,
)
from hecc.runtime.reading import Reading

__all__ = ["largest_window", "sum_windows"]

MAX_PIXELS = 1 << 11
"""Largest image that is sure to fit one ciphertext of any ring, so that no window straddles two."""


def sum_windows(graph: Graph) -> Graph:
    """Replace affine nodes that are just an average pooling by a window sum and a constant factor."""
    if max(math.prod(node.output.shape[2:]) for node in graph.nodes) > MAX_PIXELS:
        return graph
    nodes: list[Node] = []
    parameters: dict[str, NDArray[np.float64]] = {}
    laid_out: dict[str, Shape | None] = {}
    for node in graph.nodes:
        laid_out[node.output.name] = _LAID_OUT.of(node)(node, laid_out)
        if (
            isinstance(node, AffineNode)
            and len(node.terms) == 1
            and (plain := _plain_pool(node.terms[0].map))
            and (pool := _sliding_over(plain, laid_out[node.terms[0].value]))
        ):
            total = Value(f"{node.output.name}:sum", pool.out_shape)
            summed = WindowSumNode(total, node.source, node.terms[0].value, pool)
            factor = f"{node.output.name}:share"
            parameters[factor] = np.array(1.0 / summed.taps)
            share = compose(Reshape(pool.out_shape, node.output.shape), Scale.of(pool.out_shape, factor))
            nodes += [summed, AffineNode(node.output, node.source, (Term(total.name, share),), node.bias)]
        else:
            nodes.append(node)
    return graph.with_nodes(nodes, parameters)


def largest_window(graph: Graph) -> int:
    """Logical slots that a ciphertext needs for the images of a graph's window sums; a power of two, or none."""
    if not any(isinstance(node, WindowSumNode) for node in graph.nodes):
        return 0
    # Planes of pixels keep their distance through strides, and are up to a power of two apart.
    return 1 << (max(math.prod(node.output.shape[2:]) for node in graph.nodes) - 1).bit_length()


Shape = tuple[int, ...]
Shapes = Mapping[str, Shape | None]


def _new(node: Node, _: Shapes) -> Shape | None:
    """As an image of its own."""
    return image_shape(node.output.shape)


def _kept(node: Node, before: Shapes) -> Shape | None:
    """As what it is computed of, element by element."""
    shapes = {before[value] for value in node.inputs}
    return shapes.pop() if len(shapes) == 1 else None


def _affine(node: AffineNode, before: Shapes) -> Shape | None:
    """What is only another shape leaves everything where it is."""
    return _kept(node, before) if node.reshapes_only else _new(node, before)


_LAID_OUT: Reading[Callable[[Any, Shapes], Shape | None]] = Reading(
    "the image as which a value lies in its ciphertexts",
    NODES,
    {
        InputNode: _new,
        AffineNode: _affine,
        QuadraticNode: _kept,
        FunctionNode: _kept,
        WindowSumNode: _new,
        ProductNode: _kept,
    },
    without={
        ChebyshevNode: "polynomials are fitted to functions later",
        BootstrapNode: "bootstraps are placed later",
        OperatorNode: "operators are taken apart or refused before",
    },
)
"""The shape of that image, from those of the values before; ``None`` where it is none, or nobody can tell."""


def _sliding_over(pool: Pool, image: tuple[int, ...] | None) -> Pool | None:
    """The pooling of images as they lie in their ciphertexts, if it is one.

    A signal is an image of one row, and some exporters pool it as one of one column. Other tensors that are reshaped
    for a pooling do not lie as its window slides.
    """
    if pool.in_shape[-1] == 1 and pool.in_shape != image:
        pool = Pool(
            (*pool.in_shape[:2], *pool.in_shape[:1:-1]),
            (*pool.out_shape[:2], *pool.out_shape[:1:-1]),
            pool.kernel[::-1],
            pool.strides[::-1],
            pool.pads[::-1],
            pool.dilations[::-1],
            pool.count_include_pad,
        )
    return pool if pool.in_shape == image else None


def _plain_pool(m: AffineMap) -> Pool | None:
    """The map if every window lies wholly inside a two-dimensional image."""
    if isinstance(m, Composition) and len(m.steps) == 1:
        # A pooling that is flattened afterwards.
        m = m.steps[0]
    if not isinstance(m, Pool) or len(m.in_shape) != 4:
        return None
    reaches = [
        (out - 1) * stride + (kernel - 1) * dilation < size and not any(pads)
        for size, out, kernel, stride, dilation, pads in zip(
            m.in_shape[2:], m.out_shape[2:], m.kernel, m.strides, m.dilations, m.pads, strict=True
        )
    ]
    return m if all(reaches) else None
