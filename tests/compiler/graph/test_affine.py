"""Affine maps: what they enumerate is what they compute, and composition is composition."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hecc.compiler.graph import affine
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
    Weighted,
    compose,
)

EXAMPLES = settings(max_examples=80, deadline=None, derandomize=True)
Made = tuple[AffineMap, dict[str, Any]]
small = st.integers(1, 3)


def random(seed: int, shape: tuple[int, ...]) -> Any:
    """Numbers of which some are zero, as in pruned networks."""
    source = np.random.default_rng(seed)
    return source.standard_normal(shape) * (source.random(shape) < 0.8)


@st.composite
def reshapes(draw: st.DrawFn, shape: tuple[int, ...]) -> Made:
    size = int(np.prod(shape))
    divisor = draw(st.sampled_from([d for d in range(1, size + 1) if size % d == 0]))
    return Reshape(shape, (divisor, size // divisor)), {}


@st.composite
def selects(draw: st.DrawFn, shape: tuple[int, ...]) -> Made:
    size = int(np.prod(shape))
    if draw(st.booleans()):
        index = draw(st.permutations(range(size)))
    else:
        index = draw(st.lists(st.integers(-1, size - 1), min_size=1, max_size=2 * size))
    return Select.of(shape, (len(index),), np.array(index)), {}


@st.composite
def scales(draw: st.DrawFn, shape: tuple[int, ...]) -> Made:
    factor = draw(st.sampled_from([(), shape[-1:], shape]))
    name = f"s{draw(st.integers(0, 99))}"
    return Scale.of(shape, name), {name: random(int(name[1:]), factor)}


@st.composite
def products(draw: st.DrawFn, shape: tuple[int, ...]) -> Made:
    left, flip = draw(st.booleans()), draw(st.booleans())
    vector = len(shape) == 1
    inner = shape[-2] if left and not vector else shape[-1]
    outer = draw(small)
    batch = draw(st.sampled_from([(), (2,)])) if len(shape) <= 2 else ()
    matrix = (outer, inner) if left else (inner, outer)
    weight = random(outer, (*batch, *(matrix[::-1] if flip else matrix)))
    rest = (*shape[:-2], outer, shape[-1]) if left and not vector else (*shape[:-1], outer)
    name = f"w{'l' if left else 'r'}{'t' if flip else 'n'}{outer}{inner}{len(batch)}"
    return MatrixProduct(shape, (*batch, *rest), name, left, flip), {name: weight}


@st.composite
def images(draw: st.DrawFn) -> tuple[int, ...]:
    spatial = draw(st.lists(st.integers(2, 6), min_size=1, max_size=2))
    return (draw(st.integers(1, 2)), draw(st.sampled_from([2, 4])), *spatial)


@st.composite
def windows(draw: st.DrawFn, shape: tuple[int, ...], pooling: bool) -> Made:
    spatial = shape[2:]
    kernel = tuple(draw(small) for _ in spatial)
    strides = tuple(draw(small) for _ in spatial)
    dilations = tuple(draw(st.integers(1, 2)) for _ in spatial)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    # Padding enough for one window, and sometimes more than a whole window, so that some see no pixel at all.
    pads = tuple(
        (draw(st.integers(0, 2)) + max(0, s - n), draw(st.integers(0, 4))) for s, n in zip(spans, spatial, strict=True)
    )
    out = tuple((n + sum(p) - s) // t + 1 for n, p, s, t in zip(spatial, pads, spans, strides, strict=True))
    if pooling:
        counted = draw(st.booleans())
        return Pool(shape, (*shape[:2], *out), kernel, strides, pads, dilations, counted), {}
    group = draw(st.sampled_from([1, 2]))
    weight = random(sum(kernel), (2 * group, shape[1] // group, *kernel))
    name = f"c{group}{shape[1]}{'x'.join(map(str, kernel))}"
    map_ = Convolution(shape, (shape[0], 2 * group, *out), kernel, strides, pads, dilations, name, group)
    return map_, {name: weight}


@st.composite
def weighted(draw: st.DrawFn, shape: tuple[int, ...]) -> Made:
    size, out = int(np.prod(shape)), draw(st.integers(1, 6))
    places = st.tuples(st.integers(0, out - 1), st.integers(0, size - 1))
    rows, columns = np.array(draw(st.lists(places, min_size=1, max_size=12))).T
    name = f"e{draw(st.integers(0, 99))}:{len(rows)}"
    return Weighted.of(shape, (out,), rows, columns, name), {name: random(len(rows), (len(rows),))}


KINDS: dict[str, Callable[[tuple[int, ...]], st.SearchStrategy[Made]]] = {
    "Reshape": reshapes,
    "Select": selects,
    "Scale": scales,
    "MatrixProduct": products,
    "Weighted": weighted,
}
IMAGES: dict[str, Callable[[tuple[int, ...]], st.SearchStrategy[Made]]] = {
    "Convolution": lambda shape: windows(shape, False),
    "Pool": lambda shape: windows(shape, True),
}
shapes = st.lists(small, min_size=1, max_size=3).map(tuple)


@st.composite
def maps(draw: st.DrawFn, shape: tuple[int, ...] | None = None) -> Made:
    """Any basic map, from a given shape."""
    kinds = {**KINDS, **IMAGES}
    if shape is None:
        shape = draw(st.one_of(shapes, images()))
    allowed = [name for name in kinds if name in KINDS or (len(shape) > 2 and shape[1] % 2 == 0)]
    return draw(kinds[draw(st.sampled_from(allowed))](shape))


@st.composite
def sequences(draw: st.DrawFn, most: int = 4) -> tuple[list[AffineMap], dict[str, Any]]:
    """Maps each of which continues the one before."""
    first, parameters = draw(maps())
    steps = [first]
    for _ in range(draw(st.integers(0, most - 1))):
        step, more = draw(maps(steps[-1].out_shape))
        if any(not np.array_equal(parameters.get(name, array), array) for name, array in more.items()):
            break
        parameters = {**parameters, **more}
        steps.append(step)
    return steps, parameters


def check(m: AffineMap, parameters: dict[str, Any], expected: Any = None) -> None:
    """All that holds for every map: application, enumeration, bounds, names."""
    x = np.random.default_rng(1).standard_normal((2, m.in_size))
    matrix = m.matrix(parameters)
    assert matrix.shape == (m.out_size, m.in_size)
    applied = m.apply(x, parameters)
    assert applied.shape == (2, m.out_size)
    np.testing.assert_allclose(applied, (matrix @ x.T).T, rtol=1e-9, atol=1e-9)
    if expected is not None:
        np.testing.assert_allclose(matrix.toarray(), expected, rtol=1e-9, atol=1e-9)
    blocks = list(m.entries(parameters))
    assert sum(len(block.values) for block in blocks) <= m.nonzeros()
    for block in blocks:
        assert len(block.rows) == len(block.columns) == len(block.values)
    assert np.diff(matrix.indptr).max(initial=0) <= m.fan_in()
    assert m.parameters <= parameters.keys()
    assert hash(m) == hash(m)
    assert m == m


@EXAMPLES
@given(maps())
def test_every_basic_map_computes_what_it_enumerates(made: Made) -> None:
    check(*made)


@EXAMPLES
@given(sequences())
def test_a_composition_is_the_product_of_the_matrices(made: tuple[list[AffineMap], dict[str, Any]]) -> None:
    steps, parameters = made
    composed, expected = steps[0], steps[0].matrix(parameters).toarray()
    for step in steps[1:]:
        composed = compose(step, composed)
        expected = step.matrix(parameters).toarray() @ expected
    assert (composed.in_shape, composed.out_shape) == (steps[0].in_shape, steps[-1].out_shape)
    check(composed, parameters, expected)


@EXAMPLES
@given(sequences(3))
def test_composition_is_associative(made: tuple[list[AffineMap], dict[str, Any]]) -> None:
    steps, parameters = made
    if len(steps) == 3:
        a, b, c = steps
        left = compose(compose(c, b), a).matrix(parameters).toarray()
        np.testing.assert_allclose(left, compose(c, compose(b, a)).matrix(parameters).toarray(), rtol=1e-9, atol=1e-9)


@EXAMPLES
@given(sequences(2))
def test_a_sum_is_the_sum_of_the_matrices(made: tuple[list[AffineMap], dict[str, Any]]) -> None:
    steps, parameters = made
    whole = steps[0] if len(steps) == 1 else compose(steps[1], steps[0])
    back = Scale.of(whole.out_shape, "minus")
    parameters = {**parameters, "minus": np.array(-0.5)}
    check(SumOfMaps.of(whole, compose(back, whole)), parameters, 0.5 * whole.matrix(parameters).toarray())
    assert SumOfMaps.of(whole) is whole


def test_reshapes_vanish_from_compositions() -> None:
    there, back = Reshape((2, 3), (6,)), Reshape((6,), (3, 2))
    assert compose(back, there) == Reshape((2, 3), (3, 2))
    composed = compose(back, compose(Scale.of((6,), "s"), there))
    assert isinstance(composed, Composition)
    assert composed.steps == (Scale.of((6,), "s"),)
    assert (composed.in_shape, composed.out_shape) == ((2, 3), (3, 2))


def test_the_bound_of_a_chain_holds_where_rows_differ_in_density() -> None:
    # One row has all the weight, and the second step reads it again and again.
    first = Select.of((4,), (4,), np.arange(4))
    dense_row = MatrixProduct((4,), (4,), "w", left=True)
    repeat = Select.of((4,), (8,), np.zeros(8, np.int64))
    parameters = {"w": np.vstack([np.ones(4), np.zeros((3, 4))])}
    check(compose(repeat, compose(dense_row, first)), parameters)
    # A padded convolution whose inner pixels are the only ones that are read, several times.
    convolution = Convolution((1, 1, 3, 3), (1, 1, 3, 3), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), "k")
    middle = Select.of((1, 1, 3, 3), (9,), np.full(9, 4))
    check(compose(middle, convolution), {"k": np.ones((1, 1, 3, 3))})


def test_enumeration_is_in_bounded_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(affine, "BLOCK", 50)
    made: list[Made] = [
        (
            Convolution((1, 4, 6, 6), (1, 8, 6, 6), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), "c"),
            {"c": random(0, (8, 4, 3, 3))},
        ),
        (Pool((2, 8, 4, 4), (2, 8, 2, 2), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)), {}),
        (MatrixProduct((30,), (20,), "w"), {"w": random(1, (30, 20))}),
        (Select.of((200,), (200,), np.arange(200)[::-1]), {}),
        (Scale.of((200,), "s"), {"s": random(2, (200,))}),
        (Weighted.of((9,), (70,), np.arange(70), np.arange(70) % 9, "e"), {"e": random(3, (70,))}),
        (Reshape((200,), (20, 10)), {}),
    ]
    for m, parameters in made:
        check(m, parameters)
        blocks = list(m.entries(parameters))
        assert len(blocks) > 1
        assert max(len(block.values) for block in blocks) <= 50


def test_impossible_maps_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cannot reshape \(2, 3\) to \(5,\)"):
        Reshape((2, 3), (5,))
    with pytest.raises(ValueError, match="one index per output element"):
        Select.of((2,), (3,), np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="one row and one column per weight"):
        Weighted.of((2,), (3,), np.zeros(2, np.int64), np.zeros(3, np.int64), "w")


def test_maps_compare_and_hash_by_what_they_are() -> None:
    one, same, other = (Select.of((3,), (3,), np.array(index)) for index in ([2, 1, 0], [2, 1, 0], [0, 1, 2]))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert len({one, same, other}) == 2
