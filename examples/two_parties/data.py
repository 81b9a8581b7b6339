"""The data sets of the example: rows as a network takes them, split into those for training and those for testing."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["SOURCES", "TABLES", "Rows", "Table", "prepared", "table"]

Array = np.ndarray[Any, Any]

CLIP = 5.0
"""Standard deviations: beyond them a measurement is as extreme as it gets."""

CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
SHEET = 100
TESTED = 0.2
"""The part of a set that tests, where the set comes undivided."""


@dataclass(frozen=True)
class Rows:
    """Rows that are ready for a network.

    Attributes
    ----------
    train, test
        float32, of shape (rows, ...).
    train_labels, test_labels
        Classes, int64.
    range
        The least and the largest number that a row can have.
    """

    train: Array
    train_labels: Array
    test: Array
    test_labels: Array
    range: tuple[float, float]


@dataclass(frozen=True)
class Table:
    """Patients as they lie in a file: rows with NaN for what is missing, and classes."""

    rows: Array
    labels: Array


@dataclass(frozen=True)
class TableFile:
    """Where a table lies; the last column is the class.

    Attributes
    ----------
    name
        Of the file.
    zeros_missing
        Columns in which a zero says that nothing was measured.
    """

    name: str
    zeros_missing: tuple[int, ...] = ()


TABLES: Mapping[str, TableFile] = MappingProxyType(
    {
        "breast": TableFile("breast_cancer_wdbc.csv"),
        "diabetes": TableFile("diabetes_pima.csv", zeros_missing=(1, 2, 3, 4, 5)),
        "liver": TableFile("liver_ilpd.csv"),
    }
)


def table(name: str, folder: Path) -> Table:
    """A table of patients.

    Parameters
    ----------
    name
        A key of :data:`TABLES`.
    folder
        With a folder ``tabular`` in it.
    """
    file = TABLES[name]
    cells = np.genfromtxt(folder / "tabular" / file.name, delimiter=",", skip_header=1)
    rows, labels = cells[:, :-1], cells[:, -1].astype(np.int64)
    for column in file.zeros_missing:
        rows[rows[:, column] == 0, column] = np.nan
    return Table(rows, labels)


def prepared(whole: Table, train: Array, test: Array) -> Rows:
    """What a clinic does to measurements: what is missing is the median, the mean 0, the deviation 1, nothing extreme.

    Parameters
    ----------
    whole
        All patients.
    train, test
        Indices; medians, means and deviations are those of the first.
    """
    known = whole.rows[train]
    median = np.nanmedian(known, axis=0)
    filled = np.where(np.isnan(whole.rows), median, whole.rows)
    mean, deviation = filled[train].mean(axis=0), filled[train].std(axis=0)
    scaled = np.clip((filled - mean) / deviation, -CLIP, CLIP).astype(np.float32)
    return Rows(scaled[train], whole.labels[train], scaled[test], whole.labels[test], (-CLIP, CLIP))


def divided(name: str) -> Callable[[Path], Rows]:
    """Of a table: a fifth of each class tests, at random."""

    def read(folder: Path) -> Rows:
        whole, generator = table(name, folder), np.random.default_rng(0)
        test = []
        for label in np.unique(whole.labels):
            of_class = generator.permutation(np.flatnonzero(whole.labels == label))
            test.append(of_class[: round(TESTED * len(of_class))])
        tested = np.sort(np.concatenate(test))
        return prepared(whole, np.setdiff1d(np.arange(len(whole.labels)), tested), tested)

    return read


def mnist(folder: Path) -> Rows:
    """Digits, 1x28x28, values 0 to 1."""
    parts = []
    for split in ("train", "t10k"):
        images, labels = (
            gzip.decompress((folder / "mnist" / f"{split}-{kind}-ubyte.gz").read_bytes())
            for kind in ("images-idx3", "labels-idx1")
        )
        pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28)
        parts += [pixels.astype(np.float32) / 255, np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)]
    train, train_labels, test, test_labels = parts
    return Rows(train, train_labels, test, test_labels, (0.0, 1.0))


def cifar10(folder: Path) -> Rows:
    """Photographs, 3x32x32, less the mean and over the deviation of each channel."""
    mean, std = (np.array(each, dtype=np.float32) for each in (CIFAR_MEAN, CIFAR_STD))
    parts = []
    for names in ((*(f"train_{part}" for part in range(3)),), ("test",)):
        sheets = [np.asarray(Image.open(folder / "cifar10" / f"{name}.png")) for name in names]
        tiles = [sheet.reshape(SHEET, 32, SHEET, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3) for sheet in sheets]
        pixels = (np.concatenate(tiles).astype(np.float32) / 255 - mean) / std
        labels = [np.loadtxt(folder / "cifar10" / f"{name}_labels.txt", dtype=np.int64) for name in names]
        parts += [np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), np.concatenate(labels)]
    train, train_labels, test, test_labels = parts
    ends = np.concatenate([-mean / std, (1 - mean) / std])
    return Rows(train, train_labels, test, test_labels, (float(ends.min()), float(ends.max())))


def malaria(folder: Path) -> Rows:
    """Cells, grey, 1x32x32, values 0 to 1: no patient's cells are on both sides.

    Names of files begin with the patient, as ``C67P28N_ThinF_IMG_...``, some after the class. The split that comes with
    the file has patients on both sides, so both parts are put together and divided again.
    """
    with np.load(folder / "malaria" / "malaria_cells_50x50.npz", allow_pickle=False) as found:
        images, labels, files = (
            np.concatenate([found[f"{split}_{kind}"] for split in ("train", "test")])
            for kind in ("images", "labels", "files")
        )
    size = (32, 32)
    resized = np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)) for image in images])
    rows = resized[:, np.newaxis].astype(np.float32) / 255
    found_patients = [re.match(r"(?:parasitized|uninfected)?(.+?)_?thinf", file, re.IGNORECASE) for file in files]
    patients = np.array([each[1] if each else file for each, file in zip(found_patients, files, strict=True)])
    names = np.random.default_rng(0).permutation(np.unique(patients))
    test = np.isin(patients, names[: round(TESTED * len(names))])
    answers = labels.astype(np.int64)
    return Rows(rows[~test], answers[~test], rows[test], answers[test], (0.0, 1.0))


SOURCES: Mapping[str, Callable[[Path], Rows]] = MappingProxyType(
    {**{name: divided(name) for name in TABLES}, "malaria": malaria, "mnist": mnist, "cifar10": cifar10}
)
"""By name, what reads a set from a folder of all data."""
