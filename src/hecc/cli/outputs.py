"""What a command writes must not take the place of what it reads, nor of what else it writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from hecc.runtime.errors import InputError
from hecc.runtime.files.atomic import same_file

__all__ = ["check_overwriting", "check_targets", "key_files"]

PARTIAL = (".partial", ".partial.index")
"""Endings of what a command writes before its output is complete."""


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
        written = [output, *(output.with_name(f"{output.name}{ending}") for ending in PARTIAL)]
        if any(same_file(name, path) or _is_image_in(output, path) for name in written for path in read):
            raise InputError(
                f"{output}: this command reads that file,{_described(output)} which its output would replace; give "
                f"another name with {option}"
            )
        if any(same_file(output, other) for other in seen):
            raise InputError(
                f"{output}: two outputs of this command would be this one file; give another name with {option}"
            )
        seen.append(output)


def key_files(folder: Path) -> list[Path]:
    """The files of a folder of keys that a command reads, or counts in."""
    from hecc.runtime.plan.keyset import COUNTS, EVALUATION, PUBLIC, SECRET

    return [folder / name for name in (SECRET, PUBLIC, EVALUATION, *COUNTS)]


def _described(path: Path) -> str:
    """What a file of hecc's is, as an insertion: perhaps not what its user thinks."""
    from hecc.runtime.files.container import kind_of

    kind = kind_of(path)
    return "" if kind is None else f" {kind.label},"


def _is_secret_key(path: Path) -> bool:
    """Whether a file is a secret key, whole or not."""
    from hecc.runtime.files.container import Kind, kind_of

    return kind_of(path) is Kind.SECRET_KEY


def _is_image_in(output: Path, folder: Path) -> bool:
    """Whether an output would replace an image of a folder."""
    if not (output.is_file() and folder.is_dir()):
        return False
    from hecc.runtime.inputs.images import is_image_name

    return is_image_name(output) and output.resolve().is_relative_to(folder.resolve())
