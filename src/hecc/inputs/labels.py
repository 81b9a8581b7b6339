"""Names of classes, and the right answers of a test set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.inputs.arrays import load_array
from hecc.runtime.errors import FileFormatError, InputError
from hecc.runtime.files.atomic import read_regular, reading
from hecc.runtime.inputs.tensors import plain_array
from hecc.runtime.plan.header import check_labels

__all__ = ["ClassNames", "Truth", "class_numbers", "load_truth", "output_class_names"]

ClassNames: TypeAlias = "str | os.PathLike[str] | Sequence[str]"
"""Names of classes, or a text file of them, one per line."""

Truth: TypeAlias = "NDArray[Any] | Sequence[Any] | str | os.PathLike[str]"
"""The right answers: numbers or names, or a .npy, .csv or text file of them."""

MAX_FILE = 1 << 26
"""Bytes of a text file of names: enough for a million of them."""


def output_class_names(
    given: ClassNames | Mapping[str, ClassNames] | None, outputs: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[str, ...]]:
    """The names of the classes of every output that has some.

    Parameters
    ----------
    given
        Names for the only output, or by output.
    outputs
        Shape of one example of each.

    Raises
    ------
    InputError
        There is no such output, it cannot be guessed, or there are more or fewer names than scores.
    FileFormatError
        A file is no text.
    """
    if given is None:
        return {}
    known = ", ".join(map(repr, outputs))
    if not isinstance(given, Mapping):
        if len(outputs) != 1:
            raise InputError(
                f"class_names: the network has {len(outputs)} outputs ({known}); say for which, as OUTPUT=FILE"
            )
        given = {next(iter(outputs)): given}
    found = {}
    for name, names in given.items():
        if name not in outputs:
            raise InputError(f"class_names: there is no output {name!r}; the network has {known}")
        path = isinstance(names, str | os.PathLike)
        listed: list[Any] = list(_lines(Path(names)) if path else names)  # type: ignore[arg-type]
        try:
            strange = [each for each in listed if not isinstance(each, str)]
            if strange:
                raise InputError(f"a name is a string, and {strange[0]!r} is none")
            # NumPy's strings are Python's with a type of their own, which plans do not store.
            found[name] = tuple(map(str, listed))
            if not found[name]:
                raise InputError("no names; give one per line")
            check_labels(found[name], outputs[name])
        except InputError as error:
            raise InputError(f"{names if path else 'class_names'}: output {name!r}: {error}") from None
    return found


def load_truth(source: Truth) -> NDArray[Any]:
    """The right answers as an array: of numbers, or of names.

    Masked ones are refused as masked inputs are.

    A .csv file has one column, and may have a header if the rest are numbers.

    Raises
    ------
    InputError, FileFormatError
        The file cannot be read, or holds something else.
    """
    if not isinstance(source, str | os.PathLike):
        found = plain_array("labels", source)
        # Names from pandas are Python's strings, in an array of objects.
        names = found.dtype.kind == "O" and all(isinstance(name, str) for name in found.flat)
        return found.astype(str) if names else found
    path = Path(source)
    if path.suffix.lower() not in (".csv", ".txt"):
        return load_array(path)
    lines = _lines(path)
    if path.suffix.lower() == ".csv":
        lines = [line.strip('"') for line in lines]
        if any("," in line for line in lines):
            raise InputError(f"{path}: several columns; give the right answers in one")
        if len(lines) > 1 and not _numeric(lines[:1]) and _numeric(lines[1:]):
            lines = lines[1:]
    if not lines:
        raise FileFormatError(f"{path}: no labels; give one per line")
    if not _numeric(lines):
        return np.array(lines)
    numbers = np.array(lines, dtype=np.float64)
    return numbers.astype(np.int64) if np.array_equal(numbers, np.floor(numbers)) else numbers


def class_numbers(truth: NDArray[Any], labels: Sequence[str], classes: int, what: str = "labels") -> NDArray[np.int64]:
    """Right answers as numbers of classes.

    Parameters
    ----------
    truth
        Numbers, or names.
    labels
        The plan's names; where it has none, names are numbered in their order, and there has to be one per class.
    classes
        How many there are.
    what
        The name of the answers, for messages.

    Raises
    ------
    InputError
        A number or a name that no class has.
    """
    if truth.dtype.kind in "iub":
        lowest, highest = truth.min(), truth.max()
        if lowest < 0 or highest >= classes:
            raise InputError(
                f"{what} from {int(lowest)} to {int(highest)}; the network has the classes 0 to {classes - 1}; number "
                "them so"
            )
        return truth.astype(np.int64)
    if truth.dtype.kind not in "US":
        raise InputError(f"{what} of dtype {truth.dtype}; give integers or names of classes")
    names = list(labels) or sorted(set(truth.tolist()))
    if len(names) != classes:
        raise InputError(
            f"{what} with {len(names)} names, and the plan has {classes} classes without names; compile with "
            "--class-names, or give numbers"
        )
    unknown = sorted(set(truth.tolist()) - set(names))
    if unknown:
        raise InputError(f"{what} name {unknown[0]!r}, which is no class of the plan; it has {', '.join(names)}")
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[name] for name in truth.tolist()], dtype=np.int64)


def _lines(path: Path) -> list[str]:
    """The lines of a text file without the empty ones at its end."""
    try:
        with reading(path):
            text = read_regular(path, MAX_FILE).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileFormatError(f"{path}: not a text file in UTF-8; give one name per line") from None
    return [line.strip() for line in text.rstrip().splitlines()]


def _numeric(lines: Sequence[str]) -> bool:
    try:
        return bool(np.isfinite([float(line) for line in lines]).all())
    except ValueError:
        return False
