"""Data that networks of others were made for: rows to calibrate with, and rows to test on, which are never the same.

MNIST has a training set, and of CIFAR-10 a part of it is there. Of Fashion-MNIST only the test set is, so its first
rows calibrate and the others test; so do the rows of a table, in a random order.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["CALIBRATION", "SOURCES", "Rows"]

CALIBRATION = 2000
"""Rows that a network is calibrated with, at the most."""

SHEET = 100
"""Images of CIFAR-10 a row and a column of a sheet."""


@dataclass(frozen=True)
class Rows:
    """Rows as they lie in files.

    Attributes
    ----------
    calibration, test
        Shape (rows, ...); bytes of images, or the numbers of a table.
    labels, calibration_labels
        Classes of the test rows and of those that calibrate, shape (rows,); ``None`` where rows were made up.
    origin
        Where both come from, a sentence.
    """

    calibration: NDArray[Any]
    test: NDArray[Any]
    labels: NDArray[np.int64] | None
    calibration_labels: NDArray[np.int64] | None
    origin: str


def mnist(folder: Path) -> Rows:
    """Digits, shape (rows, 28, 28)."""
    train, answers = _idx(folder / "mnist", "train")
    test, labels = _idx(folder / "mnist", "t10k")
    origin = "MNIST: 2,000 random images of the training set calibrate"
    return Rows(_drawn(train), test, labels, _drawn(answers), origin)


def fashion_mnist(folder: Path) -> Rows:
    """Clothes, shape (rows, 28, 28)."""
    images, labels = _idx(folder / "fashion_mnist", "t10k")
    origin = "Fashion-MNIST: the first 2,000 images of the test set calibrate, the other 8,000 test"
    return Rows(images[:CALIBRATION], images[CALIBRATION:], labels[CALIBRATION:], labels[:CALIBRATION], origin)


def cifar10(folder: Path) -> Rows:
    """Photographs, shape (rows, 32, 32, 3)."""
    parts = [f"train_{part}" for part in range(3)]
    train = np.concatenate([_sheet(folder / "cifar10" / f"{part}.png") for part in parts])
    answers, labels = (
        np.concatenate([np.loadtxt(folder / "cifar10" / f"{part}_labels.txt", dtype=np.int64) for part in of])
        for of in (parts, ["test"])
    )
    test = _sheet(folder / "cifar10" / "test.png")
    origin = "CIFAR-10: 2,000 random images of the training set calibrate"
    return Rows(_drawn(train), test, labels, _drawn(answers), origin)


def pima(folder: Path) -> Rows:
    """Patients, shape (rows, 8)."""
    table = np.loadtxt(folder / "tabular" / "diabetes_pima.csv", delimiter=",", skiprows=1)
    table = table[np.random.default_rng(0).permutation(len(table))]
    half = len(table) // 2
    origin = f"Pima: a random half of {len(table)} rows calibrates, the other half tests"
    answers = table[:, -1].astype(np.int64)
    return Rows(table[:half, :-1], table[half:, :-1], answers[half:], answers[:half], origin)


def cleveland(folder: Path) -> Rows:
    """Patients, shape (rows, 13); without labels, since what decides on them says the class and no scores."""
    table = np.genfromtxt(folder / "tabular" / "heart_cleveland.csv", delimiter=",", skip_header=1)
    table = table[np.isfinite(table).all(axis=1)]
    table = table[np.random.default_rng(0).permutation(len(table))]
    half = len(table) // 2
    origin = f"Cleveland: a random half of {len(table)} rows calibrates, the other half tests"
    return Rows(table[:half, :-1], table[half:, :-1], None, None, origin)


def uniform(*shape: int, calibration: int, test: int) -> Callable[[Path], Rows]:
    """Rows of independent numbers between 0 and 1, no data being there."""

    def made(_: Path) -> Rows:
        rows = np.random.default_rng(0).uniform(0, 1, (calibration + test, *shape))
        origin = "made-up inputs: uniform between 0 and 1"
        return Rows(rows[:calibration], rows[calibration:], None, None, origin)

    return made


def gaussian(*shape: int) -> Callable[[Path], Rows]:
    """Rows of independent standard normal numbers, no data being there."""

    def made(_: Path) -> Rows:
        rows = np.random.default_rng(0).standard_normal((CALIBRATION + 10_000, *shape)).clip(-5, 5)
        origin = "made-up inputs: standard normal numbers, clipped to 5"
        return Rows(rows[:CALIBRATION], rows[CALIBRATION:], None, None, origin)

    return made


def acas_xu(_: Path) -> Rows:
    """Encounters of two aircraft, in the whole box that ACAS Xu is specified for, normalised; shape (rows, 5)."""
    low, high = np.array([-0.3284, -0.5, -0.5, -0.5, -0.5]), np.array([0.6799, 0.5, 0.5, 0.5, 0.5])
    rows = np.random.default_rng(0).uniform(low, high, (CALIBRATION + 10_000, 5))
    origin = "made-up inputs: uniform in the box that the network is specified for"
    return Rows(rows[:CALIBRATION], rows[CALIBRATION:], None, None, origin)


SOURCES: Mapping[str, Callable[[Path], Rows]] = MappingProxyType(
    {
        "MNIST": mnist,
        "Fashion-MNIST": fashion_mnist,
        "CIFAR-10": cifar10,
        "Pima": pima,
        "Cleveland": cleveland,
        "photographs": uniform(3, 128, 128, calibration=200, test=1000),
        "activity": gaussian(9, 128),
        "features": gaussian(41),
        "ACAS Xu": acas_xu,
    }
)
"""By name, what reads them from a folder of all data."""


def _drawn(rows: NDArray[Any]) -> NDArray[Any]:
    chosen: NDArray[Any] = rows[np.random.default_rng(0).choice(len(rows), CALIBRATION, replace=False)]
    return chosen


def _idx(folder: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images, labels = (
        gzip.decompress((folder / f"{split}-{name}.gz").read_bytes())
        for name in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    return pixels, np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


def _sheet(file: Path) -> NDArray[np.uint8]:
    pixels = np.asarray(Image.open(file))
    return pixels.reshape(SHEET, 32, SHEET, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)
