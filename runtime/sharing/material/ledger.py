"""Ledgers: which blocks of a batch are gone. A block is used once, whatever happens in between.

A ledger is a file of records, each of which says up to where blocks are gone, and is bound to all records before it by
a hash. It only grows: a record is written, and is on the disk, before anybody may use what it reserves. Whoever dies
after that has burnt the blocks; whoever dies before has used none. A record that is cut off in the middle was never on
the disk as a whole, so nobody was told of it.

Client and server have a ledger each. The client proposes the first block that its ledger has not, the server takes that
or a later one, and the client takes no earlier one. So a copy of an old ledger leads nowhere while the other party's is
whole: the larger number counts.
"""

from __future__ import annotations

import hashlib
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hecc.runtime.errors import FileFormatError, InputError, SecurityError
from hecc.runtime.files.atomic import sync_folder, writing
from hecc.runtime.sharing.material.files import Batch

if sys.platform != "win32":
    import fcntl

__all__ = ["MOST_SKIPPED", "Ledger", "ledger_of", "ledger_path"]

MOST_SKIPPED = 1 << 16
"""Blocks that a proposal of the other party may leave out: it must not be able to burn them all at once."""

_RECORD = struct.Struct("<Q32s")


class Ledger:
    """The ledger of one party for one batch of blocks.

    Parameters
    ----------
    path
        The file, which :meth:`create` made.
    batch
        What the batch is called: the first record is bound to it.
    first, count
        The batch's blocks.
    """

    def __init__(self, path: Path, batch: bytes, first: int, count: int) -> None:
        self._path, self._batch = path, batch
        self._first, self._end = first, first + count

    def create(self) -> None:
        """Make the file, together with the material: a batch without its ledger must not be used.

        Raises
        ------
        InputError
            There is one, or it cannot be written.
        """
        with writing(self._path):
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                self._append(handle, self._first, self._seal())
            finally:
                os.close(handle)
            sync_folder(self._path.parent)

    @property
    def next(self) -> int:
        """The first block that is not gone.

        Raises
        ------
        InputError, FileFormatError
            The file is missing, or not the one of this batch.
        """
        with self._locked() as handle:
            return self._last(handle)[0]

    def reserve(self, rows: int, proposal: int = 0, *, at_least: bool = True) -> int:
        """Take blocks, and say so on the disk before they are handed out.

        Parameters
        ----------
        rows
            How many.
        proposal
            The first of them that the other party has not used.
        at_least
            Whether later ones do; otherwise they are exactly those, which the other party has reserved.

        Returns
        -------
        int
            The first of the blocks.

        Raises
        ------
        SecurityError
            The other party asks for blocks that are gone, or for far later ones.
        InputError
            There are not so many left, or the file is missing.
        FileFormatError
            The file is not the one of this batch, or was altered.
        """
        with self._locked() as handle:
            own, seal = self._last(handle)
            if proposal - own > MOST_SKIPPED:
                raise SecurityError(
                    f"{self._path}: the other party asks for block {proposal}, and the next one here is {own}; its "
                    "ledger and this one are not of one batch, or it wants to burn what is left: deal new material"
                )
            if not at_least and proposal < own:
                raise SecurityError(
                    f"{self._path}: the other party has reserved block {proposal}, and blocks before {own} are gone; "
                    "its ledger is an older copy, which would show inputs and weights: deal new material"
                )
            first = max(own, proposal)
            if first + rows > self._end:
                raise InputError(
                    f"{self._path}: {rows} blocks of material are needed, and {max(self._end - first, 0)} are left; "
                    "deal new material"
                )
            self._append(handle, first + rows, seal)
            return first

    @contextmanager
    def _locked(self) -> Iterator[int]:
        if sys.platform == "win32":
            raise InputError(f"{self._path}: ledgers need locks that this system does not have; use Linux or macOS")
        with writing(self._path):
            try:
                handle = os.open(self._path, os.O_RDWR)
            except FileNotFoundError:
                raise InputError(
                    f"{self._path}: the ledger is missing, and without it nobody knows which blocks are gone; deal new "
                    "material"
                ) from None
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield handle
            finally:
                os.close(handle)

    def _last(self, handle: int) -> tuple[int, bytes]:
        """Up to where blocks are gone, and the seal of all records; a record that is cut off is taken away."""
        size = os.fstat(handle).st_size
        whole = size - size % _RECORD.size
        content = os.pread(handle, whole, 0)
        seal, previous = self._seal(), self._first
        if not whole:
            raise FileFormatError(f"{self._path}: the ledger is empty; deal new material")
        for at in range(0, whole, _RECORD.size):
            number, found = _RECORD.unpack_from(content, at)
            seal = hashlib.sha256(seal + number.to_bytes(8, "little")).digest()
            if found != seal or not previous <= number <= self._end:
                raise FileFormatError(
                    f"{self._path}: the ledger is not the one of this material, or was altered; deal new material"
                )
            previous = number
        if whole < size:
            os.ftruncate(handle, whole)
        return previous, seal

    def _append(self, handle: int, number: int, seal: bytes) -> None:
        record = _RECORD.pack(number, hashlib.sha256(seal + number.to_bytes(8, "little")).digest())
        os.lseek(handle, 0, os.SEEK_END)
        written = os.write(handle, record)
        if written != len(record):
            raise InputError(f"{self._path}: a record of the ledger was written in part only; make room on the disk")
        os.fsync(handle)

    def _seal(self) -> bytes:
        """What the first record is bound to."""
        return hashlib.sha256(b"hecc ledger\0" + self._batch).digest()


def ledger_path(material: Path) -> Path:
    """Where the ledger of a file of material lies: beside it."""
    return material.with_name(f"{material.name}.ledger")


def ledger_of(material: Path, batch: Batch) -> Ledger:
    """The ledger beside a file of material."""
    return Ledger(ledger_path(material), bytes.fromhex(batch.batch), 0, batch.count)
