"""The one file format of hecc: a checked header, and named blobs that are mapped instead of read.

Layout of a file, little-endian; ``docs/reference/file-formats.md`` describes it in full::

    0   magic (8 bytes)
    8   format version (u32)
    12  kind of file (u32)
    16  length of the header (u64)
    24  offset of the blob table (u64)
    32  length of the blob table (u64)
    40  length of the file (u64)
    48  SHA-256 of bytes 0..47, the header and the table
    80  header (JSON), zeros up to a multiple of 64
        blobs, each at a multiple of 64, zeros between them
        blob table (JSON), up to the last byte

Checksums detect accidents. Whoever alters a file on purpose alters its checksums too; nothing here authenticates.
"""

from __future__ import annotations

import builtins
import enum
import hashlib
import math
import mmap
import os
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, BinaryIO, Literal, Self, TypeAlias, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import FileFormatError, InputError
from hecc.runtime.files import codec
from hecc.runtime.files.atomic import NewFile, check_replaceable, open_regular, reading, writing
from hecc.runtime.files.memory import MemoryFile

__all__ = [
    "ALIGNMENT",
    "CONTENT",
    "FILE_SOURCES",
    "MAGIC",
    "MATERIAL",
    "MAX_HEADER",
    "MAX_TABLE",
    "PROLOGUE",
    "VERSIONS",
    "Blob",
    "Container",
    "ContainerWriter",
    "Content",
    "FileSource",
    "Kind",
    "check_kind",
    "kind_of",
]

T = TypeVar("T")

Content: TypeAlias = bytes | bytearray | memoryview
"""All bytes of a file. Of ``bytes`` no copy is made; the others, which may change, are copied."""

CONTENT = (bytes, bytearray, memoryview)
"""The types of :data:`Content`."""

FileSource: TypeAlias = str | os.PathLike[str] | Content
"""A file of hecc: its path, or what it holds."""

FILE_SOURCES = (str, os.PathLike, *CONTENT)
"""The types of :data:`FileSource`."""

MAGIC = b"\x89HECC\r\n\n"
"""As PNG's: a byte above 127 and both line ends, so that a transfer in text mode is noticed."""

ALIGNMENT = 64
"""Blobs begin at multiples of a cache line, so that a mapped array is aligned for vector instructions."""

MAX_HEADER = 1 << 24
MAX_TABLE = 1 << 28

FORGET = 1 << 26
"""Bytes of a file that are looked through before their memory is given back."""

_FIELDS = struct.Struct("<8sIIQQQQ")
PROLOGUE = _FIELDS.size + hashlib.sha256().digest_size
_BYTES = "bytes"
_FOREIGN = {
    b"\x93NUMPY": "a NumPy array",
    b"PK\x03\x04": "a zip archive (.npz or PyTorch)",
    # Protocol buffers have no magic number: the version of ONNX, and the producer's name behind it.
    **{
        bytes([8, version, 0x12]): "it looks like an ONNX model; `hecc compile` makes a plan of it"
        for version in range(32)
    },
}


MATERIAL = b"\x89HECM\r\n\n"
"""What files of material begin with; they are no containers, since their blocks vanish one by one."""

_APART = {MATERIAL: "material of the scheme sharing, which `hecc inspect` describes"}
"""Files of hecc that are no containers, by what they begin with."""


class Kind(enum.IntEnum):
    """What a file holds."""

    SERVER_PLAN = 1
    CLIENT_PLAN = 2
    SECRET_KEY = 3
    PUBLIC_KEY = 4
    EVALUATION_KEYS = 5
    CIPHERTEXT = 6
    RESULT = 7

    @property
    def label(self) -> str:
        """The kind in words, with its article."""
        words = self.name.lower().replace("_", " ")
        return f"an {words} file" if words[0] in "aeiou" else f"a {words} file"


VERSIONS = {
    Kind.SERVER_PLAN: 1,
    Kind.CLIENT_PLAN: 1,
    Kind.SECRET_KEY: 2,
    Kind.PUBLIC_KEY: 2,
    Kind.EVALUATION_KEYS: 2,
    Kind.CIPHERTEXT: 2,
    Kind.RESULT: 2,
}
"""The format version of each kind of file, the only one that is read."""


class _Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One line of the blob table; ``dtype`` is "bytes" for a blob without structure."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    dtype: Literal["bytes", "|u1", "<u2", "<i4", "<i8", "<u8", "<f4", "<f8"]
    shape: Annotated[tuple[Annotated[int, msgspec.Meta(ge=0)], ...], msgspec.Meta(max_length=8)]
    offset: int
    length: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Container:
    """An open file, or the bytes of one: its kind, its header, and its blobs by name.

    Arrays and bytes that it hands out are read-only views of the mapped file, or of the bytes. Each blob's checksum is
    verified once, when the blob is first touched.

    Parameters
    ----------
    file
        Its path, or all that it holds.
    kinds
        Kinds that the caller can use.

    Attributes
    ----------
    path
        ``None`` of bytes.
    source
        What was given, by which it can be read again.
    where
        What sentences call it.

    Raises
    ------
    InputError
        The file cannot be opened.
    FileFormatError
        It is not a hecc file, of another kind or version, truncated, altered, or has trailing bytes.
    """

    def __init__(self, file: FileSource, *kinds: Kind) -> None:
        self.path: Path | None = None
        self.source: Path | bytes
        self._map: mmap.mmap | None = None
        if isinstance(file, CONTENT):
            content = self.source = file if isinstance(file, bytes) else bytes(file)
            self.where = f"the bytes of {_expected(kinds)}"
            head, size = content[:PROLOGUE], len(content)
            self.kind, header_length, table_offset = _prologue(self.where, head, size, kinds)
            self._view = memoryview(content)
        else:
            self.path = self.source = Path(file)
            self.where = str(self.path)
            with _open(self.path) as opened:
                size = os.fstat(opened.fileno()).st_size
                head = opened.read(PROLOGUE)
                self.kind, header_length, table_offset = _prologue(self.where, head, size, kinds)
                self._map = mmap.mmap(opened.fileno(), size, access=mmap.ACCESS_READ)
            self._view = memoryview(self._map)
        self._header = self._view[PROLOGUE : PROLOGUE + header_length]
        table = self._view[table_offset:]
        if _checksum(head[: _FIELDS.size], self._header, table) != head[_FIELDS.size :]:
            raise FileFormatError(
                f"{self.where}: the header or the blob table was altered; copy or make the file again"
            )
        entries = codec.decode(table, list[_Entry], where=f"{self.where}: the blob table")
        self._entries = self._check_table(entries, PROLOGUE + header_length, table_offset)
        self._verified: set[str] = set()

    def header(self, kind: type[T]) -> T:
        """The header as a struct.

        Raises
        ------
        FileFormatError
            A missing, unknown or malformed field.
        """
        return codec.decode(self._header, kind, where=f"{self.where}: the header")

    def some_of_header(self, kind: type[T]) -> T:
        """Those fields of the header that a struct has, whatever others there are: what tells how to read them all.

        Raises
        ------
        FileFormatError
            A missing or malformed field.
        """
        return codec.decode_some(self._header, kind, where=f"{self.where}: the header")

    def __iter__(self) -> Iterator[str]:
        """Names of the blobs, in the order of the file."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Number of blobs."""
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        """Whether there is a blob of that name."""
        return name in self._entries

    def require(self, *names: str) -> None:
        """Refuse a file with other blobs than these, or in another order: it would not be what is read of it.

        Raises
        ------
        FileFormatError
            It has others.
        """
        if tuple(self) != names:
            raise FileFormatError(f"{self.where}: its parts are not those that its header says; make the file again")

    def digest(self, name: str) -> str:
        """SHA-256 of a blob as the file says it is, without touching it; whoever touches the blob verifies it."""
        return self._entry(name).sha256

    def length(self, name: str) -> int:
        """Bytes of a blob, without touching it."""
        return self._entry(name).length

    def layout(self, name: str) -> tuple[str, tuple[int, ...]]:
        """Dtype and shape of a blob, without touching it; ``("bytes", ())`` for one without structure."""
        entry = self._entry(name)
        return entry.dtype, entry.shape

    def bytes(self, name: str) -> memoryview:
        """A blob without structure: a read-only view of the mapped file.

        Raises
        ------
        FileFormatError
            There is no such blob, it is an array, or it was altered.
        """
        entry = self._entry(name)
        if entry.dtype != _BYTES:
            raise FileFormatError(f"{self.where}: blob {name!r} is an array; make the file again with hecc")
        return self._touch(entry)

    def read(self, name: str) -> builtins.bytes:
        """A copy of a blob without structure; memory no longer holds the pages that it was mapped to.

        Raises
        ------
        FileFormatError
            As :meth:`bytes`.
        """
        view = self.bytes(name)
        content = builtins.bytes(view)
        offset = self._entry(name).offset
        self._forget(offset, offset + len(content))
        return content

    def array(self, name: str) -> NDArray[Any]:
        """A blob as an array: a read-only view of the mapped file.

        Raises
        ------
        FileFormatError
            There is no such blob, it is not an array, or it was altered.
        """
        entry = self._entry(name)
        if entry.dtype == _BYTES:
            raise FileFormatError(f"{self.where}: blob {name!r} is not an array; make the file again with hecc")
        return np.frombuffer(self._touch(entry), dtype=entry.dtype).reshape(entry.shape)

    def arrays(self, prefix: str) -> Mapping[str, NDArray[Any]]:
        """The arrays whose names begin with ``prefix``, by the rest of the name; each is verified when touched."""
        return _Arrays(self, prefix)

    def verify(self) -> None:
        """Verify the checksums of all blobs now.

        Raises
        ------
        FileFormatError
            Naming the first blob that was altered.
        """
        for entry in self._entries.values():
            self._touch(entry)

    def _entry(self, name: str) -> _Entry:
        try:
            return self._entries[name]
        except KeyError:
            raise FileFormatError(f"{self.where}: blob {name!r} is missing; make the file again with hecc") from None

    def _touch(self, entry: _Entry) -> memoryview:
        view = self._view[entry.offset : entry.offset + entry.length]
        if entry.name not in self._verified:
            if hashlib.sha256(view).hexdigest() != entry.sha256:
                raise FileFormatError(f"{self.where}: blob {entry.name!r} was altered; copy or make the file again")
            self._verified.add(entry.name)
        return view

    def _check_table(self, entries: list[_Entry], end: int, table_offset: int) -> dict[str, _Entry]:
        """The entries by name, once every blob follows the one before without a gap other than zeros."""
        named: dict[str, _Entry] = {}
        remembered = 0
        for entry in entries:
            # Looking at a few bytes between two blobs maps many pages around them.
            if end - remembered > FORGET:
                self._forget(remembered, end)
                remembered = end
            what = f"{self.where}: blob {entry.name!r}"
            if entry.name in named:
                raise FileFormatError(f"{what} stands twice in the table; make the file again with hecc")
            if entry.offset != _aligned(end) or entry.offset + entry.length > table_offset:
                raise FileFormatError(f"{what} is not where it should be; make the file again with hecc")
            if entry.dtype == _BYTES:
                fits = entry.shape == ()
            else:
                size = np.dtype(entry.dtype).itemsize
                # NumPy refuses an array without elements, too, whose other axes are longer than memory can be.
                possible = size * math.prod(max(1, extent) for extent in entry.shape) < 1 << 62
                fits = possible and size * math.prod(entry.shape) == entry.length
            if not fits:
                raise FileFormatError(f"{what} has a shape that is not its length; make the file again with hecc")
            self._check_padding(end, entry.offset)
            named[entry.name] = entry
            end = entry.offset + entry.length
        if table_offset != _aligned(end):
            raise FileFormatError(f"{self.where}: bytes that no blob owns; make the file again with hecc")
        self._check_padding(end, table_offset)
        return named

    def _forget(self, start: int, stop: int) -> None:
        """Give back the memory that a part of the file is mapped to; it is read again if it is touched again."""
        if self._map is not None and hasattr(self._map, "madvise") and hasattr(mmap, "MADV_DONTNEED"):
            first = start - start % mmap.PAGESIZE
            self._map.madvise(mmap.MADV_DONTNEED, first, stop - first)

    def _check_padding(self, start: int, stop: int) -> None:
        if any(self._view[start:stop]):
            raise FileFormatError(
                f"{self.where}: the zeros between two blobs were altered; copy or make the file again"
            )


class ContainerWriter:
    """Writes a file blob by blob, never holding more than the one at hand; equal contents give equal bytes.

    A context manager. The file appears under its name when the block ends without an exception, complete, and
    replaces what was there; until then the bytes are in a temporary file in the same folder.

    Parameters
    ----------
    target
        The file to make, or the bytes of one.
    kind
        What it holds.
    header
        A ``msgspec`` struct.
    secret
        Whether only the owner may read the file, from its creation on (mode 0600); otherwise the process's umask
        decides.
    force
        Whether to replace a file of another kind, too.

    Raises
    ------
    InputError
        The file cannot be written, or would replace one of another kind, or a secret key.
    """

    def __init__(
        self,
        target: str | os.PathLike[str] | MemoryFile,
        kind: Kind,
        header: Any,
        *,
        secret: bool = False,
        force: bool = False,
    ) -> None:
        self._new = target if isinstance(target, MemoryFile) else NewFile(Path(target), secret=secret)
        self.path = self._new.path
        self._kind, self._force = kind, force
        self._header = codec.encode(codec.normalise(header))
        if len(self._header) > MAX_HEADER:
            raise InputError(f"{self.path}: a header of {len(self._header)} bytes is over the limit of {MAX_HEADER}")
        self._blobs: list[Blob] = []
        self._names: set[str] = set()
        # One thread fills and writes arrays, in order, while the caller makes what follows.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hecc-writer")
        self._tasks: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        """Open the temporary file."""
        try:
            if isinstance(self._new, NewFile):
                check_kind(self.path, self._kind, force=self._force)
            self._file = self._new.open()
            with writing(self.path):
                self._file.write(bytes(PROLOGUE) + self._header)
        except BaseException:
            self._abandon()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file, or remove the temporary one."""
        try:
            if kind is None:
                self._wait()
                with writing(self.path):
                    self._finish()
                self._new.commit()
        finally:
            self._abandon()

    def add(self, name: str, blob: NDArray[Any] | bytes | memoryview) -> None:
        """Append a blob: an array with its dtype and shape, or bytes without structure.

        Raises
        ------
        InputError
            The disk is full, or the file cannot be written for another reason.
        """
        if isinstance(blob, np.ndarray):
            dtype, view = _little_endian(blob)
            shape = blob.shape
        else:
            dtype, view, shape = _BYTES, memoryview(blob).cast("B"), ()
        self._begin(name, dtype, shape)
        self._later(self._write, view)
        self._wait()

    def add_filled(self, name: str, blob: NDArray[Any], parts: Iterable[Callable[[], None]]) -> None:
        """Append an array that is still to be filled, part by part, each while the caller makes the next.

        Parameters
        ----------
        name
            Of the blob.
        blob
            C-contiguous and little-endian; the writer's own from here on.
        parts
            Functions that fill the array, called one after another by a thread of this file. Of two parts the first
            has returned when the second has been taken, so that two buffers may take turns; the last of all, when the
            next blob's first has been taken.

        Raises
        ------
        InputError
            The disk is full, or the file cannot be written for another reason; also for the blob before.
        """
        dtype, view = _little_endian(blob)
        self._begin(name, dtype, blob.shape)
        for part in parts:
            self._wait()
            self._later(part)
        self._later(self._write, view)

    def _begin(self, name: str, dtype: str, shape: tuple[int, ...]) -> None:
        if name in self._names:
            raise ValueError(f"two blobs are named {name!r}")
        self._names.add(name)
        self._later(self._open, name, dtype, shape)

    def _later(self, task: Callable[..., None], *arguments: Any) -> None:
        self._tasks.append(self._thread.submit(task, *arguments))

    def _wait(self) -> None:
        """Until the thread has done everything; raises what it raised."""
        while self._tasks:
            self._tasks.popleft().result()

    def _open(self, name: str, dtype: str, shape: tuple[int, ...]) -> None:
        with writing(self.path):
            self._pad()
            self._blobs.append(Blob(name, dtype, shape, self._file.tell()))

    def _write(self, view: memoryview) -> None:
        blob = self._blobs[-1]
        blob.digest.update(view)
        blob.length += view.nbytes
        with writing(self.path):
            self._file.write(view)

    def _pad(self) -> None:
        position = self._file.tell()
        self._file.write(bytes(_aligned(position) - position))

    def _finish(self) -> None:
        self._pad()
        offset = self._file.tell()
        table = codec.encode([blob.entry() for blob in self._blobs])
        self._file.write(table)
        lengths = (len(self._header), offset, len(table), offset + len(table))
        fields = _FIELDS.pack(MAGIC, VERSIONS[self._kind], self._kind, *lengths)
        self._file.seek(0)
        self._file.write(fields + _checksum(fields, self._header, table))

    def _abandon(self) -> None:
        try:
            self._thread.shutdown(cancel_futures=True)
        finally:
            self._new.discard()


@dataclass
class Blob:
    """A blob that is being written."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    length: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def entry(self) -> _Entry:
        """Its line of the table, once all of it has been written."""
        sha256 = self.digest.hexdigest()
        entry = _Entry(self.name, self.dtype, self.shape, self.offset, self.length, sha256)  # type: ignore[arg-type]
        # Decoding is the one place that knows which names and dtypes a table may hold.
        return codec.normalise(entry)


class _Arrays(Mapping[str, NDArray[Any]]):
    """The arrays of a container under a prefix."""

    def __init__(self, container: Container, prefix: str) -> None:
        self._container = container
        self._prefix = prefix
        self._names = tuple(name.removeprefix(prefix) for name in container if name.startswith(prefix))
        self._known = frozenset(self._names)

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._known:
            raise KeyError(name)
        return self._container.array(self._prefix + name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._known


def _little_endian(array: NDArray[Any]) -> tuple[str, memoryview]:
    """The dtype of an array as a file has it, and its bytes."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return array.dtype.str, array.reshape(-1).view(np.uint8).data


def kind_of(path: str | os.PathLike[str]) -> Kind | None:
    """What a file says it holds; ``None`` if it is no file of hecc, or none at all. Nothing else of it is looked at."""
    try:
        with _open(Path(path)) as file:
            magic, _, number, *_ = _FIELDS.unpack(file.read(_FIELDS.size))
        return Kind(number) if magic == MAGIC else None
    except (InputError, struct.error, ValueError):
        return None


def check_kind(path: str | os.PathLike[str], kind: Kind, *, force: bool = False) -> None:
    """Refuse to replace a file of another kind, whole or not; a secret key is never replaced.

    Raises
    ------
    InputError
        There is such a file.
    """
    if kind_of(path) is Kind.SECRET_KEY:
        raise InputError(f"{path}: this is a secret key, which cannot be made again; give another name")
    check_replaceable(path, own=lambda there: kind_of(there) is kind, kind=kind.label, force=force)


def _open(path: Path) -> BinaryIO:
    with reading(path):
        return open_regular(path)


def _prologue(where: str, head: bytes, size: int, kinds: tuple[Kind, ...]) -> tuple[Kind, int, int]:
    """Kind, length of the header and offset of the table, once they fit the file."""
    if head[: len(MAGIC)] != MAGIC[: len(head)] or not head:
        apart = next((name for magic, name in _APART.items() if head.startswith(magic)), None)
        if apart is not None:
            raise FileFormatError(f"{where}: this is {apart}; expected {_expected(kinds)}")
        found = next((name for magic, name in _FOREIGN.items() if head.startswith(magic)), None)
        found = found or (f"it begins with {head[:8].hex(' ')}" if head else "it is empty")
        raise FileFormatError(f"{where}: not a hecc file ({found}); expected {_expected(kinds)}")
    if len(head) < PROLOGUE:
        raise FileFormatError(f"{where}: truncated, only {size} bytes are left; copy or make the file again")
    _, version, number, header_length, table_offset, table_length, length = _FIELDS.unpack_from(head)
    known = next((kind for kind in Kind if kind == number), None)
    if known is not None and version != VERSIONS[known]:
        raise FileFormatError(
            f"{where}: {known.label} of format version {version}, but this hecc reads version {VERSIONS[known]}; "
            "make the file again with this hecc, or install the one that wrote it"
        )
    if size < length:
        raise FileFormatError(f"{where}: truncated, {size} of {length} bytes are left; copy or make the file again")
    if size > length:
        raise FileFormatError(f"{where}: {size - length} trailing bytes; copy or make the file again")
    if known is None:
        raise FileFormatError(f"{where}: unknown kind of file {number}; copy or make the file again")
    if known not in kinds:
        raise FileFormatError(f"{where}: this is {known.label}; expected {_expected(kinds)}")
    if header_length > MAX_HEADER or table_length > MAX_TABLE:
        raise FileFormatError(f"{where}: the header or the blob table is over the limit; make the file again with hecc")
    if PROLOGUE + header_length > table_offset or table_offset + table_length != length:
        raise FileFormatError(f"{where}: the header and the blob table do not fit the file; copy or make it again")
    return known, header_length, table_offset


def _expected(kinds: tuple[Kind, ...]) -> str:
    return " or ".join(kind.label for kind in kinds)


def _aligned(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT


def _checksum(fields: bytes, header: bytes | memoryview, table: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(fields)
    digest.update(header)
    digest.update(table)
    return digest.digest()
