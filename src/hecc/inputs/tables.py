"""Tables: one row per example and one column per value; from .csv and .parquet files, and from pandas' data frames.

Comma-separated files are read here, without pandas. Parquet files and data frames need it, and whoever has a data frame
has it.
"""

from __future__ import annotations

import csv
import importlib
import io
import logging
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import FileFormatError, InputError
from hecc.runtime.extras import require
from hecc.runtime.figures import shortened
from hecc.runtime.files.atomic import open_regular, reading
from hecc.runtime.tail.outcomes import Label

__all__ = [
    "TABLES",
    "Table",
    "frame_table",
    "is_frame",
    "load_pandas",
    "load_parquet",
    "load_table",
    "read_table",
    "write_table",
]

SEPARATORS = {";": "semicolons", "\t": "tabs"}
"""What programs write between columns where commas are for decimals."""

TABLES = (".csv", ".parquet")
"""How the names of files end that are tables."""

REMEDY = "fill it in, or leave the row out"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Table:
    """A table of numbers.

    Attributes
    ----------
    values
        Shape (rows, columns), float64; NaN where there is no number.
    names
        Of the columns; empty if it has none.
    labels
        Of the rows.
    places
        What messages call each row.
    columns
        What messages call each column.
    faults
        What is wrong with cells that hold no number, by row and column.
    """

    values: NDArray[np.float64]
    names: tuple[str, ...]
    labels: tuple[Label, ...]
    places: tuple[str, ...]
    columns: tuple[str, ...]
    faults: dict[tuple[int, int], str] = field(default_factory=dict)

    def bad_rows(self) -> dict[int, str]:
        """What is wrong with each row in which something is, by its position."""
        found: dict[int, str] = {}
        for (row, column), fault in sorted(self.faults.items()):
            found.setdefault(row, f"{self.places[row]}, {self.columns[column]}: {fault}")
        return found

    def refuse(self) -> Table:
        """The table itself, if nothing is wrong with any row.

        Raises
        ------
        InputError
            Naming the first row and column.
        """
        bad = self.bad_rows()
        for fault in bad.values():
            more = f"; {len(bad)} rows have such values" if len(bad) > 1 else ""
            raise InputError(f"{fault}; {REMEDY}{more}")
        return self

    def picked(self, where: str, wanted: Sequence[str]) -> Table:
        """The columns of these names, in this order, whatever their order here; others are left out with a warning.

        Raises
        ------
        InputError
            Some of them are not here.
        """
        if not self.names or not wanted or self.names == tuple(wanted):
            return self
        missing = [name for name in wanted if name not in self.names]
        if missing:
            raise InputError(
                f"{where}: no column {shortened([repr(name) for name in missing])}; the plan's columns are "
                f"{shortened([repr(name) for name in wanted])}, in any order: rename the table's as in calibration"
            )
        twice = [name for name in wanted if self.names.count(name) > 1]
        if twice:
            raise InputError(f"{where}: two columns are called {twice[0]!r}; leave one of them out")
        others = [name for name in self.names if name not in wanted]
        if others:
            named = [repr(name) if name else "one without a name" for name in others]
            log.warning("%s: columns that the network does not have are left out: %s", where, shortened(named))
        order = [self.names.index(name) for name in wanted]
        place = {column: number for number, column in enumerate(order)}
        return replace(
            self,
            values=self.values[:, order],
            names=tuple(wanted),
            columns=tuple(self.columns[each] for each in order),
            faults={(row, place[column]): words for (row, column), words in self.faults.items() if column in place},
        )


def read_table(path: str | os.PathLike[str], columns: int | None = None, *, by_name: bool = False) -> Table:
    """The table of a .csv or a .parquet file.

    Parameters
    ----------
    columns
        How many there have to be.
    by_name
        A table whose columns have names may have other columns, too.

    Raises
    ------
    InputError
        The file cannot be read, or there are more or fewer columns.
    FileFormatError
        It is no table, or has no rows.
    """
    path = Path(path)
    if path.suffix.lower() == ".parquet":
        return frame_table(str(path), load_parquet(path), columns, by_name=by_name)
    return _read_csv(path, columns, by_name)


def load_table(path: str | os.PathLike[str], columns: int | None = None) -> NDArray[np.float64]:
    """The numbers of a table, shape (rows, columns).

    Raises
    ------
    InputError, FileFormatError
        As :func:`read_table`, or a cell is missing or no finite number.
    """
    return read_table(path, columns).refuse().values


def load_pandas(*, parquet: bool = False) -> Any:
    """The module pandas, which can read and write parquet files if asked for.

    Raises
    ------
    MissingExtraError
        It is not installed, or pyarrow is not.
    """
    require("pandas", *(["pyarrow"] if parquet else []))
    return importlib.import_module("pandas")


def load_parquet(path: Path) -> Any:
    """The data frame of a parquet file.

    Raises
    ------
    InputError
        It cannot be read.
    MissingExtraError
        pandas or pyarrow is not installed.
    FileFormatError
        It is none, or damaged.
    """
    pandas = load_pandas(parquet=True)
    try:
        with reading(path), open_regular(path) as file:
            return pandas.read_parquet(io.BytesIO(file.read()))
    except (ValueError, OSError, TypeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise FileFormatError(f"{path}: no parquet file, or damaged ({reason}); save it again") from None


def is_frame(given: Any) -> bool:
    """Whether this is a data frame of pandas, which is not loaded to find out."""
    return type(given).__name__ == "DataFrame" and type(given).__module__.partition(".")[0] == "pandas"


def frame_table(what: str, frame: Any, columns: int | None = None, *, by_name: bool = False) -> Table:
    """A data frame as a table: its columns by name, its index as the labels of the rows.

    The parameters are those of :func:`read_table`.

    Raises
    ------
    InputError
        A column does not hold numbers, or the frame has no rows.
    """
    pandas = load_pandas()
    if isinstance(frame.columns, pandas.MultiIndex):
        raise InputError(f"{what}: columns of several levels; give each column one name")
    if not len(frame):
        raise InputError(f"{what}: a table without rows; give one row per example")
    counted = isinstance(frame.columns, pandas.RangeIndex)
    names = () if counted else tuple(map(str, frame.columns))
    if columns is not None and columns != frame.shape[1] and not (by_name and names):
        more = frame.shape[1] > columns
        hint = ", and leave out others, such as the answers that the network was trained on" if more else ""
        raise InputError(f"{what}: {frame.shape[1]} columns, not {columns}; give one for each value{hint}")
    shown = tuple(f"column {number}{f' ({names[number]!r})' if names else ''}" for number in range(frame.shape[1]))
    values = np.full(frame.shape, np.nan)
    faults: dict[tuple[int, int], str] = {}
    for number in range(frame.shape[1]):
        column = frame.iloc[:, number]
        found = pandas.to_numeric(column, errors="coerce")
        dated = column.dtype.kind in "Mm" or found.dtype.kind == "c"
        values[:, number] = np.nan if dated else found.to_numpy(dtype=np.float64, na_value=np.nan)
        for row in np.flatnonzero(~np.isfinite(values[:, number])).tolist():
            cell = column.iloc[row]
            faults[row, number] = "a value is missing" if pandas.isna(cell) else f"{str(cell)!r} is not a finite number"
            values[row, number] = np.nan
    plain = isinstance(frame.index, pandas.RangeIndex) and (frame.index.start, frame.index.step) == (0, 1)
    labels: tuple[Label, ...] = tuple(range(len(frame))) if plain else tuple(map(_label, frame.index.tolist()))
    places = tuple(f"{what}, row {row}{'' if plain else f' ({labels[row]!r})'}" for row in range(len(frame)))
    return Table(values, names, labels, places, shown, faults)


def _label(label: Any) -> Label:
    return int(label) if isinstance(label, int | np.integer) and not isinstance(label, bool) else str(label)


def _read_csv(path: Path, columns: int | None, by_name: bool) -> Table:
    """The table of a comma-separated file.

    A first line without a single number is a header; so is one of 0, 1, 2 and so on, at least three of them, which
    pandas writes where columns have no names. Lines without anything are left out.
    """
    rows: list[list[float]] = []
    names: list[str] = []
    places: list[str] = []
    faults: dict[tuple[int, int], str] = {}
    counted = False
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
                        if by_name and not counted:
                            columns = len(cells)
                        continue
                places.append(f"{path}, line {reader.line_num}")
                _check_width(places[-1], cells, names, columns)
                for number, cell in enumerate(cells):
                    if not _is_number(cell):
                        words = f"{cell.strip()!r} is not a finite number" if cell.strip() else "a value is missing"
                        faults[len(rows), number] = words
                rows.append([float(cell) if _is_number(cell) else math.nan for cell in cells])
                columns = len(cells)
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: not in UTF-8 ({error}); save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise FileFormatError(f"{path}: not a table of comma-separated values ({error}); save it as CSV") from None
    if not rows:
        raise FileFormatError(f"{path}: a table without rows of numbers; give one row per example")
    shown = tuple(_column(number, names) for number in range(len(rows[0])))
    labels = tuple(range(len(rows)))
    return Table(np.array(rows), () if counted else tuple(names), labels, tuple(places), shown, faults)


def write_table(file: BinaryIO, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write comma-separated values in UTF-8, the names of the columns first; all digits of a number."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    # What is underneath is not ours to close.
    text.detach()


def _column(number: int, names: Sequence[str]) -> str:
    """A column as messages call it; in files they are counted from one, as lines are."""
    return f"column {number + 1}{f' ({names[number]!r})' if number < len(names) else ''}"


def _check_width(place: str, cells: list[str], names: list[str], columns: int | None) -> None:
    """Refuse a line with another number of columns."""
    if columns is not None and len(cells) != columns:
        there = f"{place}: {len(cells)} column{'s' if len(cells) > 1 else ''}, not {columns}"
        for mark, separator in SEPARATORS.items():
            if any(mark in cell for cell in (*cells, *names)):
                raise InputError(
                    f"{there}, and there are {separator}; separate columns with commas, and write numbers with points"
                )
        hint = "; pandas leaves its index out with index=False" if len(cells) == columns + 1 else ""
        raise InputError(f"{there}; give one for each value{hint}")


def _counts(cells: list[str]) -> bool:
    """Whether a line is 0, 1, 2 and so on, and so long that no example would be."""
    return len(cells) > 2 and [cell.strip() for cell in cells] == list(map(str, range(len(cells))))


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
