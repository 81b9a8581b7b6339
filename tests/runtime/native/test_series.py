"""Chebyshev series of the native kernels against numpy's, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from hecc.runtime.native import Kernels, implementations
from hecc.runtime.native.series import chebyshev_series


@pytest.mark.parametrize("implementation", implementations())
@pytest.mark.parametrize("degree", [0, 1, 2, 3, 7, 255])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (64,), (65,), (300, 41)])
def test_a_series_is_what_numpy_makes_of_it_to_the_bit(implementation, degree, shape):
    generator = np.random.default_rng(degree)
    coefficients, x = generator.normal(size=degree + 1), generator.uniform(-1.1, 1.1, shape)
    found = chebyshev_series(x, coefficients, Kernels(implementation))
    assert found.shape == shape
    np.testing.assert_array_equal(found, chebyshev.chebval(x, coefficients))
    np.testing.assert_array_equal(chebyshev_series(x.T, coefficients), chebyshev.chebval(x.T, coefficients))


@pytest.mark.parametrize("implementation", implementations())
@pytest.mark.parametrize("terms", [1, 2, 3, 64])
def test_what_overflows_or_is_undefined_is_as_in_numpy(implementation, terms):
    x, coefficients = np.array([1e300, -np.inf, np.nan, 0.5, -0.0]), -np.ones(terms)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = chebyshev.chebval(x, coefficients)
    found = chebyshev_series(x, coefficients, Kernels(implementation))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found[3:]), np.signbit(expected[3:]))
    assert terms == 1 or not np.isfinite(found[1])


def test_values_are_replaced_in_place_and_other_arrays_are_refused():
    x, coefficients = np.linspace(-1, 1, 100), np.arange(5.0)
    expected = chebyshev.chebval(x, coefficients)
    kernels = Kernels()
    kernels.chebyshev_series(x, coefficients, x)
    np.testing.assert_array_equal(x, expected)
    with pytest.raises(ValueError, match="no coefficients"):
        kernels.chebyshev_series(x, np.empty(0), x)
    with pytest.raises(ValueError, match="out has 99 numbers for 100 points"):
        kernels.chebyshev_series(x, coefficients, np.empty(99))
    for out, read in ((x[1:], x[:-1]), (coefficients, np.empty(5))):
        with pytest.raises(ValueError, match="an output overlaps an input in part"):
            kernels.chebyshev_series(read, coefficients, out)
    for wrong in (x.astype(np.float32), x[::2]):
        with pytest.raises(TypeError):
            kernels.chebyshev_series(wrong, coefficients, np.empty(len(wrong)))
