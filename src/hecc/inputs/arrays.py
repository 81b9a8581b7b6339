"""Arrays in .npy and .npz files, and outputs in tables; every way in which reading one can fail is a sentence."""

from __future__ import annotations

import csv
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hecc.runtime.errors import FileFormatError, HeccError, InputError
from hecc.runtime.files.atomic import open_regular, reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hecc.runtime.plan.header import PlanHeader

__all__ = ["ROW", "check_outputs", "load_array", "load_arrays", "outputs_frame", "save_outputs"]

HEADERS = 1 << 10
"""What a file holds besides the numbers, for each array, at most."""

ROW = "row"
"""What the column is called that has the rows' names."""

DIGITS = 24
"""Characters of a number in a table, at most, with the comma."""

_NPY, _ZIP = b"\x93NUMPY", b"PK\x03\x04"


def load_arrays(path: Path, *, others: str = "") -> NDArray[Any] | dict[str, NDArray[Any]]:
    """The array of a .npy file, or those of an .npz file by name; one alone that has no name counts as an array.

    Parameters
    ----------
    others
        What else could be done about a file of another kind, for the refusal.

    Raises
    ------
    InputError
        The file cannot be read.
    FileFormatError
        It holds no arrays, is damaged, or holds Python objects.
    """
    import numpy as np

    with reading(path), open_regular(path) as file:
        magic = file.read(6)
    if magic[:6] != _NPY and magic[:4] != _ZIP:
        raise FileFormatError(f"{path}: neither a .npy nor an .npz file; save the array with numpy.save{others}")
    try:
        if magic == _NPY:
            # Mapped: nothing is allocated that the file's header merely claims.
            mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
            return mapped
        with open_regular(path) as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".") or type(error).__name__
        raise FileFormatError(
            f"{path}: damaged, or not an array of numbers ({reason}); save it again with numpy.save"
        ) from None
    if not arrays:
        raise FileFormatError(f"{path}: an .npz file without arrays; save it again with numpy.savez")
    return arrays["arr_0"] if list(arrays) == ["arr_0"] else arrays


def load_array(path: Path) -> NDArray[Any]:
    """The one array of a file.

    Raises
    ------
    InputError, FileFormatError
        As :func:`load_arrays`, or there are several.
    """
    arrays = load_arrays(path)
    if isinstance(arrays, dict):
        if len(arrays) != 1:
            raise InputError(f"{path}: holds {len(arrays)} arrays ({', '.join(arrays)}); give a file with one")
        return next(iter(arrays.values()))
    return arrays


def save_outputs(path: Path, outputs: Mapping[str, NDArray[Any]], header: PlanHeader, *, force: bool = False) -> None:
    """Write a plan's outputs as the name of the file says: .npy, .npz, or .csv or .parquet with a line per row.

    They are what encryption hid: only the owner may read the file, from its creation on (mode 0600), whatever the umask
    allows.
    Without an ending it is as .npy for one output, and as .npz for several.

    Raises
    ------
    InputError
        The file cannot be written, or :func:`check_outputs` refuses it.
    """
    check_outputs(path, header, len(next(iter(outputs.values()))), force=force)
    import numpy as np

    from hecc.inputs.tables import write_table
    from hecc.runtime.files.atomic import replacing

    ending = _ending(path, len(outputs))
    index = tuple(getattr(outputs, "index", ()))
    frame = outputs_frame(outputs, header) if ending == ".parquet" else None
    with replacing(path, secret=True) as file:
        if frame is not None:
            frame.to_parquet(file)
        elif ending == ".csv":
            flat = [outputs[signature.name].reshape(len(outputs[signature.name]), -1) for signature in header.outputs]
            names = _columns(header, [values.shape[1] for values in flat])
            parts = zip(*(values.tolist() for values in flat), strict=True)
            rows = [[value for part in row for value in part] for row in parts]
            if index:
                names, rows = [ROW, *names], [[label, *row] for label, row in zip(index, rows, strict=True)]
            write_table(file, names, rows)
        elif ending == ".npy":
            np.save(file, next(iter(outputs.values())), allow_pickle=False)
        else:
            np.savez(file, allow_pickle=False, **outputs)


def outputs_frame(outputs: Mapping[str, NDArray[Any]], header: PlanHeader) -> Any:
    """A plan's outputs as a data frame of pandas.

    Raises
    ------
    MissingExtraError
        pandas is not installed.
    InputError
        An output is missing.
    """
    from hecc.inputs.tables import load_pandas

    pandas = load_pandas()
    missing = [signature.name for signature in header.outputs if signature.name not in outputs]
    if missing:
        raise InputError(f"there is no output {missing[0]!r}; give all that decrypt returned")
    flat = [outputs[signature.name].reshape(len(outputs[signature.name]), -1) for signature in header.outputs]
    names = _columns(header, [values.shape[1] for values in flat])
    columns = [values[:, number] for values in flat for number in range(values.shape[1])]
    index = list(getattr(outputs, "index", ())) or None
    return pandas.DataFrame(
        dict(zip(names, columns, strict=True)), index=pandas.Index(index, name=ROW) if index else None
    )


def _ending(path: Path, outputs: int) -> str:
    """What to write: ".npy", ".npz", ".csv" or ".parquet"."""
    ending = path.suffix.lower() or (".npy" if outputs == 1 else ".npz")
    if ending not in (".npy", ".npz", ".csv", ".parquet"):
        raise InputError(
            f"{path}: values are written as .npy, .npz, .csv or .parquet; give a name with one of these endings"
        )
    if ending == ".npy" and outputs > 1:
        raise InputError(f"{path}: a .npy file holds one array, and the network has {outputs} outputs; use .npz")
    return ending


def _columns(header: PlanHeader, widths: Sequence[int]) -> list[str]:
    """Names of a table's columns: of the classes where the plan has them, else the outputs' own, with numbers."""
    from hecc.runtime.tail.predictions import class_names

    columns: list[str] = []
    for signature, width in zip(header.outputs, widths, strict=True):
        classes = class_names(signature)
        known = len(classes) == width
        if known and len(header.outputs) == 1 and not any(name.isdecimal() for name in classes):
            columns += classes
        elif width == 1:
            columns.append(signature.name)
        else:
            columns += [f"{signature.name}[{each}]" for each in (classes if known else range(width))]
    return columns


def check_outputs(path: Path, header: PlanHeader, rows: int, *, force: bool = False) -> None:
    """Refuse early what :func:`save_outputs` could not write: the outputs of so many rows.

    Parameters
    ----------
    force
        Replace a file that does not hold outputs of the plan, too. These are arrays of the outputs' shapes, of any
        number of rows, and in a table the columns that the outputs have.

    Raises
    ------
    InputError
        The name has another ending, or is that of a file of another kind; or the folder does not exist, cannot be
        written to, or is on a disk with less space.
    """
    from hecc.inputs.tables import load_pandas
    from hecc.runtime.files.atomic import check_replaceable, check_target

    ending = _ending(path, len(header.outputs))
    if ending == ".parquet":
        load_pandas(parquet=True)
    size = DIGITS if ending == ".csv" else 8
    values = sum(math.prod(signature.shape) for signature in header.outputs)
    check_target(path, size * rows * values + HEADERS * len(header.outputs))
    check_replaceable(
        path, own=lambda there: _holds_outputs(there, header), kind="a file of this plan's output values", force=force
    )


def _holds_outputs(path: Path, header: PlanHeader) -> bool:
    """Whether a file is as :func:`save_outputs` writes it for a plan, whatever the rows."""
    shapes = {signature.name: signature.shape for signature in header.outputs}
    exact = {signature.name for signature in header.outputs if not signature.epilogue}
    try:
        if path.suffix.lower() == ".csv":
            with reading(path), path.open(encoding="utf-8", newline="") as file:
                found = next(csv.reader(file), [])
            columns = _columns(header, [math.prod(shape) for shape in shapes.values()])
            return found in (columns, [ROW, *columns])
        if path.suffix.lower() == ".parquet":
            from hecc.inputs.tables import load_parquet

            columns = _columns(header, [math.prod(shape) for shape in shapes.values()])
            return list(load_parquet(path).columns) == columns
        arrays = load_arrays(path)
    except (HeccError, UnicodeDecodeError, csv.Error):
        return False
    if not isinstance(arrays, dict):
        arrays = dict.fromkeys(shapes, arrays)
    return arrays.keys() == shapes.keys() and all(
        array.ndim > 0 and array.shape[1:] == shapes[name] and (name not in exact or array.dtype == float)
        for name, array in arrays.items()
    )
