"""Derivatives of functions of one variable, against differences."""

import numpy as np
import pytest

from hecc.compiler.graph.function import ARGUMENT, PRIMITIVES, PolynomialOf, Primitive, Product, WeightedSum
from hecc.compiler.graph.gradients.derivatives import derivative
from hecc.runtime.network.functions import ATTRIBUTES

NUMBERS = {
    "alpha": 0.7,
    "beta": 0.45,
    "gamma": 1.3,
    "low": -0.6,
    "high": 0.8,
    "lambd": 0.5,
    "bias": 0.1,
    "exponent": 1.7,
}
RANGES = {"acosh": (1.2, 4.0), "acos": (-0.9, 0.9), "asin": (-0.9, 0.9), "atanh": (-0.9, 0.9)}
RANGES |= dict.fromkeys(("log", "power", "reciprocal", "sqrt"), (0.2, 4.0))
RANGES |= {"tan": (-1.2, 1.2)}
STEP = 1e-6


def differences(function, x):
    return (function(x + STEP) - function(x - STEP)) / (2 * STEP)


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_a_primitives_derivative_is_its_slope(name):
    function = Primitive(name, tuple((each, NUMBERS[each]) for each in ATTRIBUTES[name]), ARGUMENT)
    # No point is near a kink or a jump.
    x = np.linspace(*RANGES.get(name, (-3.9, 4.07)), 61)
    slopes = derivative(function)(x)
    np.testing.assert_allclose(slopes, differences(function, x), rtol=1e-6, atol=1e-7)
    if name not in ("nonnegative", "positive", "sign"):
        assert np.abs(slopes).max() > 0


def test_chains_sums_and_products():
    inner = PolynomialOf((0.3, -1.0, 0.5), ARGUMENT)
    root = Primitive("tanh", (), inner)
    for function in (
        root,
        Product(root, ARGUMENT),
        WeightedSum((2.0, -0.5), (root, Product(inner, inner)), 4.0),
        PolynomialOf((1.0,), root),
        ARGUMENT,
    ):
        x = np.linspace(-2, 2, 31)
        np.testing.assert_allclose(derivative(function)(x), differences(function, x), rtol=1e-6, atol=1e-8)
