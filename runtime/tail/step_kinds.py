"""What each step makes of the values that it acts on, in kind and shape: how a plan's steps are checked.

Nothing read from a file is trusted: every number is checked against the shapes, so that no step can fail, and what a
step may allocate is bounded by the size of what was decrypted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from hecc.runtime.errors import ParameterError
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
    Reshape,
    Shape,
    Sigmoid,
    Softmax,
    Sort,
    Step,
    Truncate,
)

__all__ = ["Values", "follow"]

MAX_LABELS = 1 << 16
MAX_LABEL = 256
"""Longest label, in characters."""

MAX_EXACT = 1 << 53
"""Largest integer that a float holds exactly with all those before it."""


@dataclass(frozen=True)
class Values:
    """What is known of a value before it is computed.

    Attributes
    ----------
    shape
        For one example.
    kind
        What it holds.
    classes
        For integers that are indices below some number, that number; else zero.
    """

    shape: Shape
    kind: Literal["real", "integer", "boolean", "name"] = "real"
    classes: int = 0


def follow(what: str, step: Step, values: Sequence[Values], room: int) -> Values:
    """What a step makes of the values that it acts on.

    Parameters
    ----------
    what
        What errors call the step.
    step, values
        The step and what it acts on.
    room
        Elements that a step may make more of than it was given.

    Raises
    ------
    ParameterError
        The step does not fit the values.
    """
    made: Values = _RULES[type(step)](what, step, values)
    grown = max((math.prod(value.shape) for value in values), default=0)
    if math.prod(made.shape) > max(room, grown):
        raise ParameterError(f"{what} makes {math.prod(made.shape)} elements, more than {max(room, grown)}")
    return made


def _over_axes(what: str, step: Any, values: Sequence[Values]) -> Values:
    (value,) = values
    _require(what, value, "real")
    _check_axes(what, (step.axis,) if isinstance(step, Normalize) else step.axes, value.shape)
    return value


def _sigmoid(what: str, _: Any, values: Sequence[Values]) -> Values:
    _require(what, values[0], "real")
    return values[0]


def _argmax(what: str, step: Any, values: Sequence[Values]) -> Values:
    (value,) = values
    _require(what, value, "real", "integer")
    _check_axes(what, (step.axis,), value.shape)
    shape = (*value.shape[: step.axis], *value.shape[step.axis + 1 :])
    return Values(shape, "integer", value.shape[step.axis])


def _sort(what: str, step: Any, values: Sequence[Values]) -> Values:
    (value,) = values
    _require(what, value, "real", "integer")
    _check_axes(what, (step.axis,), value.shape)
    return Values(value.shape, "integer", value.shape[step.axis]) if step.index else value


def _couple(what: str, _: Any, values: Sequence[Values]) -> Values:
    (value,) = values
    _require(what, value, "real")
    pairs = value.shape[-1] if value.shape else 0
    classes = (1 + math.isqrt(1 + 8 * pairs)) // 2
    if not pairs or classes * (classes - 1) // 2 != pairs:
        raise ParameterError(f"{what} has {pairs} probabilities, which are not those of every two of some classes")
    return Values((*value.shape[:-1], classes))


def _truncate(what: str, _: Any, values: Sequence[Values]) -> Values:
    (value,) = values
    _require(what, value, "real", "integer", "boolean")
    # An index stays one, and what is true or false becomes one; other integers are no indices.
    classes = {"integer": value.classes, "boolean": 2}.get(value.kind, 0)
    return Values(value.shape, "integer", classes)


def _real(what: str, _: Any, values: Sequence[Values]) -> Values:
    _require(what, values[0], "real", "integer", "boolean")
    return Values(values[0].shape)


def _reshape(what: str, step: Any, values: Sequence[Values]) -> Values:
    (value,) = values
    if min(step.shape, default=1) < 1 or math.prod(step.shape) != math.prod(value.shape):
        raise ParameterError(f"{what} does not fit shape {value.shape}")
    return replace(value, shape=step.shape)


def _labels(what: str, step: Any, values: Sequence[Values]) -> Values:
    (value,) = values
    if value.kind != "integer" or len(step.labels) != value.classes:
        raise ParameterError(f"{what} has {len(step.labels)} names for {value.classes} classes")
    _check_labels(what, step.labels)
    return Values(value.shape, "name" if isinstance(step.labels[0], str) else "integer")


def _columns(what: str, step: Any, values: Sequence[Values]) -> Values:
    (value,) = values
    if value.shape[-1:] != (len(step.labels),):
        raise ParameterError(f"{what} has {len(step.labels)} names for shape {value.shape}")
    _check_labels(what, step.labels)
    return value


def _recall(_: str, __: Any, values: Sequence[Values]) -> Values:
    return values[0]


def _constant(what: str, step: Any, _: Sequence[Values]) -> Values:
    if min(step.shape, default=1) < 1 or math.prod(step.shape) != len(step.numbers):
        raise ParameterError(f"{what} has {len(step.numbers)} numbers for shape {step.shape}")
    fits: Callable[[float], bool] = {
        "real": math.isfinite,
        "integer": lambda number: abs(number) < MAX_EXACT and number.is_integer(),
        "boolean": lambda number: number in (0.0, 1.0),
    }[step.kind]
    if not all(map(fits, step.numbers)):
        raise ParameterError(f"{what} holds a number that is not {step.kind}, or not finite")
    return Values(step.shape, step.kind)


ONE: frozenset[Operator] = frozenset(
    {
        "absolute",
        "ceil",
        "exp",
        "floor",
        "log",
        "negate",
        "nonzero",
        "not",
        "reciprocal",
        "round",
        "sign",
        "sqrt",
        "tanh",
    }
)
"""Operators of one operand; ``where`` has three, and all others two."""

INTEGERS: frozenset[Operator] = frozenset(
    {"absolute", "add", "maximum", "minimum", "multiply", "negate", "sign", "subtract"}
)
"""Operators that make integers of integers; those that compare and those of truth values make truth values."""

COMPARISONS: frozenset[Operator] = frozenset({"equal", "greater", "greater_equal", "less", "less_equal", "nonzero"})
LOGIC: frozenset[Operator] = frozenset({"and", "not", "or", "xor"})


def _elementwise(what: str, step: Any, values: Sequence[Values]) -> Values:
    operator: Operator = step.operator
    if len(values) != (1 if operator in ONE else 3 if operator == "where" else 2):
        raise ParameterError(f"{what} has {len(values)} operands")
    try:
        shape = np.broadcast_shapes(*(value.shape for value in values))
    except ValueError:
        shapes = " and ".join(str(value.shape) for value in values)
        raise ParameterError(f"{what} has operands of shapes {shapes}, which do not broadcast together") from None
    if operator == "where":
        _require(what, values[0], "boolean")
        values = values[1:]
    kinds = {value.kind for value in values}
    if len(kinds) > 1:
        raise ParameterError(f"{what} has operands of different kinds")
    if operator in LOGIC:
        _require(what, values[0], "boolean")
        return Values(shape, "boolean")
    if operator == "where":
        return Values(shape, values[0].kind)
    _require(what, values[0], *(("real", "integer") if operator in INTEGERS | COMPARISONS else ("real",)))
    return Values(shape, "boolean" if operator in COMPARISONS else values[0].kind)


def _reduce(what: str, step: Any, values: Sequence[Values]) -> Values:
    (value,) = values
    whole = step.reduction in ("maximum", "minimum", "product", "sum")
    _require(what, value, *(("real", "integer") if whole else ("real",)))
    _check_axes(what, step.axes, value.shape)
    shape = tuple(
        1 if axis in step.axes else extent
        for axis, extent in enumerate(value.shape)
        if step.keep or axis not in step.axes
    )
    return Values(shape, value.kind)


def _pick(what: str, step: Any, values: Sequence[Values]) -> Values:
    if not values or len({value.kind for value in values}) > 1:
        raise ParameterError(f"{what} has no operands, or operands of different kinds")
    size = sum(math.prod(value.shape) for value in values)
    if min(step.shape, default=1) < 1 or math.prod(step.shape) != len(step.index):
        raise ParameterError(f"{what} has {len(step.index)} elements for shape {step.shape}")
    if not all(0 <= place < size for place in step.index):
        raise ParameterError(f"{what} takes elements that its operands do not have")
    return Values(step.shape, values[0].kind, values[0].classes if len(values) == 1 else 0)


def _require(what: str, value: Values, *kinds: str) -> None:
    if value.kind not in kinds:
        follows = {"name": "names of classes", "boolean": "truth values", "integer": "integers", "real": "real numbers"}
        raise ParameterError(f"{what} follows {follows[value.kind]}")


def _check_axes(what: str, axes: tuple[int, ...], shape: Shape) -> None:
    if not axes or len(set(axes)) < len(axes) or not all(0 <= axis < len(shape) for axis in axes):
        raise ParameterError(f"{what} has axes {list(axes)} of shape {shape}")


def _check_labels(what: str, labels: tuple[int | str, ...]) -> None:
    if not 0 < len(labels) <= MAX_LABELS or len({type(label) for label in labels}) != 1:
        raise ParameterError(f"{what} has no names, too many, or names of two types")
    for label in labels:
        if isinstance(label, str) and not (len(label) <= MAX_LABEL and label.isprintable()):
            raise ParameterError(f"{what} has a name that is not printable or over {MAX_LABEL} characters")
        if isinstance(label, int) and not -(1 << 63) <= label < 1 << 63:
            raise ParameterError(f"{what} has a name of more than 64 bits")


_RULES: Mapping[type[Any], Callable[[str, Any, Sequence[Values]], Values]] = {
    Softmax: _over_axes,
    LogSoftmax: _over_axes,
    Sigmoid: _sigmoid,
    Hardmax: _over_axes,
    Normalize: _over_axes,
    ArgMax: _argmax,
    Sort: _sort,
    Couple: _couple,
    Truncate: _truncate,
    Real: _real,
    Reshape: _reshape,
    Labels: _labels,
    Columns: _columns,
    Recall: _recall,
    Constant: _constant,
    Elementwise: _elementwise,
    Reduce: _reduce,
    Pick: _pick,
}
