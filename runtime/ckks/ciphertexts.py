"""Encrypted inputs and encrypted results: rows of ciphertexts, and what they are bound to.

A file holds, for each tensor, ``count`` ciphertexts for each batch of rows, each a stream in SEAL's format. A batch is
one row, unless the plan's layouts hold several examples in a ciphertext.

A result names the request that it answers by its fingerprint, and each of its ciphertexts has a mark before the stream
that says which result it belongs to, and which place it has there. So whoever puts results together wrongly is found
out. Nobody is bound by that who does it on purpose.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar, overload

import msgspec

from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, KeyId, check_covers
from hecc.runtime.ckks.plan.header import CkksInput, CkksOutput
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.described import Described
from hecc.runtime.errors import FileFormatError, InputError, KeyMismatchError
from hecc.runtime.figures import shortened
from hecc.runtime.files import codec
from hecc.runtime.files.atomic import check_target, same_file
from hecc.runtime.files.container import Container, ContainerWriter, FileSource, Kind, check_kind
from hecc.runtime.files.memory import MemoryFile
from hecc.runtime.files.resuming import ResumableWriter, partial_size
from hecc.runtime.plan.facts import rows_words

__all__ = ["CiphertextFile", "CiphertextHeader", "Group", "ResultFile", "ResultHeader", "groups"]

MAX_ROWS = 1 << 24
STREAM_OVERHEAD = 1 << 12
"""Bytes that a SEAL stream may be longer than its residues."""
BLOB_BYTES, MAX_OVERHEAD = 512, 1 << 14
"""What a file holds besides residues: for each ciphertext SEAL's headers and a line of the table; and its header."""

_MARK = struct.Struct("<32sQII")
"""Before each ciphertext of a result: SHA-256 of the header, the batch, the output, the ciphertext's number."""

Fingerprint = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Rows = Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)]
BatchSize = Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
Streams = Mapping[str, Sequence[Sequence[bytes | memoryview]]]
"""By tensor, then by batch, then by ciphertext."""
Batch = Mapping[str, Iterable[bytes | memoryview]]
"""By tensor, then by ciphertext, in the order of the file: each tensor is read once, after those before it."""
Batches = Callable[[int], Iterable[Batch]]
"""All batches from the one of that number on."""


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tensor: ``count`` ciphertexts per row, or per batch of rows, at ``limbs`` limbs."""

    name: str
    count: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
    limbs: Annotated[int, msgspec.Meta(ge=1, le=64)]


Groups = Annotated[tuple[Group, ...], msgspec.Meta(min_length=1, max_length=1024)]


class CiphertextHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Header of encrypted inputs.

    Attributes
    ----------
    inputs
        Fingerprint of the plan's input signatures.
    keys
        Fingerprint of the key specification that the keys were made for.
    key_id
        Key set.
    rows
        Number of examples.
    groups
        The inputs, in the plan's order.
    batch
        Examples that one ciphertext holds.
    """

    inputs: Fingerprint
    keys: Fingerprint
    key_id: KeyId
    rows: Rows
    groups: Groups
    batch: BatchSize = 1


class ResultHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Header of encrypted results.

    ``plan`` is the fingerprint of the plan that made them, ``request`` that of the encrypted inputs; the rest as there.
    """

    plan: Fingerprint
    request: Fingerprint
    keys: Fingerprint
    key_id: KeyId
    rows: Rows
    groups: Groups
    batch: BatchSize = 1


H = TypeVar("H", CiphertextHeader, ResultHeader)


@dataclass(frozen=True)
class _Place:
    """Where a ciphertext is in its file: batch, position of the tensor, and number among the tensor's ciphertexts."""

    batch: int
    group: int
    index: int

    @property
    def blob(self) -> str:
        """Name of the blob."""
        return f"{self.group}/{self.batch}/{self.index}"


class _MarkedStream(bytes):
    """SEAL's stream of a ciphertext that came out of a result, with the mark that it had there."""

    mark: bytes


class _Streams(Sequence[bytes | memoryview]):
    """The ciphertexts of one tensor of one batch; those of a file are copied out of it one by one, never all mapped.

    Any number of threads may read.
    """

    def __init__(self, read: Callable[[_Place], bytes | memoryview], group: int, batch: int, count: int) -> None:
        self._read, self._group, self._batch, self._count = read, group, batch, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> bytes | memoryview: ...

    @overload
    def __getitem__(self, index: slice) -> list[bytes | memoryview]: ...

    def __getitem__(self, index: int | slice) -> bytes | memoryview | list[bytes | memoryview]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._read(_Place(self._batch, self._group, index))


class _Ciphertexts(Described, Generic[H]):
    """What encrypted inputs and results have in common."""

    KIND: ClassVar[Kind]
    HEADER: ClassVar[type[Any]]
    WORDS: ClassVar[str]
    """What sentences call one that has no file."""

    def __init__(self, header: H, source: Mapping[str, bytes | memoryview] | Container) -> None:
        self.header: H = header
        self._source = source

    @property
    def path(self) -> Path | None:
        """The file, when it was loaded from one."""
        return self._source.path if isinstance(self._source, Container) else None

    def described(self) -> tuple[str, list[tuple[str, str]]]:
        """What it is, whose, and what it belongs to."""
        title = f"{self.path or self.WORDS}: {rows_words(self)} under key set {self.key_id[:8]}"
        request = getattr(self.header, "request", None)
        own = ("fingerprint", self.fingerprint) if request is None else ("answers request", request)
        return title, [("tensors", shortened([group.name for group in self.header.groups])), own]

    @property
    def rows(self) -> int:
        """Number of examples."""
        return self.header.rows

    @property
    def batch(self) -> int:
        """Examples that one ciphertext holds."""
        return self.header.batch

    @property
    def key_id(self) -> str:
        """The key set that they are encrypted under."""
        return self.header.key_id

    @property
    def batches(self) -> int:
        """Number of batches, each of which one run of the plan evaluates; of rows, where a batch is one."""
        return _batches(self.header.rows, self.header.batch)

    @property
    def answers(self) -> str:
        """The fingerprint of the request that a result answers; of a request its own."""
        return self.fingerprint

    @property
    def fingerprint(self) -> str:
        """SHA-256 that no other contents have, of the header and those of all ciphertexts.

        Of a file it is what the table says; whoever reads a ciphertext verifies that.
        """
        digest = hashlib.sha256(codec.encode(self.header))
        for place in _places(self.header):
            if isinstance(self._source, Container):
                digest.update(bytes.fromhex(self._source.digest(place.blob)))
            else:
                digest.update(hashlib.sha256(self._source[place.blob]).digest())
        return digest.hexdigest()

    def stream(self, name: str, batch: int, index: int) -> bytes | memoryview:
        """SEAL's stream of one ciphertext; a loaded file verifies its checksum the first time.

        Raises
        ------
        FileFormatError
            The ciphertext was altered.
        KeyMismatchError
            It has the place of another one.
        """
        return self.row(name, batch)[index]

    def row(self, name: str, batch: int) -> Sequence[bytes | memoryview]:
        """The streams of one tensor of one row, or of one batch of rows; a loaded file is read as they are taken."""
        index, group = next((i, group) for i, group in enumerate(self.header.groups) if group.name == name)
        return _Streams(self._read, index, batch, group.count)

    def _read(self, place: _Place) -> bytes | memoryview:
        """SEAL's stream in a blob."""
        return self._blob(place)

    def _blob(self, place: _Place) -> bytes | memoryview:
        return self._source.read(place.blob) if isinstance(self._source, Container) else self._source[place.blob]

    @classmethod
    def _content(cls, header: H, place: _Place, stream: bytes | memoryview) -> bytes | memoryview:
        """What a blob holds for a stream."""
        return stream

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the file.

        Parameters
        ----------
        path
            The file. One of the same kind is replaced.
        force
            Replace a file of another kind, too.

        Raises
        ------
        InputError
            The file cannot be written, or would replace one of another kind.
        """
        self._write(path, self.header, self._all(), force)

    def dumps(self) -> bytes:
        """The bytes that :meth:`save` would write."""
        return self._written(self.header, self._all())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as the bytes of the file, which are checked wherever they are read."""
        return type(self).load, (self.dumps(),)

    def _all(self) -> Iterator[Batch]:
        names = [group.name for group in self.header.groups]
        return ({name: self.row(name, k) for name in names} for k in range(self.batches))

    @classmethod
    def _written(cls, header: H, batches: Iterable[Batch]) -> bytes:
        """What a file of all batches holds."""
        memory = MemoryFile()
        cls._write(memory, header, batches, False)
        return memory.content

    @classmethod
    def _write(
        cls, target: str | os.PathLike[str] | MemoryFile, header: H, batches: Iterable[Batch], force: bool
    ) -> None:
        """Write each batch when it is there, so that no more than one is in memory."""
        with ContainerWriter(target, cls.KIND, header, force=force) as writer:
            for number, batch in enumerate(batches):
                cls._add(writer, header, number, batch)

    @classmethod
    def _write_resumable(
        cls,
        path: str | os.PathLike[str],
        header: H,
        batches: Batches,
        *,
        most: int,
        source: str,
        resume: bool,
        force: bool,
    ) -> None:
        """The same, from where an interrupted one stopped; a single batch has nothing to go on from."""
        check_target(path, most - (partial_size(path) if resume else 0))
        check_kind(path, cls.KIND, force=force)
        number = _batches(header.rows, header.batch)
        if number == 1:
            cls._write(path, header, batches(0), force)
            return
        unit = "rows" if header.batch == 1 else "batches of rows"
        with ResumableWriter(
            path, cls.KIND, header, source=source, parts=number, unit=unit, resume=resume, force=force
        ) as writer:
            for done, batch in enumerate(batches(writer.done), writer.done):
                cls._add(writer, header, done, batch)
                writer.end_part()

    @classmethod
    def _add(cls, writer: ContainerWriter, header: H, number: int, batch: Batch) -> None:
        for index, group in enumerate(header.groups):
            for i, stream in enumerate(batch[group.name]):
                place = _Place(number, index, i)
                writer.add(place.blob, cls._content(header, place, stream))

    @classmethod
    def load(cls, file: FileSource) -> Self:
        """Map the file, or read the bytes of one.

        Raises
        ------
        InputError, FileFormatError
            The file cannot be opened, is of another kind, or damaged.
        """
        container = Container(file, cls.KIND)
        header: H = container.header(cls.HEADER)
        names = {group.name for group in header.groups}
        each = sum(group.count for group in header.groups)
        # Counting first: the header's claims are not believed before the blobs are known to be there.
        present = len(names) == len(header.groups) and len(container) == _batches(header.rows, header.batch) * each
        if not present or any(name != place.blob for name, place in zip(container, _places(header), strict=True)):
            raise FileFormatError(
                f"{container.where}: the ciphertexts in the file are not those of its header; make it again"
            )
        return cls(header, container)

    def _lengths(self) -> Iterable[tuple[Group, int]]:
        for place in _places(self.header):
            name = place.blob
            length = self._source.length(name) if isinstance(self._source, Container) else len(self._source[name])
            yield self.header.groups[place.group], length

    def _check_groups(self, signatures: Sequence[CkksInput | CkksOutput], ring_degree: int) -> None:
        where = f"{self.path or 'the ciphertexts'}: "
        if (self.header.groups, self.header.batch) != (groups(signatures), signatures[0].layout.batch):
            raise FileFormatError(
                f"{where}names, counts, limbs or batches are not those of the plan; make the file again"
            )
        for group, length in self._lengths():
            if length > 2 * group.limbs * ring_degree * 8 + STREAM_OVERHEAD:
                raise FileFormatError(f"{where}a ciphertext of {group.name!r} is too long; make the file again")


class CiphertextFile(_Ciphertexts[CiphertextHeader]):
    """Encrypted inputs: what the client sends."""

    KIND = Kind.CIPHERTEXT
    HEADER = CiphertextHeader
    WORDS = "the encrypted input"

    @classmethod
    def build(cls, plan: CkksPlan, *, keys: str, key_id: str, streams: Streams, rows: int | None = None) -> Self:
        """Encrypted inputs of ``plan``, from SEAL streams by input, batch and ciphertext.

        Parameters
        ----------
        plan
            Either plan.
        keys, key_id
            Fingerprint of the key specification that the keys were made for, and their id.
        streams
            One entry per input.
        rows
            Number of examples; by default all batches are full.
        """
        batches, blobs = _flatten(plan.header.inputs, streams)
        rows = batches * plan.header.batch if rows is None else rows
        if _batches(rows, plan.header.batch) != batches:
            raise ValueError(f"{batches} batches of ciphertexts for {rows} rows")
        return cls(_input_header(plan, keys, key_id, rows), {place.blob: stream for place, stream in blobs.items()})

    @classmethod
    def write(
        cls,
        path: str | os.PathLike[str],
        plan: CkksPlan,
        *,
        keys: str,
        key_id: str,
        rows: int,
        batches: Batches,
        source: str,
        seeded: bool = False,
        resume: bool = True,
        force: bool = False,
    ) -> Self:
        """As :meth:`build`, but straight to a file, batch by batch, and mapped from there.

        Parameters
        ----------
        batches
            Encrypts all batches from one on. Those that are there already are kept, and never encrypted again.
        source
            Fingerprint of what is encrypted.
        seeded
            Whether the ciphertexts have a seed in place of their second half.
        resume
            Whether to go on where an interrupted command stopped.
        force
            Whether to replace a file of another kind, too.

        Raises
        ------
        InputError
            The file cannot be written, would replace one of another kind, or is on a disk without the space.
        """
        header = _input_header(plan, keys, key_id, rows)
        most = _most_bytes(header, plan, 1 if seeded else 2)
        cls._write_resumable(path, header, batches, most=most, source=source, resume=resume, force=force)
        return cls.load(path)

    def check(self, plan: CkksPlan, keys: EvaluationKeyFile) -> None:
        """Refuse inputs or keys that do not belong to ``plan``, or to one another.

        Raises
        ------
        KeyMismatchError
            Saying which two do not belong together.
        FileFormatError
            The ciphertexts are not what the plan's inputs are.
        """
        where = self.path or self.WORDS
        if self.header.inputs != plan.input_fingerprint:
            raise KeyMismatchError(f"{where}: encrypted for another plan; encrypt again with this plan")
        if (self.header.key_id, self.header.keys) != (keys.header.key_id, keys.header.keys.fingerprint):
            raise KeyMismatchError(
                f"{where}: encrypted under key set {self.header.key_id[:8]}, but {keys.where} is of key set "
                f"{keys.header.key_id[:8]}; use the evaluation keys of the client that encrypted"
            )
        check_covers(keys.header.keys, plan.header.keys, galois=True, where=keys.where)
        self._check_groups(plan.header.inputs, plan.header.keys.ring_degree)


class ResultFile(_Ciphertexts[ResultHeader]):
    """Encrypted results: what the server answers."""

    KIND = Kind.RESULT
    HEADER = ResultHeader
    WORDS = "the encrypted result"

    @property
    def answers(self) -> str:
        """The fingerprint of the request that it answers."""
        return self.header.request

    @classmethod
    def build(cls, plan: CkksPlan, request: CiphertextFile, streams: Streams) -> Self:
        """The answer to ``request``, from SEAL streams by output, batch and ciphertext.

        Raises
        ------
        KeyMismatchError
            A stream came out of another result, or out of another place in this one.
        """
        batches, blobs = _flatten(plan.header.sent, streams)
        if batches != request.batches:
            raise ValueError(f"{batches} batches of results for {request.batches} batches of inputs")
        header = _result_header(plan, request)
        return cls(header, {place.blob: cls._content(header, place, stream) for place, stream in blobs.items()})

    @classmethod
    def write(
        cls,
        path: str | os.PathLike[str],
        plan: CkksPlan,
        request: CiphertextFile,
        batches: Batches,
        *,
        resume: bool = True,
        force: bool = False,
    ) -> Self:
        """As :meth:`build`, but straight to a file, batch by batch, and mapped from there.

        Parameters
        ----------
        batches
            Evaluates all batches from one on.
        resume
            Whether to go on where an interrupted command stopped.
        force
            Whether to replace a file of another kind, too; never the request.

        Raises
        ------
        InputError
            The file cannot be written, would replace one of another kind, or is on a disk without the space.
        """
        if request.path is not None and same_file(Path(path), request.path):
            raise InputError(f"{path}: this is the request, which its result would replace; give another name")
        most = cls.most_bytes(plan, request)
        header = _result_header(plan, request)
        cls._write_resumable(path, header, batches, most=most, source=header.request, resume=resume, force=force)
        return cls.load(path)

    @classmethod
    def content(cls, plan: CkksPlan, request: CiphertextFile, batches: Iterable[Batch]) -> bytes:
        """As :meth:`write`, but what the file holds, batch by batch into memory."""
        return cls._written(_result_header(plan, request), batches)

    @classmethod
    def most_bytes(cls, plan: CkksPlan, request: CiphertextFile) -> int:
        """How large a file the answer to ``request`` becomes, at most."""
        return _most_bytes(_result_header(plan, request), plan, 2)

    def verify(self) -> None:
        """Verify that every ciphertext has its own place.

        Raises
        ------
        FileFormatError
            A ciphertext was altered.
        KeyMismatchError
            Naming the first one that belongs to another request, or to another place in this result.
        """
        for place in _places(self.header):
            self._read(place)

    def _read(self, place: _Place) -> bytes | memoryview:
        blob = self._blob(place)
        stream = _MarkedStream(blob[_MARK.size :])
        stream.mark = bytes(blob[: _MARK.size])
        self._check_mark(self.header, place, stream, self.path)
        return stream

    @classmethod
    def _content(cls, header: ResultHeader, place: _Place, stream: bytes | memoryview) -> bytes | memoryview:
        if isinstance(stream, _MarkedStream):
            cls._check_mark(header, place, stream, None)
        return b"".join((_mark(header, place), stream))

    @staticmethod
    def _check_mark(header: ResultHeader, place: _Place, stream: _MarkedStream, path: Path | None) -> None:
        if stream.mark == _mark(header, place):
            return
        where = path or "the encrypted result"
        unit = "row" if header.batch == 1 else "batch"
        name = header.groups[place.group].name
        if len(stream.mark) < _MARK.size:
            raise FileFormatError(
                f"{where}: output {name!r}, {unit} {place.batch}: truncated; ask for the result again"
            )
        result, batch, group, _ = _MARK.unpack(stream.mark)
        of = f"{unit} {batch}"
        if result.hex() != codec.fingerprint(header):
            of = "another request or plan, or of another number of rows"
        elif batch == place.batch:
            of = f"output {group}" if group != place.group else "another ciphertext of it"
        raise KeyMismatchError(
            f"{where}: in the place of output {name!r}, {unit} {place.batch}, is the result of {of}: rows were "
            "swapped, repeated or mixed; ask for the result again"
        )

    def check(self, plan: CkksPlan, key_id: str) -> None:
        """Refuse a result that ``plan`` did not make, or that another key set has to decrypt.

        Raises
        ------
        KeyMismatchError
            Saying which two do not belong together.
        FileFormatError
            The ciphertexts are not what the plan's outputs are.
        """
        where = self.path or self.WORDS
        if self.header.plan != plan.fingerprint:
            raise KeyMismatchError(f"{where}: the result of another plan; decrypt it with that plan's file")
        if self.header.key_id != key_id:
            raise KeyMismatchError(
                f"{where}: encrypted under key set {self.header.key_id[:8]}, but the secret key is of key set "
                f"{key_id[:8]}; use the secret key of the client that encrypted the input"
            )
        self._check_groups(plan.header.sent, plan.header.keys.ring_degree)


def _mark(header: ResultHeader, place: _Place) -> bytes:
    return _MARK.pack(bytes.fromhex(codec.fingerprint(header)), place.batch, place.group, place.index)


def groups(signatures: Iterable[CkksInput | CkksOutput]) -> tuple[Group, ...]:
    """The ciphertexts of one row or batch, for all inputs or all outputs of a plan that have some."""
    return tuple(Group(name=s.name, count=s.ciphertexts, limbs=s.limbs) for s in signatures)


def _input_header(plan: CkksPlan, keys: str, key_id: str, rows: int) -> CiphertextHeader:
    inputs = plan.header.inputs
    return CiphertextHeader(
        inputs=plan.input_fingerprint,
        keys=keys,
        key_id=key_id,
        rows=rows,
        groups=groups(inputs),
        batch=plan.header.batch,
    )


def _result_header(plan: CkksPlan, request: CiphertextFile) -> ResultHeader:
    return ResultHeader(
        plan=plan.fingerprint,
        request=request.fingerprint,
        keys=request.header.keys,
        key_id=request.header.key_id,
        rows=request.header.rows,
        groups=groups(plan.header.sent),
        batch=plan.header.batch,
    )


def _most_bytes(header: CiphertextHeader | ResultHeader, plan: CkksPlan, halves: int) -> int:
    """Bytes of a file whose ciphertexts each have so many polynomials, uncompressed."""
    each = (
        group.count * (halves * group.limbs * plan.header.keys.ring_degree * 8 + BLOB_BYTES) for group in header.groups
    )
    return _batches(header.rows, header.batch) * sum(each) + MAX_OVERHEAD


def _batches(rows: int, batch: int) -> int:
    """How many batches the rows fill, the last one perhaps not wholly."""
    return -(-rows // batch)


def _places(header: CiphertextHeader | ResultHeader) -> Iterator[_Place]:
    """All ciphertexts, in the order of the file."""
    return (
        _Place(batch, number, index)
        for batch in range(_batches(header.rows, header.batch))
        for number, group in enumerate(header.groups)
        for index in range(group.count)
    )


def _flatten(
    signatures: Sequence[CkksInput | CkksOutput], streams: Streams
) -> tuple[int, dict[_Place, bytes | memoryview]]:
    batches = len(streams[signatures[0].name])
    blobs: dict[_Place, bytes | memoryview] = {}
    for number, signature in enumerate(signatures):
        tensor = streams[signature.name]
        if len(tensor) != batches or any(len(batch) != signature.ciphertexts for batch in tensor):
            raise ValueError(f"{signature.name!r}: expected {batches} batches of {signature.ciphertexts} ciphertexts")
        for batch, ciphertexts in enumerate(tensor):
            blobs.update((_Place(batch, number, index), stream) for index, stream in enumerate(ciphertexts))
    return batches, blobs
