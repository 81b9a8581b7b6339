"""The folder of a key set: nobody else may write it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hecc.runtime.errors import InputError

__all__ = ["check_folder", "check_owner"]

OTHERS_WRITE = 0o022
"""Permission of the group, or of everybody, to write."""


def check_folder(folder: Path) -> None:
    """Refuse a folder of keys that others may write: they could put keys of their own there. So do SSH's servers.

    Raises
    ------
    InputError
        The group, or everybody, may write it.
    """
    if os.name == "posix" and folder.is_dir() and stat.S_IMODE(folder.stat().st_mode) & OTHERS_WRITE:
        raise InputError(
            f"{folder}: others may write this folder, and put keys of their own here; run `chmod go-w {folder}` if it "
            "is for keys only, or choose another folder"
        )


def check_owner(path: Path) -> None:
    """Refuse a secret key that another user has made or may replace, as SSH does; the system's own user may.

    Raises
    ------
    InputError
        It is another user's, or others may write it or its folder.
    """
    if os.name != "posix" or not path.is_file():
        return
    status = path.stat()
    if status.st_uid not in (0, os.geteuid()):
        raise InputError(
            f"{path}: this secret key belongs to another user (number {status.st_uid}); run hecc as that user, or make "
            "keys of your own"
        )
    if stat.S_IMODE(status.st_mode) & OTHERS_WRITE:
        raise InputError(f"{path}: others may write this secret key; run `chmod 600 {path}` if it is still yours")
    check_folder(path.absolute().parent)
