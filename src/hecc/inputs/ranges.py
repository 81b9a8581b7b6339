"""Ranges of inputs: stated, or those of the calibration inputs with a margin.

Images and signals are of one kind all over, and what one pixel did on a few hundred images says little of what it may
do: one range is for all elements. The columns of a table are different things, so each has its own range, unless all
are of about the same size, as those that were standardised before; then one is for all, too.

What a column does on the calibration inputs is not all that it will ever do. So its range is wider than that by a
margin, a part of its width at either end, but not beyond zero where no value was; and its ends are rounded outwards, so
that the plan does not tell the largest value of a single patient.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.inputs.sources import Form
from hecc.runtime.errors import InputError
from hecc.runtime.figures import apart, shortened
from hecc.runtime.inputs.ranges import MAX_ELEMENTS, ElementRanges
from hecc.runtime.inputs.tensors import Ends, column_words, given_words

__all__ = ["Given", "Range", "declared_ranges", "edge_rows", "element_ranges", "is_table"]

Array = NDArray[np.float64]

Range: TypeAlias = tuple[Ends, Ends]
"""Lowest and highest value: numbers for all elements, or arrays of the shape of one example."""

Given: TypeAlias = "Range | Mapping[str, Range] | None"
"""What a user states."""

DEFAULT_RANGE: Range = (-1.0, 1.0)
"""What inputs are taken to be when nothing is said of them."""

TABLE_MARGIN = 0.25
"""Of a table's columns: of four public tables of patients it leaves one row in a hundred outside, instead of four, and
costs half a bit of precision."""

ALIKE = 4.0
"""Columns are of one size if the range of all is at most so many times that of the median column."""

DIGITS = 2
"""Decimal digits of a range's width that its ends are rounded to; its first digit comes on top."""

EDGES = 1 << 15
"""Rows with an element at an end of its range, at the most."""

MOST_ELEMENTS = 1 << 22
"""Of all such rows together."""

log = logging.getLogger(__name__)


def is_table(form: Form) -> bool:
    """Whether an input is a row of columns, and no image."""
    image = form.preprocessing is not None and form.preprocessing.image_range(form.shape) is not None
    return len(form.shape) < 2 and not image


def declared_ranges(
    given: Given,
    rows: Mapping[str, Array] | None,
    wanted: Sequence[Form],
    unused: Sequence[str],
    margin: float | None = None,
) -> dict[str, Range]:
    """The range of each input: as given, else that of images and of the calibration inputs, else the default.

    Parameters
    ----------
    given
        For all inputs, or by name; ends are numbers, or arrays that broadcast to the shape of one example.
    rows
        The calibration inputs.
    unused
        Inputs that nothing is computed with.
    margin
        By how much ranges reach beyond the calibration inputs, as a part of their width, at either end; by default
        :data:`TABLE_MARGIN` for tables, and not at all for others.

    Raises
    ------
    InputError
        Ranges that are empty, or not one for each input.
    """
    names = [form.name for form in wanted]
    if given is None:
        return {
            form.name: _calibrated(form, None if rows is None else rows[form.name], margin, form.name in unused)
            for form in wanted
        }
    if not isinstance(given, Mapping):
        given = dict.fromkeys(names, given)
        words = "input range"
    elif set(given) != set(names):
        known = ", ".join(map(repr, names))
        raise InputError(f"input range: {given_words(given)} given; the network takes {known}")
    else:
        words = ""
    return {form.name: _stated(words or f"input range of {form.name!r}", given[form.name], form) for form in wanted}


def element_ranges(given: Range, shape: tuple[int, ...]) -> ElementRanges | None:
    """The ranges of an input's elements, where they differ."""
    low, high = given
    if np.ndim(low) == 0 and np.ndim(high) == 0:
        return None
    return ElementRanges.of(np.broadcast_to(low, shape), np.broadcast_to(high, shape))


def edge_rows(
    rows: Mapping[str, Array], ranges: Mapping[str, Range], margin: float | None, wanted: Sequence[Form]
) -> dict[str, Array] | None:
    """Calibration inputs with one column of a table moved as far as the margin goes; ``None`` if there is no margin.

    Activations are made for these values, too.
    """
    share = TABLE_MARGIN if margin is None else margin
    tables = [form for form in wanted if is_table(form)]
    columns = [(form, column) for form in tables for column in range(math.prod(form.shape))]
    if not columns or share == 0:
        return None
    number = len(next(iter(rows.values())))
    most = max(2, min(EDGES, MOST_ELEMENTS // sum(math.prod(form.shape) for form in wanted)))
    columns = columns[:: -(-2 * len(columns) // most)]
    each = 2 * len(columns)
    bases = max(1, min(number, most // each))
    base = np.repeat(np.linspace(0, number - 1, bases).astype(np.int64), each)
    edges = {name: values[base] for name, values in rows.items()}
    for place, (form, column) in enumerate(columns):
        flat = edges[form.name].reshape(len(base), -1)
        seen = rows[form.name].reshape(number, -1)[:, column]
        low, high = (float(np.broadcast_to(end, form.shape).reshape(-1)[column]) for end in ranges[form.name])
        reach = share * float(np.ptp(seen))
        flat[2 * place :: each, column] = max(low, float(seen.min()) - reach)
        flat[2 * place + 1 :: each, column] = min(high, float(seen.max()) + reach)
    return edges


def _calibrated(form: Form, rows: Array | None, margin: float | None, unused: bool) -> Range:
    """The range of an input of which none was stated."""
    image = None if form.preprocessing is None else form.preprocessing.image_range(form.shape)
    if rows is None:
        return image or DEFAULT_RANGE
    low, high = float(rows.min()), float(rows.max())
    if image is not None:
        low, high = min(low, image[0]), max(high, image[1])
    if low == high:
        if unused:
            return low - 1.0, high + 1.0  # any will do for what nothing is computed with
        raise InputError(
            f"input {form.name!r}: the calibration inputs are all {low:g}; give the lowest and the highest value that "
            "inputs can have, with --input-range"
        )
    if not is_table(form):
        lowest, highest = _widened(np.array([low]), np.array([high]), margin or 0.0)
        return float(lowest[0]), float(highest[0])
    share = TABLE_MARGIN if margin is None else margin
    lows, highs = (ends.reshape(-1) for ends in (rows.min(axis=0), rows.max(axis=0)))
    varies = highs > lows
    if not varies.any() or high - low <= ALIKE * float(np.median((highs - lows)[varies])) or len(lows) > MAX_ELEMENTS:
        lowest, highest = _widened(np.array([low]), np.array([high]), share)
        return float(lowest[0]), float(highest[0])
    lowest, highest = _widened(lows, highs, share)
    if not varies.all():
        same = np.flatnonzero(~varies)
        reach = np.maximum(1.0, np.abs(lows[same]))
        lowest[same], highest[same] = lows[same] - reach, highs[same] + reach
        log.warning(
            "input %r: the same on all calibration inputs: %s; values that differ from it by at most its size, or 1, "
            "are taken: state others with --column-ranges, or leave such columns out in training",
            form.name,
            shortened([column_words(int(each), form.columns) for each in same]),
        )
    return lowest.reshape(form.shape), highest.reshape(form.shape)


def _widened(lows: Array, highs: Array, share: float) -> tuple[Array, Array]:
    """Ranges with a margin, and ends that are rounded outwards; those that have none stay as they are."""
    reach = share * (highs - lows)
    lowest, highest = lows - reach, highs + reach
    lowest = np.where(lows >= 0, np.maximum(lowest, 0.0), lowest)
    highest = np.where(highs <= 0, np.minimum(highest, 0.0), highest)
    if share == 0:
        return lowest, highest
    for place in np.flatnonzero(highest > lowest):
        digits = DIGITS - math.floor(math.log10(highest[place] - lowest[place]))
        step = 10.0**-digits
        lowest[place] = round(math.floor(lowest[place] / step) * step, digits)
        highest[place] = round(math.ceil(highest[place] / step) * step, digits)
    return lowest, highest


def _stated(what: str, given: Any, form: Form) -> Range:
    """A range as a user states it."""
    try:
        ends = [np.asarray(end, dtype=np.float64) for end in given if end is not None]
        low, high = (end if end.ndim == 0 else np.broadcast_to(end, form.shape) for end in ends)
    except (TypeError, ValueError):
        raise InputError(
            f"{what}: {given!r} is not two numbers; give the lowest and the highest value, each for all elements or an "
            f"array for those of shape {form.shape}"
        ) from None
    if low.ndim == high.ndim == 0:
        if not -math.inf < low < high < math.inf:
            lowest, highest = apart(float(low), float(high))
            raise InputError(
                f"input {form.name!r}: the range {lowest} to {highest} is empty; give the lowest and the highest value "
                "that inputs can have"
            )
        return float(low), float(high)
    try:
        found = ElementRanges.of(np.broadcast_to(low, form.shape), np.broadcast_to(high, form.shape))
        found.check(math.prod(form.shape))
    except InputError as error:
        raise InputError(f"input {form.name!r}: {error}") from None
    return np.reshape(found.lows, form.shape), np.reshape(found.highs, form.shape)
