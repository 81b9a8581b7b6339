"""Maxima as tournaments: the same numbers, and a rectifier a round."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import AffineNode, FunctionNode, InputNode, OperatorNode, Source, Value
from hecc.compiler.graph.operators import Operator, ReducedExtremum, WindowExtremum
from hecc.compiler.graph.stages import CANONICAL, check_graph
from hecc.compiler.importer import import_model
from hecc.passes.ckks.operators import take_operators_apart
from hecc.passes.ckks.pipeline import canonicalise
from hecc.runtime.errors import UnsupportedError

Model = Callable[..., onnx.ModelProto]


def alone(operator: Operator) -> Graph:
    """A network of one operator on one tensor."""
    source = Source("m", "Maximum", 17)
    (shape,) = operator.in_shapes
    nodes = (
        InputNode(Value("x", shape), source),
        OperatorNode(Value("y", operator.out_shape), source, ("x",), operator),
    )
    return Graph(nodes, ("y",), {})


def window(draw: np.random.Generator, rank: int) -> WindowExtremum:
    """A sliding window, perhaps with padding, strides, dilations, and the last windows over the edge."""
    sizes, outs, kernel, strides, dilations, pads = [], [], [], [], [], []
    for _ in range(rank):
        size, taps = int(draw.integers(3, 7)), int(draw.integers(1, 4))
        stride, dilation = int(draw.integers(1, 4)), int(draw.integers(1, 3)) if taps > 1 else 1
        before, after = (int(draw.integers(0, taps)) for _ in range(2))
        span = (taps - 1) * dilation + 1
        room = size + before + after - span
        if room < 0 or (dilation > 1 and before + after):
            taps, dilation, before, after, room = 2, 1, 1, 0, size - 1
        out = room // stride + 1
        # With ceil_mode one more, where it still begins inside the image.
        out += bool(draw.integers(2)) and room % stride > 0 and out * stride < size + before
        for each, value in zip(
            (sizes, outs, kernel, strides, dilations, pads),
            (size, out, taps, stride, dilation, (before, after)),
            strict=True,
        ):
            each.append(value)
    channels = int(draw.integers(1, 4))
    return WindowExtremum(
        ((1, channels, *sizes),),
        (1, channels, *outs),
        tuple(kernel),
        tuple(strides),
        tuple(dilations),
        tuple(pads),
        bool(draw.integers(2)),
    )


def rounds(graph: Graph) -> int:
    """Functions of functions: the longest chain."""
    depth: dict[str, int] = {}
    for node in graph.nodes:
        before = max((depth[name] for name in node.inputs), default=0)
        depth[node.output.name] = before + isinstance(node, FunctionNode)
    return max(depth.values())


def affine_levels(graph: Graph) -> int:
    """Affine maps in a row, the longest chain; reshapes are none."""
    depth: dict[str, int] = {}
    for node in graph.nodes:
        before = max((depth[name] for name in node.inputs), default=0)
        depth[node.output.name] = before + (isinstance(node, AffineNode) and not node.reshapes_only)
    return max(depth.values())


def same(graph: Graph, apart: Graph, draw: np.random.Generator) -> None:
    check_graph(apart, CANONICAL)
    x = draw.normal(size=(5, *graph.node("x").output.shape))
    expected = graph.evaluate({"x": x})["y"]
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(apart.evaluate({"x": x})["y"], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(60))
def test_a_window_over_signals_images_and_volumes(seed: int) -> None:
    draw = np.random.default_rng(seed)
    operator = window(draw, 1 + seed % 3)
    graph = alone(operator)
    apart = canonicalise(graph)
    same(graph, apart, draw)
    assert rounds(apart) <= max(0, math.prod(operator.kernel) - 1).bit_length()


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize(("shape", "axes"), [((1, 5), (1,)), ((1, 3, 4, 5), (2, 3)), ((4, 3), (0, 1)), ((7,), (0,))])
@pytest.mark.parametrize("keep", [True, False])
def test_over_axes(shape: tuple[int, ...], axes: tuple[int, ...], keep: bool, largest: bool) -> None:
    extents = ((axis in axes, extent) for axis, extent in enumerate(shape))
    out = tuple(1 if reduced else extent for reduced, extent in extents if keep or not reduced)
    graph = alone(ReducedExtremum((shape,), out, axes, largest))
    apart = canonicalise(graph)
    same(graph, apart, np.random.default_rng(0))
    assert rounds(apart) == (math.prod(shape[axis] for axis in axes) - 1).bit_length()


@pytest.mark.parametrize("kernel", [(2, 2), (3, 3), (2, 3), (5, 5)])
def test_a_round_is_one_affine_map_and_one_function_the_first_fused_with_the_layer_before(
    kernel: tuple[int, ...], model: Model
) -> None:
    k, w = np.random.default_rng(0).normal(size=(4, 2, 3, 3)), np.random.default_rng(1).normal(size=(16, 3))
    built = model(
        f"""g (float[N,2,{2 * kernel[0] + 2},{2 * kernel[1] + 2}] x) => (float[N,3] y) {{
            c = Conv<kernel_shape=[3,3]>(x, k)  m = MaxPool<kernel_shape={[*kernel]}, strides={[*kernel]}>(c)
            f = Flatten(m)  r = Relu(f)  y = MatMul(r, w)
        }}""",
        k=k.astype(np.float32),
        w=w.astype(np.float32),
    )
    graph = import_model(built)
    apart = canonicalise(graph)
    same(graph, apart, np.random.default_rng(2))
    number = rounds(apart)
    assert sum(isinstance(node, FunctionNode) for node in apart.nodes) == number
    # One before each function, the convolution and the selections in the first, and the dense layer.
    assert affine_levels(apart) == number + 1


def test_a_pixel_without_an_opponent_goes_through_and_no_number_stands_for_it() -> None:
    # In a corner four of the nine pixels are there: two of the five differences of the first round at the most.
    operator = WindowExtremum(((1, 1, 5, 5),), (1, 1, 5, 5), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))
    graph = alone(operator)
    x = np.full((1, 1, 1, 5, 5), -1e6)
    x[..., 2, 2] = -2e6
    values = take_operators_apart(graph).evaluate({"x": x})
    assert values["y"].tolist() == graph.evaluate({"x": x})["y"].tolist()
    differences = [values[name] for name in values if name.endswith("difference")]
    assert len(differences) == 4
    # A made-up pixel would be a million away.
    assert max(np.abs(each).max() for each in differences) == 1e6


def test_numbers_move_up_where_that_saves_a_round() -> None:
    # Nine taps, but never more than four of them inside an image of 2x2 pixels.
    operator = WindowExtremum(((1, 1, 2, 2),), (1, 1, 2, 2), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))
    apart = canonicalise(alone(operator))
    same(alone(operator), apart, np.random.default_rng(0))
    assert rounds(apart) == 2


def test_a_window_outside_the_image_is_refused_by_name() -> None:
    operator = WindowExtremum(((1, 1, 2),), (1, 1, 1), (2,), (1,), (4,), ((1, 2),))
    with pytest.raises(UnsupportedError, match=r"Maximum 'm' \(opset 17\): one of its windows lies wholly outside"):
        take_operators_apart(alone(operator))


@pytest.mark.parametrize(
    ("body", "number"),
    [
        ("m = Max(x, x)", 0),
        ("m = Max(x, row, half, low)", 1),
        ("n = Neg(x)  m = Min(half, row, n, x)", 2),
        ("n = Neg(x)  e = Mul(x, row)  m = Max(n, x, e, e, n)", 2),
        ("m = Max(x, low, row)  n = Min(m, half)", 2),
    ],
)
def test_several_tensors_and_all_constants_as_one(body: str, number: int, model: Model) -> None:
    constants = {"row": np.float32([0.1, -0.2, 0.3]), "half": np.float32(0.5), "low": np.float32([-9, 1, 0])}
    used = {name: array for name, array in constants.items() if name in body}
    used["w"] = np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32)
    last = "n" if body.count("n =") and "Min(m" in body else "m"
    graph = import_model(model(f"g (float[N,3] x) => (float[N,3] y) {{ {body}  y = MatMul({last}, w) }}", **used))
    assert any(isinstance(node, OperatorNode) for node in graph.nodes)
    apart = canonicalise(graph)
    same(graph, apart, np.random.default_rng(0))
    assert rounds(apart) == number


def test_the_differences_of_all_pairs_lie_behind_one_another_along_the_channels() -> None:
    operator = WindowExtremum(((1, 3, 6, 6),), (1, 3, 2, 2), (3, 3), (3, 3), (1, 1), ((0, 0), (0, 0)))
    apart = take_operators_apart(alone(operator))
    shapes = [node.output.shape for node in apart.nodes if isinstance(node, FunctionNode)]
    assert shapes == [(1, 12, 2, 2), (1, 6, 2, 2), (1, 3, 2, 2), (1, 3, 2, 2)]


def by_name(apart: Graph) -> dict[str, Any]:
    return {node.output.name: node for node in apart.nodes}


def test_of_nine_pixels_the_last_one_only_meets_the_winner_and_little_is_read() -> None:
    operator = WindowExtremum(((1, 3, 6, 6),), (1, 3, 2, 2), (3, 3), (3, 3), (1, 1), ((0, 0), (0, 0)))
    apart = canonicalise(alone(operator))
    assert by_name(apart)["y"].inputs == ("x", "y:beyond")
