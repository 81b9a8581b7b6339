"""Smooth functions in place of comparisons: near them, analytic, and consistent with their derivatives."""

import numpy as np
import pytest

from hecc.compiler.graph.function import ARGUMENT, Primitive
from hecc.compiler.graph.gradients.derivatives import derivative
from hecc.compiler.graph.programs.builder import ProgramBuilder
from hecc.compiler.more.smooth import COMPARING, JUMPING, WIDTH, smoothed
from hecc.runtime.errors import UnsupportedError
from hecc.runtime.network.evaluation import PlainArithmetic, evaluate
from hecc.runtime.network.functions import ATTRIBUTES

NUMBERS = {"alpha": 0.7, "beta": 0.45, "gamma": 1.3, "low": -0.6, "high": 0.8, "lambd": 0.5, "bias": 0.1}
X = np.linspace(-3, 3, 601).reshape(-1, 1)


def function(name):
    return Primitive(name, tuple((each, NUMBERS[each]) for each in ATTRIBUTES[name]), ARGUMENT)


def program(expression, source="Op 'n'"):
    build = ProgramBuilder()
    build.source = source
    build.output(build.function(expression, build.input("x", (1,))), "y")
    return build.program()


def values(made):
    return evaluate(made, PlainArithmetic(), {"x": X}, {})["y"]


@pytest.mark.parametrize("name", sorted(COMPARING - JUMPING))
def test_a_smooth_function_is_near_the_one_that_compares(name):
    exact = program(function(name))
    made, told = smoothed(exact, {"x": X})
    width = 3 * WIDTH
    assert told == (f"{name} of Op 'n' by one with sqrt(x^2 + {width:.3g}^2)",)
    assert not any(step.op in COMPARING for ins in made.instructions if ins.op == "function" for step in ins.function)
    # Where a function jumps nothing continuous is near it.
    far = np.abs(X) > 0.2 if name in ("sign", "positive", "nonnegative") else np.full(X.shape, True)
    assert np.abs(values(made) - values(exact))[far].max() < 2 * width


@pytest.mark.parametrize("name", sorted(COMPARING - JUMPING - {"nonnegative", "positive", "sign"}))
def test_the_derivative_of_a_smooth_function_is_near_its_slope(name):
    made, _ = smoothed(program(function(name)), {"x": X})
    slopes, _ = smoothed(program(derivative(function(name))), {"x": X})
    differences = np.gradient(values(made)[:, 0], X[:, 0])
    near = np.min([np.abs(X[:, 0] - kink) for kink in (0, -0.6, 0.8, -3, 3, 0.55 / 0.7, -0.45 / 0.7)], axis=0) < 0.05
    np.testing.assert_allclose(values(slopes)[~near, 0], differences[~near], atol=5e-3)


@pytest.mark.parametrize("name", sorted(JUMPING))
def test_what_jumps_is_refused(name):
    with pytest.raises(UnsupportedError, match=rf"Op 'n': {name} jumps"):
        smoothed(program(function(name)), {"x": X})
