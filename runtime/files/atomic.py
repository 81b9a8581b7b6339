"""Files that appear whole or not at all.

A new file is written under a temporary name in the folder of its target, and takes the target's name when it is
complete. An exception removes it. A process that is killed cannot clean up: its temporary file stays, recognisable by
its name, never mistaken for the whole one, and the next file of the same name sweeps it away. What tells it from the
file that another process is just writing is a lock, which the system releases with its process.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from hecc.runtime.errors import InputError

if sys.platform != "win32":
    import fcntl

__all__ = [
    "NewFile",
    "check_regular",
    "check_replaceable",
    "check_target",
    "is_at",
    "lock",
    "open_regular",
    "read_regular",
    "reading",
    "replacing",
    "same_file",
    "sync_folder",
    "temporary_folder",
    "write_file",
    "writing",
]

LOCKS = sys.platform != "win32"
"""Whether there are the locks by which a killed process's files are known; elsewhere nothing is swept."""

_TEMPORARY = r"\.{name}\.[0-9a-f]{{16}}\.tmp"


class NewFile:
    """A file in the making beside its target.

    :meth:`discard` belongs into a ``finally`` whose ``try`` has :meth:`open` in it: then a signal at any moment, also
    one that comes while the file is being created, leaves nothing.

    Parameters
    ----------
    path
        The target.
    secret
        Whether only the owner may read the file, from its creation on (mode 0600); otherwise the process's umask
        decides.

    Attributes
    ----------
    file
        What to write to, once it is open.
    """

    file: BinaryIO

    def __init__(self, path: Path, *, secret: bool = False) -> None:
        self.path = path
        self._mode = 0o600 if secret else 0o666
        self._temporary: Path | None = None

    def open(self) -> BinaryIO:
        """Create the file.

        Raises
        ------
        InputError
            The folder cannot be written to.
        """
        with writing(self.path):
            _check_regular(self.path)
            _sweep(self.path)
            while True:
                self._temporary = _temporary(self.path)
                self.file = _create(self._temporary, self._mode)
                # Somebody who sweeps may have seen the file before it was locked.
                if lock(self.file.fileno()) and is_at(self.file.fileno(), self._temporary):
                    return self.file
                self.discard()

    def commit(self) -> None:
        """Give the file its name, with all its bytes on the disk.

        Raises
        ------
        InputError
            The disk is full, or the file cannot be written for another reason.
        """
        with writing(self.path):
            self.file.flush()
            os.fsync(self.file.fileno())
            # Renamed while it is locked, so that nobody sweeps it; where there are no locks, open files keep names.
            if not LOCKS:
                self.file.close()
            assert self._temporary is not None
            self._temporary.replace(self.path)
            self.file.close()

    def discard(self) -> None:
        """Remove the file, unless it has its name already."""
        if self._temporary is None:
            return
        # Removed first: what is still buffered may not fit the disk.
        if LOCKS:
            self._temporary.unlink(missing_ok=True)
        with contextlib.suppress(OSError, AttributeError):  # of a file that is not open yet
            self.file.close()
        self._temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], *, secret: bool = False) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of ``path`` when the block ends without an exception.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    new = NewFile(Path(path), secret=secret)
    try:
        with writing(new.path):
            yield new.open()
        new.commit()
    finally:
        new.discard()


def write_file(
    path: str | os.PathLike[str], content: bytes, *, own: Callable[[Path], bool], kind: str, force: bool = False
) -> None:
    """Write a file, complete or not at all.

    Parameters
    ----------
    own, kind, force
        What may be replaced, as of :func:`check_replaceable`.

    Raises
    ------
    InputError
        The file cannot be written, or would replace another one.
    """
    check_target(path, len(content))
    check_replaceable(path, own=own, kind=kind, force=force)
    with replacing(path) as file:
        file.write(content)


def check_replaceable(
    path: str | os.PathLike[str], *, own: Callable[[Path], bool], kind: str, force: bool = False
) -> None:
    """Refuse to replace a file that is not of the kind that is going to be written; an empty one may always go.

    Parameters
    ----------
    own
        Whether a file is of that kind.
    kind
        The kind in words, with its article.
    force
        Replace it all the same.

    Raises
    ------
    InputError
        There is such a file.
    """
    path = Path(path)
    if force or not path.is_file():
        return
    with reading(path):
        empty = path.stat().st_size == 0
    if not empty and not own(path):
        raise InputError(
            f"{path}: there is a file of this name, and it stays, as it is not {kind}; give another name, or replace "
            "it with --force (in Python force=True)"
        )


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths are of one file, through links of either kind; also of one that is not there yet."""
    try:
        return one.samefile(other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def check_target(path: str | os.PathLike[str], size: int = 0) -> None:
    """Refuse, before any work is done, a file that could not be written.

    Parameters
    ----------
    size
        Bytes that it may become, as predicted. What is there already does not count: it stays until the new file is
        complete.

    Raises
    ------
    InputError
        The folder does not exist, cannot be written to, or is on a disk with less space.
    """
    path = Path(path)
    with writing(path):
        free = shutil.disk_usage(path.parent).free
        _check_regular(path)
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise PermissionError(0, "no permission to write to the folder")
    if size > free:
        raise InputError(
            f"{path}: may take {_size(size)} of disk, and {_size(free)} are free there; free some, or choose another "
            "folder"
        )


@contextlib.contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A folder beside ``path``, for this user only, for files that are to replace others together.

    Raises
    ------
    InputError
        The folder cannot be made.
    """
    _sweep(path)
    handle = None
    try:
        with writing(path):
            while True:
                folder = _temporary(path)
                folder.mkdir(mode=0o700)
                try:
                    handle = os.open(folder, os.O_RDONLY) if LOCKS else None
                except FileNotFoundError:
                    # Not locked yet, it was taken for one that a killed process left. Where the folder around it is
                    # gone as well, making the next one says so.
                    continue
                if handle is None or (lock(handle) and is_at(handle, folder)):
                    break
                os.close(handle)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def lock(handle: int) -> bool:
    """Whether this process holds an open file alone from now on; always where the system has no such locks."""
    if sys.platform != "win32":
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return True
    return True


def is_at(handle: int, path: Path) -> bool:
    """Whether an open file still has this name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Whatever the system refuses becomes a sentence about ``path``."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: cannot be written, as there is no such folder; make it first") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); check the folder and the free space") from None


@contextlib.contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Whatever the system refuses becomes a sentence about ``path``.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading, unless it is a pipe or a device: these may never answer, and never end.

    Raises
    ------
    InputError
        It is no regular file.
    OSError
        It cannot be opened, or is a folder.
    """
    # Without O_NONBLOCK, opening a pipe waits for whoever writes to it.
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    handle = os.open(path, flags)
    try:
        check_regular(handle, path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: str | os.PathLike[str], limit: int) -> bytes:
    """The bytes of a file, unless it is a pipe or a device, or has more than ``limit``.

    Raises
    ------
    InputError
        It is no regular file, or too large.
    OSError
        It cannot be read, or is a folder.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > limit:
            raise InputError(f"{path}: too large, more than {_size(limit)}; give another file")
        return file.read(limit)


def check_regular(handle: int, path: str | os.PathLike[str]) -> None:
    """Refuse an open file that is a pipe, a device, or a folder.

    Raises
    ------
    InputError
        It is no regular file.
    OSError
        It is a folder.
    """
    mode = os.fstat(handle).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: not a regular file; save it to disk first")


def _check_regular(path: Path) -> None:
    """Refuse a folder, and what is no file at all: a name must not take the place of a device."""
    if path.exists() and not path.is_file():
        raise OSError(0, "it is a folder" if path.is_dir() else "it is not a regular file")


def _create(path: Path, mode: int) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, mode), "w+b")


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def _sweep(path: Path) -> None:
    """Remove what killed processes left of files, or folders, of this name."""
    pattern = re.compile(_TEMPORARY.format(name=re.escape(path.name)))
    with contextlib.suppress(OSError):
        for left in path.parent.iterdir():
            if pattern.fullmatch(left.name) and not left.is_symlink():
                _remove_unlocked(left)


def _remove_unlocked(path: Path) -> None:
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            # Not to wait for the other end, should it be a pipe.
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            finally:
                os.close(handle)


def _size(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
