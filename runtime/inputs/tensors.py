"""Tensors that a user gives, checked before anything is computed with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import InputError
from hecc.runtime.figures import apart
from hecc.runtime.plan.header import InputSignature

__all__ = [
    "REMEDY",
    "Ends",
    "Tensor",
    "by_name",
    "check_counts",
    "check_range",
    "check_rows",
    "column_words",
    "given_words",
    "input_rows",
    "outside_words",
    "plain_array",
    "rounding",
    "settle",
]

Tensor = NDArray[Any]

Ends: TypeAlias = "float | np.floating[Any] | NDArray[np.floating[Any]]"
"""An end of a range: a number for all elements, or one for each."""

ROUNDINGS = 4
"""How many units in the last place of its own type a value may be beyond the declared range: as many as converting it
and preprocessing it take."""


REMEDY = "preprocess as in training, or compile again with a range or calibration inputs that cover them"
"""What to do about values that are outside the range of a plan."""


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
        what, tensor = f"input {signature.name!r}", named[signature.name]
        values = check_rows(what, tensor, signature.shape)
        low, high = signature.ends
        values = settle(values, low, high, rounding(tensor, low, high))
        check_range(what, values, low, high, REMEDY, signature.columns)
        rows[signature.name] = values
    check_counts("inputs", rows)
    return rows


def by_name(what: str, tensors: Tensor | Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
    """Tensors by input name, from a mapping or from the one tensor of a network with one input.

    Raises
    ------
    InputError
        A name is missing, unknown, or cannot be guessed; or what is given is no array.
    """
    known = ", ".join(map(repr, names))
    if not isinstance(tensors, Mapping):
        if len(names) != 1:
            raise InputError(f"{what}: the network has {len(names)} inputs ({known}); give each by its name")
        return {names[0]: plain_array(f"{what} for {names[0]!r}", tensors)}
    if set(tensors) != set(names):
        raise InputError(f"{what}: {given_words(tensors)} given; the network takes {known}")
    return {name: plain_array(f"{what} for {name!r}", tensors[name]) for name in names}


def plain_array(what: str, given: Any) -> Tensor:
    """What a user gives as a numpy array, without values that are not there.

    Raises
    ------
    InputError
        Masked values, which an array would hold as if they were measured; or what numpy cannot turn into an array of
        numbers: rows of different lengths, a tensor that requires a gradient or is on another device, a sparse matrix.
    """
    masked = _masked(given)
    if masked:
        raise InputError(
            f"{what}: {masked} masked value{'s' if masked > 1 else ''}; fill them in as in training, as "
            "`x.filled(0)`, or leave those rows out"
        )
    if hasattr(given, "toarray"):
        raise InputError(f"{what}: a sparse matrix; give all elements, as `x.toarray()`")
    try:
        return np.asarray(given)
    except (ValueError, TypeError, RuntimeError) as error:
        # Whatever has an array interface may raise what it likes, and PyTorch explains what to do about a tensor.
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise InputError(
            f"{what}: {type(given).__name__} that is no array of numbers ({reason}); give rows of one shape, as a "
            "numpy array"
        ) from None


def _masked(given: Any) -> int:
    """How many values are masked, also in a list of masked arrays: numpy would take what is under the mask."""
    if isinstance(given, np.ma.MaskedArray):
        return int(np.ma.getmaskarray(given).sum())
    if isinstance(given, list | tuple):
        # Only what holds something can hold a masked array.
        return sum(_masked(item) for item in given if isinstance(item, list | tuple | np.ma.MaskedArray))
    return 0


def given_words(names: Collection[str]) -> str:
    """The names that were given, with the verb."""
    return f"{', '.join(map(repr, names)) or 'nothing'} {'were' if len(names) > 1 else 'was'}"


def check_rows(what: str, tensor: Tensor, shape: tuple[int, ...], *, finite: bool = True) -> NDArray[np.float64]:
    """The tensor as float64 with an axis of rows in front, shape (rows, *shape).

    Parameters
    ----------
    finite
        Whether all values have to be.

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
    with np.errstate(over="ignore"):  # of extended precision: what is infinite then is refused
        values = tensor.astype(np.float64)
    if finite and not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values).reshape(len(values), -1).all(axis=1)))
        raise InputError(f"{what}: a value in row {row} is not a number or infinite; clean the data first")
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


def rounding(tensor: Tensor, low: Ends, high: Ends) -> Ends:
    """By how much values of a range may leave it in the type of a tensor, by rounding alone.

    The ends are numbers, or one for each element.

    Numbers in double precision that single precision holds exactly may have been in single precision before: in a list,
    a table or an array that was converted. So may an end of the range, and then a value that single precision cannot
    tell from it is that value.
    """
    if tensor.dtype.kind != "f":
        return 0.0
    kind = np.finfo(tensor.dtype)
    if kind.bits >= 64:
        beyond = (tensor < low) | (tensor > high)
        outside = tensor[beyond]
        lowest, highest = (np.broadcast_to(end, tensor.shape)[beyond] for end in (low, high))
        with np.errstate(over="ignore"):
            rounded = outside.astype(np.float32).astype(np.float64)
        single = bool(((rounded == outside) | (rounded == lowest) | (rounded == highest)).all())
        kind = np.finfo(np.float32 if single else np.float64)
    return ROUNDINGS * float(kind.eps) * np.maximum(np.abs(low), np.abs(high))


def settle(values: NDArray[np.float64], low: Ends, high: Ends, slack: Ends) -> NDArray[np.float64]:
    """Values that are outside ``[low, high]`` by no more than ``slack`` moved to its ends; others as they are.

    What is promised holds for inputs in the declared range, and so does what proves it.
    """
    near = (values >= low - slack) & (values <= high + slack)
    return np.where(near, np.clip(values, low, high), values)


def check_range(
    what: str, values: NDArray[np.float64], low: Ends, high: Ends, remedy: str, columns: Sequence[str] = ()
) -> None:
    """Refuse values of shape (rows, ...) outside ``low`` to ``high``, which are numbers or one for each element.

    Parameters
    ----------
    columns
        Names of the elements, if they have any.

    Raises
    ------
    InputError
        Naming the row, the element, and both ranges, with so many digits that it is seen which end is passed.
    """
    beyond = (values < low) | (values > high)
    if not beyond.any():
        return
    rows = np.flatnonzero(beyond.reshape(len(values), -1).any(axis=1))
    if np.ndim(low) == 0:
        found = float(values.min()), float(values.max())
        lowest, least = apart(found[0], float(low))
        highest, most = apart(found[1], float(high))
        first = tuple(int(index) for index in np.argwhere(beyond)[0])
        place = f", first in {_place(first, columns)}" if len(values) > 1 else ""
        raise InputError(f"{what}: values from {lowest} to {highest} are outside {least} to {most}{place}; {remedy}")
    first = tuple(int(index) for index in np.argwhere(beyond)[0])
    words = outside_words(float(values[first]), float(low[first[1:]]), float(high[first[1:]]))  # type: ignore[index]
    more = f", and there are such values in {len(rows)} of {len(values)} rows" if len(rows) > 1 else ""
    raise InputError(f"{what}, {_place(first, columns)}: {words}{more}; {remedy}")


def outside_words(value: float, low: float, high: float) -> str:
    """That a value is outside a range, with so many digits that it is seen."""
    shown, end = apart(value, low if value < low else high)
    least, most = (end, f"{high:g}") if value < low else (f"{low:g}", end)
    return f"{shown} is outside {least} to {most}"


def _place(index: tuple[int, ...], columns: Sequence[str]) -> str:
    """A row and an element in it, in words."""
    row, *element = index
    if len(element) != 1:
        return f"row {row}, element {tuple(element)}" if element else f"row {row}"
    return f"row {row}, {column_words(element[0], columns)}"


def column_words(number: int, columns: Sequence[str]) -> str:
    """A column by its number, and by its name where there are names."""
    return f"column {number} ({columns[number]!r})" if columns else f"column {number}"
