"""Lists of steps that are expressions: what they compute, and that none can fail or grow without bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hecc.runtime.errors import FileFormatError, ParameterError
from hecc.runtime.files import codec
from hecc.runtime.tail.epilogue import (
    ArgMax,
    Columns,
    Constant,
    Elementwise,
    Labels,
    Pick,
    Real,
    Recall,
    Reduce,
    Reshape,
    Sigmoid,
    Softmax,
    Sort,
    Step,
    Truncate,
    apply_steps,
    chain,
    describe,
    result_shape,
)
from hecc.runtime.tail.steps import Operator, Reduction

X = np.random.default_rng(0).normal(scale=2, size=(5, 2, 3))
ONE = Constant(numbers=(1.0,), shape=(), kind="real")


def elementwise(operator: Operator, *values: int) -> Elementwise:
    return Elementwise(operator=operator, values=values)


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("absolute", np.abs(X)),
        ("ceil", np.ceil(X)),
        ("exp", np.exp(X)),
        ("floor", np.floor(X)),
        ("negate", -X),
        ("nonzero", X != 0),
        ("reciprocal", 1 / X),
        ("round", np.rint(X)),
        ("sign", np.sign(X)),
        ("tanh", np.tanh(X)),
    ],
)
def test_a_function_of_one_value(operator: Operator, expected: Any) -> None:
    np.testing.assert_allclose(apply_steps(X, [elementwise(operator, 0)]), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("add", X + X.mean(1, keepdims=True)),
        ("subtract", X - X.mean(1, keepdims=True)),
        ("multiply", X * X.mean(1, keepdims=True)),
        ("divide", X / X.mean(1, keepdims=True)),
        ("maximum", np.maximum(X, X.mean(1, keepdims=True))),
        ("minimum", np.minimum(X, X.mean(1, keepdims=True))),
        ("greater", X.mean(1, keepdims=True) < X),
        ("greater_equal", X.mean(1, keepdims=True) <= X),
        ("less", X.mean(1, keepdims=True) > X),
        ("less_equal", X.mean(1, keepdims=True) >= X),
        ("power", np.abs(X) ** X.mean(1, keepdims=True)),
    ],
)
def test_a_function_of_two_values_broadcasts(operator: Operator, expected: Any) -> None:
    mean = Reduce(reduction="mean", axes=(0,), keep=False)
    if operator == "power":
        steps: list[Step] = [elementwise("absolute", 0), Recall(value=0), mean, elementwise(operator, 1, 3)]
    else:
        steps = [mean, elementwise(operator, 0, 1)]
    np.testing.assert_allclose(apply_steps(X, steps), expected, rtol=1e-12)
    assert result_shape((2, 3), steps) == (2, 3)


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        ("l1", np.abs(X).sum(2)),
        ("l2", np.sqrt((X * X).sum(2))),
        ("log_sum_exp", np.log(np.exp(X).sum(2))),
        ("maximum", X.max(2)),
        ("mean", X.mean(2)),
        ("minimum", X.min(2)),
        ("product", X.prod(2)),
        ("square_sum", (X * X).sum(2)),
        ("sum", X.sum(2)),
    ],
)
@pytest.mark.parametrize("keep", [False, True])
def test_a_reduction(reduction: Reduction, keep: bool, expected: Any) -> None:
    step = Reduce(reduction=reduction, axes=(1,), keep=keep)
    found = apply_steps(X, [step])
    np.testing.assert_allclose(found, expected[..., np.newaxis] if keep else expected, rtol=1e-12)
    assert found.shape == (5, *result_shape((2, 3), [step]))


def test_truth_values_choose() -> None:
    larger = elementwise("greater", 0, 1)
    steps = [ONE, larger, elementwise("not", 2), elementwise("and", 2, 3), elementwise("or", 2, 3)]
    np.testing.assert_array_equal(apply_steps(X, [ONE, larger, elementwise("where", 2, 0, 1)]), np.maximum(X, 1))
    assert not apply_steps(X, steps[:4]).any()
    assert apply_steps(X, steps).all()
    assert apply_steps(X, [*steps[:3], elementwise("xor", 2, 3)]).all()
    np.testing.assert_array_equal(
        apply_steps(X, [ONE, larger, Truncate(), Labels(labels=(4, 7))]), np.where(X > 1, 7, 4)
    )
    np.testing.assert_array_equal(apply_steps(X, [ONE, larger, Real()]), (X > 1).astype(float))


@pytest.mark.parametrize("largest", [False, True])
def test_elements_and_indices_in_order(largest: bool) -> None:
    values = np.array([[2.0, 3.0, 1.0, 3.0]])
    indices, elements = (Sort(axis=0, largest=largest, index=index) for index in (True, False))
    assert apply_steps(values, [elements]).tolist() == [[3, 3, 2, 1] if largest else [1, 2, 3, 3]]
    assert apply_steps(values, [indices]).tolist() == [[1, 3, 0, 2] if largest else [2, 0, 1, 3]]
    assert apply_steps(values, [indices, Labels(labels=tuple("abcd"))]).shape == (1, *result_shape((4,), [indices]))
    with pytest.raises(ParameterError, match=r"'sort' after decryption has axes \[1\]"):
        result_shape((4,), [Sort(axis=1, largest=True, index=True)])


def test_one_score_becomes_two_probabilities_and_a_label() -> None:
    score = np.array([[-2.0], [0.5]])
    steps = [
        Sigmoid(),
        ONE,
        elementwise("subtract", 2, 1),
        Pick(values=(3, 1), index=(0, 1), shape=(2,)),
        ArgMax(axis=0),
        Labels(labels=("no", "yes")),
    ]
    second = 1 / (1 + np.exp(-score))
    np.testing.assert_allclose(apply_steps(score, steps[:4]), np.concatenate([1 - second, second], axis=1))
    assert apply_steps(score, steps).tolist() == ["no", "yes"]
    assert result_shape((1,), steps) == ()
    assert chain(steps) == tuple(steps[-2:])
    assert describe(steps) == "sigmoid, subtract, argmax, names of classes"


def test_a_chain_goes_back_to_what_was_recalled() -> None:
    steps = (Softmax(axes=(0,)), ArgMax(axis=0), Recall(value=1), Columns(labels=("a", "b")))
    assert chain(steps) == (steps[0], *steps[2:])


def test_steps_that_only_arrange_are_named_where_there_are_no_others() -> None:
    assert describe([Pick(values=(0,), index=(1, 0), shape=(2,))]) == "selection"
    assert describe([Reshape(shape=(2, 1))]) == "reshape"


def test_a_step_that_overflows_says_infinity_without_a_warning() -> None:
    with np.errstate(all="raise"):
        assert apply_steps(np.array([[1e4]]), [elementwise("exp", 0)]).tolist() == [[np.inf]]


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([Recall(value=1)], "acts on a value that is not made yet"),
        ([Recall(value=-1)], "acts on a value that is not made yet"),
        ([elementwise("add", 0, 5)], "acts on a value that is not made yet"),
        ([elementwise("add", 0)], "'add' after decryption has 1 operands"),
        ([elementwise("exp", 0, 0)], "'exp' after decryption has 2 operands"),
        ([elementwise("where", 0, 0, 0)], "'where' after decryption follows real numbers"),
        ([elementwise("not", 0)], "'not' after decryption follows real numbers"),
        ([ArgMax(axis=1), elementwise("exp", 1)], "'exp' after decryption follows integers"),
        ([ArgMax(axis=0), elementwise("add", 0, 1)], "operands of different kinds"),
        ([elementwise("nonzero", 0), Sigmoid()], "'sigmoid' after decryption follows truth values"),
        ([Pick(values=(), index=(), shape=())], "has no operands"),
        ([Pick(values=(0,), index=(6,), shape=(1,))], "takes elements that its operands do not have"),
        ([Pick(values=(0,), index=(-1,), shape=(1,))], "takes elements that its operands do not have"),
        ([Pick(values=(0,), index=(0, 1), shape=(3,))], r"has 2 elements for shape \(3,\)"),
        ([Pick(values=(0,), index=(0,) * 70000, shape=(70000,))], "makes 70000 elements, more than 65536"),
        ([Constant(numbers=(1.0,), shape=(2,), kind="real")], r"has 1 numbers for shape \(2,\)"),
        ([Constant(numbers=(0.5,), shape=(), kind="integer")], "a number that is not integer, or not finite"),
        ([Constant(numbers=(2.0,), shape=(), kind="boolean")], "a number that is not boolean"),
        ([Constant(numbers=(float("inf"),), shape=(), kind="real")], "not finite"),
        (
            [Constant(numbers=(1.0, 2.0), shape=(2,), kind="real"), elementwise("add", 0, 1)],
            "do not broadcast together",
        ),
        ([Reduce(reduction="sum", axes=(2,), keep=True)], r"axes \[2\]"),
        ([elementwise("nonzero", 0), Reduce(reduction="sum", axes=(0,), keep=True)], "follows truth values"),
    ],
)
def test_steps_that_do_not_fit_are_refused(steps: list[Step], says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        result_shape((2, 3), steps)


def test_no_list_of_steps_grows_without_bounds() -> None:
    column = Pick(values=(0,), index=tuple(range(300)), shape=(300, 1))
    row = Pick(values=(0,), index=tuple(range(300)), shape=(300,))
    with pytest.raises(ParameterError, match="makes 90000 elements, more than 65536"):
        result_shape((300,), [column, row, elementwise("add", 1, 2)])
    whole = Pick(values=(0,), index=(0,) * 60000, shape=(60000,))
    with pytest.raises(ParameterError, match="make more than 1048576 elements"):
        result_shape((300,), [whole] * 18)


def test_programs_survive_a_file_and_no_others_do() -> None:
    steps: tuple[Step, ...] = (
        Constant(numbers=(1.0, 2.5), shape=(2,), kind="real"),
        elementwise("greater", 0, 1),
        Pick(values=(2,), index=(1,), shape=()),
        Recall(value=0),
        Reduce(reduction="log_sum_exp", axes=(0,), keep=False),
    )
    data = codec.encode(steps)
    assert codec.decode(data, tuple[Step, ...], where="a test") == steps
    for forged in (
        data.replace(b'"greater"', b'"system"'),
        data.replace(b'"log_sum_exp"', b'"eval"'),
        data.replace(b"[1.0,2.5]", b"[1.0,NaN]"),
        data.replace(b'"index":[1]', b'"index":[1.5]'),
    ):
        with pytest.raises(FileFormatError):
            codec.decode(forged, tuple[Step, ...], where="a test")
