"""The closed set of steps that a client may be asked to take after decryption: data in a plan's header, never code.

The decrypted value is value 0, and step ``k``, counted from zero, makes value ``k + 1``. Most steps act on the value
made just before them, so that softmax, argmax and names are three steps in a row and nothing else; a few name the
values that they act on, so that a list of steps can say any expression. The last value is the result.

Axes are those of one example, without the axis of rows that decrypted results have in front.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

__all__ = [
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
    "Shape",
    "Sigmoid",
    "Softmax",
    "Sort",
    "Step",
    "Truncate",
    "operands",
    "shifted",
]

Shape: TypeAlias = tuple[int, ...]

Operator = Literal[
    "absolute",
    "add",
    "and",
    "ceil",
    "divide",
    "equal",
    "exp",
    "floor",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "log",
    "maximum",
    "minimum",
    "multiply",
    "negate",
    "nonzero",
    "not",
    "or",
    "power",
    "reciprocal",
    "round",
    "sign",
    "sqrt",
    "subtract",
    "tanh",
    "where",
    "xor",
]
"""What :class:`Elementwise` computes."""

Reduction = Literal["l1", "l2", "log_sum_exp", "maximum", "mean", "minimum", "product", "square_sum", "sum"]
"""What :class:`Reduce` computes."""


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


class Sort(_Step, frozen=True, tag="sort"):
    """The elements in order along an axis, or with ``index`` their indices; of equal ones the first comes first."""

    axis: int
    largest: bool
    index: bool


class Couple(_Step, frozen=True, tag="couple"):
    """The probabilities of some classes, of those of every two of them: pairwise coupling, as libsvm computes it."""


class Truncate(_Step, frozen=True, tag="truncate"):
    """A cast to integers."""


class Real(_Step, frozen=True, tag="real"):
    """A cast to real numbers."""


class Reshape(_Step, frozen=True, tag="reshape"):
    """The same numbers in another shape."""

    shape: Shape


class Labels(_Step, frozen=True, tag="labels"):
    """The names of classes in place of their indices, all integers or all strings."""

    labels: tuple[int | str, ...]


class Columns(_Step, frozen=True, tag="columns"):
    """The names of the last axis's elements, all integers or all strings; the numbers stay as they are."""

    labels: tuple[int | str, ...]


class Recall(_Step, frozen=True, tag="recall"):
    """A value made earlier, once more."""

    value: int


class Constant(_Step, frozen=True, tag="constant"):
    """Numbers that are the same for every example."""

    numbers: tuple[float, ...]
    shape: Shape
    kind: Literal["real", "integer", "boolean"]


class Elementwise(_Step, frozen=True, tag="elementwise"):
    """A function of one, two or three values, element by element; they broadcast together by numpy's rules."""

    operator: Operator
    values: tuple[int, ...]


class Reduce(_Step, frozen=True, tag="reduce"):
    """Sums, extremes and norms over some axes."""

    reduction: Reduction
    axes: tuple[int, ...]
    keep: bool


class Pick(_Step, frozen=True, tag="pick"):
    """Elements of some values, put one behind the other and counted through from zero."""

    values: tuple[int, ...]
    index: tuple[int, ...]
    shape: Shape


Step: TypeAlias = (
    Softmax
    | LogSoftmax
    | Sigmoid
    | Hardmax
    | Normalize
    | ArgMax
    | Sort
    | Couple
    | Truncate
    | Real
    | Reshape
    | Labels
    | Columns
    | Recall
    | Constant
    | Elementwise
    | Reduce
    | Pick
)


def operands(step: Step, position: int) -> tuple[int, ...]:
    """The numbers of the values that the step at ``position`` acts on."""
    if isinstance(step, Elementwise | Pick):
        return step.values
    if isinstance(step, Recall):
        return (step.value,)
    return () if isinstance(step, Constant) else (position,)


def shifted(steps: Sequence[Step], by: int) -> tuple[Step, ...]:
    """The same steps behind ``by`` others, the last of which makes what they were meant to act on."""
    renumbered: list[Step] = []
    for step in steps:
        if isinstance(step, Elementwise | Pick):
            step = replace(step, values=tuple(value + by for value in step.values))
        elif isinstance(step, Recall):
            step = replace(step, value=step.value + by)
        renumbered.append(step)
    return tuple(renumbered)
