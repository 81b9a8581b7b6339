"""What a client does to a decrypted result: the end of a network that cannot, and need not, be computed encrypted.

Softmax, argmax and the names of classes at the end of a network are cut off when it is imported, and kept in the plan's
header as a short list of steps from a closed set. The server computes what comes before them. The steps are numpy on
the client's side, and nothing in them can make the client do anything else: their parameters are checked against the
result's shape when a plan is read.

Axes are those of one example, without the axis of rows that decrypted results have in front.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import ParameterError

__all__ = [
    "ArgMax",
    "Columns",
    "Hardmax",
    "Labels",
    "LogSoftmax",
    "Normalize",
    "Reshape",
    "Sigmoid",
    "Softmax",
    "Step",
    "Truncate",
    "apply_steps",
    "describe",
    "result_shape",
]

MAX_STEPS = 16
MAX_LABELS = 1 << 16
MAX_LABEL = 256
"""Longest label, in characters."""

Shape: TypeAlias = tuple[int, ...]


class _Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="step"):
    """One step."""


class Softmax(_Step, frozen=True, tag="softmax"):
    """Exponentials that sum to one over ``axes`` together."""

    axes: tuple[int, ...]


class LogSoftmax(_Step, frozen=True, tag="log_softmax"):
    """The logarithm of :class:`Softmax`."""

    axes: tuple[int, ...]


class Sigmoid(_Step, frozen=True, tag="sigmoid"):
    """``1 / (1 + exp(-x))``, elementwise."""


class Hardmax(_Step, frozen=True, tag="hardmax"):
    """One where the first maximum over ``axes`` together is, zero elsewhere."""

    axes: tuple[int, ...]


class Normalize(_Step, frozen=True, tag="normalize"):
    """Divided by a norm over one axis; a norm of zero divides by one."""

    norm: Literal["l1", "l2", "max"]
    axis: int


class ArgMax(_Step, frozen=True, tag="argmax"):
    """The index of the largest or smallest element along an axis, which disappears; of equal ones the first or last."""

    axis: int
    largest: bool = True
    last: bool = False


class Truncate(_Step, frozen=True, tag="truncate"):
    """A cast to integers."""


class Reshape(_Step, frozen=True, tag="reshape"):
    """The same numbers in another shape."""

    shape: Shape


class Labels(_Step, frozen=True, tag="labels"):
    """The names of classes in place of their indices, all integers or all strings."""

    labels: tuple[int | str, ...]


class Columns(_Step, frozen=True, tag="columns"):
    """The names of the last axis's elements, all integers or all strings; the numbers stay as they are."""

    labels: tuple[int | str, ...]


Step: TypeAlias = Softmax | LogSoftmax | Sigmoid | Hardmax | Normalize | ArgMax | Truncate | Reshape | Labels | Columns


def result_shape(shape: Shape, steps: Sequence[Step]) -> Shape:
    """The shape of one example's result behind all steps.

    Raises
    ------
    ParameterError
        A step that does not fit the one before it.
    """
    if len(steps) > MAX_STEPS:
        raise ParameterError(f"{len(steps)} steps after decryption, more than {MAX_STEPS}")
    # What the values are: numbers, indices of so many classes, or names.
    kind: Literal["real", "integer", "name"] = "real"
    classes = 0
    for step in steps:
        what = f"the step {describe([step])!r} after decryption"
        if kind == "name" and not isinstance(step, Reshape):
            raise ParameterError(f"{what} follows names of classes")
        if isinstance(step, Softmax | LogSoftmax | Hardmax):
            _check_axes(what, step.axes, shape)
        elif isinstance(step, Normalize):
            _check_axes(what, (step.axis,), shape)
        elif isinstance(step, ArgMax):
            _check_axes(what, (step.axis,), shape)
            classes = shape[step.axis]
            shape, kind = (*shape[: step.axis], *shape[step.axis + 1 :]), "integer"
        elif isinstance(step, Truncate):
            # An index stays one; other integers are no indices.
            classes, kind = classes if kind == "integer" else 0, "integer"
        elif isinstance(step, Reshape):
            if min(step.shape, default=1) < 1 or math.prod(step.shape) != math.prod(shape):
                raise ParameterError(f"{what} does not fit shape {shape}")
            shape = step.shape
        elif isinstance(step, Labels):
            if kind != "integer" or len(step.labels) != classes:
                raise ParameterError(f"{what} has {len(step.labels)} names for {classes} classes")
            _check_labels(what, step.labels)
            kind = "name"
        elif isinstance(step, Columns):
            if shape[-1:] != (len(step.labels),):
                raise ParameterError(f"{what} has {len(step.labels)} names for shape {shape}")
            _check_labels(what, step.labels)
    return shape


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


def apply_steps(values: NDArray[Any], steps: Sequence[Step]) -> NDArray[Any]:
    """Apply steps to decrypted values of shape (rows, *shape of one example).

    Returns
    -------
    NDArray
        Float64; int64 behind :class:`ArgMax`, :class:`Truncate` and labels that are integers; strings behind others.
    """
    for step in steps:
        values = _RULES[type(step)](values, step)
    return values


def describe(steps: Sequence[Step]) -> str:
    """The steps in a few words."""
    return ", ".join(
        f"{'argmax' if step.largest else 'argmin'}" if isinstance(step, ArgMax) else _WORDS[type(step)]
        for step in steps
    )


_WORDS: Mapping[type[Any], str] = {
    Softmax: "softmax",
    LogSoftmax: "log-softmax",
    Sigmoid: "sigmoid",
    Hardmax: "hardmax",
    Normalize: "normalisation",
    Truncate: "truncation",
    Reshape: "reshape",
    Labels: "names of classes",
    Columns: "names of columns",
}


def _behind_rows(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(axis + 1 for axis in axes)


def _softmax(values: NDArray[Any], step: Any) -> NDArray[Any]:
    return np.asarray(np.exp(_log_softmax(values, step)))


def _log_softmax(values: NDArray[Any], step: Any) -> NDArray[Any]:
    axes = _behind_rows(step.axes)
    # Less the maximum, so that no exponential overflows.
    shifted = values - values.max(axis=axes, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axes, keepdims=True)))


def _sigmoid(values: NDArray[Any], _: Any) -> NDArray[Any]:
    small = np.exp(-np.abs(values))
    return np.asarray(np.where(values >= 0, 1.0, small) / (1.0 + small))


def _hardmax(values: NDArray[Any], step: Any) -> NDArray[Any]:
    axes = _behind_rows(step.axes)
    moved = np.moveaxis(values, axes, range(-len(axes), 0))
    flat = moved.reshape(*moved.shape[: moved.ndim - len(axes)], -1)
    ones = np.zeros(flat.shape)
    np.put_along_axis(ones, flat.argmax(axis=-1)[..., np.newaxis], 1.0, axis=-1)
    return np.asarray(np.moveaxis(ones.reshape(moved.shape), range(-len(axes), 0), axes))


def _normalize(values: NDArray[Any], step: Any) -> NDArray[Any]:
    axis = step.axis + 1
    if step.norm == "max":
        norm = values.max(axis=axis, keepdims=True)
    else:
        norm = np.linalg.norm(values, 1 if step.norm == "l1" else 2, axis=axis, keepdims=True)
    return np.asarray(values / np.where(norm == 0, 1.0, norm))


def _argmax(values: NDArray[Any], step: Any) -> NDArray[Any]:
    axis = step.axis + 1
    signed = values if step.largest else -values
    if not step.last:
        return np.asarray(signed.argmax(axis=axis), dtype=np.int64)
    return np.asarray(values.shape[axis] - 1 - np.flip(signed, axis).argmax(axis=axis), dtype=np.int64)


def _truncate(values: NDArray[Any], _: Any) -> NDArray[Any]:
    return values.astype(np.int64)


def _reshape(values: NDArray[Any], step: Any) -> NDArray[Any]:
    return np.asarray(values.reshape(len(values), *step.shape))


def _labels(values: NDArray[Any], step: Any) -> NDArray[Any]:
    return np.asarray(np.asarray(step.labels)[values])


_RULES: Mapping[type[Any], Callable[[NDArray[Any], Any], NDArray[Any]]] = {
    Softmax: _softmax,
    LogSoftmax: _log_softmax,
    Sigmoid: _sigmoid,
    Hardmax: _hardmax,
    Normalize: _normalize,
    ArgMax: _argmax,
    Truncate: _truncate,
    Reshape: _reshape,
    Labels: _labels,
    Columns: lambda values, _: values,
}
