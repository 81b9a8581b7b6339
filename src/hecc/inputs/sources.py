"""Inputs from wherever users have them: arrays, .npy and .npz files, tables, images, folders of images.

Arrays are the network's own inputs, preprocessed already, unless they are said to be raw. Images and tables are always
raw: what the plan says of preprocessing is done to them. Everything that takes inputs comes here, so that calibration,
evaluation and encryption cannot differ.
"""

from __future__ import annotations

import errno
import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.inputs.arrays import load_array, load_arrays
from hecc.inputs.screening import Clipped, Wanted, screen, screening_words
from hecc.inputs.tables import TABLES, Table, frame_table, is_frame, read_table
from hecc.measure.machine import available_memory
from hecc.runtime.errors import InputError
from hecc.runtime.files.atomic import reading
from hecc.runtime.inputs.images import SUFFIXES, is_image_name, read_image, read_pixels
from hecc.runtime.inputs.preprocessing import Preprocessing
from hecc.runtime.inputs.tensors import Ends, Tensor, by_name, check_rows, rounding, settle
from hecc.runtime.plan.header import InputSignature, check_columns
from hecc.runtime.tail.outcomes import Label

__all__ = ["Form", "Inputs", "Source", "check_readable", "column_ranges", "forms", "load_inputs"]

Source: TypeAlias = "Tensor | Mapping[str, Tensor] | str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"
"""An array, arrays by name, a data frame, a file or folder, or several images."""

OTHERS = ", or let the name of a table end in .csv or .parquet, and that of an image in .png or .jpg"
"""How files that are no arrays would be known."""

PATTERN = "*?["
"""What a shell leaves in a name where no file matches."""

COPIES = 3
"""How many times the inputs are in memory at once while they are checked and packed."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Form:
    """What a network takes as one input.

    Attributes
    ----------
    name
        Of the input.
    shape
        Of one example.
    preprocessing
        How raw values become it; ``None`` if nothing was said of them.
    range
        The values that the plan takes, numbers or arrays of the shape; ``None`` while there is no plan.
    columns
        Names of the elements; empty where nothing is known of them.
    """

    name: str
    shape: tuple[int, ...]
    preprocessing: Preprocessing | None
    range: tuple[Ends, Ends] | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inputs:
    """What was loaded.

    Attributes
    ----------
    tensors
        The network's own inputs by name, preprocessed.
    files
        The file of every row, where each has one.
    classes
        The name of the subfolder of every row, where images lie in such.
    labels
        What the source calls every row; empty where they are the rows from 0 on.
    columns
        Names of the elements of inputs that came from tables with names.
    left_out
        What is wrong with the rows that were left out, by their positions in the source.
    clipped
        What was moved into its range.
    """

    tensors: dict[str, Tensor]
    files: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    labels: tuple[Label, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: Mapping[int, str] = field(default_factory=dict)
    clipped: Clipped = field(default_factory=Clipped)

    def warn(self) -> None:
        """Say what was moved and what was left out."""
        rows = len(next(iter(self.tensors.values()))) if self.left_out else 0
        for sentence in screening_words(self.clipped, self.left_out, rows):
            log.warning("%s", sentence)


def forms(signatures: Iterable[InputSignature]) -> tuple[Form, ...]:
    """The inputs of a plan."""
    return tuple(Form(s.name, s.shape, s.preprocessing, s.ends, s.columns) for s in signatures)


def load_inputs(
    source: Source,
    wanted: Sequence[Form],
    *,
    raw: bool = False,
    clip: bool = False,
    skip_bad_rows: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Inputs:
    """Load inputs, and preprocess what is raw.

    What comes from tables is checked here, where rows and columns have names; of other inputs only shapes are, unless
    they are to be clipped or left out.

    Parameters
    ----------
    source
        Arrays, by name if there are several inputs; a data frame; the path of a .npy or .npz file, a .csv or .parquet
        table, an image, or a folder of images; or paths of several images. The images of a folder come in the order of
        their names; in a folder of folders these are classes, as torchvision's ``ImageFolder`` has them.
    wanted
        The network's inputs.
    raw
        Arrays hold raw values, too. They have the network's shape and layout; or they are 8-bit images, of shape (rows,
        height, width) or (rows, height, width, channels), which are resized like others.
    clip
        Move values outside the range that a plan takes to its nearest end.
    skip_bad_rows
        Leave out rows with such values, or without a number in some place.
    progress
        Called with the number of images read, and of all.

    Raises
    ------
    InputError, FileFormatError
        A file that cannot be read or is damaged, or what it holds does not fit the network.
    """
    found = _loaded(source, wanted, raw, progress)
    known = any(form.range is not None for form in wanted)
    if not (known and (found.table is not None or clip or skip_bad_rows)):
        if found.table is not None:
            found.table.refuse()
        return found.inputs
    left = screen(
        found.inputs.tensors,
        [
            Wanted(form.name, form.shape, *form.range, found.columns(number, form))
            for number, form in enumerate(wanted)
            if form.range is not None
        ],
        places=() if found.table is None else found.table.places,
        bad={} if found.table is None else found.table.bad_rows(),
        clip=clip,
        skip=skip_bad_rows,
    )
    labels = found.inputs.labels
    if left.left_out:
        all_labels = labels or tuple(range(len(left.kept) + len(left.left_out)))
        labels = tuple(all_labels[row] for row in left.kept)
    files, classes = (
        tuple(names[row] for row in left.kept) if names else () for names in (found.inputs.files, found.inputs.classes)
    )
    return replace(
        found.inputs,
        tensors=left.tensors,
        files=files,
        classes=classes,
        labels=labels,
        left_out=left.left_out,
        clipped=left.clipped,
    )


@dataclass(frozen=True)
class _Loaded:
    """Inputs, with the table that they come from, if they come from one."""

    inputs: Inputs
    table: Table | None = None

    def columns(self, number: int, form: Form) -> Sequence[str]:
        """What messages call the elements of an input, by its place among all."""
        if self.table is None:
            return [f"column {each} ({name!r})" for each, name in enumerate(form.columns)]
        several = len(self.inputs.tensors) > 1
        return self.table.columns[number : number + 1] if several else self.table.columns


def _loaded(source: Any, wanted: Sequence[Form], raw: bool, progress: Callable[[int, int], None] | None) -> _Loaded:
    if is_frame(source):
        table = frame_table("the data frame", source, _size(wanted), by_name=_by_name(wanted))
        return _from_table("the data frame", table, wanted)
    if isinstance(source, str | os.PathLike):
        paths = [Path(source)]
    elif isinstance(source, Sequence) and all(isinstance(item, str | os.PathLike) for item in source):
        paths = [Path(item) for item in source]
    else:
        return _Loaded(Inputs(_from_arrays(source, wanted, raw)))
    if not paths:
        raise InputError("no inputs; give a file, a folder of images, or several images")
    check_readable(paths)
    classes: list[str] = []
    if len(paths) == 1 and paths[0].is_dir():
        paths, classes = _folder(paths[0])
    elif len(paths) == 1 and not is_image_name(paths[0]):
        if paths[0].suffix.lower() in TABLES:
            table = read_table(paths[0], _size(wanted), by_name=_by_name(wanted))
            return _from_table(str(paths[0]), table, wanted)
        return _Loaded(Inputs(_from_arrays(load_arrays(paths[0], others=OTHERS), wanted, raw)))
    for path in paths:
        if path.is_dir() or not is_image_name(path):
            raise InputError(f"{path}: not an image by its name; several inputs at once have to be images, one a row")
    check_readable(paths)
    form = _only(paths[0], wanted)
    tensor = _from_images(paths, form, progress)
    return _Loaded(Inputs({form.name: tensor}, tuple(map(str, paths)), tuple(classes)))


def column_ranges(path: str | os.PathLike[str], wanted: Sequence[Form]) -> dict[str, tuple[Ends, Ends]]:
    """The ranges of columns, from a file of two rows: the lowest values, and the highest.

    Raises
    ------
    InputError, FileFormatError
        It cannot be read, has other columns than the input, or not two rows.
    """
    path = Path(path)
    form = _only(path, wanted)
    if path.suffix.lower() in TABLES:
        table = read_table(path, math.prod(form.shape), by_name=bool(form.columns))
        rows = table.picked(str(path), form.columns).refuse().values
    else:
        rows = check_rows(str(path), load_array(path), form.shape)
    if len(rows) != 2:
        raise InputError(f"{path}: {len(rows)} rows; give two, the lowest value of each column and the highest")
    low, high = rows.reshape(2, *form.shape)
    return {form.name: (low, high)}


def _size(wanted: Sequence[Form]) -> int:
    """Columns of a table for all inputs."""
    return sum(math.prod(form.shape) for form in wanted)


def _by_name(wanted: Sequence[Form]) -> bool:
    """Whether columns are found by their names: those of the plan, or those of several inputs of one element."""
    return any(form.columns for form in wanted) or len(wanted) > 1


def check_readable(paths: Iterable[Path]) -> None:
    """Refuse paths that nothing can be read from, before anything else is said of them.

    Raises
    ------
    InputError
        The first that is not there, or that this user may not read.
    """
    for path in paths:
        if any(mark in str(path) for mark in PATTERN) and not os.path.lexists(path):
            raise InputError(f"{path}: no file matches this pattern; check the folder, and how the names end")
        with reading(path):
            path.stat()
            if not os.access(path, os.R_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _only(path: Path, wanted: Sequence[Form]) -> Form:
    if len(wanted) != 1:
        names = ", ".join(repr(form.name) for form in wanted)
        raise InputError(
            f"{path}: the network has {len(wanted)} inputs ({names}); give an .npz file with an array each"
        )
    return wanted[0]


def _from_arrays(arrays: Any, wanted: Sequence[Form], raw: bool) -> dict[str, Tensor]:
    tensors = by_name("inputs", arrays, [form.name for form in wanted])
    return {form.name: _raw(tensors[form.name], form) if raw else tensors[form.name] for form in wanted}


def _raw(tensor: Tensor, form: Form) -> NDArray[np.float64]:
    what = f"input {form.name!r}"
    preprocessing = _stated(what, form)
    pixels = tensor.dtype == np.uint8 and tensor.ndim in (3, 4) and tensor.shape[3:] in ((), (1,), (3,)) and tensor.size
    if pixels and form.shape not in (tensor.shape, tensor.shape[1:]):
        _check_memory(what, len(tensor), form.shape)
        return read_pixels(what, tensor, preprocessing, form.shape)
    rows = check_rows(what, tensor, form.shape)
    values = preprocessing.apply(rows, form.shape)
    if form.range is None:
        return values
    # What rounding the raw values may have made of the preprocessed ones, each as large as it is.
    rounded = rounding(tensor, -1.0, 1.0) * np.abs(rows)
    slack = np.abs(preprocessing.apply(rows + rounded, form.shape) - values)
    return settle(values, *form.range, slack)


def _from_table(what: str, table: Table, wanted: Sequence[Form]) -> _Loaded:
    """The columns of a table as inputs; several inputs of one element each are columns of their names."""
    if len(wanted) > 1:
        if any(math.prod(form.shape) != 1 for form in wanted) or not table.names:
            _only(Path(what), wanted)
        table = table.picked(what, [form.name for form in wanted])
        parts = {form.name: table.values[:, [number]] for number, form in enumerate(wanted)}
        columns: dict[str, tuple[str, ...]] = {}
    else:
        table = table.picked(what, wanted[0].columns)
        parts = {wanted[0].name: table.values}
        columns = {wanted[0].name: _names(what, table.names)}
    tensors: dict[str, Tensor] = {}
    for form in wanted:
        rows = parts[form.name].reshape(-1, *form.shape)
        # Nothing stated means that the columns are the network's own.
        tensors[form.name] = rows if form.preprocessing is None else form.preprocessing.apply(rows, form.shape)
    plain = table.labels == tuple(range(len(table.labels)))
    return _Loaded(Inputs(tensors, labels=() if plain else table.labels, columns=columns), table)


def _names(what: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of a table's columns, if they can be those of a plan."""
    try:
        check_columns(names, len(names))
    except InputError as error:
        log.warning("%s: %s; the columns are taken in their order", what, error)
        return ()
    return names


def _from_images(paths: Sequence[Path], form: Form, progress: Callable[[int, int], None] | None) -> NDArray[np.float64]:
    preprocessing = _stated(str(paths[0]), form)
    _check_memory(f"{len(paths)} images", len(paths), form.shape)
    tensor = np.empty((len(paths), *form.shape))
    for number, path in enumerate(paths):
        tensor[number] = read_image(path, preprocessing, form.shape)
        if progress is not None:
            progress(number + 1, len(paths))
    return tensor


def _stated(what: str, form: Form) -> Preprocessing:
    if form.preprocessing is None:
        raise InputError(
            f"{what}: how raw values become the network's input {form.name!r} was not stated; compile with --scale, "
            "--mean, --std, --resize or --layout, or give preprocessed arrays"
        )
    return form.preprocessing


def _folder(folder: Path) -> tuple[list[Path], list[str]]:
    """The images of a folder, sorted by name, or those of its subfolders, with the subfolder of each."""
    try:
        entries = _shown(folder)
        groups = {entry.name: _shown(entry) for entry in entries if entry.is_dir()}
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror}); check the path") from None
    files = [entry for entry in entries if not entry.is_dir()]
    images = [file for file in files if is_image_name(file)]
    if groups and images:
        raise InputError(f"{folder}: has both images and folders; give one folder of images, or one folder per class")
    classes: list[str] = []
    for name, members in groups.items():
        inside = [file for file in members if is_image_name(file)]
        files += members
        images += inside
        classes += [name] * len(inside)
    if not images:
        raise InputError(f"{folder}: holds no images; their names end in {', '.join(SUFFIXES)}")
    others = [file for file in files if not is_image_name(file)]
    if others:
        log.warning(
            "%s: %d files are no images by their names and left out, as %s", folder, len(others), others[0].name
        )
    return images, classes


def _shown(folder: Path) -> list[Path]:
    """What a folder holds, sorted by name, hidden files apart."""
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _check_memory(what: str, rows: int, shape: tuple[int, ...]) -> None:
    needed, available = COPIES * 8 * rows * math.prod(shape), available_memory()
    if available is not None and needed > available:
        raise InputError(
            f"{what}: need about {needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are available; give "
            "fewer at once"
        )
