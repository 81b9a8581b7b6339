"""What a client does to a decrypted result: the end of a network that cannot, and need not, be computed encrypted.

Softmax, argmax, the names of classes and whatever else no server needs to compute at the end of a network are cut off
when it is imported, and kept in the plan's header as a short list of steps from a closed set
(:mod:`hecc.runtime.tail.steps`). The server computes what comes before them. The steps are numpy on the client's side,
and nothing in them can make the client do anything else: they are checked against the result's shape when a plan is
read (:mod:`hecc.runtime.tail.step_kinds`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import ParameterError
from hecc.runtime.tail.coupling import coupled
from hecc.runtime.tail.step_kinds import Values, follow
from hecc.runtime.tail.steps import (
    ArgMax,
    Columns,
    Constant,
    Couple,
    Elementwise,
    Hardmax,
    Labels,
    LogSoftmax,
    Normalize,
    Operator,
    Pick,
    Real,
    Recall,
    Reduce,
    Reduction,
    Reshape,
    Shape,
    Sigmoid,
    Softmax,
    Sort,
    Step,
    Truncate,
    operands,
)

__all__ = [
    "MAX_STEPS",
    "ArgMax",
    "Columns",
    "Constant",
    "Couple",
    "Elementwise",
    "Hardmax",
    "Labels",
    "LogSoftmax",
    "Normalize",
    "Operator",
    "Pick",
    "Real",
    "Recall",
    "Reduce",
    "Reduction",
    "Reshape",
    "Sigmoid",
    "Softmax",
    "Sort",
    "Step",
    "Truncate",
    "Values",
    "apply_steps",
    "chain",
    "describe",
    "follow_step",
    "result_shape",
]

MAX_STEPS = 512

ROOM = 1 << 16
"""Elements that a step may make even where less was decrypted."""

ALL = 16
"""How many times as many all steps together may make."""

Array = NDArray[Any]


def result_shape(shape: Shape, steps: Sequence[Step]) -> Shape:
    """The shape of one example's result behind all steps.

    Raises
    ------
    ParameterError
        A step that does not fit what it acts on.
    """
    if len(steps) > MAX_STEPS:
        raise ParameterError(f"{len(steps)} steps after decryption, more than {MAX_STEPS}")
    made = [Values(shape)]
    room = max(ROOM, 4 * math.prod(shape))
    for position, step in enumerate(steps):
        numbers = operands(step, position)
        if not all(0 <= number < len(made) for number in numbers):
            raise ParameterError(f"the step {describe([step])!r} after decryption acts on a value that is not made yet")
        made.append(follow_step(step, [made[number] for number in numbers], room))
    if sum(math.prod(values.shape) for values in made) > ALL * room:
        raise ParameterError(f"the steps after decryption make more than {ALL * room} elements")
    return made[-1].shape


def follow_step(step: Step, values: Sequence[Values], room: int = ROOM) -> Values:
    """What a step makes of the values that it acts on, as :func:`hecc.runtime.tail.step_kinds.follow`."""
    return follow(f"the step {describe([step])!r} after decryption", step, values, room)


def apply_steps(values: Array, steps: Sequence[Step]) -> Array:
    """Apply steps to decrypted values of shape (rows, *shape of one example).

    Returns
    -------
    NDArray
        Float64; int64 behind :class:`ArgMax`, :class:`Truncate` and labels that are integers; strings behind others;
        booleans behind comparisons.
    """
    made = [values]
    # A logarithm of a negative number is not a number, and that is what the network says.
    with np.errstate(all="ignore"):
        for position, step in enumerate(steps):
            made.append(_RULES[type(step)]([made[number] for number in operands(step, position)], step, len(values)))
    return made[-1]


def chain(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The last steps that act in a row on one value, back to the first that acts on none or on several."""
    found: list[Step] = []
    number = len(steps)
    while number > 0:
        step = steps[number - 1]
        numbers = operands(step, number - 1)
        if len(numbers) != 1:
            break
        found.append(step)
        (number,) = numbers
    return tuple(reversed(found))


def describe(steps: Sequence[Step]) -> str:
    """The steps in a few words, each once; those that only arrange are named where there are no others."""
    computing = [step for step in steps if not isinstance(step, Reshape | Real | Recall | Constant | Pick)]
    return ", ".join(dict.fromkeys(map(_word, computing or steps)))


def _word(step: Step) -> str:
    if isinstance(step, ArgMax):
        return "argmax" if step.largest else "argmin"
    if isinstance(step, Elementwise):
        return step.operator.replace("_", " ")
    if isinstance(step, Reduce):
        return step.reduction.replace("_", " ")
    return _WORDS[type(step)]


_WORDS: Mapping[type[Any], str] = {
    Softmax: "softmax",
    LogSoftmax: "log-softmax",
    Sigmoid: "sigmoid",
    Hardmax: "hardmax",
    Normalize: "normalisation",
    Sort: "sort",
    Couple: "pairwise coupling",
    Truncate: "truncation",
    Real: "cast",
    Reshape: "reshape",
    Labels: "names of classes",
    Columns: "names of columns",
    Recall: "recall",
    Constant: "constant",
    Pick: "selection",
}


def _behind_rows(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(axis + 1 for axis in axes)


def _softmax(given: Sequence[Array], step: Any, rows: int) -> Array:
    return np.asarray(np.exp(_log_softmax(given, step, rows)))


def _log_softmax(given: Sequence[Array], step: Any, _: int) -> Array:
    (values,) = given
    axes = _behind_rows(step.axes)
    # Less the maximum, so that no exponential overflows.
    shifted = values - values.max(axis=axes, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axes, keepdims=True)))


def _sigmoid(given: Sequence[Array], _: Any, __: int) -> Array:
    (values,) = given
    small = np.exp(-np.abs(values))
    return np.asarray(np.where(values >= 0, 1.0, small) / (1.0 + small))


def _hardmax(given: Sequence[Array], step: Any, _: int) -> Array:
    (values,) = given
    axes = _behind_rows(step.axes)
    moved = np.moveaxis(values, axes, range(-len(axes), 0))
    flat = moved.reshape(*moved.shape[: moved.ndim - len(axes)], -1)
    ones = np.zeros(flat.shape)
    np.put_along_axis(ones, flat.argmax(axis=-1)[..., np.newaxis], 1.0, axis=-1)
    return np.asarray(np.moveaxis(ones.reshape(moved.shape), range(-len(axes), 0), axes))


def _normalize(given: Sequence[Array], step: Any, _: int) -> Array:
    (values,) = given
    axis = step.axis + 1
    if step.norm == "max":
        norm = values.max(axis=axis, keepdims=True)
    else:
        norm = np.linalg.norm(values, 1 if step.norm == "l1" else 2, axis=axis, keepdims=True)
    return np.asarray(values / np.where(norm == 0, 1.0, norm))


def _argmax(given: Sequence[Array], step: Any, _: int) -> Array:
    (values,) = given
    axis = step.axis + 1
    signed = values if step.largest else -values
    if not step.last:
        return np.asarray(signed.argmax(axis=axis), dtype=np.int64)
    return np.asarray(values.shape[axis] - 1 - np.flip(signed, axis).argmax(axis=axis), dtype=np.int64)


def _sort(given: Sequence[Array], step: Any, _: int) -> Array:
    (values,) = given
    axis = step.axis + 1
    order = np.argsort(-values if step.largest else values, axis=axis, kind="stable")
    return np.asarray(
        order if step.index else np.take_along_axis(values, order, axis), dtype=np.int64 if step.index else None
    )


def _truncate(given: Sequence[Array], _: Any, __: int) -> Array:
    (values,) = given
    return values.astype(np.int64)


def _reshape(given: Sequence[Array], step: Any, rows: int) -> Array:
    return np.asarray(given[0].reshape(rows, *step.shape))


def _labels(given: Sequence[Array], step: Any, _: int) -> Array:
    (values,) = given
    return np.asarray(np.asarray(step.labels)[values])


def _constant(_: Sequence[Array], step: Any, rows: int) -> Array:
    types: dict[str, type[Any]] = {"real": np.float64, "integer": np.int64, "boolean": np.bool_}
    numbers = np.asarray(step.numbers, dtype=np.float64).astype(types[step.kind]).reshape(step.shape)
    return np.broadcast_to(numbers, (rows, *step.shape))


def _elementwise(given: Sequence[Array], step: Any, rows: int) -> Array:
    rank = max(values.ndim for values in given)
    # Axes broadcast from the back, and the rows are in front.
    spread = (values.reshape(rows, *(1,) * (rank - values.ndim), *values.shape[1:]) for values in given)
    return np.asarray(_OPERATORS[step.operator](*spread))


_OPERATORS: Mapping[Operator, Callable[..., Any]] = {
    "absolute": np.absolute,
    "add": np.add,
    "and": np.logical_and,
    "ceil": np.ceil,
    "divide": np.divide,
    "equal": np.equal,
    "exp": np.exp,
    "floor": np.floor,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "log": np.log,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "multiply": np.multiply,
    "negate": np.negative,
    "nonzero": lambda x: x != 0,
    "not": np.logical_not,
    "or": np.logical_or,
    "power": np.power,
    "reciprocal": lambda x: 1.0 / x,
    "round": np.rint,
    "sign": np.sign,
    "sqrt": np.sqrt,
    "subtract": np.subtract,
    "tanh": np.tanh,
    "where": np.where,
    "xor": np.logical_xor,
}


def _reduce(given: Sequence[Array], step: Any, _: int) -> Array:
    return np.asarray(_REDUCTIONS[step.reduction](given[0], axis=_behind_rows(step.axes), keepdims=step.keep))


def _log_sum_exp(values: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
    # Less the maximum, so that no exponential overflows.
    largest = values.max(axis=axis, keepdims=True)
    found = np.log(np.exp(values - largest).sum(axis=axis, keepdims=True)) + largest
    return np.asarray(found if keepdims else found.squeeze(axis))


_REDUCTIONS: Mapping[Reduction, Callable[..., Any]] = {
    "l1": lambda x, **over: np.absolute(x).sum(**over),
    "l2": lambda x, **over: np.sqrt(np.square(x).sum(**over)),
    "log_sum_exp": _log_sum_exp,
    "maximum": np.max,
    "mean": np.mean,
    "minimum": np.min,
    "product": np.prod,
    "square_sum": lambda x, **over: np.square(x).sum(**over),
    "sum": np.sum,
}


def _pick(given: Sequence[Array], step: Any, rows: int) -> Array:
    flat = np.concatenate([values.reshape(rows, -1) for values in given], axis=1)
    return np.asarray(flat[:, np.asarray(step.index, dtype=np.int64)].reshape(rows, *step.shape))


_RULES: Mapping[type[Any], Callable[[Sequence[Array], Any, int], Array]] = {
    Softmax: _softmax,
    LogSoftmax: _log_softmax,
    Sigmoid: _sigmoid,
    Hardmax: _hardmax,
    Normalize: _normalize,
    ArgMax: _argmax,
    Sort: _sort,
    Couple: lambda given, _, __: coupled(given[0]),
    Truncate: _truncate,
    Real: lambda given, _, __: given[0].astype(np.float64),
    Reshape: _reshape,
    Labels: _labels,
    Columns: lambda given, _, __: given[0],
    Recall: lambda given, _, __: given[0],
    Constant: _constant,
    Elementwise: _elementwise,
    Reduce: _reduce,
    Pick: _pick,
}
