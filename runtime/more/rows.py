"""Files of encoded tensors: inputs with their targets, results, and trained parameters."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from hecc.runtime.errors import FileFormatError
from hecc.runtime.files import codec
from hecc.runtime.files.container import Container, ContainerWriter, FileSource, Kind
from hecc.runtime.files.memory import MemoryFile
from hecc.runtime.more.arithmetic import Encoded
from hecc.runtime.more.header import MAX_SIZE
from hecc.runtime.more.keyfiles import KeyId

__all__ = ["EncodedFile", "RowsHeader", "blob_names", "read_encoded", "write_encoded"]

Hash = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")]


class RowsHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file of encoded rows says.

    Attributes
    ----------
    of
        Fingerprint of the inputs that rows are for, or of the plan that made a result.
    request
        Of a result: the fingerprint of the rows that it answers.
    size
        The n of n x n.
    tensors
        Names, in the order of the blobs.
    """

    scheme: Literal["more"] = "more"
    key_id: KeyId
    of: Hash
    request: Hash = ""
    size: Annotated[int, msgspec.Meta(ge=2, le=MAX_SIZE)]
    rows: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]
    tensors: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=1024)], ...]


def blob_names(prefix: str, count: int) -> tuple[str, ...]:
    """What the blobs of some tensors are called."""
    return tuple(f"{prefix}/{number}" for number in range(count))


def write_encoded(writer: ContainerWriter, prefix: str, tensors: Mapping[str, Encoded]) -> None:
    """Blobs by number."""
    for blob, tensor in zip(blob_names(prefix, len(tensors)), tensors.values(), strict=True):
        writer.add(blob, np.ascontiguousarray(tensor.planes))


def read_encoded(container: Container, prefix: str, names: tuple[str, ...], size: int) -> dict[str, Encoded]:
    """Tensors by name, finite and of matrices of a size.

    Raises
    ------
    FileFormatError
        They are not.
    """
    found = {}
    for blob, name in zip(blob_names(prefix, len(names)), names, strict=True):
        planes = container.array(blob)
        if planes.dtype != np.float64 or planes.shape[:2] != (size, size) or planes.size == 0:
            raise FileFormatError(f"{container.where}: {name!r} is no tensor of {size} x {size} matrices")
        if not bool(np.isfinite(planes).all()):
            raise FileFormatError(f"{container.where}: {name!r} holds a value that is not finite; make the file again")
        found[name] = Encoded(planes)
    return found


@dataclass(frozen=True)
class EncodedFile:
    """Encoded rows: a request, or the result that answers it; see :class:`hecc.runtime.plan.holder.EncryptedRows`."""

    kind: Kind
    header: RowsHeader
    tensors: Mapping[str, Encoded]
    path: Path | None = None

    @property
    def rows(self) -> int:
        """Number of examples."""
        return self.header.rows

    @property
    def batch(self) -> int:
        """Examples that one run evaluates, as files count them."""
        return 1

    @property
    def batches(self) -> int:
        """As many as rows."""
        return self.rows

    @property
    def key_id(self) -> str:
        """The key set."""
        return self.header.key_id

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that it holds."""
        digest = hashlib.sha256(codec.encode(self.header))
        for tensor in self.tensors.values():
            digest.update(np.ascontiguousarray(tensor.planes).data)
        return digest.hexdigest()

    @property
    def answers(self) -> str:
        """The fingerprint of the request that a result answers; of a request its own."""
        return self.header.request or self.fingerprint

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the file."""
        self._write(path, force)

    def dumps(self) -> bytes:
        """The bytes that :meth:`save` would write."""
        memory = MemoryFile()
        self._write(memory, False)
        return memory.content

    def _write(self, target: Any, force: bool) -> None:
        with ContainerWriter(target, self.kind, self.header, force=force) as writer:
            write_encoded(writer, "tensor", self.tensors)

    @classmethod
    def load(cls, file: FileSource, kind: Kind) -> EncodedFile:
        """Read a file and check it.

        Raises
        ------
        InputError, FileFormatError
            It cannot be read, or is damaged.
        """
        container = Container(file, kind)
        header = container.header(RowsHeader)
        container.require(*blob_names("tensor", len(header.tensors)))
        tensors = read_encoded(container, "tensor", header.tensors, header.size)
        for name, tensor in tensors.items():
            if tensor.planes.ndim < 3 or tensor.planes.shape[2] != header.rows:
                raise FileFormatError(f"{container.where}: {name!r} has not the rows that the header says")
        return cls(kind, header, tensors, container.path)
