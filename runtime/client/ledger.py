"""The ledger of a key set: how many of its results have been shown to others.

It lies beside the secret key. It is written before a result is handed out, by one process at a time, and authenticated
with a key that is derived from the secret key, so that it is not altered by accident or by somebody who does not have
that. It does not bind whoever owns the key: an older copy of the folder has an older ledger.

Plans that share a key set may allow different numbers of results. A result of a plan that allows Q spends one Q-th of
what may be told of the key (:mod:`hecc.runtime.flooding`), and together they may spend all of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime import codec
from hecc.runtime.errors import FileFormatError, ShareError
from hecc.runtime.files import reading, replacing
from hecc.runtime.keyfiles import KeyId

if sys.platform != "win32":
    import fcntl

__all__ = ["LEDGER", "Ledger"]

LEDGER = "shared.json"
"""Name of the file, in the folder of the keys."""

MAX_BYTES = 1 << 20


class _Spent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Results of one plan that were shown, of ``results`` that it allows."""

    plan: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    results: Annotated[int, msgspec.Meta(ge=1)]
    shown: Annotated[int, msgspec.Meta(ge=1)]


class _Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key_id: KeyId
    plans: tuple[_Spent, ...]
    mac: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")]


class Ledger:
    """The ledger beside a secret key.

    Parameters
    ----------
    folder
        Of the keys.
    key_id
        Of the key set.
    secret
        Residues of the secret key, from which the ledger's own key is derived.
    """

    def __init__(self, folder: Path, key_id: str, secret: NDArray[np.uint64]) -> None:
        self.path = folder / LEDGER
        self._key_id = key_id
        self._key = hmac.digest(np.ascontiguousarray(secret, dtype="<u8").tobytes(), b"hecc shared results", "sha256")

    def left(self, plan: str, results: int) -> int:
        """How many more results of a plan, by its fingerprint, may be shown; it allows ``results`` of a key.

        Raises
        ------
        FileFormatError
            The ledger was altered, or belongs to another key set.
        """
        return self._left(self._read(), results)

    def spend(self, plan: str, results: int, number: int) -> None:
        """Enter ``number`` results of a plan, on the disk before this returns.

        Raises
        ------
        ShareError
            There are not so many left. Nothing is entered.
        FileFormatError
            The ledger was altered, or belongs to another key set.
        InputError
            It cannot be written.
        """
        with self._alone():
            page = self._read()
            left = self._left(page, results)
            if number > left:
                raise ShareError(
                    f"{self.path}: {number} results to be shown to others, and {left} are left of the {results} that "
                    "the plan allows for one key; make new keys, or compile the plan for more results"
                )
            shown = {entry.plan: entry.shown for entry in page.plans}
            allowed = {entry.plan: entry.results for entry in page.plans} | {plan: results}
            shown[plan] = shown.get(plan, 0) + number
            entries = tuple(_Spent(plan=p, results=allowed[p], shown=shown[p]) for p in sorted(shown))
            page = _Page(key_id=self._key_id, plans=entries, mac="")
            with replacing(self.path, secret=True) as file:
                file.write(codec.encode(msgspec.structs.replace(page, mac=self._mac(page))))

    @staticmethod
    def _left(page: _Page, results: int) -> int:
        spent = sum((Fraction(entry.shown, entry.results) for entry in page.plans), Fraction(0))
        return max(0, int((1 - spent) * results))

    def _read(self) -> _Page:
        with reading(self.path):
            try:
                with self.path.open("rb") as file:
                    data = file.read(MAX_BYTES)
            except FileNotFoundError:
                return _Page(key_id=self._key_id, plans=(), mac="")
        page = codec.decode(data, _Page, where=str(self.path))
        unsigned = msgspec.structs.replace(page, mac="")
        if page.key_id != self._key_id or not hmac.compare_digest(page.mac, self._mac(unsigned)):
            raise FileFormatError(
                f"{self.path}: the list of results shown to others was altered, or belongs to other keys; restore it, "
                "or make new keys"
            )
        return page

    def _mac(self, page: _Page) -> str:
        return hmac.new(self._key, codec.encode(page), hashlib.sha256).hexdigest()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process enters anything meanwhile; the folder itself is what they lock."""
        if sys.platform == "win32":
            yield
            return
        handle = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
