"""Programs of tensors evaluated: one reading of the instructions, for plain numbers and for encoded ones alike.

What is linear is done to plain arrays by NumPy, in their last axes, whatever stands in front of these. An *arithmetic*
says what products, functions and sums with constants are; :class:`PlainArithmetic` is that of numbers, and a scheme
that encodes numbers has its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hecc.runtime.execution import After, execute
from hecc.runtime.network.functions import FunctionStep, evaluate_function
from hecc.runtime.network.instructions import (
    INSTRUCTIONS,
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
from hecc.runtime.reading import Reading

__all__ = ["Arithmetic", "PlainArithmetic", "evaluate", "row_count"]

Array = NDArray[np.float64]
T = TypeVar("T")


class Arithmetic(Protocol[T]):
    """What can be done to tensors of one kind; a plain array may be an operand in place of any of them."""

    def linear(self, function: Callable[[Array], Array], x: T) -> T:
        """A linear map of arrays of numbers that acts on their last axes."""

    def multiply(self, a: T, b: T) -> T:
        """Element by element."""

    def matmul(self, a: T, b: T) -> T:
        """In the last two axes."""

    def add(self, terms: list[T], factors: tuple[float, ...], constant: float) -> T:
        """A weighted sum."""

    def function(self, steps: tuple[FunctionStep, ...], x: T) -> T:
        """Of each element."""


class PlainArithmetic:
    """Numbers as they are."""

    def linear(self, function: Callable[[Array], Array], x: Array) -> Array:
        """The map itself."""
        return function(x)

    def multiply(self, a: Array, b: Array) -> Array:
        """The product."""
        return np.asarray(np.multiply(a, b))

    def matmul(self, a: Array, b: Array) -> Array:
        """The product of matrices."""
        return np.asarray(np.matmul(a, b))

    def add(self, terms: list[Array], factors: tuple[float, ...], constant: float) -> Array:
        """The sum."""
        total: Any = constant
        for factor, term in zip(factors, terms, strict=True):
            total = total + (term if factor == 1 else factor * term)
        return np.asarray(total)

    def function(self, steps: tuple[FunctionStep, ...], x: Array) -> Array:
        """The function itself."""
        return evaluate_function(steps, x)

    def settled(self, x: Array) -> Array:
        """The same."""
        return x

    def extent(self, x: Array) -> float:
        """The largest absolute value."""
        return float(np.abs(x).max())

    def extent_words(self, x: Array) -> str:
        """What left its range."""
        return f"a value ({self.extent(x):g})"

    @property
    def another_way(self) -> str:
        """Or weights that are smaller to begin with."""
        return ", or begin with smaller weights"


@dataclass(frozen=True)
class _Context(Generic[T]):
    """What rules know: the program, the arithmetic, and the parameters as they are now."""

    program: TensorProgram
    arithmetic: Arithmetic[T]
    parameters: Mapping[str, T]

    def rank(self, value: int) -> int:
        """Axes of a value, without rows."""
        return len(self.program.types[value].shape)


def evaluate(
    program: TensorProgram,
    arithmetic: Arithmetic[T],
    given: Mapping[str, T],
    parameters: Mapping[str, T],
    *,
    after: After | None = None,
    progress: Callable[[int, int, Any], None] | None = None,
) -> dict[str, T]:
    """Run a program.

    Parameters
    ----------
    given
        By the name of each input its values, shape (rows, *shape) behind what the arithmetic has in front.
    parameters
        By name; those that are missing are the program's arrays.
    after, progress
        As :func:`hecc.runtime.execution.execute`.

    Numbers may leave the range of a double, and become infinite or none at all: whoever takes results looks for these.
    """
    context = _Context(program, arithmetic, parameters)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return execute(program, _VALUES, context, given=given, after=after, progress=progress)


def _input(context: _Context[T], index: int, ins: Input, given: T) -> T:
    return given


def _parameter(context: _Context[T], index: int, ins: Parameter) -> Any:
    if ins.name in context.parameters:
        return context.parameters[ins.name]
    return np.asarray(context.program.arrays[ins.name], dtype=np.float64)


def _output(context: _Context[T], index: int, ins: Output, x: T) -> T:
    return x


def _reshape(context: _Context[T], index: int, ins: Reshape, x: T) -> T:
    rank = context.rank(ins.x)
    return context.arithmetic.linear(lambda v: v.reshape(*v.shape[: v.ndim - rank], *ins.shape), x)


def _flat(v: Array, rank: int) -> Array:
    return v.reshape(*v.shape[: v.ndim - rank], -1)


def _pick(context: _Context[T], index: int, ins: Pick, x: T) -> T:
    rank, places = context.rank(ins.x), context.program.arrays[ins.index]

    def picked(v: Array) -> Array:
        flat = _flat(v, rank)
        found = np.take(flat, np.maximum(places, 0), axis=-1)
        return found if places.min() >= 0 else np.where(places >= 0, found, 0.0)

    return context.arithmetic.linear(picked, x)


def _scatter(context: _Context[T], index: int, ins: Scatter, x: T) -> T:
    rank, places = context.rank(ins.x), context.program.arrays[ins.index]
    kept = places >= 0
    order = np.argsort(places[kept], kind="stable")
    targets, starts = np.unique(places[kept][order], return_index=True)

    def scattered(v: Array) -> Array:
        flat = _flat(v, rank)
        result = np.zeros((*flat.shape[:-1], ins.size))
        if len(targets):
            result[..., targets] = np.add.reduceat(flat[..., kept][..., order], starts, axis=-1)
        return result

    return context.arithmetic.linear(scattered, x)


def _patches(context: _Context[T], index: int, ins: Patches, x: T) -> T:
    rank = len(ins.kernel)
    spans = tuple((k - 1) * d + 1 for k, d in zip(ins.kernel, ins.dilations, strict=True))
    starts = tuple(slice(0, (n - 1) * s + 1, s) for n, s in zip(ins.out, ins.strides, strict=True))
    taps = tuple(slice(None, None, d) for d in ins.dilations)

    def windows(v: Array) -> Array:
        if any(map(any, ins.pads)):
            v = np.pad(v, [(0, 0)] * (v.ndim - rank) + [*ins.pads])
        seen = sliding_window_view(v, spans, axis=tuple(range(v.ndim - rank, v.ndim)))
        picked: Any = (..., *starts, *taps)
        seen = seen[picked]
        lead = v.ndim - rank
        order = (*range(lead), *range(lead + rank, lead + 2 * rank), *range(lead, lead + rank))
        moved = seen.transpose(order)
        return np.reshape(moved, (*v.shape[: lead - 1], v.shape[lead - 1] * math.prod(ins.kernel), math.prod(ins.out)))

    return context.arithmetic.linear(windows, x)


def _unpatch(context: _Context[T], index: int, ins: Unpatch, x: T) -> T:
    padded = [size + before + after for size, (before, after) in zip(ins.spatial, ins.pads, strict=True)]
    inner: Any = (
        ...,
        *(slice(before, before + size) for size, (before, _) in zip(ins.spatial, ins.pads, strict=True)),
    )

    def summed(v: Array) -> Array:
        lead = v.shape[:-2]
        windows = v.reshape(*lead, -1, *ins.kernel, *ins.out)
        image = np.zeros((*lead, windows.shape[len(lead)], *padded))
        for tap in np.ndindex(*ins.kernel):
            at: Any = (
                ...,
                *(
                    slice(t * d, t * d + (n - 1) * s + 1, s)
                    for t, d, n, s in zip(tap, ins.dilations, ins.out, ins.strides, strict=True)
                ),
            )
            picked: Any = (*(slice(None),) * (len(lead) + 1), *tap)
            image[at] += windows[picked]
        return np.ascontiguousarray(image[inner])

    return context.arithmetic.linear(summed, x)


def _matmul(context: _Context[T], index: int, ins: MatMul, a: T, b: T) -> T:
    def turned(v: Array) -> Array:
        return np.swapaxes(v, -1, -2)

    left = context.arithmetic.linear(turned, a) if ins.transpose_a else a
    right = context.arithmetic.linear(turned, b) if ins.transpose_b else b
    kinds = [context.program.types[each] for each in ins.operands]
    shapes = [list(kind.shape) for kind in kinds]
    for transposed, shape in zip((ins.transpose_a, ins.transpose_b), shapes, strict=True):
        if transposed:
            shape[-1], shape[-2] = shape[-2], shape[-1]
    # Rows of vectors are one matrix: one product for all rows, instead of one for each.
    if kinds[0].by_row and not kinds[1].by_row and len(shapes[1]) == 2:
        inner, outer, rank = shapes[0], shapes[1], len(shapes[0])
        joined = context.arithmetic.linear(lambda v: v.reshape(*v.shape[: v.ndim - rank - 1], -1, inner[-1]), left)
        made = context.arithmetic.matmul(joined, right)
        return context.arithmetic.linear(lambda v: v.reshape(*v.shape[:-2], -1, *inner[:-1], outer[-1]), made)
    return context.arithmetic.matmul(left, right)


def _outer(context: _Context[T], index: int, ins: Outer, a: T, b: T) -> T:
    rank = context.rank(ins.a)

    def rows_last(v: Array) -> Array:
        """(rows, ..., m, p) to (..., m, rows * p)."""
        moved = np.moveaxis(v, v.ndim - rank - 1, -2)
        return np.ascontiguousarray(moved).reshape(*moved.shape[:-2], -1)

    def rows_first(v: Array) -> Array:
        return np.swapaxes(rows_last(v), -1, -2)

    rows = row_count(context.arithmetic, a, rank)
    product = context.arithmetic.matmul(
        context.arithmetic.linear(rows_last, a), context.arithmetic.linear(rows_first, b)
    )
    return context.arithmetic.linear(lambda v: v / rows, product)


def row_count(arithmetic: Arithmetic[T], x: T, rank: int) -> int:
    """How many rows a value has, of which each has so many axes."""
    found: list[int] = []

    def look(v: Array) -> Array:
        found.append(v.shape[v.ndim - rank - 1])
        return v

    arithmetic.linear(look, x)
    return found[0]


def _add(context: _Context[T], index: int, ins: Add, *terms: T) -> T:
    return context.arithmetic.add(list(terms), ins.factors, ins.constant)


def _multiply(context: _Context[T], index: int, ins: Multiply, a: T, b: T) -> T:
    return context.arithmetic.multiply(a, b)


def _total(context: _Context[T], index: int, ins: Total, x: T) -> T:
    rank = context.rank(ins.x)
    shape = context.program.types[ins.x].shape
    axes = tuple(k - rank for k in range(rank) if ins.shape[k] != shape[k])
    return context.arithmetic.linear(lambda v: v.sum(axis=axes, keepdims=True), x)


def _spread(context: _Context[T], index: int, ins: Spread, x: T) -> T:
    rank = len(ins.shape)

    def spread(v: Array) -> Array:
        return np.broadcast_to(v, (*v.shape[: v.ndim - rank], *ins.shape))

    return context.arithmetic.linear(spread, x)


def _mean_rows(context: _Context[T], index: int, ins: MeanRows, x: T) -> T:
    rank = context.rank(ins.x)
    return context.arithmetic.linear(lambda v: v.mean(axis=v.ndim - rank - 1), x)


def _function(context: _Context[T], index: int, ins: Function, x: T) -> T:
    return context.arithmetic.function(ins.function, x)


_VALUES: Reading[Callable[..., Any]] = Reading(
    "values of tensors",
    INSTRUCTIONS,
    {
        Input: _input,
        Parameter: _parameter,
        Output: _output,
        Reshape: _reshape,
        Pick: _pick,
        Scatter: _scatter,
        Patches: _patches,
        Unpatch: _unpatch,
        MatMul: _matmul,
        Outer: _outer,
        Add: _add,
        Multiply: _multiply,
        Total: _total,
        Spread: _spread,
        MeanRows: _mean_rows,
        Function: _function,
    },
)
"""Each rule takes the context, the instruction's number, the instruction, and the values of its operands."""
