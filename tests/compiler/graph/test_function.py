"""Functions as expressions: what they compute, and that shared parts stay shared."""

import time

import numpy as np
import pytest

from hecc.compiler.graph.function import (
    ARGUMENT,
    PRIMITIVES,
    Expression,
    PolynomialOf,
    Primitive,
    Product,
    WeightedSum,
    apply,
    is_kinked,
)

X = np.linspace(-6, 6, 2001)


def test_an_expression_computes_what_it_says():
    silu = Product(ARGUMENT, Primitive("sigmoid", (), ARGUMENT))
    shifted = WeightedSum((2.0, -1.0), (silu, ARGUMENT), 0.5)
    cubed = PolynomialOf((0.0, 1.0, 0.0, 3.0), shifted)
    expected = 2 * X / (1 + np.exp(-X)) - X + 0.5
    np.testing.assert_allclose(shifted(X), expected, atol=1e-12)
    np.testing.assert_allclose(cubed(X), expected + 3 * expected**3, rtol=1e-12)
    assert str(shifted) == "(2 x * sigmoid(x) + -1 x + 0.5)"
    assert cubed.primitives() == {"sigmoid"}


def test_a_function_of_a_function_is_one():
    mish = apply(Product(ARGUMENT, Primitive("tanh", (), Primitive("softplus", (), ARGUMENT))), ARGUMENT)
    np.testing.assert_allclose(mish(X), PRIMITIVES["mish"](X), atol=1e-14)
    doubled = apply(mish, WeightedSum((2.0,), (ARGUMENT,), 0.0))
    np.testing.assert_allclose(doubled(X), PRIMITIVES["mish"](2 * X), atol=1e-14)


def test_what_is_shared_is_evaluated_once():
    expression = Primitive("tanh", (), ARGUMENT)
    for _ in range(60):
        # Written out this has 2^60 factors.
        expression = Product(expression, expression)
    start = time.perf_counter()
    assert np.all(apply(expression, WeightedSum((1.0,), (ARGUMENT,), 0.0))(X) <= 1)
    assert expression.primitives() == {"tanh"}
    assert len(str(expression)) < 1000
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "elu", "celu", "selu", "swish", "mish", "gelu"])
def test_primitives_do_not_overflow_where_their_value_does_not(name):
    attributes = {
        "elu": {"alpha": 1.0},
        "celu": {"alpha": 1.0},
        "selu": {"alpha": 1.0, "gamma": 1.0},
        "swish": {"alpha": 1.0},
    }
    with np.errstate(all="raise"):
        values = PRIMITIVES[name](np.array([-700.0, 0.0, 700.0]), **attributes.get(name, {}))
    assert np.all(np.isfinite(values))


def where(point: float, above: Expression, below: Expression) -> Expression:
    """What exporters write as ``Where(x > point, above, below)``."""
    moved = WeightedSum((1.0,), (ARGUMENT,), -point)
    positive = Primitive("positive", (), moved)
    other = WeightedSum((-1.0,), (positive,), 1.0)
    return WeightedSum((1.0, 1.0), (Product(positive, above), Product(other, below)), 0.0)


ZERO = PolynomialOf((0.0,), ARGUMENT)
SOFTPLUS = Primitive("softplus", (), ARGUMENT)
SWITCHES = {
    "jump": (where(0.3, ARGUMENT, ZERO), True),
    "small jump": (where(0.3, WeightedSum((1.0,), (ARGUMENT,), 0.1), ARGUMENT), True),
    "relu": (where(0.0, ARGUMENT, ZERO), True),
    "far away": (where(500.0, ARGUMENT, ZERO), True),
    "softplus": (where(20.0, ARGUMENT, SOFTPLUS), False),
    "elu": (where(0.0, ARGUMENT, WeightedSum((1.0,), (Primitive("exp", (), ARGUMENT),), -1.0)), False),
    "square": (where(0.0, PolynomialOf((0.0, 0.0, 1.0), ARGUMENT), ZERO), False),
    "sign": (Primitive("sign", (), ARGUMENT), True),
    "sigmoid": (Primitive("sigmoid", (), ARGUMENT), False),
}


@pytest.mark.parametrize(("function", "kinked"), SWITCHES.values(), ids=SWITCHES.keys())
def test_a_comparison_makes_a_kink_only_where_the_whole_bends(function: Expression, kinked: bool) -> None:
    assert is_kinked(function) == kinked
