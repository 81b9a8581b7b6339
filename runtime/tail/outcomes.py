"""Outputs of several rows, each judged for itself: which rows are lost, and why.

A row is lost where a value overflowed: what is decrypted then is noise, and no number of it means anything. In the
outputs its elements are not a number (NaN), and the steps that a network ends in never see them, so that no class is
ever chosen among them. Integers and truth values know no NaN: an output of them becomes one of floats if a row is lost.
Of a lost row names are empty. Which rows are lost is for each scheme to say, as
:mod:`hecc.runtime.ckks.alarms` does.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import OutputError
from hecc.runtime.figures import listed
from hecc.runtime.plan.header import PlanHeader
from hecc.runtime.tail.epilogue import apply_steps

__all__ = ["Label", "Outputs", "finished", "report", "row_words"]

Label: TypeAlias = int | str
"""What inputs call a row: its number from 0, or the name that a data frame gives it."""

log = logging.getLogger(__name__)

REASONS = 4
"""For losing rows that are told of one by one."""

NAMED = 20
"""Rows that a sentence names."""


class Outputs(dict[str, NDArray[Any]]):
    """Outputs by name, each of shape (rows, ...).

    Attributes
    ----------
    lost
        The rows that have no result, by number: why. Their elements are NaN, or empty names.
    outside
        The rows that left the interval of a polynomial in place of an activation, by number: where. Whatever their
        result is, it may be far from the network's. Only the simulator sees them.
    index
        What the inputs call each row, where some were left out or have names; empty where they are the rows from 0 on.
    """

    def __init__(
        self,
        values: Mapping[str, NDArray[Any]],
        lost: Mapping[int, str] | None = None,
        outside: Mapping[int, str] | None = None,
        index: Sequence[Label] = (),
    ) -> None:
        super().__init__(values)
        self.lost = dict(sorted((lost or {}).items()))
        self.outside = dict(sorted((outside or {}).items()))
        self.index = tuple(index)

    def named(self, rows: Sequence[int]) -> list[Label]:
        """Rows as the inputs call them."""
        return [self.index[row] for row in rows] if self.index else list(rows)

    @property
    def rows(self) -> int:
        """How many there are, the lost ones among them."""
        return len(next(iter(self.values())))


def finished(
    header: PlanHeader,
    values: Mapping[str, NDArray[np.float64]],
    lost: Mapping[int, str] | None = None,
    outside: Mapping[int, str] | None = None,
    index: Sequence[Label] = (),
) -> Outputs:
    """What the network ends in, applied to the rows that are not lost.

    Parameters
    ----------
    values
        What the ciphertexts hold, by the name of the output that has them, shape (rows, ...).
    index
        What the inputs call each row; by default their numbers.
    """
    good = np.ones(len(next(iter(values.values()))), dtype=bool)
    good[list(lost or ())] = False
    outputs = {}
    for signature in header.outputs:
        given = values[signature.of or signature.name]
        # Of no rows at all the type of the results would not be known.
        shown = given[good] if good.any() else np.ones((1, *signature.shape))
        outputs[signature.name] = _spread(apply_steps(shown, signature.epilogue)[: good.sum()], good)
    return Outputs(outputs, lost, outside, index)


def _spread(results: NDArray[Any], good: NDArray[np.bool_]) -> NDArray[Any]:
    """Results of the good rows among all rows."""
    if good.all():
        return results
    if results.dtype.kind == "U":
        spread = np.full((len(good), *results.shape[1:]), "", dtype=results.dtype)
    else:
        spread = np.full((len(good), *results.shape[1:]), np.nan)
    spread[good] = results
    return spread


def row_words(rows: Sequence[Label]) -> str:
    """Rows by their numbers, the first of many: "row 3", "rows 3, 17 and 29"."""
    shown = [str(row) for row in rows[:NAMED]]
    if len(rows) > NAMED:
        return f"rows {', '.join(shown)} and {len(rows) - NAMED} more"
    return f"{'row' if len(shown) == 1 else 'rows'} {listed(shown)}"


def report(outputs: Outputs, advice: str) -> None:
    """Warn of the rows that are lost, or refuse where no row is left.

    Parameters
    ----------
    advice
        What to do about it.

    Raises
    ------
    OutputError
        All rows are lost.
    """
    reasons = _by_reason(outputs.lost)
    if reasons and len(outputs.lost) == outputs.rows:
        where = f", in all of {outputs.rows} rows" if outputs.rows > 1 else ""
        raise OutputError(f"{next(iter(reasons))}{where}; {advice}")
    for why, rows in list(reasons.items())[:REASONS]:
        log.warning("%s of %d lost: %s; %s", row_words(outputs.named(rows)), outputs.rows, why, advice)
    if rest := sorted(row for rows in list(reasons.values())[REASONS:] for row in rows):
        log.warning(
            "%s of %d lost as well, for %d reasons like these",
            row_words(outputs.named(rest)),
            outputs.rows,
            len(reasons) - REASONS,
        )


def _by_reason(lost: Mapping[int, str]) -> dict[str, list[int]]:
    reasons: dict[str, list[int]] = {}
    for row, why in lost.items():
        reasons.setdefault(why, []).append(row)
    return reasons
