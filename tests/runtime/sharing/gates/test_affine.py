"""Affine maps: exact, for one message's price ahead of the input, whoever knows the masks of public summands."""

import numpy as np
import pytest

from hecc.runtime.sharing.program.instructions import (
    Affine,
    Combine,
    Input,
    Knot,
    Output,
    Private,
    Public,
    Release,
    Shift,
)
from hecc.runtime.sharing.program.maps import Convolution, Dense, Gather, Scattered
from hecc.runtime.sharing.program.program import Program

ROWS = 3


def drawn(shape, bits=10, seed=0):
    return np.random.default_rng(seed).integers(-(1 << bits), 1 << bits, shape)


@pytest.mark.parametrize(
    ("map_", "expected"),
    [
        (Dense(inner=7, outer=5), lambda x, w: x @ w[0]),
        (
            Dense(batches=2, rows=3, inner=4, outer=5),
            lambda x, w: (x.reshape(-1, 2, 3, 4) @ w).reshape(len(x), -1),
        ),
        (
            Scattered(in_size=4, out_size=3, columns="columns", starts="starts", weights=4),
            lambda x, w: np.stack([x[:, 0] * w[0] + x[:, 2] * w[1], 0 * x[:, 0], x[:, 1] * w[2] + x[:, 3] * w[3]], 1),
        ),
    ],
    ids=["dense", "batches", "scattered"],
)
def test_private_maps_are_exact(infer, map_, expected):
    constants = {"columns": np.array([0, 2, 1, 3]), "starts": np.array([0, 2, 2])}
    program = Program(
        (
            Input(name="x", size=map_.in_size, ring=32),
            Affine(private=(Private(x=0, map=map_, weight="w"),), bias="b", size=map_.out_size, ring=32),
            Release(x=1, ring=32),
            Output(name="y", x=2),
        ),
        constants if isinstance(map_, Scattered) else {},
    )
    x, w, b = drawn((ROWS, map_.in_size)), drawn(map_.weight_shape, seed=1), drawn(map_.out_size, seed=2)
    done = infer(program, {"x": x}, {"w": w}, {"b": b})
    np.testing.assert_array_equal(done.results["y"], expected(x, w) + b)


@pytest.mark.parametrize(
    ("size", "kernel", "strides", "dilations", "before", "after", "groups"),
    [
        ((9,), (3,), (2,), (1,), (1,), (1,), 1),
        ((7, 6), (3, 2), (1, 1), (1, 1), (0, 0), (0, 0), 1),
        ((7, 6), (3, 3), (2, 1), (1, 2), (1, 2), (2, 2), 2),
        ((4, 5, 3), (2, 2, 2), (1, 2, 1), (1, 1, 1), (1, 0, 0), (0, 1, 0), 1),
    ],
)
def test_convolutions_are_those_of_onnx(infer, size, kernel, strides, dilations, before, after, groups):
    from onnx import TensorProto, helper, reference

    out = tuple(
        (n + a + b - (k - 1) * d - 1) // s + 1
        for n, k, s, d, b, a in zip(size, kernel, strides, dilations, before, after, strict=True)
    )
    map_ = Convolution(
        channels=4,
        size=size,
        maps=6,
        out=out,
        kernel=kernel,
        strides=strides,
        dilations=dilations,
        before=before,
        groups=groups,
    )
    program = Program(
        (
            Input(name="x", size=map_.in_size, ring=40),
            Affine(private=(Private(x=0, map=map_, weight="w"),), size=map_.out_size, ring=40),
            Release(x=1, ring=40),
            Output(name="y", x=2),
        ),
        {},
    )
    x, w = drawn((ROWS, map_.in_size), 12), drawn(map_.weight_shape, 12, seed=1)
    node = helper.make_node(
        "Conv",
        ["x", "w"],
        ["y"],
        strides=strides,
        dilations=dilations,
        group=groups,
        pads=[*before, *after],
        kernel_shape=kernel,
    )
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "g",
        [value("x", TensorProto.DOUBLE, [ROWS, 4, *size]), value("w", TensorProto.DOUBLE, w.shape)],
        [value("y", TensorProto.DOUBLE, None)],
    )
    model = helper.make_model(graph)
    (expected,) = reference.ReferenceEvaluator(model).run(
        None, {"x": x.reshape(ROWS, 4, *size).astype(float), "w": w.astype(float)}
    )
    done = infer(program, {"x": x}, {"w": w})
    np.testing.assert_array_equal(done.results["y"], expected.reshape(ROWS, -1))


def test_residuals_and_sums_of_values_under_both_kinds_of_masks(infer):
    """y = W x, z = 3 y + 4 x[picked] - sums of y, twice: under a remask, and as sums that cost nothing."""
    picked = Gather(columns="picked", out_size=4)
    sums = Gather(columns="all", starts="starts", out_size=4, factor=-1)
    constants = {
        "picked": np.array([3, 3, 0, 1]),
        "all": np.array([0, 1, 2, 3, 1]),
        "starts": np.array([0, 2, 2, 4]),
    }
    program = Program(
        (
            Input(name="x", size=4, ring=30),
            Affine(private=(Private(x=0, map=Dense(inner=4, outer=4), weight="w"),), size=4, ring=30),
            Affine(
                public=(Public(x=1, factor=3), Public(x=0, map=picked, factor=4), Public(x=1, map=sums)),
                size=4,
                ring=28,
            ),
            Release(x=2, ring=28),
            Output(name="remasked", x=3),
            Combine(terms=(Public(x=1, factor=3), Public(x=1, map=sums)), constant=-5, ring=30),
            Release(x=5, ring=30),
            Combine(terms=(Public(x=6), Public(x=0, map=picked, factor=4)), constant=5, ring=30),
            Output(name="summed", x=7),
        ),
        constants,
    )
    x, w = drawn((ROWS, 4)), drawn((1, 4, 4), seed=1)
    y = x @ w[0]
    some = np.stack([y[:, 0] + y[:, 1], 0 * y[:, 0], y[:, 2] + y[:, 3], y[:, 1]], axis=1)
    done = infer(program, {"x": x}, {"w": w})
    np.testing.assert_array_equal(done.results["remasked"], 3 * y + 4 * x[:, [3, 3, 0, 1]] - some)
    np.testing.assert_array_equal(done.results["summed"], done.results["remasked"])


def test_one_weight_in_two_layers_has_one_mask(infer):
    weight = Private(x=0, map=Dense(inner=4, outer=4), weight="w")
    program = Program(
        (
            Input(name="x", size=4, ring=32),
            Affine(private=(weight,), size=4, ring=32),
            Shift(x=1, bits=4, ring=28),
            Knot(x=2, digits=((5, 4), (5, 5, 4, 4)), ring=24),
            Affine(private=(Private(x=3, map=weight.map, weight="w"), weight), size=4, ring=24),
            Release(x=4, ring=24),
            Output(name="y", x=5),
        ),
        {},
    )
    x, w = drawn((ROWS, 4), 6), drawn((1, 4, 4), 4, seed=1)
    done = infer(program, {"x": x}, {"w": w})
    hidden = np.maximum(x @ w[0], 0) / 16
    assert np.abs(done.results["y"] - (hidden + x) @ w[0]).max() < np.abs(w).sum()
