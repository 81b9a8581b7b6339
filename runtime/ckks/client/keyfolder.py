"""A new set of keys gets into its folder whole, and nobody removes what somebody else made.

A set is made in a temporary folder of its own. Where there is no folder of the name yet, the temporary one takes the
name: of two commands the one that comes first wins, and the other is refused. Into a folder that exists already the
three files are moved under a lock, none over another, the secret key last: a folder with one has a complete set. When
keys are replaced, the old ones wait in a hidden folder until the new ones are in place, and are there if the process is
killed meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from hecc.runtime.ckks.client.ledger import EARLIER, LEDGER
from hecc.runtime.ckks.client.notes import REQUESTS
from hecc.runtime.ckks.keys.folder import check_folder
from hecc.runtime.errors import InputError
from hecc.runtime.files.atomic import is_at, sync_folder, temporary_folder
from hecc.runtime.files.container import Kind, kind_of
from hecc.runtime.plan.keyset import EVALUATION, PUBLIC, SECRET

if sys.platform != "win32":
    import fcntl

__all__ = ["new_set", "waiting"]

KINDS = {SECRET: Kind.SECRET_KEY, PUBLIC: Kind.PUBLIC_KEY, EVALUATION: Kind.EVALUATION_KEYS}
"""In the order in which old keys go; new ones come in the opposite one."""

COUNTED = (LEDGER, EARLIER, REQUESTS)
"""What belongs to a secret key, and goes with it when it is replaced: never without it, as it may be elsewhere."""

_Identity = tuple[int, int, int]
"""Device, number and time of the last change: what tells a file from another one of the same name."""


@contextlib.contextmanager
def new_set(folder: Path, *, force: bool = False) -> Iterator[Path]:
    """A folder to make a key set in; its three files are in ``folder`` when the block ends without an exception.

    Parameters
    ----------
    folder
        Made when it does not exist, for this user only.
    force
        Replace the keys that are there now.

    Raises
    ------
    InputError
        There are keys already, or somebody else makes some; or the folder cannot be written, or others may write it.
    """
    # A link stays one.
    real = Path(os.path.realpath(folder))
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        # In this order, as another command may make the folder between the two.
        if os.path.lexists(real) and not real.is_dir():
            raise NotADirectoryError(0, "there is a file of this name")
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from None
    exists = real.is_dir()
    if exists:
        check_folder(folder)
    before = _keys_in(real)
    _check_replaceable(folder, before, force)
    with temporary_folder(real / "keys" if exists else real) as new:
        yield new
        sync_folder(new)
        if exists:
            with _alone(real):
                if _keys_in(real) != before:
                    raise InputError(
                        f"{folder}: another command made keys here meanwhile, and they stay; choose another folder"
                    )
                with_secret = [name for name in COUNTED if SECRET in before and os.path.lexists(real / name)]
                _move_in(new, real, [*before, *with_secret])
        else:
            _rename(new, real, folder)
        sync_folder(real)
        sync_folder(real.parent)


def waiting(folder: Path) -> Path | None:
    """Where the keys are that a killed command was about to replace, if there are such."""
    with contextlib.suppress(OSError):
        return next((path for path in folder.glob(".keys.*.old") if (path / SECRET).exists()), None)
    return None


def _keys_in(folder: Path) -> dict[str, _Identity]:
    found = {}
    for name in KINDS:
        with contextlib.suppress(FileNotFoundError):
            status = (folder / name).lstat()
            found[name] = (status.st_dev, status.st_ino, status.st_mtime_ns)
    return found


def _check_replaceable(folder: Path, present: dict[str, _Identity], force: bool) -> None:
    left = waiting(folder)
    if left is not None:
        raise InputError(
            f"{left}: keys that an interrupted command was about to replace wait here; move them back into {folder}, "
            "or remove them"
        )
    counted = next((folder / name for name in (LEDGER, EARLIER) if (folder / name).exists()), None)
    if counted is not None and SECRET not in present:
        raise InputError(
            f"{counted}: this counts results of a secret key that is not here; move it to where that key is, "
            "or choose another folder"
        )
    for name in present:
        path = folder / name
        if not force and name == SECRET:
            raise InputError(
                f"{path}: a secret key is here already, and without it its results are lost; choose another folder, "
                "or replace the keys with --force"
            )
        if not force:
            raise InputError(
                f"{path}: keys are here already, without their secret key; choose another folder, or replace them "
                "with --force"
            )
        if kind_of(path) is not KINDS[name] and path.exists():
            raise InputError(f"{path}: this is not {KINDS[name].label}, and stays; choose another folder")


def _rename(new: Path, real: Path, folder: Path) -> None:
    try:
        new.rename(real)
    except OSError as error:
        raise InputError(
            f"{folder}: another command made this folder meanwhile, and it stays ({error.strerror}); choose another one"
        ) from None


def _move_in(new: Path, folder: Path, old: list[str]) -> None:
    """Take the old keys out, and put the new ones in; all of it, or nothing."""
    names = [*(name for name in COUNTED if (new / name).exists()), *reversed(KINDS)]
    waiting_room = folder / f".keys.{secrets.token_hex(8)}.old"
    try:
        if old:
            waiting_room.mkdir(mode=0o700)
        for name in old:
            (folder / name).rename(waiting_room / name)
        for name in names:
            _place(new / name, folder / name)
    except BaseException:
        for name in names:
            _take_back(new / name, folder / name)
        for name in old:
            with contextlib.suppress(FileNotFoundError):  # not taken out yet
                (waiting_room / name).rename(folder / name)
        with contextlib.suppress(OSError):
            waiting_room.rmdir()
        raise
    sync_folder(folder)
    if old:
        shutil.rmtree(waiting_room)


def _place(source: Path, target: Path) -> None:
    """Give a file its name, unless there is something of that name."""
    try:
        try:
            os.link(source, target)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            target.touch(exist_ok=False)
            source.replace(target)
    except FileExistsError:
        raise InputError(f"{target}: another command made it meanwhile, and it stays; choose another folder") from None


def _take_back(source: Path, target: Path) -> None:
    """Undo :func:`_place`, and nothing else."""
    with contextlib.suppress(FileNotFoundError):
        if not source.exists():
            target.replace(source)
        elif target.samefile(source):
            target.unlink()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other command moves keys into the folder meanwhile; the folder itself is what they lock."""
    if sys.platform == "win32":
        yield
        return
    while True:
        handle = os.open(folder, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            if is_at(handle, folder):
                yield
                return
        finally:
            os.close(handle)
