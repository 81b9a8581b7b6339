"""Whoever knows the secret: what every scheme's client does with rows, and the files that these travel in."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from hecc.runtime.inputs.tensors import Tensor
from hecc.runtime.tail.outcomes import Label, Outputs

__all__ = ["EncryptedRows", "Holder", "Steps"]

Steps: TypeAlias = Callable[[int, int], None]
"""Called with the number of steps done, and of all steps."""

R = TypeVar("R", contravariant=True)


class EncryptedRows(Protocol):
    """Rows under encryption, in memory or in a file: a request, or the result that answers it."""

    @property
    def path(self) -> Path | None:
        """The file, when they were loaded from one."""

    @property
    def rows(self) -> int:
        """Number of examples."""

    @property
    def batch(self) -> int:
        """Examples that one run evaluates."""

    @property
    def batches(self) -> int:
        """Runs that all of them take."""

    @property
    def key_id(self) -> str:
        """The key set that they are encrypted under."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 that no other rows have."""

    @property
    def answers(self) -> str:
        """The fingerprint of the request that a result answers; of a request its own."""

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the file.

        Raises
        ------
        InputError
            It cannot be written, or would replace one of another kind.
        """

    def dumps(self) -> bytes:
        """The bytes that :meth:`save` would write."""


class Holder(Protocol[R]):
    """Encrypts inputs and decrypts results, as :class:`hecc.Client` explains; of rows that are loaded already."""

    @property
    def key_id(self) -> str:
        """Id of the key set."""

    def encrypt(
        self, tensors: Mapping[str, Tensor], *, processes: int | None = None, note: bool = True
    ) -> EncryptedRows:
        """Encrypt rows."""

    def encrypt_to(
        self,
        path: str | os.PathLike[str],
        tensors: Mapping[str, Tensor],
        *,
        processes: int | None = None,
        progress: Steps | None = None,
        resume: bool = True,
        force: bool = False,
    ) -> EncryptedRows:
        """Encrypt rows into a file, one batch after another."""

    def decrypt(
        self, result: R, *, disclose: bool = False, request: str | None = None, index: Sequence[Label] = ()
    ) -> Outputs:
        """Decrypt a result whose rows are called so, and warn of rows that are lost."""

    def decrypt_rows(self, result: R, *, request: str | None = None, index: Sequence[Label] = ()) -> Outputs:
        """Decrypt a result; only what it returns tells of rows that are lost."""

    @property
    def disclosures_left(self) -> int:
        """How many more results may be disclosed."""


AnyHolder: TypeAlias = Holder[Any]
