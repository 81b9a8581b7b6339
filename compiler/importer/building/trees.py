"""Ensembles of decision trees: why they are refused, and what their comparisons would cost, counted in the model."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import onnx

from hecc.compiler.importer.building.refusals import TREES, Sentence

__all__ = ["Ensemble", "trees"]

LEVELS = 9
"""Levels of a sign: minimax polynomials of degrees 15 and 31, one of the other, are within 1% of it on [0.01, 1]."""

LEAST = 0.01
"""What they tell from zero, as a part of the largest."""


@dataclass(frozen=True)
class Ensemble:
    """What all trees of a model are together.

    Attributes
    ----------
    comparisons
        Nodes that compare a feature with a threshold.
    depth
        Most of them in a row.
    """

    comparisons: int
    depth: int

    @classmethod
    def of(cls, nodes: Iterable[onnx.NodeProto]) -> Ensemble:
        """Count the trees of a model."""
        comparisons = depth = 0
        for node in nodes:
            if node.op_type.startswith("TreeEnsemble"):
                attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
                branches = _branches(attributes)
                comparisons += len(branches)
                depth = max(depth, _depth(branches))
        return cls(comparisons, depth)


def trees(nodes: Iterable[onnx.NodeProto]) -> Sentence:
    """Why the trees of a model are refused, and the way out."""
    found = Ensemble.of(nodes)
    if not found.comparisons:
        return TREES
    several = found.comparisons > 1
    counted = f"{found.comparisons} comparisons, polynomials" if several else "one comparison, a polynomial"
    cost = (
        f"in the place of this model's {counted} would take {LEVELS} levels and be wrong within {LEAST:.0%} of "
        f"{'a' if several else 'the'} threshold"
    )
    if found.depth > 1:
        cost += f", and following a path of {found.depth} takes {math.ceil(math.log2(found.depth))} levels more"
    return (
        f"{TREES[0]}, which additions and multiplications cannot do exactly: {cost}",
        "use a linear model, a support vector machine or a neural network on the same columns instead",
    )


def _branches(attributes: dict[str, Any]) -> dict[tuple[int, int], tuple[tuple[int, int], ...]]:
    """The nodes that compare, by tree and number, and those behind each of them."""
    true, false = (list(attributes.get(name, ())) for name in ("nodes_truenodeids", "nodes_falsenodeids"))
    modes = attributes.get("nodes_modes", ())
    if not isinstance(modes, list):
        # Since opset 5 of the domain there is one table of those that compare, and one of leaves.
        leaves = (list(attributes.get(name, ())) for name in ("nodes_trueleafs", "nodes_falseleafs"))
        return {
            (0, number): tuple((0, child) for child, leaf in ((yes, ends[0]), (no, ends[1])) if not leaf)
            for number, (yes, no, *ends) in enumerate(zip(true, false, *leaves, strict=False))
        }
    places = zip(attributes.get("nodes_treeids", ()), attributes.get("nodes_nodeids", ()), strict=False)
    return {
        (tree, number): ((tree, yes), (tree, no))
        for (tree, number), mode, yes, no in zip(places, modes, true, false, strict=False)
        if mode not in (b"LEAF", "LEAF")
    }


def _depth(branches: dict[tuple[int, int], tuple[tuple[int, int], ...]]) -> int:
    """Most comparisons in a row; those that go in a circle are no tree, and count once."""
    below = {child for children in branches.values() for child in children}
    row = [place for place in branches if place not in below]
    depth, seen = 0, set(row)
    while row:
        depth += 1
        row = [child for place in row for child in branches[place] if child in branches and child not in seen]
        seen.update(row)
    return depth
