"""What a client calls the rows of a request, kept beside its keys until the result is there.

The server sees rows without names, and neither has to know that some were left out nor what a patient is called. So the
client keeps what its table calls them: without it an answer would be attributed to another row. The file is written
only where rows are not simply 0, 1, 2 and so on, as ``requests/REQUEST.rows.json`` in the folder of the keys, for this
user only; REQUEST is the fingerprint of the encrypted rows.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from hecc.runtime.errors import FileFormatError, InputError
from hecc.runtime.files import codec
from hecc.runtime.files.atomic import open_regular, reading, replacing, writing
from hecc.runtime.tail.outcomes import Label

__all__ = ["RowLabels"]

FOLDER = "requests"
"""Where notes about requests lie, in the folder of the keys."""

MAX_LABEL = 1 << 10
"""Characters of the name of a row."""

MAX_BYTES = 1 << 30
"""Of a file: names of millions of rows."""

log = logging.getLogger(__name__)


class _Rows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows of a request, in its order."""

    labels: tuple[int | Annotated[str, msgspec.Meta(max_length=MAX_LABEL)], ...]


class RowLabels:
    """The names of rows, request by request.

    Parameters
    ----------
    folder
        Of the keys; without one they are only kept in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._known: dict[str, tuple[Label, ...]] = {}

    def keep(self, request: str, labels: Sequence[Label]) -> None:
        """Keep the names of a request's rows; without any nothing is kept.

        A warning says so where they cannot be written.
        """
        if not labels:
            return
        self._known[request] = tuple(labels)
        if self._folder is None:
            return
        path = self._path(self._folder, request)
        try:
            with writing(path):
                path.parent.mkdir(mode=0o700, exist_ok=True)
            with replacing(path, secret=True) as file:
                file.write(codec.encode(_Rows(labels=tuple(labels))))
        except InputError as error:
            log.warning("%s; whoever decrypts the result has to know which rows these are", error)

    def of(self, request: str, rows: int) -> tuple[Label, ...]:
        """The names of a request's rows; none where they are 0, 1, 2 and so on.

        Raises
        ------
        FileFormatError
            What was kept is damaged, or of another number of rows.
        """
        labels = self._known.get(request, ()) or self._read(request)
        if labels and len(labels) != rows:
            raise FileFormatError(
                f"the names of {len(labels)} rows were kept for request {request[:16]}, and the result has {rows}; "
                "encrypt and run again"
            )
        return labels

    def _read(self, request: str) -> tuple[Label, ...]:
        if self._folder is None:
            return ()
        path = self._path(self._folder, request)
        with reading(path):
            try:
                with open_regular(path) as file:
                    data = file.read(MAX_BYTES)
            except FileNotFoundError:
                return ()
        return codec.decode(data, _Rows, where=str(path)).labels

    @staticmethod
    def _path(folder: Path, request: str) -> Path:
        return folder / FOLDER / f"{request}.rows.json"
