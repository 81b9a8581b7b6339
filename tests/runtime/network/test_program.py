"""Programs of tensors: nothing impossible is ever run."""

import numpy as np
import pytest

from hecc.runtime.errors import ParameterError
from hecc.runtime.network.evaluation import PlainArithmetic, evaluate
from hecc.runtime.network.functions import FunctionStep
from hecc.runtime.network.instructions import (
    Add,
    Function,
    Input,
    MatMul,
    MeanRows,
    Multiply,
    Outer,
    Output,
    Parameter,
    Patches,
    Pick,
    Reshape,
    Scatter,
    Spread,
    Total,
    Unpatch,
)
from hecc.runtime.network.program import TensorProgram

RNG = np.random.default_rng(3)
X = Input(name="x", shape=(2, 3))
WINDOW = {"kernel": (2,), "strides": (1,), "dilations": (1,), "pads": ((0, 0),)}


def program(*instructions, **arrays):
    return TensorProgram((X, *instructions, Output(x=len(instructions), name="y")), arrays)


def value(*instructions, x=None, **arrays):
    given = RNG.normal(size=(4, 2, 3)) if x is None else x
    return given, evaluate(program(*instructions, **arrays), PlainArithmetic(), {"x": given}, {})["y"]


def test_each_instruction_is_what_numpy_says():
    w, index = RNG.normal(size=(3, 5)), np.array([4, -1, 0])
    x, y = value(Reshape(x=0, shape=(3, 2)))
    np.testing.assert_array_equal(y, x.reshape(4, 3, 2))
    x, y = value(Pick(x=0, index="i"), i=index)
    np.testing.assert_array_equal(y, np.stack([x[:, 1, 1], np.zeros(4), x[:, 0, 0]], axis=1))
    x, y = value(Scatter(x=0, index="i", size=2), i=np.array([0, 1, 1, -1, 0, 1]))
    flat = x.reshape(4, 6)
    np.testing.assert_allclose(y, np.stack([flat[:, [0, 4]].sum(1), flat[:, [1, 2, 5]].sum(1)], axis=1))
    x, y = value(Parameter(name="w"), MatMul(a=0, b=1), w=w)
    np.testing.assert_allclose(y, x @ w)
    x, y = value(Parameter(name="w"), MatMul(a=1, b=0, transpose_a=True, transpose_b=True), w=w)
    np.testing.assert_allclose(y, w.T @ x.swapaxes(1, 2))
    x, y = value(Outer(a=0, b=0))
    np.testing.assert_allclose(y, np.mean([each @ each.T for each in x], axis=0))
    x, y = value(Add(terms=(0, 0), factors=(2.0, 1.0), constant=1.0))
    np.testing.assert_allclose(y, 3 * x + 1)
    x, y = value(Multiply(a=0, b=0))
    np.testing.assert_allclose(y, x * x)
    x, y = value(Total(x=0, shape=(1, 3)))
    np.testing.assert_allclose(y, x.sum(axis=1, keepdims=True))
    x, y = value(Total(x=0, shape=(2, 1)), Spread(x=1, shape=(2, 5)))
    np.testing.assert_allclose(y, np.repeat(x.sum(axis=2, keepdims=True), 5, axis=2))
    x, y = value(MeanRows(x=0))
    np.testing.assert_allclose(y, x.mean(axis=0))
    x, y = value(Function(x=0, function=(FunctionStep("tanh", (0,)),)))
    np.testing.assert_allclose(y, np.tanh(x))
    x, y = value(Patches(x=0, out=(2,), **WINDOW))
    np.testing.assert_array_equal(y[:, :, 1], x[:, :, 1:].reshape(4, 4))


def test_windows_go_back_where_they_came_from():
    windows = Patches(x=0, out=(2,), **WINDOW)
    x, y = value(windows, Unpatch(x=1, out=(2,), spatial=(3,), **WINDOW))
    np.testing.assert_allclose(y, x * [1, 2, 1])


@pytest.mark.parametrize(
    ("instructions", "arrays"),
    [
        ((Reshape(x=0, shape=(7,)),), {}),
        ((Reshape(x=4, shape=(6,)),), {}),
        ((Pick(x=0, index="i"),), {}),
        ((Pick(x=0, index="i"),), {"i": np.array([6])}),
        ((Pick(x=0, index="i"),), {"i": np.array([0.5])}),
        ((Scatter(x=0, index="i", size=2),), {"i": np.array([0])}),
        ((Parameter(name="w"), MatMul(a=0, b=1)), {"w": np.ones((2, 2))}),
        ((Parameter(name="w"), Add(terms=(0, 1), factors=(1.0, 1.0))), {"w": np.ones(2)}),
        ((Parameter(name="w"), Add(terms=(0, 1), factors=(1.0, 1.0))), {"w": np.ones((1, 2, 3))}),
        ((Parameter(name="w"), Multiply(a=0, b=1)), {"w": np.array([np.inf])}),
        ((Add(terms=(0,), factors=(float("nan"),)),), {}),
        ((Add(terms=(0,), factors=()),), {}),
        ((Total(x=0, shape=(2, 2)),), {}),
        ((Spread(x=0, shape=(4, 3)),), {}),
        ((Patches(x=0, out=(3,), **WINDOW),), {}),
        ((Unpatch(x=0, out=(2,), spatial=(3,), **WINDOW),), {}),
        ((MeanRows(x=0), MeanRows(x=1)), {}),
        ((Function(x=0, function=()),), {}),
        ((Output(x=0, name="z"), Add(terms=(1,), factors=(1.0,))), {}),
    ],
)
def test_an_impossible_program_is_refused(instructions, arrays):
    with pytest.raises(ParameterError):
        program(*instructions, **arrays)


def test_what_no_output_needs_is_left_out():
    made = TensorProgram(
        (X, Parameter(name="w"), MeanRows(x=0), Add(terms=(0,), factors=(2.0,)), Output(x=3, name="y")),
        {"w": np.ones(2)},
    ).pruned()
    assert [ins.op for ins in made.instructions] == ["input", "add", "output"]
    assert not made.arrays
    assert str(made).splitlines()[1].startswith("v1[rows, 2x3] = add terms=(0,)")
