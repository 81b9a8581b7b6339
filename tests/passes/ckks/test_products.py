"""Products of two values: the same slots for both factors, exact scales, and a factor that is moved if need be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hecc.compiler.graph.affine import Pool
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.intervals import value_intervals
from hecc.compiler.graph.nodes import AffineNode, InputNode, ProductNode, WindowSumNode
from hecc.passes.ckks.align import align_factors
from hecc.passes.ckks.layouts import MisalignedError, Price, select_layouts
from hecc.passes.ckks.pipeline import canonicalise
from hecc.passes.graph.depth import multiplicative_depth

PRICE = Price(baby=1.0, giant=2.0, rotation=2.0, diagonal=0.1, ciphertext=3.0)
SLOTS = 256


def image_gate(build: Any) -> Graph:
    """An image with gaps between its pixels, times one without."""
    build.input("x", 1, 8, 8)
    build.convolution("a", "x", 3, stride=2)
    build.square("s", "a")
    build.convolution("b", "s", 3)
    build.convolution("c", "x", 3, stride=2)
    build.product("y", "b", "c")
    return build.graph("y")


def input_gate(build: Any) -> Graph:
    build.input("x", 3, 5, 5)
    build.convolution("a", "x", 3)
    build.square("s", "a")
    build.product("y", "x", "s")
    return build.graph("y")


def chain_of_products(build: Any) -> Graph:
    build.input("x", 7)
    build.input("z", 5)
    build.dense("a", "x", 6)
    build.dense("b", "z", 6)
    build.product("p", "a", "b")
    build.product("q", "p", "a")
    build.dense("c", "q", 6)
    build.product("y", "c", "p")
    return build.graph("y")


@pytest.mark.parametrize("network", [image_gate, input_gate, chain_of_products])
def test_both_factors_of_a_product_sit_in_the_same_slots(network: Any, build: Any) -> None:
    graph = network(build)
    layouts = select_layouts(graph, SLOTS, PRICE).layouts
    products = [node for node in graph.nodes if isinstance(node, ProductNode)]
    assert products
    for node in products:
        left, right = layouts[node.left], layouts[node.right]
        np.testing.assert_array_equal(left.positions, right.positions)
        assert (left.slots, left.count) == (right.slots, right.count)
        assert layouts[node.output.name].period == max(left.period, right.period)


def window_and_input(build: Any) -> Graph:
    """Sums over windows keep the gaps of their image; an input has none."""
    build.input("x", 1, 4, 4)
    build.input("z", 1, 2, 2)
    build.square("s", "x")
    pool = Pool((1, 1, 4, 4), (1, 1, 2, 2), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
    build.add(WindowSumNode, "p", (1, 1, 2, 2), "s", pool)
    build.product("y", "p", "z")
    return build.graph("y")


def test_a_factor_whose_slots_nothing_can_change_is_moved(build: Any, equivalent: Any) -> None:
    graph = window_and_input(build)
    with pytest.raises(MisalignedError) as fault:
        select_layouts(graph, SLOTS, PRICE)
    assert fault.value.product == "y"
    depth = multiplicative_depth(graph)
    aligned = align_factors(graph, "y", depth)
    equivalent(graph, aligned)
    (moved,) = [node for node in aligned.nodes if node.output.name == "y:aligned"]
    assert isinstance(moved, AffineNode)
    # The shallower one, so that the product is no deeper.
    assert moved.inputs == ("z",)
    assert multiplicative_depth(aligned)["y"] == depth["y"]
    layouts = select_layouts(aligned, SLOTS, PRICE).layouts
    np.testing.assert_array_equal(layouts["p"].positions, layouts["y:aligned"].positions)


def test_the_interval_of_a_product_has_the_extremes(build: Any) -> None:
    build.input("a", 4)
    build.input("b", 4)
    build.scale("c", "b", 2.0, 1.0)
    build.product("y", "a", "c")
    graph = build.graph("y")
    centre, radius = value_intervals(graph, {"a": (-1.0, 3.0), "b": (-1.0, 2.0)})["y"]
    np.testing.assert_allclose(centre - radius, -5.0)
    np.testing.assert_allclose(centre + radius, 15.0)


def test_products_stay_in_a_canonical_graph(build: Any, equivalent: Any) -> None:
    graph = chain_of_products(build)
    canonical = canonicalise(graph)
    equivalent(graph, canonical)
    kinds = [node.kind for node in canonical.nodes if not isinstance(node, InputNode)]
    assert kinds == ["affine", "affine", "product", "product", "affine", "product"]
