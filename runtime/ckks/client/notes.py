"""The note that encryption leaves: which request the next result has to answer.

A result names the request that it answers. Whoever decrypts means one request, the last that was encrypted with these
keys for this plan's inputs unless they say another; the result of any other one is refused. The note lies beside the
keys, in ``requests/INPUTS.json``, where INPUTS is the fingerprint of the plan's input signatures, and says nothing of
what was encrypted. It finds mix-ups; a server can put any fingerprint into a result.
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile
from hecc.runtime.ckks.keys.keyfiles import KeyId
from hecc.runtime.errors import InputError, KeyMismatchError
from hecc.runtime.files import codec
from hecc.runtime.files.atomic import open_regular, reading, replacing, writing

__all__ = ["REQUESTS", "Notes"]

REQUESTS = "requests"
"""Name of the folder, in the folder of the keys."""

MAX_BYTES = 1 << 12

SHORTEST = 16
"""Digits of a fingerprint that are enough to name a request."""

log = logging.getLogger(__name__)


class _Note(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request: its fingerprint and rows, the key set that it is under, and when it was encrypted (UTC)."""

    key_id: KeyId
    request: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    rows: Annotated[int, msgspec.Meta(ge=1)]
    made: Annotated[str, msgspec.Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$")]


class Notes:
    """The last request of one key set for the inputs of one plan.

    Parameters
    ----------
    folder
        Of the keys; without one the note is only kept in memory.
    key_id
        Of the key set.
    inputs
        Fingerprint of the plan's input signatures.
    """

    def __init__(self, folder: Path | None, key_id: str, inputs: str) -> None:
        self._path = None if folder is None else folder / REQUESTS / f"{inputs}.json"
        self._key_id = key_id
        self._own: _Note | None = None

    def leave(self, request: CiphertextFile) -> None:
        """Note a request that has just been encrypted; a warning says so when the note cannot be written."""
        made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        self._own = _Note(key_id=self._key_id, request=request.fingerprint, rows=request.header.rows, made=made)
        if self._path is None:
            return
        try:
            with writing(self._path):
                self._path.parent.mkdir(mode=0o700, exist_ok=True)
            with replacing(self._path, secret=True) as file:
                file.write(codec.encode(self._own))
        except InputError as error:
            log.warning("%s; say which request a result has to answer when you decrypt it, with --request", error)

    def check(self, result: ResultFile, request: str | None = None) -> None:
        """Refuse a result that does not answer the request that is meant.

        Parameters
        ----------
        request
            Its fingerprint, or the first 16 digits of that at least; by default that of the last request.

        Raises
        ------
        InputError
            That is no fingerprint.
        KeyMismatchError
            It answers another request; or none was given, and there is no note.
        FileFormatError
            The note is damaged.
        """
        where, answered = result.path or "the encrypted result", result.header.request
        if request is not None:
            if re.fullmatch(rf"[0-9a-f]{{{SHORTEST},64}}", request) is None:
                raise InputError(
                    f"request {request!r}: neither a file of encrypted rows nor their fingerprint, {SHORTEST} "
                    "hexadecimal digits of it at least; `hecc inspect` shows it"
                )
            if not answered.startswith(request):
                raise KeyMismatchError(
                    f"{where}: this answers request {answered[:SHORTEST]}, not {request[:SHORTEST]}; ask the server "
                    "for the result of the request that you mean"
                )
            return
        note = self._own or self._read()
        remedy = (
            "name the request that it has to answer with --request, by the file of encrypted rows or its fingerprint "
            "(in Python decrypt(..., request=))"
        )
        if note is None:
            raise KeyMismatchError(
                f"{where}: this answers request {answered[:SHORTEST]}, and there is no note that one was encrypted "
                f"here with these keys; {remedy}"
            )
        if answered != note.request:
            raise KeyMismatchError(
                f"{where}: this answers request {answered[:SHORTEST]}, but the last one that was encrypted with these "
                f"keys is {note.request[:SHORTEST]}, {note.rows} rows at {note.made} UTC; ask the server for the "
                f"result of that one, or {remedy}"
            )

    def _read(self) -> _Note | None:
        if self._path is None:
            return None
        with reading(self._path):
            try:
                with open_regular(self._path) as file:
                    data = file.read(MAX_BYTES)
            except FileNotFoundError:
                return None
        note = codec.decode(data, _Note, where=str(self._path))
        return note if note.key_id == self._key_id else None
