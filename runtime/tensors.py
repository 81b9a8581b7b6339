"""Tensors that a user gives, checked before anything is computed with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import InputError
from hecc.runtime.header import InputSignature

__all__ = ["Tensor", "by_name", "check_counts", "check_range", "check_rows", "given_words", "input_rows"]

Tensor = NDArray[Any]


def input_rows(
    tensors: Tensor | Mapping[str, Tensor], signatures: Sequence[InputSignature]
) -> dict[str, NDArray[np.float64]]:
    """What a plan is given, by input name, each of shape (rows, ...): all that the plan takes and nothing else.

    Parameters
    ----------
    tensors
        By input name, or just the tensor of a plan with one input. Of the input's shape for one example, or with a
        leading axis of rows; all inputs the same number of rows.
    signatures
        The plan's inputs.

    Raises
    ------
    InputError
        Names, shapes, dtypes or values that the plan does not take.
    """
    named = by_name("inputs", tensors, [signature.name for signature in signatures])
    rows = {}
    for signature in signatures:
        what = f"input {signature.name!r}"
        rows[signature.name] = check_rows(what, named[signature.name], signature.shape)
        remedy = "preprocess as in training, or compile again with a range or calibration inputs that cover them"
        check_range(what, rows[signature.name], signature.low, signature.high, remedy)
    check_counts("inputs", rows)
    return rows


def by_name(what: str, tensors: Tensor | Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
    """Tensors by input name, from a mapping or from the one tensor of a network with one input.

    Raises
    ------
    InputError
        A name is missing, unknown, or cannot be guessed.
    """
    known = ", ".join(map(repr, names))
    if not isinstance(tensors, Mapping):
        if len(names) != 1:
            raise InputError(f"{what}: the network has {len(names)} inputs ({known}); give each by its name")
        return {names[0]: np.asarray(tensors)}
    if set(tensors) != set(names):
        raise InputError(f"{what}: {given_words(tensors)} given; the network takes {known}")
    return {name: np.asarray(tensors[name]) for name in names}


def given_words(names: Collection[str]) -> str:
    """The names that were given, with the verb."""
    return f"{', '.join(map(repr, names)) or 'nothing'} {'were' if len(names) > 1 else 'was'}"


def check_rows(what: str, tensor: Tensor, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The tensor as float64 with an axis of rows in front, shape (rows, *shape).

    Raises
    ------
    InputError
        Another dtype or shape, or a value that is not finite.
    """
    if tensor.dtype.kind not in "fiu":
        raise InputError(
            f"{what}: dtype {tensor.dtype}; give floating-point numbers or integers, as `x.astype('float32')`"
        )
    if tensor.shape == shape:
        tensor = tensor[np.newaxis]
    if tensor.shape[:1] == (0,):
        raise InputError(f"{what}: shape {tensor.shape}, an array without rows; give one row at least")
    if tensor.shape[1:] != shape or tensor.ndim == 0:
        rows = ", ".join(["rows", *map(str, shape)])
        raise InputError(f"{what}: shape {tensor.shape}; give {shape} for one example, or ({rows}) for several")
    values = tensor.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{what}: a value is not a number or infinite; clean the data first")
    return values


def check_counts(what: str, rows: Mapping[str, NDArray[np.float64]]) -> None:
    """Refuse inputs with different numbers of rows.

    Raises
    ------
    InputError
        Naming all of them.
    """
    if len({len(values) for values in rows.values()}) != 1:
        counts = ", ".join(f"{name!r}: {len(values)}" for name, values in rows.items())
        raise InputError(f"{what}: different numbers of rows ({counts}); give as many of each")


def check_range(what: str, values: NDArray[np.float64], low: float, high: float, remedy: str) -> None:
    """Refuse values outside ``[low, high]``.

    Raises
    ------
    InputError
        Naming both ranges.
    """
    found = float(values.min()), float(values.max())
    if found[0] < low or found[1] > high:
        raise InputError(
            f"{what}: values from {found[0]:.6g} to {found[1]:.6g} are outside {low:.6g} to {high:.6g}; {remedy}"
        )
