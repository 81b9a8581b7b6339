"""Files of many parts whose writing may be interrupted, by anything, and taken up again.

While ``result.bin`` is being written, the container so far is ``result.bin.partial``, whose first bytes are zeros like
those of every unfinished file, and ``result.bin.partial.index`` has a line for each part that is complete:

* a line says what blobs the part has, their lengths and their SHA-256; the first line instead what the file belongs to:
  its kind, its header, and a fingerprint of what it is made from;
* each line ends with the SHA-256 of itself and the line before, so that a torn or altered one shows.

A part is in the index when its bytes are in the file. Who goes on reads the lines that are whole, verifies every blob
that they name, and drops what follows the last good part. Nothing else of a partial file is believed.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, BinaryIO, Self, TypeVar

import msgspec

from hecc.runtime.errors import FileFormatError, InputError
from hecc.runtime.files import codec
from hecc.runtime.files.atomic import check_regular, is_at, lock, open_regular, writing
from hecc.runtime.files.container import ALIGNMENT, PROLOGUE, Blob, ContainerWriter, Kind, check_kind, kind_of

__all__ = ["ResumableWriter", "partial_size"]

T = TypeVar("T")

log = logging.getLogger(__name__)

_Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
CHUNK = 1 << 22
_INDEX = b'{"kind":'
"""How every index begins."""


class _Subject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a partial file belongs to."""

    kind: int
    header: _Digest
    source: _Digest
    parts: int


class _Line(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A blob of a part."""

    name: str
    length: Annotated[int, msgspec.Meta(ge=0)]
    sha256: _Digest


class ResumableWriter(ContainerWriter):
    """A :class:`ContainerWriter` that goes on where an interrupted one stopped. Its blobs are bytes.

    Whatever interrupts it, the parts that are complete stay. The finished file is the same as one made in one go.

    Parameters
    ----------
    path, kind, header, force
        As of a :class:`ContainerWriter`.
    source
        Fingerprint of everything besides the header that the contents depend on: 64 hexadecimal digits.
    parts
        How many there will be.
    unit
        What a part is, in the plural, for messages.
    resume
        Whether to go on where another one stopped; otherwise what it left is removed.

    Attributes
    ----------
    done
        Parts that are complete.

    Raises
    ------
    InputError
        The file cannot be written, another process is writing it, or what was left belongs to something else.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        kind: Kind,
        header: Any,
        *,
        source: str,
        parts: int,
        unit: str,
        resume: bool = True,
        force: bool = False,
    ) -> None:
        super().__init__(path, kind, header, force=force)
        digest = hashlib.sha256(self._header).hexdigest()
        self._subject = _Subject(kind=int(kind), header=digest, source=source, parts=parts)
        self._unit, self._resume = unit, resume
        self._chain, self._indexed = "", 0
        self.done = 0

    def __enter__(self) -> Self:
        """Open the partial file, and keep what is good of it."""
        check_kind(self.path, self._kind, force=self._force)
        self._partial = _Partial.open(self.path, self._kind)
        self._file = self._partial.file
        try:
            with writing(self.path):
                end = self._restore() if self._resume else 0
                if not self.done:
                    end = self._begin_anew()
                self._file.seek(0)
                self._file.write(bytes(PROLOGUE) + self._header)
                self._file.truncate(end)
                self._file.seek(end)
        except BaseException:
            # Not ours: it stays as it is.
            self._partial.close()
            raise
        if self.done:
            log.warning(
                "%s: going on after %d of %d %s that an interrupted command left",
                self._partial.path,
                self.done,
                self._subject.parts,
                self._unit,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file, or leave the parts that are complete."""
        finished = False
        try:
            if kind is None:
                self._wait()
                with writing(self.path):
                    self._finish()
                    self._partial.commit(self.path)
                finished = True
        finally:
            try:
                self._thread.shutdown(cancel_futures=True)
            finally:
                if finished or not self.done:
                    self._partial.remove()
                else:
                    log.warning(
                        "%s holds %d of %d %s; the same command goes on from there",
                        self._partial.path,
                        self.done,
                        self._subject.parts,
                        self._unit,
                    )
                self._partial.close()

    def end_part(self) -> None:
        """The blobs added since the last call are a part, which stays whatever happens now.

        Raises
        ------
        InputError
            The disk is full, or the file cannot be written for another reason.
        """
        self._wait()
        with writing(self.path):
            self._file.flush()
            blobs = self._blobs[self._indexed :]
            self._append([_Line(blob.name, blob.length, blob.digest.hexdigest()) for blob in blobs])
        self._indexed = len(self._blobs)
        self.done += 1

    def _begin_anew(self) -> int:
        self._chain = ""
        self._partial.index.truncate(0)
        self._partial.index.seek(0)
        self._append(self._subject)
        return PROLOGUE + len(self._header)

    def _restore(self) -> int:
        """Take up the good parts of what is there; where the last of them ends."""
        index, end = self._partial.index, PROLOGUE + len(self._header)
        line = index.readline()
        subject = self._parse(line, _Subject)
        if subject is None:
            if line:
                log.warning("%s: damaged; beginning anew", self._partial.path)
            return end
        if subject != self._subject:
            raise InputError(
                f"{self._partial.path}: what an interrupted command left of another plan, key set or input; run that "
                "command again to finish it, choose another output, or begin anew with --no-resume"
            )
        position = len(line)
        while line := index.readline():
            chain, part = self._chain, self._parse(line, list[_Line])
            blobs = None if part is None else self._verified(part, end)
            if blobs is None:
                self._chain = chain
                log.warning("%s: damaged after %d %s", self._partial.path, self.done, self._unit)
                break
            self._blobs += blobs
            self._names.update(blob.name for blob in blobs)
            self.done += 1
            end, position = blobs[-1].offset + blobs[-1].length, position + len(line)
        self._indexed = len(self._blobs)
        index.truncate(position)
        index.seek(position)
        return end

    def _verified(self, part: list[_Line], end: int) -> list[Blob] | None:
        """The blobs of a part, or ``None`` when the file does not hold them."""
        blobs = []
        for line in part:
            offset = -(-end // ALIGNMENT) * ALIGNMENT
            blob = Blob(line.name, "bytes", (), offset, line.length)
            self._file.seek(offset)
            left = line.length
            while left and (data := self._file.read(min(left, CHUNK))):
                blob.digest.update(data)
                left -= len(data)
            if left or blob.digest.hexdigest() != line.sha256:
                return None
            blobs.append(blob)
            end = offset + line.length
        return blobs

    def _append(self, value: Any) -> None:
        body = codec.encode(value)
        self._chain = _chained(self._chain, body)
        self._partial.index.write(body + b" " + self._chain.encode() + b"\n")
        self._partial.index.flush()

    def _parse(self, line: bytes, kind: type[T]) -> T | None:
        """What a whole line says; the next one is chained to it."""
        body, _, chain = line.removesuffix(b"\n").rpartition(b" ")
        expected = _chained(self._chain, body)
        if not line.endswith(b"\n") or chain != expected.encode():
            return None
        try:
            value = codec.decode(body, kind, where="a line")
        except FileFormatError:
            return None
        self._chain = expected
        return value


class _Partial:
    """A partial file and its index, opened by this process alone."""

    def __init__(self, path: Path, file: BinaryIO, index: BinaryIO) -> None:
        self.path, self.file, self.index = path, file, index

    @classmethod
    def open(cls, target: Path, kind: Kind) -> _Partial:
        path = _partial_path(target)
        _check_own(path, _index_path(target), kind)
        with writing(target), contextlib.ExitStack() as stack:
            file = stack.enter_context(_opened(path, 0o666))
            # Whoever had it until now may have finished it: then it has another name.
            if not lock(file.fileno()) or not is_at(file.fileno(), path):
                raise InputError(f"{path}: another command is writing it; wait for it, or choose another output")
            # The index has a fingerprint of inputs that may be private.
            index = stack.enter_context(_opened(_index_path(target), 0o600))
            stack.pop_all()
            return cls(path, file, index)

    def commit(self, target: Path) -> None:
        """Give the finished file its name."""
        self.file.flush()
        os.fsync(self.file.fileno())
        if sys.platform == "win32":
            self.file.close()
        self.path.replace(target)

    def remove(self) -> None:
        """Remove what is left under these names."""
        if sys.platform == "win32":
            self.close()
        self.path.unlink(missing_ok=True)
        self.path.with_name(f"{self.path.name}.index").unlink(missing_ok=True)

    def close(self) -> None:
        """Close both files; what does not fit the disk any more is dropped."""
        for file in (self.index, self.file):
            with contextlib.suppress(OSError):
                file.close()


def partial_size(path: str | os.PathLike[str]) -> int:
    """Bytes that an interrupted command left of a file: so much less does it take to finish it."""
    try:
        return _partial_path(Path(path)).stat().st_size
    except OSError:
        return 0


def _partial_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.partial")


def _index_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.partial.index")


def _check_own(partial: Path, index: Path, kind: Kind) -> None:
    """Whatever has these names is opened and changed: only what an interrupted command has left, damaged or not."""
    present = [path for path in (partial, index) if path.is_file() and path.stat().st_size]
    if (
        present
        and not (partial in present and _is_partial(partial, kind))
        and not (index in present and _is_index(index))
    ):
        raise InputError(
            f"{present[0]}: there is a file of this name, and it stays, as no interrupted command left it; move it, or "
            "choose another output"
        )


def _is_partial(path: Path, kind: Kind) -> bool:
    """Whether a file is unfinished, or was finished but did not get its name."""
    with open_regular(path) as file:
        return not any(file.read(PROLOGUE)) or kind_of(path) is kind


def _is_index(path: Path) -> bool:
    """Whether a file begins as an index does, as far as it goes."""
    with open_regular(path) as file:
        head = file.read(len(_INDEX))
    return _INDEX.startswith(head)


def _opened(path: Path, mode: int) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT
    for name in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):
        flags |= getattr(os, name, 0)
    handle = os.open(path, flags, mode)
    try:
        check_regular(handle, path)
        return os.fdopen(handle, "r+b")
    except BaseException:
        os.close(handle)
        raise


def _chained(before: str, body: bytes) -> str:
    return hashlib.sha256(before.encode() + body).hexdigest()
