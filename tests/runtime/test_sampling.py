"""Samples: what they prove of intervals holds between them, too, and is hardly more than what is true."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from hecc.runtime.sampling import Sampled, chebyshev_points, polynomial_slack


def sampled(coefficients, reach):
    degree = len(coefficients) - 1
    points = chebyshev_points(degree, reach)
    values = chebyshev.chebval(points / reach, coefficients)
    return Sampled(points, values, float(polynomial_slack(values, degree)))


@pytest.mark.parametrize("degree", [1, 2, 3, 7, 30, 127])
@pytest.mark.parametrize("reach", [1e-3, 1.0, 40.0])
def test_no_value_of_a_polynomial_is_outside_its_image(degree, reach):
    generator = np.random.default_rng(degree)
    coefficients = generator.normal(size=degree + 1)
    function = sampled(coefficients, reach)
    ends = np.sort(generator.uniform(-reach, reach, (2, 200)), axis=0)
    ends[:, :5] = [[-reach], [reach]]
    # Narrow ones, between two samples.
    ends[1, 5:50] = ends[0, 5:50] + 1e-6 * reach * generator.random(45)
    low, high = ends[0], np.minimum(ends[1], reach)
    least, largest = function.image(low, high)
    inside = low + (high - low) * np.linspace(0, 1, 4001)[:, np.newaxis]
    values = chebyshev.chebval(inside / reach, coefficients)
    assert np.all(values >= least)
    assert np.all(values <= largest)
    wide = high - low > reach / 4
    excess = np.maximum(largest - values.max(axis=0), values.min(axis=0) - least)[wide]
    assert excess.max() < 0.05 * np.abs(values).max()


def test_the_slack_is_needed_and_small():
    """Of T_n sampled anywhere but at its extrema the largest value is between samples."""
    degree = 50
    coefficients = np.zeros(degree + 1)
    coefficients[-1] = 1.0
    points = chebyshev_points(degree, 1.0)
    shifted = np.cos(np.arccos(points) * 0.999)
    values = chebyshev.chebval(shifted, coefficients)
    slack = float(polynomial_slack(values, degree))
    assert values[1:-1].max() < 1 <= values[1:-1].max() + slack
    assert slack < 1e-3


def test_an_interval_of_one_point_has_that_value():
    points = np.array([0.0, 1.0, 2.0])
    function = Sampled(points, np.array([5.0, 3.0, 4.0]), 0.0)
    least, largest = function.image(np.array([1.0, 0.5, 0.0]), np.array([1.0, 0.5, 2.0]))
    np.testing.assert_array_equal(least, [3.0, 3.0, 3.0])
    np.testing.assert_array_equal(largest, [3.0, 5.0, 5.0])
