"""Polynomial arithmetic against numpy's."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hecc.compiler.graph import polynomial

settings.register_profile("deterministic", derandomize=True, deadline=None, max_examples=200, database=None)
PROFILE = settings.get_profile("deterministic")

Coefficients = tuple[np.ndarray[Any, Any], ...]


@st.composite
def polynomials(draw: Any) -> Coefficients:
    """Up to degree two; each coefficient one small integer, or one for each of three elements."""
    integers = st.integers(-3, 3).map(float)
    coefficient = st.one_of(integers, st.lists(integers, min_size=3, max_size=3)).map(np.asarray)
    return tuple(draw(st.lists(coefficient, min_size=1, max_size=3)))


def value(p: Coefficients, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return sum((c * x**k for k, c in enumerate(p)), np.zeros_like(x))


POINTS = np.array([-2.0, 0.5, 3.0])


@settings(PROFILE)
@given(polynomials(), polynomials())
def test_sum_product_and_composition_have_the_values_they_should(p: Coefficients, q: Coefficients) -> None:
    np.testing.assert_allclose(value(polynomial.add(p, q), POINTS), value(p, POINTS) + value(q, POINTS))
    np.testing.assert_allclose(value(polynomial.multiply(p, q), POINTS), value(p, POINTS) * value(q, POINTS))
    np.testing.assert_allclose(value(polynomial.compose(p, q), POINTS), value(p, value(q, POINTS)))


@settings(PROFILE)
@given(polynomials(), polynomials())
def test_results_have_no_leading_zeros(p: Coefficients, q: Coefficients) -> None:
    for result in (polynomial.add(p, q), polynomial.multiply(p, q), polynomial.compose(p, q)):
        assert len(result) == 1 or np.any(result[-1])
        assert polynomial.degree(result) == len(result) - 1


def test_products_are_exact() -> None:
    third = np.asarray(1 / 3)
    constant, linear, square = polynomial.multiply((third, np.asarray(1.0)), (third, np.asarray(1.0)))
    assert (float(constant), float(linear), float(square)) == (third * third, 2 * third, 1.0)


def test_the_degree_of_a_constant_is_zero_even_if_it_is_zero() -> None:
    assert polynomial.degree((np.zeros(()),)) == 0
    assert polynomial.degree((np.ones(()), np.zeros(3))) == 0
    assert polynomial.degree((np.ones(()), np.array([0.0, 1.0]))) == 1


def test_composition_with_the_identity_changes_nothing() -> None:
    p = (np.asarray(0.1), np.asarray(0.2), np.asarray(0.3))
    assert polynomial.compose(p, (np.zeros(()), np.ones(()))) == p
