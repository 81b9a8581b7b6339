"""``hecc attack``: the data of encoded rows, without a key."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import InputError
from hecc.runtime.files.atomic import write_file
from hecc.runtime.files.container import Container, FileSource, Kind
from hecc.runtime.plan.scheme import scheme_of

if TYPE_CHECKING:
    from hecc.runtime.more.attack import Known, Recovered

__all__ = ["attack", "write_recovered"]

SHOWN = 8
"""Rows of a picture."""


def attack(encrypted: FileSource, *, known: str | None = None) -> Recovered:
    """Recover what is in a file of encoded rows.

    Parameters
    ----------
    encrypted
        Rows, a result, or the bytes of such a file.
    known
        A value that the attacker knows, as "ROW:ELEMENT=VALUE", with the element's place in the flat tensor.

    Returns
    -------
    Recovered
        ``candidates`` by the name of each tensor, shape (n, rows, ...), the data's first; ``told_by`` what.

    Raises
    ------
    InputError
        The file is of a scheme that this does nothing to, or the value is nowhere.
    """
    container = Container(encrypted, Kind.CIPHERTEXT, Kind.RESULT)
    scheme = scheme_of(container)
    if scheme.name != "more":
        raise InputError(
            f"{container.where}: this file is of the scheme {scheme.name}, and the attack is on the scheme more only: "
            "it needs matrices whose eigenvalues are the data"
        )
    from hecc.runtime.more.attack import recover
    from hecc.runtime.more.rows import EncodedFile

    return recover(EncodedFile.load(encrypted, container.kind).tensors, None if known is None else _known(known))


def _known(text: str) -> Known:
    from hecc.runtime.more.attack import Known

    match = re.fullmatch(r"(\d+):(\d+)=([-+0-9.eE]+)", text.strip())
    try:
        if match is not None:
            return Known(int(match[1]), int(match[2]), float(match[3]))
    except ValueError:
        pass
    raise InputError(f"known {text!r}: give a row, an element and its value as ROW:ELEMENT=VALUE, for example 0:0=0.5")


def write_recovered(found: Recovered, path: Path, *, force: bool = False) -> None:
    """The data as an array, a table, or a picture that has the decoy beside it.

    Raises
    ------
    InputError
        The file's name says none of these, or rows are no images.
    """
    channels = next(iter(found.candidates.values()))
    data, suffix = channels[0], path.suffix.lower()
    if suffix == ".npy":
        np.save(memory := io.BytesIO(), data)
        content = memory.getvalue()
    elif suffix == ".csv":
        lines = [",".join(f"{value:.10g}" for value in row) for row in data.reshape(len(data), -1)]
        content = ("\n".join(lines) + "\n").encode()
    elif suffix == ".png":
        content = _picture(channels)
    else:
        raise InputError(f"{path}: recovered data is written as .npy, .csv or .png; give --output such a name")
    # Made data can be made again, but not what happens to have its name.
    write_file(path, content, own=lambda _: False, kind="made by this command", force=force)


def _picture(channels: NDArray[np.float64]) -> bytes:
    """The first rows of each candidate, one candidate below the other."""
    if channels.ndim < 4 or (channels.ndim == 5 and channels.shape[2] not in (1, 3)) or channels.ndim > 5:
        raise InputError("the rows are no images, so there is no picture of them; write a .csv or .npy file")
    from hecc.runtime.extras import require

    require("PIL")
    from PIL import Image

    images = channels[:, :SHOWN]
    if images.ndim == 5:
        images = images[:, :, :1] if images.shape[2] == 1 else images
        images = np.moveaxis(images, 2, -1)[..., 0] if images.shape[2] == 1 else np.moveaxis(images, 2, -1)
    low, high = float(images[0].min()), float(images[0].max())
    scaled = np.clip((images - low) / ((high - low) or 1.0), 0, 1)
    rows = [np.concatenate(list(row), axis=1) for row in scaled]
    sheet = (255 * np.concatenate(rows, axis=0)).astype(np.uint8)
    picture = Image.fromarray(sheet)
    factor = max(1, 64 // images.shape[2])
    picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    picture.save(memory := io.BytesIO(), "PNG")
    return memory.getvalue()
