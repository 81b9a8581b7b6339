import numpy as np
import pytest
import scipy.special

from hecc.compiler.sharing import splines
from hecc.compiler.sharing.splines import fit_pieces


def value(pieces, x):
    piece = np.searchsorted(pieces.knots, x, side="right")
    coefficients = np.array(pieces.polynomials)[piece]
    return sum(coefficients[:, power] * x**power for power in range(coefficients.shape[1]))


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-4])
@pytest.mark.parametrize(
    "function", [scipy.special.expit, np.tanh, np.exp, lambda x: np.maximum(x, 0) * scipy.special.expit(x)]
)
def test_pieces_stay_within_the_tolerance(function, degree, tolerance):
    pieces = fit_pieces(function, -8.0, 3.0, degree, tolerance)
    if pieces is None:
        assert (degree, tolerance) == (1, 1e-4)
        return
    x = np.linspace(-8, 3, 20001)
    assert np.abs(value(pieces, x) - function(x)).max() < 1.05 * tolerance
    assert len(pieces.polynomials) == len(pieces.knots) + 1
    assert list(pieces.knots) == sorted(pieces.knots)


@pytest.mark.parametrize(("degree", "tolerance", "most"), [(1, 1e-2, 7), (2, 1e-3, 7), (3, 2.0**-12, 6)])
def test_a_sigmoid_has_few_pieces(degree, tolerance, most):
    """From -8 to 8, about as many as the best approximation on each piece needs."""
    assert len(fit_pieces(scipy.special.expit, -8.0, 8.0, degree, tolerance).polynomials) <= most + 1


def test_what_is_a_polynomial_has_one_piece():
    pieces = fit_pieces(lambda x: 3 * x**2 - x + 1, -5.0, 5.0, 2, 1e-9)
    assert pieces.knots == ()
    np.testing.assert_allclose(pieces.polynomials, [(1, -1, 3)], atol=1e-9)


def test_too_many_pieces_are_none(monkeypatch):
    monkeypatch.setattr(splines, "MOST_PIECES", 3)
    assert fit_pieces(np.sin, 0.0, 30.0, 2, 1e-3) is None
    assert fit_pieces(np.sign, -1.0, 1.0, 2, 1e-3) is None
