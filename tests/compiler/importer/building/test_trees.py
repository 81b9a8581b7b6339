"""Ensembles of trees are refused with what their comparisons would cost, counted in the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import scipy.optimize
from onnx import helper

from hecc.compiler.importer import import_model
from hecc.compiler.importer.building.trees import LEAST, LEVELS, Ensemble
from hecc.runtime.errors import UnsupportedError

ML = "ai.onnx.ml"


def ensemble(trees: list[list[tuple[int, int] | None]]) -> onnx.NodeProto:
    """A node of some trees, each of which says which nodes come behind a node; leaves have none."""
    places = [(tree, node) for tree, nodes in enumerate(trees) for node in range(len(nodes))]
    children = [trees[tree][node] for tree, node in places]
    return helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        name="forest",
        domain=ML,
        n_targets=1,
        nodes_treeids=[tree for tree, _ in places],
        nodes_nodeids=[node for _, node in places],
        nodes_featureids=[0] * len(places),
        nodes_values=[0.0] * len(places),
        nodes_modes=["BRANCH_LEQ" if pair else "LEAF" for pair in children],
        nodes_truenodeids=[pair[0] if pair else 0 for pair in children],
        nodes_falsenodeids=[pair[1] if pair else 0 for pair in children],
    )


STUMP: list[tuple[int, int] | None] = [(1, 2), None, None]
LEANING: list[tuple[int, int] | None] = [(1, 2), None, (3, 4), None, (5, 6), None, None]


def refusal(*nodes: onnx.NodeProto) -> str:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(ML, 3)])
    with pytest.raises(UnsupportedError) as refused:
        import_model(model)
    return str(refused.value)


def test_the_comparisons_of_all_trees_are_counted_with_the_longest_path() -> None:
    assert Ensemble.of([ensemble([STUMP, LEANING]), ensemble([STUMP])]) == Ensemble(comparisons=5, depth=3)


def test_the_refusal_says_what_polynomials_would_cost_and_what_to_use() -> None:
    assert refusal(ensemble([STUMP, LEANING])) == (
        "ai.onnx.ml.TreeEnsembleRegressor 'forest' (opset 3): decision trees compare encrypted features, which "
        "additions and multiplications cannot do exactly: in the place of this model's 4 comparisons, polynomials "
        "would take 9 levels and be wrong within 1% of a threshold, and following a path of 3 takes 2 levels more; use "
        "a linear model, a support vector machine or a neural network on the same columns instead"
    )
    assert "in the place of this model's one comparison, a polynomial would" in refusal(ensemble([STUMP]))


def test_a_damaged_ensemble_is_refused_too() -> None:
    circle = ensemble([[(0, 1), (0, 1)]])
    assert Ensemble.of([circle]).comparisons == 2
    assert "decision trees" in refusal(circle)
    circle.attribute.pop()
    assert "decision trees" in refusal(circle)


def test_trees_of_opset_five_are_counted() -> None:
    # Behind the first comparison is the second, and behind that are leaves only.
    attributes: dict[str, Any] = {
        "nodes_truenodeids": [1, 0],
        "nodes_falsenodeids": [0, 1],
        "nodes_trueleafs": [0, 1],
        "nodes_falseleafs": [1, 1],
    }
    node = helper.make_node("TreeEnsemble", ["x"], ["y"], domain=ML, **attributes)
    modes = onnx.numpy_helper.from_array(np.zeros(2, np.uint8))
    node.attribute.append(helper.make_attribute("nodes_modes", modes, attr_type=onnx.AttributeProto.TENSOR))
    assert Ensemble.of([node]) == Ensemble(comparisons=2, depth=2)


def minimax(degree: int, low: float, high: float) -> float:
    """The least error of an odd polynomial from one, between two positive numbers."""
    x = low + (high - low) * (1 - np.cos(np.linspace(0, np.pi, 400))) / 2
    basis = np.cos(np.outer(np.arccos(np.minimum(x / high, 1)), np.arange(1, degree + 1, 2)))
    ones = np.ones((len(x), 1))
    found = scipy.optimize.linprog(
        [0.0] * basis.shape[1] + [1.0],
        np.block([[basis, -ones], [-basis, -ones]]),
        np.concatenate([ones[:, 0], -ones[:, 0]]),
        bounds=[(None, None)] * basis.shape[1] + [(0, None)],
    )
    return float(found.x[-1])


def test_a_sign_takes_the_levels_that_the_refusal_says() -> None:
    def composite(*degrees: int) -> tuple[int, float]:
        low, high, levels, error = LEAST, 1.0, 0, 1.0
        for degree in degrees:
            error = minimax(degree, low, high)
            low, high, levels = 1 - error, 1 + error, levels + int(np.ceil(np.log2(degree + 1)))
        return levels, error

    levels, error = composite(15, 31)
    assert levels == LEVELS
    assert error < LEAST
    # With a level less it is further off, whatever its parts are.
    for degrees in ((15, 15), (7, 31), (31, 7), (7, 7, 3)):
        levels, error = composite(*degrees)
        assert levels < LEVELS
        assert error > LEAST
