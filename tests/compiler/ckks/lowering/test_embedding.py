"""Embedding: the diagonals of a map under a pair of layouts compute the map, and nothing else."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hecc.compiler.ckks.lowering.embedding import Embedding, embed, measure
from hecc.compiler.graph.affine import (
    AffineMap,
    Composition,
    Convolution,
    MatrixProduct,
    Pool,
    Reshape,
    Scale,
    Select,
    SumOfMaps,
    compose,
)
from hecc.runtime.ckks.circuit.instructions import Diagonals
from hecc.runtime.ckks.circuit.layout import Layout, image_layout, vector_layout

settings.register_profile("deterministic", derandomize=True, deadline=None, max_examples=250, database=None)
PROFILE = settings.get_profile("deterministic")

Parameters = dict[str, np.ndarray[Any, Any]]


def numbers(generator: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    """Small integers without zero: sums of them are exact in single precision, and no diagonal is lost."""
    return generator.integers(1, 8, shape) * generator.choice([-1.0, 1.0], shape)


@st.composite
def maps(draw: Any) -> tuple[AffineMap, Parameters]:
    kind = draw(st.sampled_from(["convolution", "matrix", "pool", "scale", "select", "reshape", "sum", "chain"]))
    generator = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    channels, height, width = (draw(st.integers(1, limit)) for limit in (4, 6, 6))
    shape = (1, channels, height, width)
    if kind == "matrix":
        out = draw(st.integers(1, 12))
        size = math.prod(shape)
        flat = Reshape(shape, (1, size))
        return compose(MatrixProduct((1, size), (1, out), "w"), flat), {"w": numbers(generator, size, out)}
    if kind == "scale":
        return Scale.of(shape, "w"), {"w": numbers(generator, channels, 1, 1)}
    if kind == "select":
        out = (1, *(draw(st.integers(1, 5)) for _ in range(3)))
        index = generator.integers(-1, math.prod(shape), math.prod(out))
        index[0] = 0
        return Select.of(shape, out, index), {}
    if kind == "reshape":
        return Reshape(shape, (1, math.prod(shape))), {}
    window, parameters = window_map(draw, generator, shape, kind == "pool")
    if kind == "sum":
        other, more = window_map(draw, generator, shape, False, like=window)
        return SumOfMaps.of(window, other), {**parameters, **more}
    if kind == "chain":
        dense = MatrixProduct((1, window.out_size), (1, 3), "dense")
        flat = Reshape(window.out_shape, (1, window.out_size))
        parameters["dense"] = numbers(generator, window.out_size, 3)
        parameters["before"] = numbers(generator, channels, 1, 1)
        chain = compose(compose(dense, flat), compose(window, Scale.of(shape, "before")))
        assert isinstance(chain, Composition)
        return chain, parameters
    return window, parameters


def window_map(
    draw: Any, generator: np.random.Generator, shape: tuple[int, ...], pool: bool, like: AffineMap | None = None
) -> tuple[AffineMap, Parameters]:
    if like is not None:
        assert isinstance(like, Convolution)
        name = "other"
        return Convolution(
            like.in_shape, like.out_shape, like.kernel, like.strides, like.pads, like.dilations, name, like.group
        ), {name: numbers(generator, like.out_shape[1], shape[1] // like.group, *like.kernel)}
    kernel = tuple(draw(st.integers(1, min(3, size))) for size in shape[2:])
    strides = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    pads = tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in kernel)
    out = [(size + sum(pad) - k) // s + 1 for size, pad, k, s in zip(shape[2:], pads, kernel, strides, strict=True)]
    if pool:
        return Pool(shape, (*shape[:2], *out), kernel, strides, pads, (1, 1)), {}
    group = draw(st.sampled_from([g for g in (1, 2) if shape[1] % g == 0]))
    features = group * draw(st.integers(1, 3))
    convolution = Convolution(shape, (1, features, *out), kernel, strides, pads, (1, 1), "w", group)
    return convolution, {"w": numbers(generator, features, shape[1] // group, *kernel)}


@st.composite
def layouts(draw: Any, shape: tuple[int, ...], slots: int) -> Layout:
    """A layout of any kind for a tensor; as many ciphertexts as it takes."""
    if len(shape) != 4 or draw(st.booleans()):
        return vector_layout(shape, slots)
    gap = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    layout = image_layout(shape, slots, gap=gap, pitch=draw(st.integers(0, 8)), plane=draw(st.integers(0, 64)))
    # The client repeats inputs where there is room.
    if layout.count == 1 and draw(st.booleans()):
        period = 1 << (layout.span - 1).bit_length()
        layout = Layout(shape, layout.axes, slots, 1, min(slots, period))
    return layout


def evaluate(diagonals: Diagonals, x: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """The definition of a linear transform, diagonal by diagonal, with cyclic rotations."""
    slots = x.shape[1]
    y = np.zeros((count, slots))
    for k in range(len(diagonals)):
        rotated = np.roll(x[diagonals.column[k]], -int(diagonals.baby[k] + diagonals.giant[k]))
        y[diagonals.row[k]] += diagonals.dense(k, slots) * rotated
    return y


def folded(embedding: Embedding, y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Rotate-and-add, by half the span first."""
    if embedding.fold is None:
        return y
    period, span = embedding.fold
    while span > period:
        span //= 2
        y = y + np.roll(y, -span, axis=1)
    return y


def one(m: AffineMap, parameters: Parameters, source: Layout, target: Layout) -> Embedding:
    (embedding,) = measure(m, parameters, [(source, target)])
    return embedding


@settings(PROFILE)
@given(st.data())
def test_diagonals_compute_the_map_and_leave_zeros_elsewhere(data: Any) -> None:
    m, parameters = data.draw(maps())
    slots = 1 << data.draw(st.integers(3, 9))
    source, target = data.draw(layouts(m.in_shape, slots)), data.draw(layouts(m.out_shape, slots))
    embedding = one(m, parameters, source, target)
    diagonals = embed(m, parameters, embedding)
    diagonals.check(count=target.count, columns=source.count, slots=slots)
    x = np.random.default_rng(3).integers(-9, 10, (1, m.in_size)).astype(np.float64)
    found = folded(embedding, evaluate(diagonals, source.pack(x.reshape(source.shape)), target.count))
    # Packing the exact result also says what all other slots hold: zeros, and copies.
    exact = target.pack(m.apply(x, parameters).reshape(target.shape))
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-5 * max(1.0, float(np.abs(exact).max())))
    assert np.all(found[~target.occupied] == 0)


@settings(PROFILE)
@given(st.data())
def test_the_split_counts_the_rotations_that_the_diagonals_need(data: Any) -> None:
    m, parameters = data.draw(maps())
    slots = 1 << data.draw(st.integers(3, 9))
    embedding = one(m, parameters, data.draw(layouts(m.in_shape, slots)), data.draw(layouts(m.out_shape, slots)))
    diagonals = embed(m, parameters, embedding)
    assert len(diagonals) == embedding.diagonals
    babies = {(c, b) for c, b in zip(diagonals.column.tolist(), diagonals.baby.tolist(), strict=True) if b}
    giants = {(r, g) for r, g in zip(diagonals.row.tolist(), diagonals.giant.tolist(), strict=True) if g}
    folds = round(math.log2(embedding.fold[1] / embedding.fold[0])) if embedding.fold else 0
    assert embedding.rotations == len(babies) + len(giants) + folds
    plain = len({(int(p) // slots % embedding.source.count, int(p) % slots) for p in embedding.places if p % slots})
    # One baby step per distance and no giant is always possible.
    assert embedding.split.rotations <= plain


def test_many_pairs_are_measured_as_each_alone() -> None:
    generator = np.random.default_rng(0)
    m = Convolution((1, 2, 6, 6), (1, 3, 3, 3), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), "w")
    parameters = {"w": numbers(generator, 3, 2, 2, 2)}
    sources = [vector_layout(m.in_shape, 128), image_layout(m.in_shape, 128, pitch=8)]
    targets = [vector_layout(m.out_shape, 128), image_layout(m.out_shape, 128, gap=(2, 2), pitch=6, plane=36)]
    pairs = [(s, t) for s in sources for t in targets]
    for together, pair in zip(measure(m, parameters, pairs), pairs, strict=True):
        np.testing.assert_array_equal(together.places, one(m, parameters, *pair).places)


def test_a_strided_convolution_keeps_few_diagonals_when_the_gap_widens() -> None:
    """Single-shot multiplexed convolution: kernel pixels times channels, as without a stride."""
    m = Convolution((1, 1, 8, 8), (1, 4, 4, 4), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), "w")
    parameters = {"w": np.ones((4, 1, 2, 2))}
    source = image_layout(m.in_shape, 64)
    widened = one(m, parameters, source, image_layout(m.out_shape, 64, gap=(2, 2), pitch=8, plane=64))
    closed = one(m, parameters, source, image_layout(m.out_shape, 64))
    assert widened.diagonals == 9
    assert closed.diagonals > 2 * widened.diagonals


def test_a_dense_layer_into_a_repeated_vector_has_as_many_diagonals_as_its_period() -> None:
    """The hybrid embedding: 10 results of 100 arguments take 16 diagonals and three folds, not 109 diagonals."""
    m = MatrixProduct((1, 100), (1, 10), "w")
    embedding = one(m, {"w": np.ones((100, 10))}, vector_layout((1, 100), 128), vector_layout((1, 10), 128))
    assert embedding.diagonals == 16
    assert embedding.fold == (16, 128)


@pytest.mark.parametrize("kind", ["dense", "convolution"])
def test_memory_is_linear_in_the_non_zeros(kind: str) -> None:
    """Twice the non-zeros take at most about twice the memory, far below slots x slots."""
    peaks = []
    for size in (1, 2, 4):
        if kind == "dense":
            m: AffineMap = MatrixProduct((1, 128 * size), (1, 64), "w")
            parameters = {"w": np.ones((128 * size, 64))}
        else:
            m = Convolution((1, 4 * size, 8, 8), (1, 4, 8, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), "w")
            parameters = {"w": np.ones((4, 4 * size, 3, 3))}
        slots = 1024 * size
        target = vector_layout(m.out_shape, slots) if kind == "dense" else image_layout(m.out_shape, slots)
        source = vector_layout(m.in_shape, slots) if kind == "dense" else image_layout(m.in_shape, slots)
        tracemalloc.start()
        embed(m, parameters, one(m, parameters, source, target))
        peaks.append(tracemalloc.get_traced_memory()[1] / m.nonzeros())
        tracemalloc.stop()
    assert peaks[-1] <= 1.5 * peaks[0]
    assert peaks[-1] < 1000


def test_weights_that_meet_on_one_place_add_up() -> None:
    m = SumOfMaps.of(Scale.of((1, 4), "a"), Scale.of((1, 4), "b"))
    parameters = {"a": np.arange(4.0), "b": np.full(4, 10.0)}
    layout = vector_layout((1, 4), 4)
    diagonals = embed(m, parameters, one(m, parameters, layout, layout))
    assert len(diagonals) == 1
    np.testing.assert_array_equal(diagonals.dense(0, 4), [10, 11, 12, 13])
