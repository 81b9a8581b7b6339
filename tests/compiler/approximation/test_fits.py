"""Fitted polynomials against what is known of the best ones, and against numpy's own fits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import chebyshev

from hecc.compiler.approximation.fits import (
    FLOOR,
    PIECES,
    STRUCTURE_TOLERANCE,
    Structure,
    composition,
    histogram,
    interpolate,
    least_squares,
    minimax,
    structure_of,
    trimmed,
)
from hecc.compiler.graph.function import ARGUMENT, PRIMITIVES, Primitive

ATTRIBUTES = ("celu", "clip", "elu", "hardsigmoid", "leakyrelu", "power", "selu", "shrink", "swish", "thresholdedrelu")
"""Primitives that have some, without defaults."""
JUMPS = ("nonnegative", "positive", "sign")
GRID = np.cos(np.linspace(0, np.pi, 20001))


def largest_error(function, coefficients):
    return float(np.abs(function(GRID) - chebyshev.chebval(GRID, coefficients)).max())


def alternations(function, coefficients):
    """Sign changes between the points at which the error is as large as it gets."""
    error = function(GRID) - chebyshev.chebval(GRID, coefficients)
    extreme = error[np.abs(error) > 0.99 * np.abs(error).max()]
    return 1 + int((np.diff(np.sign(extreme)) != 0).sum())


@pytest.mark.parametrize("degree", [2, 3, 4, 7, 10])
def test_the_best_approximation_of_a_power_by_lower_ones_is_chebyshevs(degree):
    # x^n less T_n / 2^(n - 1), the polynomial that deviates least from zero.
    found = minimax(lambda x: x**degree, degree - 1)
    assert largest_error(lambda x: x**degree, found) == pytest.approx(2.0 ** (1 - degree), rel=2e-3)


@pytest.mark.parametrize(
    ("function", "degree", "error"),
    [
        # |x|: 1/8 at degree two; Varga and Carpenter (Constr. Approx. 1, 1985), table 1.1, of twice the degree.
        (np.abs, 2, 0.125),
        (np.abs, 4, 0.0676209),
        (np.abs, 8, 0.0346902),
        # exp: the errors in Trefethen, and in most textbooks since Meinardus.
        (np.exp, 1, 0.278801745),
        (np.exp, 2, 0.045017388),
        (np.exp, 3, 0.005528370),
    ],
)
def test_known_minimax_errors(function, degree, error):
    assert largest_error(function, minimax(function, degree, structure_of(function))) == pytest.approx(error, rel=2e-3)


@pytest.mark.parametrize("degree", [3, 7, 15])
def test_the_error_of_a_minimax_polynomial_alternates(degree):
    def function(x):
        return np.tanh(3 * x + 0.7)

    # De la Vallee Poussin: no polynomial of the degree is better if the error alternates degree + 2 times.
    assert alternations(function, minimax(function, degree)) >= degree + 2


def test_bernsteins_constant_shows_at_high_degrees():
    for degree in (30, 62, 126, 254):
        error = largest_error(np.abs, minimax(np.abs, degree, structure_of(np.abs)))
        assert error == pytest.approx(0.2801694990 / degree, rel=0.01)


def test_interpolation_is_numpys():
    for degree in (1, 6, 31):
        np.testing.assert_allclose(
            interpolate(np.exp, degree), chebyshev.chebinterpolate(np.exp, degree), rtol=0, atol=1e-14
        )


def test_least_squares_is_numpys():
    weights = histogram(np.random.default_rng(0).normal(0, 0.3, 5000))
    x = np.cos(np.pi * (np.arange(PIECES) + 0.5) / PIECES)
    share = (1 - FLOOR) * weights / weights.sum() + FLOOR / PIECES
    expected = chebyshev.chebfit(x, np.tanh(4 * x), 9, w=np.sqrt(share))
    np.testing.assert_allclose(least_squares(lambda x: np.tanh(4 * x), 9, weights), expected, rtol=0, atol=1e-10)


def test_least_squares_is_good_where_the_values_are():
    def function(x):
        return np.tanh(8 * x)

    values = np.random.default_rng(1).normal(0, 0.1, 5000)
    fits = least_squares(function, 7, histogram(values)), minimax(function, 7)
    errors = [np.sqrt(np.mean((function(values) - chebyshev.chebval(values, fit)) ** 2)) for fit in fits]
    assert errors[0] < errors[1] / 1.5


def test_a_histogram_counts_every_value_once():
    values = np.array([-1.0, -0.999999, 0.3, 0.3, 1.0, 7.0])
    counts = histogram(values)
    assert counts.sum() == len(values)
    assert counts[0] == 2
    assert counts[-1] == 2


@pytest.mark.parametrize(
    ("name", "attributes", "parity", "fixed"),
    [
        ("tanh", (), 1, {}),
        ("erf", (), 1, {}),
        ("softsign", (), 1, {}),
        ("sigmoid", (), 1, {0: 0.5}),
        ("hardsigmoid", (("alpha", 0.2), ("beta", 0.5)), 1, {0: 0.5}),
        ("swish", (("alpha", 1.0),), 0, {1: 2.0}),
        ("gelu", (), 0, {1: 2.0}),
        ("gelu_tanh", (), 0, {1: 2.0}),
        ("hardswish", (), 0, {1: 2.0}),
        ("softplus", (), 0, {1: 2.0}),
        ("relu", (), 0, {1: 2.0}),
        ("leakyrelu", (("alpha", 0.5),), 0, {1: 3.0}),
        ("abs", (), 0, {}),
        ("exp", (), None, {}),
        ("elu", (("alpha", 1.0),), None, {}),
        ("mish", (), None, {}),
    ],
)
def test_symmetries_are_found(name, attributes, parity, fixed):
    function = Primitive(name, attributes, ARGUMENT)
    structure = structure_of(lambda u: function(4 * u))
    assert structure.parity == parity
    assert dict(structure.fixed) == pytest.approx(fixed)
    for fit in (
        minimax(lambda u: function(4 * u), 9, structure),
        least_squares(lambda u: function(4 * u), 9, np.ones(PIECES), structure),
    ):
        zero = [k for k in range(10) if parity is not None and k % 2 != parity and k not in fixed]
        assert not fit[zero].any()


def test_symmetry_is_not_claimed_where_there_is_none():
    assert structure_of(lambda x: np.tanh(3 * x) + 1e-6 * x**2) == Structure()


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(
        sorted(
            name
            for name in set(PRIMITIVES) - {*ATTRIBUTES, *JUMPS}
            if Primitive(name, (), ARGUMENT).is_defined(-8.0, 8.0)
        )
    ),
    centre=st.floats(-2, 2),
    radius=st.floats(0.1, 6),
    degree=st.integers(1, 40),
)
def test_minimax_is_never_worse_than_the_other_methods(name, centre, radius, degree):
    def function(u):
        return Primitive(name, (), ARGUMENT)(centre + radius * u)

    best = largest_error(function, minimax(function, degree, structure_of(function)))
    size = float(np.abs(function(GRID)).max())
    for other in (interpolate(function, degree), least_squares(function, degree, np.ones(PIECES))):
        # Below that, rounding decides, and what a function may miss a symmetry by that it is held to.
        assert best <= 1.01 * largest_error(function, other) + 2 * STRUCTURE_TOLERANCE * size


@pytest.mark.parametrize(("steepness", "degrees", "error"), [(50, (31, 31), 1e-6), (276, (31, 31), 1e-3)])
def test_a_composition_follows_a_steep_function_where_one_polynomial_cannot(steepness, degrees, error):
    def function(x):
        return 1 / (1 + np.exp(-steepness * x))

    inner, outer = composition(function, degrees, np.ones(PIECES), structure_of(function))
    values = chebyshev.chebval(GRID, inner)
    assert np.abs(values).max() < 1
    found = float(np.abs(chebyshev.chebval(values, outer) - function(GRID)).max())
    assert found < error
    # As one polynomial of as many levels, if there were one: all of it has degree 31 * 31.
    assert found < largest_error(function, minimax(function, 127, structure_of(function))) / 100
    assert not inner[::2].any()
    assert not outer[2::2].any()


def test_a_composition_is_good_where_the_values_are():
    def function(x):
        return np.tanh(30 * x + 5)

    values = np.random.default_rng(2).normal(-0.2, 0.05, 4000)
    inner, outer = composition(function, (15, 15), histogram(values))
    error = chebyshev.chebval(chebyshev.chebval(values, inner), outer) - function(values)
    assert np.sqrt(np.mean(error**2)) < 0.01


def test_negligible_coefficients_are_left_out():
    np.testing.assert_array_equal(trimmed(np.array([1.0, 1e-14, 0.5, -1e-15])), [1.0, 0.0, 0.5])
    np.testing.assert_array_equal(trimmed(np.zeros(4)), [0.0])
    assert math.isfinite(trimmed(np.array([0.0, 2.0]))[1])
