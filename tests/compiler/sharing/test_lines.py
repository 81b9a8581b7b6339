"""Functions as lines: equal to the functions everywhere, as ONNX defines them."""

import numpy as np
import pytest

from hecc.compiler.graph.function import ARGUMENT, PolynomialOf, Primitive, Product, WeightedSum
from hecc.compiler.sharing.lines import lines_of

X = np.linspace(-12, 12, 4801)


def primitive(name, operand=ARGUMENT, **attributes):
    return Primitive(name, tuple(attributes.items()), operand)


def value(lines, x):
    total = lines.slope * x + lines.constant
    for bend in lines.bends:
        there = x > bend.at if bend.beyond else x >= bend.at
        total = total + np.where(there, bend.slope * x + bend.constant, 0)
    return total


@pytest.mark.parametrize(
    "function",
    [
        primitive("relu"),
        primitive("abs"),
        primitive("leakyrelu", alpha=0.01),
        primitive("clip", low=-1.5, high=6.0),
        primitive("clip", low=0.5, high=np.inf),
        primitive("clip", low=-np.inf, high=2.0),
        primitive("hardsigmoid", alpha=0.2, beta=0.5),
        primitive("shrink", lambd=1.25, bias=0.0),
        primitive("shrink", lambd=1.25, bias=0.75),
        primitive("thresholdedrelu", alpha=1.5),
        primitive("sign"),
        primitive("positive", WeightedSum((2.0,), (ARGUMENT,), -3.0)),
        primitive("nonnegative", WeightedSum((1.0,), (ARGUMENT,), 2.5)),
        primitive("relu", WeightedSum((2.0,), (ARGUMENT,), -3.0)),
        WeightedSum((1.0, -1.0), (primitive("relu"), primitive("relu", WeightedSum((1.0,), (ARGUMENT,), -6.0))), 0.5),
    ],
    ids=str,
)
def test_lines_are_the_function(function):
    lines = lines_of(function)
    # Jumps are a matter of one point each.
    off = np.abs(value(lines, X) - function(X)) > 1e-12
    assert off.sum() <= len(lines.bends)


@pytest.mark.parametrize(
    "function",
    [
        primitive("sigmoid"),
        PolynomialOf((0.0, 0.0, 1.0), ARGUMENT),
        Product(ARGUMENT, primitive("relu")),
        primitive("relu", primitive("relu")),
        primitive("relu", WeightedSum((-1.0,), (ARGUMENT,), 0.0)),
        WeightedSum((1.0, 1.0), (primitive("relu"), primitive("tanh")), 0.0),
        primitive("hardsigmoid", alpha=-0.2, beta=0.5),
    ],
    ids=str,
)
def test_what_is_not_made_of_lines_is_none(function):
    assert lines_of(function) is None


@pytest.mark.parametrize(
    ("function", "at"),
    [
        (primitive("sign"), 0.0),
        (primitive("positive"), 0.0),
        (primitive("nonnegative"), 0.0),
        (primitive("thresholdedrelu", alpha=1.5), 1.5),
        (primitive("shrink", lambd=1.25, bias=0.75), 1.25),
        (primitive("shrink", lambd=1.25, bias=0.75), -1.25),
    ],
    ids=str,
)
def test_functions_with_a_jump_are_exact_at_it_too(function, at):
    assert value(lines_of(function), np.array([at])) == function(np.array([at]))
