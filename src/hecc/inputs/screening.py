"""Screening: rows that a plan does not take are refused by name, moved into its range or left out, as users wish."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import InputError
from hecc.runtime.figures import count_words, shortened
from hecc.runtime.inputs.tensors import REMEDY, Ends, Tensor, check_counts, check_rows, outside_words, rounding, settle

__all__ = ["Clipped", "Screened", "Wanted", "screen", "screening_words"]

FILL = "fill it in, or leave such rows out with --skip-bad-rows (in Python skip_bad_rows=True)"
"""What to do about a value that is not there."""

NAMED = 20
"""Rows that are left out which a sentence names."""

COVER = (
    f"{REMEDY}; --clip moves such values to the nearest end, --skip-bad-rows leaves such rows out (in Python "
    "clip=True, skip_bad_rows=True)"
)
"""What to do about a value outside a range."""


@dataclass(frozen=True)
class Wanted:
    """What is to be looked at of one input.

    Attributes
    ----------
    name, shape
        Of the input.
    low, high
        Its range: numbers, or arrays of the shape.
    columns
        What messages call its elements, in C order; empty where they have no names.
    """

    name: str
    shape: tuple[int, ...]
    low: Ends
    high: Ends
    columns: Sequence[str] = ()

    def column(self, element: int) -> str:
        """What messages call an element."""
        if self.columns:
            return self.columns[element]
        if len(self.shape) == 1:
            return f"column {element}"
        return f"element {tuple(map(int, np.unravel_index(element, self.shape)))}"


@dataclass(frozen=True)
class Clipped:
    """Values that were moved to the nearest end of their range.

    Attributes
    ----------
    values, rows
        How many, and in how many rows.
    columns
        How many in each column, by what messages call it, where there were some.
    """

    values: int = 0
    rows: int = 0
    columns: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Screened:
    """What is left of some rows.

    Attributes
    ----------
    tensors
        By input, each of shape (rows, ...).
    kept
        The positions of the rows that are left.
    left_out
        What is wrong with each of the others, by position.
    clipped
        What was moved.
    """

    tensors: dict[str, Tensor]
    kept: tuple[int, ...]
    left_out: dict[int, str]
    clipped: Clipped


def screen(
    tensors: Mapping[str, Tensor],
    wanted: Sequence[Wanted],
    *,
    places: Sequence[str] = (),
    bad: Mapping[int, str] | None = None,
    clip: bool = False,
    skip: bool = False,
) -> Screened:
    """Find the rows that a plan does not take.

    Parameters
    ----------
    tensors
        By input, of the shape of one example or (rows, ...).
    places
        What messages call each row; by default by their numbers.
    bad
        What is known to be wrong with rows, by position.
    clip
        Move values outside a range to its nearest end.
    skip
        Leave rows out that have no number in some place, or a value outside a range.

    Raises
    ------
    InputError
        A row that is not taken, unless it is to be left out; or none is left. It names the row and the column.
    """
    rows = {
        each.name: check_rows(f"input {each.name!r}", tensors[each.name], each.shape, finite=False) for each in wanted
    }
    check_counts("inputs", rows)
    count = len(next(iter(rows.values())))
    places = places or [f"row {row}" for row in range(count)]
    wrong: dict[int, str] = dict(bad or {})
    outside: set[int] = set()
    moved = np.zeros(count, dtype=np.int64)
    columns: dict[str, int] = {}
    for each in wanted:
        values, number = _judged(each, tensors[each.name], rows[each.name], places, wrong, outside, clip=clip)
        for element in np.flatnonzero(number.any(axis=0)).tolist():
            columns[each.column(element)] = int(number[:, element].sum())
        moved += number.sum(axis=1)
        rows[each.name] = values
    if wrong and not skip:
        first = min(wrong)
        more = f"; {len(wrong)} of {count} rows have such values" if len(wrong) > 1 else ""
        raise InputError(f"{wrong[first]}{more}; {COVER if first in outside else FILL}")
    if len(wrong) == count:
        first = min(wrong)
        remedy = REMEDY if first in outside else "fill such values in"
        raise InputError(f"none of {count} rows is left: {wrong[first]}; {remedy}")
    kept = np.array([row for row in range(count) if row not in wrong])
    clipped = Clipped(int(moved[kept].sum()), int((moved[kept] > 0).sum()), columns) if clip else Clipped()
    left = {name: values[kept] for name, values in rows.items()}
    return Screened(dict(left), tuple(kept.tolist()), dict(sorted(wrong.items())), clipped)


def screening_words(clipped: Clipped, left_out: Mapping[int, str], rows: int) -> Iterator[str]:
    """Sentences that say what was moved and left out, of so many rows that are left."""
    if clipped.values:
        columns = shortened([f"{number} in {column}" for column, number in (clipped.columns or {}).items()])
        where = f"{count_words(clipped.values, 'value')} in {count_words(clipped.rows, 'row')}"
        yield f"{where} moved to the nearest end of the range: {columns}; their answers are those of other values"
    if left_out:
        shown = list(left_out.values())[:NAMED]
        more = f"; and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
        of = rows + len(left_out)
        yield f"{len(left_out)} of {count_words(of, 'row')} left out: {'; '.join(shown)}{more}"


def _judged(
    wanted: Wanted,
    given: Tensor,
    values: NDArray[np.float64],
    places: Sequence[str],
    wrong: dict[int, str],
    outside: set[int],
    *,
    clip: bool,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Values as they are to be encrypted, and where they were moved, shape (rows, size).

    Adds to what is wrong with rows, and to those that have a value outside the range.
    """
    with np.errstate(invalid="ignore"):
        settled = settle(values, wanted.low, wanted.high, rounding(given, wanted.low, wanted.high))
        beyond = (settled < wanted.low) | (settled > wanted.high)
    finite = np.isfinite(values)
    moved = beyond & finite if clip else np.zeros_like(beyond)
    flat = settled.reshape(len(settled), -1)
    faulty = (~finite | (beyond & ~moved)).reshape(len(settled), -1)
    lows, highs = (np.broadcast_to(end, wanted.shape).reshape(-1) for end in (wanted.low, wanted.high))
    for row in np.flatnonzero(faulty.any(axis=1)).tolist():
        element = int(np.argmax(faulty[row]))
        value = float(flat[row, element])
        if row in wrong:
            continue
        fault = f"{value:g} is not a finite number"
        if np.isfinite(value):
            outside.add(row)
            fault = outside_words(value, float(lows[element]), float(highs[element]))
        wrong[row] = f"{places[row]}, {wanted.column(element)}: {fault}"
    if clip:
        settled = np.where(moved, np.clip(settled, wanted.low, wanted.high), settled)
    return settled, moved.reshape(len(settled), -1).astype(np.int64)
