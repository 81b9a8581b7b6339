"""Images of primitives hold every value, and pieces are what the functions are there."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hecc.compiler.graph.enclosures.primitives import CONTINUOUS, PIECES, TURNS, piece_of, primitive_image
from hecc.compiler.graph.function import KINKED, PRIMITIVES

ATTRIBUTES: dict[str, list[dict[str, float]]] = {
    "celu": [{"alpha": 1.0}, {"alpha": 0.5}],
    "clip": [{"low": -1.0, "high": 0.5}, {"low": 2.0, "high": 1.0}],
    "elu": [{"alpha": 1.0}, {"alpha": -0.5}],
    "hardsigmoid": [{"alpha": 0.2, "beta": 0.5}, {"alpha": -0.3, "beta": 0.1}, {"alpha": 0.0, "beta": 2.0}],
    "leakyrelu": [{"alpha": 0.1}, {"alpha": -0.5}, {"alpha": 2.0}],
    "power": [{"exponent": 0.5}, {"exponent": -1.0}, {"exponent": 3.0}, {"exponent": -2.0}],
    "selu": [{"alpha": 1.67, "gamma": 1.05}, {"alpha": -1.0, "gamma": 1.0}],
    "shrink": [{"lambd": 0.5, "bias": 0.0}, {"lambd": 1.0, "bias": 2.0}, {"lambd": -0.5, "bias": 0.3}],
    "swish": [{"alpha": 1.0}, {"alpha": 1.7}, {"alpha": -1.0}, {"alpha": 0.0}],
    "thresholdedrelu": [{"alpha": 1.0}, {"alpha": -1.0}],
}
CASES = [(name, attributes) for name in PRIMITIVES for attributes in ATTRIBUTES.get(name, [{}])]
IDS = [f"{name}-{'-'.join(f'{value:g}' for value in attributes.values())}" for name, attributes in CASES]
INTERVALS = np.sort(np.random.default_rng(0).uniform(-6, 6, (300, 2)))
EDGES = np.array([[0.0, 1.0], [-1.0, 0.0], [-3.0, 3.0], [0.5, 0.5], [-1e3, 1e3], [0.2, 0.9]])


def test_every_primitive_has_an_image_and_every_kink_has_pieces() -> None:
    assert TURNS.keys() == PRIMITIVES.keys()
    assert PIECES.keys() >= KINKED | {"positive", "nonnegative"}
    assert {name for name, _ in CASES} == PRIMITIVES.keys()


@pytest.mark.parametrize(("name", "attributes"), CASES, ids=IDS)
def test_an_image_holds_all_values_and_its_ends_are_reached(name: str, attributes: dict[str, float]) -> None:
    ends = np.concatenate([INTERVALS, EDGES])
    low, high = primitive_image(name, attributes, (ends[:, 0], ends[:, 1]))
    points = np.linspace(ends[:, 0], ends[:, 1], 4001, axis=1)
    with np.errstate(all="ignore"):
        values = np.asarray(PRIMITIVES[name](points, **attributes), dtype=np.float64)
    for one, least, largest in zip(values, low, high, strict=True):
        if not np.isfinite(one).all():
            assert (least, largest) == (-np.inf, np.inf)
            continue
        slack = 1e-9 * max(1.0, np.abs(one).max())
        assert least <= one.min() + slack
        assert largest >= one.max() - slack
        if np.isfinite(least) and np.isfinite(largest) and name not in ("sin", "cos") and name in CONTINUOUS:
            assert one.min() - least + largest - one.max() <= 1e-2 * max(1.0, largest - least)


@pytest.mark.parametrize(("name", "attributes"), [case for case in CASES if case[0] in PIECES])
def test_on_a_piece_the_function_is_its_polynomial(name: str, attributes: dict[str, float]) -> None:
    for piece in PIECES[name](**attributes):
        low, high = max(piece.low, -20.0), min(piece.high, 20.0)
        points = np.linspace(low, high, 1001)
        values = PRIMITIVES[name](points, **attributes)
        np.testing.assert_allclose(values, np.polynomial.polynomial.polyval(points, piece.coefficients), atol=1e-12)


@pytest.mark.parametrize(("name", "attributes"), [case for case in CASES if case[0] in PIECES])
def test_pieces_do_not_overlap_but_at_their_ends(name: str, attributes: dict[str, float]) -> None:
    pieces = PIECES[name](**attributes)
    assert all(one.high <= other.low for one, other in itertools.pairwise(pieces))
    assert all(piece.low <= piece.high for piece in pieces)


def test_across_a_kink_there_is_no_piece_and_rounding_crosses_only_what_does_not_jump() -> None:
    def found(name: str, least: float, largest: float, **attributes: float) -> bool:
        return piece_of(name, attributes, (np.array([least, 0.5]), np.array([largest, 1.0]))) is not None

    assert found("relu", 0.0, 1.0)
    assert not found("relu", -1e-3, 1.0)
    assert not found("relu", -1e-15, 1.0)
    assert not found("relu", -1.0, 1e300)
    assert not found("relu", -1.0, np.inf)
    assert found("clip", 0.0, 6 * (1 + 1e-15), low=0.0, high=6.0)
    assert not found("thresholdedrelu", 0.5 * (1 - 1e-15), 7.0, alpha=0.5)
    assert not found("positive", -1e-15, 1.0)
    assert not found("sign", 0.0, 1.0)
    assert not found("relu", np.nan, 1.0)
    assert piece_of("sigmoid", {}, (np.zeros(1), np.ones(1))) is None


def test_where_there_is_a_pole_or_no_value_nothing_is_known() -> None:
    for name, low, high in (
        ("reciprocal", -1.0, 1.0),
        ("reciprocal", 0.0, 1.0),
        ("log", -1.0, 1.0),
        ("asin", 0.0, 2.0),
    ):
        ends = primitive_image(name, {}, (np.array([low]), np.array([high])))
        assert (ends[0].item(), ends[1].item()) == (-np.inf, np.inf)
    for name in ("relu", "exp", "sigmoid"):
        low, _ = primitive_image(name, {}, (np.array([-np.inf]), np.array([np.inf])))
        assert low.item() == 0.0
