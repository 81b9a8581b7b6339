"""What a command writes must not take the place of what it reads, nor of what else it writes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from hecc.runtime.errors import InputError

__all__ = ["check_overwriting", "check_targets", "key_files"]


def check_targets(outputs: Mapping[str, Path], inputs: Iterable[Path | None]) -> None:
    """As :func:`check_overwriting`, and refuse to replace a secret key: every command but the one that makes keys.

    Raises
    ------
    InputError
        Naming the file and the option.
    """
    check_overwriting(outputs, inputs)
    for option, output in outputs.items():
        if _is_secret_key(output):
            raise InputError(
                f"{output}: this is a secret key, which cannot be made again; give another name with {option}"
            )


def check_overwriting(outputs: Mapping[str, Path], inputs: Iterable[Path | None]) -> None:
    """Refuse, before any work is done, outputs of a command that are its inputs, or one file for two of them.

    Parameters
    ----------
    outputs
        What the command writes, by the option that names it.
    inputs
        Files that the command reads, and folders of images.

    Raises
    ------
    InputError
        Naming the file and the option.
    """
    read = [path for path in inputs if path is not None]
    seen: list[Path] = []
    for option, output in outputs.items():
        if any(_same(output, path) or _is_image_in(output, path) for path in read):
            raise InputError(
                f"{output}: this command reads that file, which its output would replace; give another name with "
                f"{option}"
            )
        if any(_same(output, other) for other in seen):
            raise InputError(
                f"{output}: two outputs of this command would be this one file; give another name with {option}"
            )
        seen.append(output)


def key_files(folder: Path) -> list[Path]:
    """The files of a folder of keys that a command reads, or counts in."""
    from hecc.runtime.client.keygen import EVALUATION, PUBLIC, SECRET
    from hecc.runtime.client.ledger import EARLIER, LEDGER

    return [folder / name for name in (SECRET, PUBLIC, EVALUATION, LEDGER, EARLIER)]


def _same(one: Path, other: Path) -> bool:
    """Whether two paths are of one file, also one that is not there yet."""
    try:
        return one.samefile(other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def _is_secret_key(path: Path) -> bool:
    """Whether a file is a secret key, whole or not."""
    from hecc.runtime.container import Kind, kind_of

    return kind_of(path) is Kind.SECRET_KEY


def _is_image_in(output: Path, folder: Path) -> bool:
    """Whether an output would replace an image of a folder."""
    if not (output.is_file() and folder.is_dir()):
        return False
    from hecc.runtime.client.images import is_image_name

    return is_image_name(output) and output.resolve().is_relative_to(folder.resolve())
