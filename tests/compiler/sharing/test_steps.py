"""Affine maps as steps: together they are the map, and what a factor goes into has no more weights."""

import numpy as np
import pytest

from hecc.compiler.graph.affine import (
    Composition,
    Convolution,
    MatrixProduct,
    Pool,
    Reshape,
    Scale,
    Select,
    SumOfMaps,
    Weighted,
)
from hecc.compiler.sharing import steps
from hecc.compiler.sharing.steps import PrivateStep, PublicStep, steps_of
from hecc.runtime.errors import UnsupportedError
from hecc.runtime.sharing.program.maps import Dense, Scattered

RNG = np.random.default_rng(0)
PARAMETERS = {
    "kernel": RNG.integers(-9, 9, (6, 2, 3, 3)),
    "dense": RNG.integers(-9, 9, (5, 7)),
    "tall": RNG.integers(-9, 9, (4, 6)),
    "stack": RNG.integers(-9, 9, (3, 6, 2)),
    "channels": RNG.integers(1, 9, (6, 1, 1)),
    "inputs": RNG.integers(1, 9, (4, 1, 1)),
    "pixels": RNG.integers(1, 9, (6, 4, 3)),
    "outer": RNG.integers(1, 9, 7),
    "two": np.array(2.0),
    "minus": np.array(-2.0),
    "entries": RNG.integers(-9, 9, 5),
}
CONVOLUTION = Convolution((1, 4, 7, 6), (1, 6, 4, 3), (3, 3), (2, 2), ((1, 1), (1, 0)), (1, 1), "kernel", 2)
DENSE = MatrixProduct((1, 5), (1, 7), "dense")
INDEX = np.array([3, -1, 0, 0, 4])


def applied(found, x):
    """Integers through the steps, as the runtime's maps have them, and the factors at the end."""
    factor = 1.0
    for step in found:
        if isinstance(step, PrivateStep):
            weight = np.asarray(step.weight).astype(np.int64).view(np.uint64)
            assert weight.shape == step.map.weight_shape
            step.map.check(step.constants)
            x = step.map.apply(x.view(np.uint64), weight, step.constants, 64).view(np.int64)
        elif step.starts is None:
            x, factor = x[:, step.columns], factor * step.factor
        else:
            ends = [*step.starts[1:], len(step.columns)]
            sums = [x[:, step.columns[a:b]].sum(axis=1) for a, b in zip(step.starts, ends, strict=True)]
            x, factor = np.stack(sums, axis=1), factor * step.factor
    return x * factor


MAPS = {
    "reshape": (Reshape((2, 3), (6,)), []),
    "select": (Select.of((1, 5), (1, 5), INDEX), [PublicStep]),
    "convolution": (CONVOLUTION, [PrivateStep]),
    "dense": (DENSE, [PrivateStep]),
    "rows": (MatrixProduct((3, 4, 5), (3, 4, 7), "dense"), [PrivateStep]),
    "left": (MatrixProduct((2, 6, 3), (2, 4, 3), "tall", left=True), [PublicStep, PrivateStep, PublicStep]),
    "left vector": (MatrixProduct((6,), (4,), "tall", left=True), [PrivateStep]),
    "transposed": (MatrixProduct((2, 7), (2, 5), "dense", transpose=True), [PrivateStep]),
    "stack": (MatrixProduct((3, 4, 6), (3, 4, 2), "stack"), [PrivateStep]),
    "scale": (Scale.of((1, 6, 4, 3), "channels"), [PrivateStep]),
    "one factor": (Scale.of((3, 2), "two"), [PublicStep]),
    "one negative factor": (Scale.of((3, 2), "minus"), [PrivateStep]),
    "weighted": (
        Weighted.of((4,), (3,), np.array([0, 2, 2, 0, 0]), np.array([1, 1, 3, 1, 2]), "entries"),
        [PrivateStep],
    ),
    "sum": (SumOfMaps.of(DENSE, DENSE), [PrivateStep]),
    "mean": (Pool((1, 2, 6, 4), (1, 2, 3, 2), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)), [PublicStep]),
    "mean with ends": (Pool((1, 2, 5, 5), (1, 2, 3, 3), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)), [PublicStep]),
    "normalised": (
        Composition(CONVOLUTION.in_shape, (1, 6, 4, 3), (CONVOLUTION, Scale.of((1, 6, 4, 3), "channels"))),
        [PrivateStep],
    ),
    "pixels": (
        Composition(CONVOLUTION.in_shape, (1, 6, 4, 3), (CONVOLUTION, Scale.of((1, 6, 4, 3), "pixels"))),
        [PrivateStep] * 2,
    ),
    "scaled input": (
        Composition(CONVOLUTION.in_shape, (1, 6, 4, 3), (Scale.of((1, 4, 7, 6), "inputs"), CONVOLUTION)),
        [PrivateStep],
    ),
    "scaled dense": (Composition((1, 5), (1, 7), (DENSE, Scale.of((1, 7), "outer"))), [PrivateStep]),
    "doubled dense": (Composition((1, 5), (1, 7), (Scale.of((1, 5), "two"), DENSE)), [PrivateStep]),
    "picked twice": (Composition((1, 5), (1, 5), (Select.of((1, 5), (1, 5), np.arange(5)[::-1]),) * 2), []),
}


@pytest.mark.parametrize("name", MAPS)
def test_steps_make_the_map(name):
    map_, kinds = MAPS[name]
    found = steps_of(map_, PARAMETERS)
    assert [type(step) for step in found] == kinds
    x = RNG.integers(-50, 50, (3, map_.in_size))
    np.testing.assert_allclose(applied(found, x), map_.apply(x.astype(float), PARAMETERS), rtol=1e-12)


def test_what_is_private_has_no_more_weights_than_the_network():
    folded = {name: steps_of(MAPS[name][0], PARAMETERS)[0] for name in ("normalised", "scaled input", "scaled dense")}
    assert {name: step.weight.size for name, step in folded.items()} == {
        "normalised": 6 * 2 * 9,
        "scaled input": 6 * 2 * 9,
        "scaled dense": 35,
    }
    assert isinstance(folded["scaled dense"].map, Dense)


def test_means_over_windows_of_many_sizes_have_weights(monkeypatch):
    monkeypatch.setattr(steps, "MOST_COUNT", 5)
    (step,) = steps_of(MAPS["mean with ends"][0], PARAMETERS)
    assert isinstance(step.map, Scattered)


def test_too_many_weights_are_refused(monkeypatch):
    monkeypatch.setattr(steps, "MOST_WEIGHTS", 69)
    with pytest.raises(UnsupportedError, match="70 weights of their own"):
        steps_of(MAPS["sum"][0], PARAMETERS)
