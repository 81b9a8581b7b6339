"""Functions of one variable as steps: the same numbers as the compiler's, without scipy."""

import numpy as np
import pytest

from hecc.compiler.graph.function import ARGUMENT, PRIMITIVES, PolynomialOf, Primitive, Product, WeightedSum
from hecc.compiler.graph.programs.functions import function_steps
from hecc.runtime.errors import ParameterError
from hecc.runtime.network import functions
from hecc.runtime.network.functions import FunctionStep, check_function, evaluate_function

NUMBERS = {
    "alpha": 0.7,
    "beta": 0.4,
    "gamma": 1.3,
    "low": -0.6,
    "high": 0.8,
    "lambd": 0.5,
    "bias": 0.1,
    "exponent": 1.5,
}
HALF = {"acosh": (1.1, 4.0), "acos": (-0.9, 0.9), "asin": (-0.9, 0.9), "atanh": (-0.9, 0.9)}
POSITIVE = {"log", "power", "reciprocal", "sqrt"}


def primitive(name):
    attributes = tuple((each, NUMBERS[each]) for each in functions.ATTRIBUTES[name])
    return Primitive(name, attributes[::-1], ARGUMENT)


def points(name):
    low, high = HALF.get(name, (0.1, 4.0) if name in POSITIVE else (-4.0, 4.0))
    return np.linspace(low, high, 400)


def test_both_sides_have_the_same_primitives():
    assert functions.PRIMITIVES.keys() == PRIMITIVES.keys() == functions.ATTRIBUTES.keys()


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_a_primitive_has_the_compilers_values(name):
    function = primitive(name)
    steps = function_steps(function)
    check_function(steps)
    np.testing.assert_allclose(
        evaluate_function(steps, points(name)), function(points(name)), rtol=1e-14, atol=1e-15, err_msg=name
    )


def test_sums_products_and_polynomials_share_parts():
    root = Primitive("tanh", (), PolynomialOf((0.5, 2.0), ARGUMENT))
    function = WeightedSum((2.0, -1.0), (Product(root, root), root), 3.0)
    steps = function_steps(function)
    assert [step.op for step in steps] == ["polynomial", "tanh", "product", "sum"]
    x = np.linspace(-2, 2, 50)
    np.testing.assert_allclose(evaluate_function(steps, x), function(x), rtol=1e-15)


def test_the_argument_alone_is_a_function():
    x = np.linspace(-2, 2, 5)
    np.testing.assert_array_equal(evaluate_function(function_steps(ARGUMENT), x), x)


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (FunctionStep("eval", (0,)),),
        (FunctionStep("tanh", (1,)),),
        (FunctionStep("tanh", (0,), (1.0,)),),
        (FunctionStep("clip", (0,), (1.0,)),),
        (FunctionStep("sum", (0,), (1.0,)),),
        (FunctionStep("product", (0,)),),
        (FunctionStep("polynomial", (0,), (float("nan"),)),),
    ],
)
def test_impossible_steps_are_refused(steps):
    with pytest.raises(ParameterError):
        check_function(steps)
