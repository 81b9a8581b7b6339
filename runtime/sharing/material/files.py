"""Files of material: a batch of blocks for one plan, one file for the server and one for the client.

Both begin with a page that says what batch it is. The server's has the seed of the masks of the weights behind it, and
then a place of whole pages for each block, with its SHA-256. The client's has the seed of its next block, and nothing
from which those before it could be derived: a seed is hashed to the next one (a ratchet), and the older is overwritten.

What was used is gone from both: the server's blocks are punched out of the file where the system can, and overwritten
with zeros elsewhere. That a block is used once does not depend on it; that is the ledger's work
(:mod:`hecc.runtime.sharing.material.ledger`).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import struct
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal, Self, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import FileFormatError, KeyMismatchError
from hecc.runtime.files import codec
from hecc.runtime.files.atomic import open_regular, reading, replacing, writing
from hecc.runtime.files.container import MATERIAL
from hecc.runtime.sharing.material.streams import SEED_BYTES, next_seed

if sys.platform != "win32":
    import fcntl

__all__ = ["Batch", "ClientMaterial", "ServerMaterial", "read_batch", "write_client", "write_server"]

PAGE = 4096
"""Of the file: blocks begin at multiples, so that they can be punched out."""

MOST_BYTES = 1 << 50

SLOTS = 2
"""Places of the client's seed: the newer is written before the older is overwritten."""

_PROLOGUE = struct.Struct("<8sI32s")
_SEED = struct.Struct(f"<Q{SEED_BYTES}s32s")

_HOLE = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE

Bytes: TypeAlias = NDArray[np.uint8]


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a batch is.

    Attributes
    ----------
    batch
        Its name, drawn by the dealer: 32 hexadecimal digits.
    plan
        The fingerprint of the plan.
    count
        Blocks, one for each example.
    block_bytes
        Of the server's part of each.
    """

    batch: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    plan: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    role: Literal["server", "client"]
    count: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]
    block_bytes: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]

    @property
    def bound(self) -> bytes:
        """What streams of its seeds are bound to, a number of the block behind it."""
        return bytes.fromhex(self.plan) + bytes.fromhex(self.batch)

    @property
    def place(self) -> int:
        """Bytes from one block to the next."""
        return -(-(self.block_bytes + hashlib.sha256().digest_size) // PAGE) * PAGE


def write_server(path: Path, batch: Batch, weight_seed: bytes, blocks: Iterable[Bytes]) -> None:
    """Write the server's file.

    Parameters
    ----------
    weight_seed
        Of the masks of the weights.
    blocks
        In order, each of shape (rows, bytes).

    Raises
    ------
    InputError
        It cannot be written.
    """
    with replacing(path, secret=True) as file:
        file.write(_page(batch, weight_seed))
        for rows in blocks:
            for row in rows:
                content = row.tobytes()
                file.write((content + hashlib.sha256(content).digest()).ljust(batch.place, b"\0"))


def write_client(path: Path, batch: Batch, seed: bytes) -> None:
    """Write the client's file, with the seed of its first block.

    Raises
    ------
    InputError
        It cannot be written.
    """
    with replacing(path, secret=True) as file:
        file.write((_page(batch) + _slot(0, seed)).ljust((1 + SLOTS) * PAGE, b"\0"))


class _Material(ABC):
    """A file of material that is open, with the lock of nobody: ledgers decide who uses what."""

    role: Literal["server", "client"]

    @abstractmethod
    def check(self, first: int) -> None:
        """See that everything from one block on is there, and whole."""

    def __init__(self, path: Path, plan: str) -> None:
        self.path = path
        with reading(path):
            open_regular(path).close()
        with writing(path):
            self._handle = os.open(path, os.O_RDWR)
        try:
            self.batch = self._read_batch()
            if self.batch.plan != plan:
                raise KeyMismatchError(f"{path}: this material is for another plan; deal material for this one")
        except BaseException:
            os.close(self._handle)
            raise

    def _read_batch(self) -> Batch:
        batch, self._tail = _batch(self.path, os.pread(self._handle, PAGE, 0))
        if batch.role != self.role:
            raise FileFormatError(f"{self.path}: this is the {batch.role}'s material; give the {self.role}'s")
        return batch

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ServerMaterial(_Material):
    """The server's file.

    Parameters
    ----------
    path
        The file.
    plan
        The fingerprint of the plan that it has to be for.

    Raises
    ------
    InputError, FileFormatError
        It cannot be opened, is of another kind, or damaged.
    KeyMismatchError
        It is for another plan.
    """

    role = "server"

    def __init__(self, path: Path, plan: str) -> None:
        super().__init__(path, plan)
        size = os.fstat(self._handle).st_size
        if size != PAGE + self.batch.count * self.batch.place or size > MOST_BYTES:
            self.close()
            raise FileFormatError(f"{path}: the material is cut off; deal it again")

    @property
    def weight_seed(self) -> bytes:
        """Of the masks of the weights."""
        return self._tail[:SEED_BYTES]

    def take(self, first: int, rows: int) -> Bytes:
        """Blocks, shape (rows, bytes), which are gone from the file afterwards.

        Raises
        ------
        FileFormatError
            One is damaged, or gone already.
        """
        found = [self._block(block) for block in range(first, first + rows)]
        self._punch(PAGE + first * self.batch.place, rows * self.batch.place)
        return np.stack(found)

    def check(self, first: int) -> None:
        """See that all blocks from one on are whole.

        Raises
        ------
        FileFormatError
            One is damaged, or gone already.
        """
        for block in range(first, self.batch.count):
            self._block(block)

    def _block(self, block: int) -> Bytes:
        size = self.batch.block_bytes
        place = os.pread(self._handle, size + hashlib.sha256().digest_size, PAGE + block * self.batch.place)
        content = place[:size]
        if hashlib.sha256(content).digest() != place[size:]:
            raise FileFormatError(f"{self.path}: block {block} is gone, or damaged; deal new material")
        return np.frombuffer(content, dtype=np.uint8)

    def _punch(self, start: int, size: int) -> None:
        if not _punched(self._handle, start, size):
            for at in range(start, start + size, PAGE):
                os.pwrite(self._handle, bytes(PAGE), at)


class ClientMaterial(_Material):
    """The client's file; parameters and errors as of :class:`ServerMaterial`."""

    role = "client"

    def take(self, first: int, rows: int) -> list[bytes]:
        """The seeds of blocks; those before them, and theirs, cannot be derived from the file afterwards.

        Raises
        ------
        FileFormatError
            They are gone already, or the file is damaged.
        """
        with self._alone():
            seed = self._reach(first)
            seeds = []
            for _ in range(rows):
                seeds.append(seed)
                seed = next_seed(seed)
            self._keep(first + rows, seed)
        return seeds

    def peek(self, first: int, rows: int) -> list[bytes]:
        """The seeds of blocks that are to be prepared; they stay in the file.

        Raises
        ------
        FileFormatError
            As :meth:`take`.
        """
        with self._alone():
            seed = self._reach(first)
        seeds = []
        for _ in range(rows):
            seeds.append(seed)
            seed = next_seed(seed)
        return seeds

    def check(self, first: int) -> None:
        """See that the seeds of blocks from one on can be derived.

        Raises
        ------
        FileFormatError
            As :meth:`take`.
        """
        with self._alone():
            self._reach(first)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process reads or writes the seed."""
        if sys.platform != "win32":
            fcntl.flock(self._handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if sys.platform != "win32":
                fcntl.flock(self._handle, fcntl.LOCK_UN)

    def _reach(self, block: int) -> bytes:
        """The seed of a block, from that of an earlier one."""
        number, seed, _ = self._newest()
        if number > block:
            raise FileFormatError(f"{self.path}: the seeds of blocks before {number} are gone; deal new material")
        for _ in range(block - number):
            seed = next_seed(seed)
        return seed

    def _newest(self) -> tuple[int, bytes, int]:
        """The newer of two slots, and which it is; the other one may have been cut off while it was written."""
        slots = []
        for place in range(SLOTS):
            slot = _read_slot(os.pread(self._handle, _SEED.size, PAGE * (1 + place)))
            if slot is not None:
                slots.append((*slot, place))
        if not slots:
            raise FileFormatError(f"{self.path}: the material has no seed, or is damaged; deal new material")
        return max(slots)

    def _keep(self, number: int, seed: bytes) -> None:
        *_, place = self._newest()
        os.pwrite(self._handle, _slot(number, seed), PAGE * (2 - place))
        os.fsync(self._handle)
        # The older one is overwritten only now.
        os.pwrite(self._handle, bytes(_SEED.size), PAGE * (1 + place))
        os.fsync(self._handle)


def _slot(number: int, seed: bytes) -> bytes:
    content = number.to_bytes(8, "little") + seed
    return _SEED.pack(number, seed, hashlib.sha256(content).digest())


def _read_slot(content: bytes) -> tuple[int, bytes] | None:
    if len(content) < _SEED.size:
        return None
    number, seed, digest = _SEED.unpack_from(content)
    return (number, seed) if hashlib.sha256(content[: 8 + SEED_BYTES]).digest() == digest else None


def read_batch(path: Path) -> Batch:
    """The batch of a file of material, of whichever party.

    Raises
    ------
    InputError, FileFormatError
        The file cannot be read, is none of material, or is damaged.
    """
    with reading(path), open_regular(path) as file:
        batch, _ = _batch(path, file.read(PAGE))
    return batch


def _batch(path: Path, page: bytes) -> tuple[Batch, bytes]:
    """The batch that a first page tells of, and what is behind it."""
    if len(page) < PAGE:
        raise FileFormatError(f"{path}: this is no material; make it with `hecc deal`")
    magic, size, digest = _PROLOGUE.unpack_from(page)
    content = page[_PROLOGUE.size : _PROLOGUE.size + size]
    if magic != MATERIAL or size > PAGE - _PROLOGUE.size or hashlib.sha256(content).digest() != digest:
        raise FileFormatError(f"{path}: this is no material, or damaged; make it with `hecc deal`")
    return codec.decode(content, Batch, where=f"{path}: the batch"), page[_PROLOGUE.size + size :]


def _page(batch: Batch, tail: bytes = b"") -> bytes:
    content = codec.encode(batch)
    return (_PROLOGUE.pack(MATERIAL, len(content), hashlib.sha256(content).digest()) + content + tail).ljust(
        PAGE, b"\0"
    )


def _punched(handle: int, start: int, size: int) -> bool:
    """Whether the system took a part out of a file (Linux, and file systems that can)."""
    if sys.platform != "linux":
        return False
    offset = ctypes.c_int64
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate64
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, offset, offset]
    return bool(fallocate(handle, _HOLE, start, size) == 0)
