"""Window sums: a pooling that fusion left alone costs no level, and nobody reads what it leaves between its results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hecc.compiler.ckks.lowering.lowering import lower
from hecc.compiler.graph.affine import Pool, Reshape, compose
from hecc.compiler.graph.nodes import WindowSumNode
from hecc.passes.ckks.layouts import Price, select_layouts
from hecc.passes.ckks.pipeline import canonicalise
from hecc.passes.graph.depth import multiplicative_depth
from hecc.passes.graph.ranges import value_ranges
from hecc.passes.graph.window_sums import sum_windows
from hecc.runtime.ckks.circuit.instructions import Rotate
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.types import verify

PRICE = Price(baby=1.0, giant=1.0, rotation=1.0, diagonal=0.2, ciphertext=1.0)


def pool(size: int, kernel: int, stride: int, *, channels: int = 2, pads: int = 0, dilation: int = 1) -> Pool:
    out = (size + 2 * pads - (kernel - 1) * dilation - 1) // stride + 1
    shapes = (1, channels, size, size), (1, channels, out, out)
    return Pool(*shapes, (kernel,) * 2, (stride,) * 2, ((pads, pads),) * 2, (dilation,) * 2)


def pooled(build: Any, m: Pool, features: int = 4) -> Any:
    """Square, pool, convolution: the pooling is worth no fusion with what follows."""
    build.input("x", *m.in_shape[1:])
    build.square("s", "x")
    build.affine("p", [("s", m)])
    build.shapes["p"] = m.out_shape
    build.convolution("y", "p", features)
    return build.graph("y")


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(2, 2, 1), (3, 2, 1), (3, 3, 1), (2, 1, 1), (5, 1, 1), (2, 2, 3)]
)
def test_a_pooling_costs_rotations_and_no_level(
    build: Any, equivalent: Any, kernel: int, stride: int, dilation: int
) -> None:
    before = pooled(build, pool(9, kernel, stride, dilation=dilation))
    after = canonicalise(before)
    assert [node.kind for node in after.nodes] == ["input", "quadratic", "windowsum", "affine"]
    assert multiplicative_depth(after)["y"] == multiplicative_depth(before)["y"] - 1
    equivalent(before, after)


def reshaped(build: Any, shape: tuple[int, ...], m: Pool) -> Any:
    """As Keras writes a pooling of a signal: squared in one shape, pooled in another."""
    build.input("x", *shape)
    build.square("s", "x")
    build.affine("r", [("s", Reshape((1, *shape), m.in_shape))])
    build.affine("p", [("r", m)])
    build.shapes["p"] = m.out_shape
    build.convolution("y", "p", 4)
    return build.graph("y")


COLUMN = Pool((1, 2, 12, 1), (1, 2, 6, 1), (2, 1), (2, 1), ((0, 0),) * 2, (1, 1))
ROW = Pool((1, 2, 1, 12), (1, 2, 1, 6), (1, 2), (1, 2), ((0, 0),) * 2, (1, 1))
BLOCK = Pool((1, 2, 4, 6), (1, 2, 2, 3), (2, 2), (2, 2), ((0, 0),) * 2, (1, 1))


def test_a_window_slides_over_what_lies_as_before_a_reshape(build: Any, equivalent: Any) -> None:
    """The reshape stays, as something else reads it, too."""
    build.input("x", 2, 24)
    build.affine("r", [("x", Reshape((1, 2, 24), BLOCK.in_shape))])
    build.square("s", "r")
    build.affine("p", [("s", BLOCK)])
    build.affine("y", [("s", compose(BLOCK, Reshape(BLOCK.in_shape, BLOCK.in_shape)))], 1.0)
    before = build.graph("p", "y")
    after = canonicalise(before)
    assert not any(isinstance(node, WindowSumNode) for node in after.nodes)
    equivalent(before, after)


@pytest.mark.parametrize(
    ("shape", "window", "summed"),
    [
        ((2, 12), COLUMN, True),
        ((2, 12), ROW, True),
        ((2, 1, 12), COLUMN, True),
        ((2, 12, 1), COLUMN, True),
        ((2, 6, 4), BLOCK, False),
        ((2, 24), BLOCK, False),
        ((48,), BLOCK, False),
    ],
)
def test_a_window_slides_over_images_as_they_lie(
    build: Any, equivalent: Any, shape: tuple[int, ...], window: Pool, summed: bool
) -> None:
    before = reshaped(build, shape, window)
    after = canonicalise(before)
    assert any(isinstance(node, WindowSumNode) for node in after.nodes) == summed
    equivalent(before, after)
    choice = select_layouts(after, 256, PRICE)
    circuit = lower(after, choice.layouts, choice.embeddings, 256).circuit
    verify(circuit, None)
    x = np.random.default_rng(3).uniform(-1, 1, (5, 1, *shape))
    found = Simulator(circuit).run({"x": choice.layouts["x"].pack(x.reshape(5, *choice.layouts["x"].shape))})["y"]
    right = before.evaluate({"x": x})["y"]
    np.testing.assert_allclose(choice.layouts["y"].unpack(found).reshape(5, -1), right, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (5, 1)])
def test_the_circuit_computes_it(build: Any, kernel: int, stride: int) -> None:
    graph = canonicalise(pooled(build, pool(9, kernel, stride)))
    choice = select_layouts(graph, 256, PRICE)
    circuit = lower(graph, choice.layouts, choice.embeddings, 256).circuit
    verify(circuit, None)
    assert sum(isinstance(ins, Rotate) for ins in circuit.instructions) == 2 * {2: 1, 3: 2, 5: 3}[kernel]
    x = np.random.default_rng(3).uniform(-1, 1, (4, 1, 2, 9, 9))
    found = Simulator(circuit).run({"x": choice.layouts["x"].pack(x)})["y"]
    layout = choice.layouts["y"]
    np.testing.assert_allclose(layout.unpack(found).reshape(4, -1), graph.evaluate({"x": x})["y"], rtol=1e-5, atol=1e-6)


def test_a_flattened_pooling_is_one(build: Any, equivalent: Any) -> None:
    m = pool(4, 2, 2)
    build.input("x", 2, 4, 4)
    build.affine("p", [("x", compose(Reshape(m.out_shape, (1, 8)), m))], 0.5)
    before = build.graph("p")
    after = sum_windows(before)
    assert isinstance(after.nodes[1], WindowSumNode)
    equivalent(before, after)


@pytest.mark.parametrize("m", [pool(9, 3, 2, pads=1), pool(64, 2, 2, channels=1)], ids=["padded", "large"])
def test_windows_over_the_edge_and_large_images_stay_affine(build: Any, m: Pool) -> None:
    before = pooled(build, m)
    assert sum_windows(before).nodes == before.nodes


def test_the_proved_range_of_a_sum_holds(build: Any) -> None:
    graph = canonicalise(pooled(build, pool(4, 2, 2)))
    x = np.ones((1, 1, 2, 4, 4))
    (total,) = (node.output.name for node in graph.nodes if isinstance(node, WindowSumNode))
    found = value_ranges(graph, {"x": x}, {"x": (-1.0, 1.0)}, 4.0)[total]
    assert (found.observed, found.proved) == (4.0, 4.0)
