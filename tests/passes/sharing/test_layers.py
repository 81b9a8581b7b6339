"""Layers: what only scales, shifts or adds goes into the layers before, if nothing else reads these."""

import numpy as np
import pytest

from hecc.compiler.graph.affine import Pool, Reshape
from hecc.compiler.graph.nodes import AffineNode
from hecc.compiler.graph.stages import IMPORTED, check_graph
from hecc.passes.sharing.layers import join_layers


def same(before, after, shape):
    x = {"x": np.random.default_rng(0).normal(size=(5, *shape))}
    one, two = before.evaluate(x), after.evaluate(x)
    for name in before.outputs:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-12)
    check_graph(after, IMPORTED)


@pytest.fixture
def b(build):
    build.input("x", 3, 5, 5)
    return build


def test_a_normalization_goes_into_its_convolution(b):
    b.convolution("a", "x", 4)
    b.scale("n", "a", np.arange(1, 5).reshape(4, 1, 1), np.arange(4).reshape(4, 1, 1))
    before = b.graph("n")
    after = join_layers(before)
    assert [node.output.name for node in after.nodes] == ["x", "n"]
    same(before, after, (3, 5, 5))


def test_two_branches_become_one_sum(b):
    b.convolution("a", "x", 4)
    b.convolution("c", "x", 4)
    b.total("s", (1.0, "a"), (2.0, "c"), bias=0.5)
    before = b.graph("s")
    after = join_layers(before)
    (node,) = (node for node in after.nodes if isinstance(node, AffineNode))
    assert len(node.terms) == 1
    same(before, after, (3, 5, 5))


@pytest.mark.parametrize("outputs", [("n", "a"), ("n", "m")])
def test_what_others_read_stays(b, outputs):
    b.convolution("a", "x", 4)
    b.scale("n", "a", 2.0)
    b.scale("m", "a", 3.0)
    before = b.graph(*outputs)
    after = join_layers(before)
    assert "a" in after.by_output()
    same(before, after, (3, 5, 5))


def test_maps_that_move_elements_stay(b):
    b.convolution("a", "x", 4)
    b.affine("m", [("a", Pool((1, 4, 5, 5), (1, 4, 2, 2), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)))])
    b.affine("f", [("m", Reshape((1, 4, 2, 2), (1, 16)))])
    b.dense("d", "f", 3)
    before = b.graph("d")
    after = join_layers(before)
    # A public map, another shape of it, and a product with weights are three things.
    assert [node.output.name for node in after.nodes] == ["x", "a", "f", "d"]
    same(before, after, (3, 5, 5))
