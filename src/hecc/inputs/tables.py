"""Tables of numbers in .csv files: one row per example, the columns in the network's order."""

from __future__ import annotations

import csv
import io
import logging
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import FileFormatError, InputError
from hecc.runtime.files.atomic import open_regular, reading

__all__ = ["load_table", "write_table"]

SEPARATORS = {";": "semicolons", "\t": "tabs"}
"""What programs write between columns where commas are for decimals."""

log = logging.getLogger(__name__)


def load_table(path: str | os.PathLike[str], columns: int | None = None) -> NDArray[np.float64]:
    """The numbers of a comma-separated file, shape (rows, columns).

    A first line without a single number is a header, and left out; so is one of 0, 1, 2 and so on, at least three of
    them, which pandas writes where columns have no names. Lines without anything are left out, too.

    Parameters
    ----------
    path
        The file, in UTF-8.
    columns
        How many there have to be.

    Raises
    ------
    InputError
        The file cannot be read, a cell is missing or no finite number, or there are more or fewer columns; names the
        line of the file and the column.
    FileFormatError
        It is no text, or has no rows.
    """
    path = Path(path)
    rows: list[list[float]] = []
    names: list[str] = []
    try:
        with reading(path), io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if not rows and not names:
                    counted = _counts(cells) and columns in (None, len(cells))
                    if counted:
                        log.warning(
                            "%s: the first line, 0 to %d, is taken for the names of columns", path, len(cells) - 1
                        )
                    if counted or not any(map(_is_number, cells)):
                        names = [cell.strip() for cell in cells]
                        continue
                rows.append(_numbers(path, reader.line_num, cells, names, columns))
                columns = len(cells)
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: not in UTF-8 ({error}); save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise FileFormatError(f"{path}: not a table of comma-separated values ({error}); save it as CSV") from None
    if not rows:
        raise FileFormatError(f"{path}: a table without rows of numbers; give one row per example")
    return np.array(rows)


def write_table(file: BinaryIO, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write comma-separated values in UTF-8, the names of the columns first; all digits of a number."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    # What is underneath is not ours to close.
    text.detach()


def _numbers(path: Path, line: int, cells: list[str], names: list[str], columns: int | None) -> list[float]:
    if columns is not None and len(cells) != columns:
        there = f"{path}, line {line}: {len(cells)} column{'s' if len(cells) > 1 else ''}, not {columns}"
        for mark, separator in SEPARATORS.items():
            if any(mark in cell for cell in (*cells, *names)):
                raise InputError(
                    f"{there}, and there are {separator}; separate columns with commas, and write numbers with points"
                )
        hint = "; pandas leaves its index out with index=False" if len(cells) == columns + 1 else ""
        raise InputError(f"{there}; give one for each value{hint}")
    found = []
    for number, cell in enumerate(cells, 1):
        if not _is_number(cell):
            name = f" ({names[number - 1]!r})" if number <= len(names) else ""
            fault = f"{cell.strip()!r} is not a finite number" if cell.strip() else "a value is missing"
            raise InputError(f"{path}, line {line}, column {number}{name}: {fault}; fill it in, or leave the row out")
        found.append(float(cell))
    return found


def _counts(cells: list[str]) -> bool:
    """Whether a line is 0, 1, 2 and so on, and so long that no example would be."""
    return len(cells) > 2 and [cell.strip() for cell in cells] == list(map(str, range(len(cells))))


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
