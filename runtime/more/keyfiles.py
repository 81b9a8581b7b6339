"""What files of keys say to everybody; the server reads no more of them, and never a secret."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from hecc.runtime.files.container import Container, FileSource, Kind
from hecc.runtime.more.header import MAX_SIZE

__all__ = ["KeyHeader", "KeyId", "load_evaluation"]

KeyId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class KeyHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What key files say.

    Attributes
    ----------
    key_id
        A random name, the same in all files of a set.
    size
        The n of the n x n matrix.
    """

    scheme: Literal["more"] = "more"
    key_id: KeyId
    size: Annotated[int, msgspec.Meta(ge=2, le=MAX_SIZE)]


def load_evaluation(file: FileSource) -> KeyHeader:
    """The file that names a key set for the server; it holds nothing else."""
    container = Container(file, Kind.EVALUATION_KEYS)
    container.require()
    return container.header(KeyHeader)
