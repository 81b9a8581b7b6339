"""The X-rays of this example as arrays: what the hospital does to an image before it encrypts it."""

from __future__ import annotations

import csv
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

try:
    from PIL import Image, ImageOps
except ImportError:
    sys.exit("this example reads JPEG files with Pillow, which is not installed here: pip install pillow")

Array = np.ndarray[Any, Any]

SIZE = 64
"""Pixels of an image's side, as the network takes it."""

ARCHIVE, LABELS = "chest_xray_224_{split}.zip", "chest_xray_224_labels.csv"


def prepare(image: Image.Image) -> Array:
    """One X-ray as the network takes it.

    Grey, reduced to 64 x 64, its histogram equalised: exposures differ from machine to machine.

    Parameters
    ----------
    image
        Of any size.

    Returns
    -------
    ndarray
        float32 of shape (1, 64, 64), values 0 to 1.
    """
    small = ImageOps.equalize(image.convert("L").resize((SIZE, SIZE), Image.Resampling.BOX))
    return np.asarray(small, dtype=np.float32)[None] / np.float32(255)


def load(folder: Path, split: str) -> tuple[Array, Array]:
    """All X-rays of a split, in the order of the table of labels.

    Parameters
    ----------
    folder
        Holds an archive for each split, and the table of labels (columns ``file``, ``split``, ``pneumonia``).
    split
        ``train`` or ``test``.

    Returns
    -------
    tuple of ndarray
        Images, float32 of shape (n, 1, 64, 64), and labels, int64 of shape (n,), 1 for pneumonia.
    """
    try:
        with (folder / LABELS).open(newline="") as table:
            rows = [row for row in csv.DictReader(table) if row["split"] == split]
        with zipfile.ZipFile(folder / ARCHIVE.format(split=split)) as archive:
            members = {Path(name).name: name for name in archive.namelist()}
            images = [prepare(Image.open(io.BytesIO(archive.read(members[row["file"]])))) for row in rows]
    except OSError as error:
        sys.exit(
            f"{error.filename or folder}: {error.strerror or error}; --data needs the folder that README.md describes"
        )
    return np.stack(images), np.array([int(row["pneumonia"]) for row in rows], dtype=np.int64)
