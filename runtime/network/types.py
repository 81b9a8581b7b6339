"""The types of a program's values, derived from its inputs and arrays: what a file says is checked before it runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import ParameterError
from hecc.runtime.network.functions import check_function
from hecc.runtime.network.instructions import (
    INSTRUCTIONS,
    Add,
    Function,
    Input,
    Instruction,
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
from hecc.runtime.reading import Reading

__all__ = ["MAX_ELEMENTS", "TensorType", "type_of"]

MAX_ELEMENTS = 1 << 31
"""Of one value of one row."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class TensorType:
    """The shape of a value, and whether there is one for each row."""

    shape: tuple[int, ...]
    by_row: bool

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)


def type_of(instruction: Instruction, operands: Sequence[TensorType], arrays: Arrays) -> TensorType:
    """The type of what an instruction makes.

    Raises
    ------
    ParameterError
        It cannot take such operands, or names no array.
    """
    found: TensorType = TYPES.of(instruction)(instruction, arrays, *operands)
    if found.size > MAX_ELEMENTS:
        raise ParameterError(f"a value of {found.size} elements, and {MAX_ELEMENTS} are the most")
    return found


def _require(true: bool, what: str) -> None:
    if not true:
        raise ParameterError(what)


def _array(arrays: Arrays, name: str, kind: str) -> NDArray[Any]:
    _require(name in arrays, f"there is no array {name!r}")
    _require(arrays[name].dtype.kind == kind, f"the array {name!r} holds {arrays[name].dtype}")
    return arrays[name]


def _broadcast(*types: TensorType) -> TensorType:
    try:
        shape = np.broadcast_shapes(*(each.shape for each in types))
    except ValueError:
        raise ParameterError(f"shapes {', '.join(str(each.shape) for each in types)} do not broadcast") from None
    by_row = any(each.by_row for each in types)
    # Rows stand ahead of the shape, so an operand with rows must not lack axes.
    _require(all(len(each.shape) == len(shape) for each in types if each.by_row), "an operand with rows lacks an axis")
    return TensorType(shape, by_row)


def _input(ins: Input, _: Arrays, *__: TensorType) -> TensorType:
    return TensorType(ins.shape, True)


def _parameter(ins: Parameter, arrays: Arrays) -> TensorType:
    return TensorType(_array(arrays, ins.name, "f").shape, False)


def _output(ins: Output, _: Arrays, x: TensorType) -> TensorType:
    return x


def _reshape(ins: Reshape, _: Arrays, x: TensorType) -> TensorType:
    _require(math.prod(ins.shape) == x.size, f"{x.shape} cannot be reshaped to {ins.shape}")
    return TensorType(ins.shape, x.by_row)


def _index(arrays: Arrays, name: str, below: int, least: int) -> NDArray[Any]:
    index = _array(arrays, name, "i")
    _require(
        index.ndim == 1 and index.size > 0 and least <= int(index.min()) and int(index.max()) < below,
        f"the index {name!r} does not fit",
    )
    return index


def _pick(ins: Pick, arrays: Arrays, x: TensorType) -> TensorType:
    return TensorType((_index(arrays, ins.index, x.size, -1).size,), x.by_row)


def _scatter(ins: Scatter, arrays: Arrays, x: TensorType) -> TensorType:
    _require(_index(arrays, ins.index, ins.size, -1).size == x.size, f"the index {ins.index!r} does not fit")
    return TensorType((ins.size,), x.by_row)


def _check_windows(ins: Patches | Unpatch, spatial: tuple[int, ...]) -> None:
    rank = len(ins.kernel)
    _require(
        {len(ins.strides), len(ins.dilations), len(ins.pads), len(ins.out), len(spatial)} == {rank} and rank > 0,
        "a window of another rank than the image",
    )
    for size, taps, stride, dilation, (before, after), out in zip(
        spatial, ins.kernel, ins.strides, ins.dilations, ins.pads, ins.out, strict=True
    ):
        reach = (out - 1) * stride + (taps - 1) * dilation + 1
        _require(before < reach and reach <= size + before + after, "a window that leaves the padded image")


def _patches(ins: Patches, _: Arrays, x: TensorType) -> TensorType:
    rank = len(ins.kernel)
    _require(len(x.shape) > rank, "images need channels")
    _check_windows(ins, x.shape[-rank:])
    channels = x.shape[-rank - 1] * math.prod(ins.kernel)
    return TensorType((*x.shape[: -rank - 1], channels, math.prod(ins.out)), x.by_row)


def _unpatch(ins: Unpatch, _: Arrays, x: TensorType) -> TensorType:
    _check_windows(ins, ins.spatial)
    taps = math.prod(ins.kernel)
    _require(len(x.shape) > 1 and x.shape[-1] == math.prod(ins.out) and x.shape[-2] % taps == 0, "these are no windows")
    return TensorType((*x.shape[:-2], x.shape[-2] // taps, *ins.spatial), x.by_row)


def _matrix(x: TensorType, transposed: bool) -> tuple[int, ...]:
    _require(len(x.shape) > 1, f"{x.shape} is no matrix")
    return (*x.shape[:-2], x.shape[-1], x.shape[-2]) if transposed else x.shape


def _matmul(ins: MatMul, _: Arrays, a: TensorType, b: TensorType) -> TensorType:
    left, right = _matrix(a, ins.transpose_a), _matrix(b, ins.transpose_b)
    _require(left[-1] == right[-2], f"matrices of shapes {left} and {right}")
    leading = _broadcast(TensorType(left[:-2], a.by_row), TensorType(right[:-2], b.by_row))
    return TensorType((*leading.shape, left[-2], right[-1]), leading.by_row)


def _outer(ins: Outer, _: Arrays, a: TensorType, b: TensorType) -> TensorType:
    left, right = _matrix(a, False), _matrix(b, False)
    _require(
        a.by_row and b.by_row and left[:-2] == right[:-2] and left[-1] == right[-1],
        f"an outer product of shapes {left} and {right}",
    )
    return TensorType((*left[:-2], left[-2], right[-2]), False)


def _add(ins: Add, _: Arrays, *terms: TensorType) -> TensorType:
    _require(len(ins.factors) == len(ins.terms), "a sum needs a factor for each term")
    _require(all(map(math.isfinite, (*ins.factors, ins.constant))), "a factor is not finite")
    return _broadcast(*terms)


def _multiply(ins: Multiply, _: Arrays, a: TensorType, b: TensorType) -> TensorType:
    return _broadcast(a, b)


def _broadcasts(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    """Whether axes of one become any, and all others stay."""
    return len(small) == len(large) and all(one in (1, other) for one, other in zip(small, large, strict=True))


def _total(ins: Total, _: Arrays, x: TensorType) -> TensorType:
    _require(_broadcasts(ins.shape, x.shape), f"{x.shape} cannot be summed to {ins.shape}")
    return TensorType(ins.shape, x.by_row)


def _spread(ins: Spread, _: Arrays, x: TensorType) -> TensorType:
    _require(_broadcasts(x.shape, ins.shape), f"{x.shape} cannot be spread to {ins.shape}")
    return TensorType(ins.shape, x.by_row)


def _mean_rows(ins: MeanRows, _: Arrays, x: TensorType) -> TensorType:
    _require(x.by_row, "there are no rows to average")
    return TensorType(x.shape, False)


def _function(ins: Function, _: Arrays, x: TensorType) -> TensorType:
    check_function(ins.function)
    return x


TYPES: Reading[Callable[..., TensorType]] = Reading(
    "types of tensors",
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
"""Each rule takes an instruction, the program's arrays, and the types of the operands."""
