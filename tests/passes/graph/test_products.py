"""Sibling products: products of elements of the same two values become one."""

from __future__ import annotations

from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np
import pytest

from hecc.compiler.graph.affine import Reshape, Select
from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, FunctionNode, InputNode
from hecc.passes.graph import products
from hecc.passes.graph.depth import multiplicative_depth
from hecc.passes.graph.fuse_affine import fuse_affine
from hecc.passes.graph.products import merge_products

COLUMNS = 4


def kinds(graph: Graph) -> list[str]:
    return [node.kind for node in graph.nodes if not isinstance(node, InputNode)]


def column(build: Any, name: str, value: str, index: int) -> str:
    """One element of a value, as a slice takes it."""
    return str(build.affine(name, [(value, Select.of(build.shapes[value], (1, 1), np.array([index])))]))


def pairs(build: Any, value: str, chosen: Any, prefix: str = "p") -> list[str]:
    names = []
    for i, j in chosen:
        left = column(build, f"{prefix}{i}{j}:left", value, i)
        right = column(build, f"{prefix}{i}{j}:right", value, j)
        names.append(build.product(f"{prefix}{i}{j}", left, right))
    return names


def side_by_side(build: Any, name: str, values: list[str]) -> str:
    """A concatenation of single elements."""
    terms = []
    for place, value in enumerate(values):
        index = np.full(len(values), -1)
        index[place] = 0
        terms.append((value, Select.of((1, 1), (1, len(values)), index)))
    return str(build.affine(name, terms))


def test_the_products_of_all_pairs_of_columns_are_one_product(build: Any, equivalent: Any) -> None:
    build.input("x", COLUMNS)
    build.dense("s", "x", COLUMNS)
    side_by_side(build, "c", pairs(build, "s", combinations_with_replacement(range(COLUMNS), 2)))
    build.dense("y", "c", 2)
    before = build.graph("y")
    after = merge_products(before)
    assert kinds(after).count("product") == 1
    equivalent(before, after)
    fused = fuse_affine(after)
    assert kinds(fused) == ["affine", "affine", "product", "affine"]
    equivalent(before, fused)


def test_products_of_products_are_merged_in_turn(build: Any, equivalent: Any) -> None:
    build.input("x", COLUMNS)
    chosen = list(combinations(range(COLUMNS), 2))
    cubes = [
        build.product(f"t{i}{j}", product, column(build, f"t{i}{j}:third", "x", (j + 1) % COLUMNS))
        for (i, j), product in zip(chosen, pairs(build, "x", chosen), strict=True)
    ]
    side_by_side(build, "y", cubes)
    before = build.graph("y")
    after = merge_products(before)
    assert kinds(after).count("product") == 2
    equivalent(before, after)
    assert max(multiplicative_depth(fuse_affine(after)).values()) <= max(
        multiplicative_depth(fuse_affine(before)).values()
    )


def test_the_same_product_is_computed_once(build: Any, equivalent: Any) -> None:
    build.input("x", COLUMNS)
    names = pairs(build, "x", [(0, 1), (2, 3)]) + pairs(build, "x", [(1, 0), (3, 2)], "q")
    side_by_side(build, "y", names)
    before = build.graph("y")
    after = merge_products(before)
    (product,) = (node for node in after.nodes if node.kind == "product")
    assert product.output.shape == (1, 2)
    equivalent(before, after)


def test_squares_of_columns_stay_squares(build: Any, equivalent: Any) -> None:
    build.input("x", COLUMNS)
    side_by_side(build, "y", [*pairs(build, "x", [(0, 0), (2, 2)]), build.square("q", column(build, "x1", "x", 1))])
    before = build.graph("y")
    after = merge_products(before)
    assert kinds(after).count("quadratic") == 1
    assert "product" not in kinds(after)
    equivalent(before, after)


def test_columns_of_two_values_are_merged_whichever_comes_first(build: Any, equivalent: Any) -> None:
    build.input("x", COLUMNS)
    build.input("z", COLUMNS)
    names = [
        build.product(
            f"p{i}", *[column(build, f"p{i}{value}", value, i) for value in (("x", "z") if i % 2 else ("z", "x"))]
        )
        for i in range(COLUMNS)
    ]
    side_by_side(build, "y", names)
    before = build.graph("y")
    after = merge_products(before)
    assert kinds(after).count("product") == 1
    # All columns in their order: nothing is left to select.
    assert [node.reshapes_only for node in after.nodes if isinstance(node, AffineNode)][:2] == [True, True]
    equivalent(before, after)


@pytest.mark.parametrize("reshaped", [False, True])
def test_a_product_that_a_function_reads_stays(build: Any, reshaped: bool) -> None:
    build.input("x", COLUMNS)
    names = pairs(build, "x", combinations(range(COLUMNS), 2))
    argument = names[0]
    if reshaped:
        argument = build.affine("r", [(argument, Reshape((1, 1), (1, 1, 1)))])
    build.add(FunctionNode, "f", build.shapes[argument], argument, Primitive("tanh", (), ARGUMENT))
    flat = build.affine("g", [("f", Reshape(build.shapes["f"], (1, 1)))])
    side_by_side(build, "y", [*names[1:], flat])
    assert kinds(merge_products(build.graph("y"))).count("product") == 2


def test_an_output_stays(build: Any) -> None:
    build.input("x", COLUMNS)
    names = pairs(build, "x", combinations(range(COLUMNS), 2))
    side_by_side(build, "y", names[1:])
    graph = build.graph(names[0], "y")
    assert kinds(merge_products(graph)).count("product") == 2


def test_a_product_that_only_one_other_multiplies_stays(build: Any) -> None:
    """Its elements would have to be selected ahead of that, which takes a level."""
    build.input("x", COLUMNS)
    names = pairs(build, "x", combinations(range(COLUMNS), 2))
    build.product("t", names[0], column(build, "third", "x", 2))
    side_by_side(build, "y", [*names[1:], "t"])
    before = build.graph("y")
    after = merge_products(before)
    assert kinds(after).count("product") == 3
    assert max(multiplicative_depth(after).values()) == max(multiplicative_depth(before).values())


def test_one_product_stays_as_it_is(build: Any) -> None:
    build.input("x", COLUMNS)
    side_by_side(build, "y", pairs(build, "x", [(0, 1)]))
    graph = build.graph("y")
    assert merge_products(graph) is graph


def test_what_does_not_fit_into_a_ciphertext_stays(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    build.input("x", COLUMNS)
    side_by_side(build, "y", pairs(build, "x", combinations(range(COLUMNS), 2)))
    graph = build.graph("y")
    monkeypatch.setattr(products, "MOST_GATHERED", 6)
    assert kinds(merge_products(graph)).count("product") == 1
    monkeypatch.setattr(products, "MOST_GATHERED", 5)
    assert merge_products(graph) is graph
