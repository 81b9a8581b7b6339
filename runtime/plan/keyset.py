"""The keys of a client, in any scheme: where their files are, and how secure they have to be."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from hecc.runtime.described import Described

__all__ = ["COUNTS", "EVALUATION", "PUBLIC", "SECRET", "InsecureLevel", "KeySet", "MinSecurity"]

SECRET, PUBLIC, EVALUATION = "secret.bin", "public.bin", "evaluation.bin"
"""Names of the files in a folder of keys."""

PUBLIC_USE = "may go to whoever encrypts for you"
"""What a public key is for."""

COUNTS = ("shared.db", "shared.json")
"""Beside them, what counts the results that were disclosed; the second in earlier versions of hecc."""


class InsecureLevel(enum.Enum):
    """What tests pass in place of a number of bits; no text that a user types becomes one."""

    INSECURE_FOR_TESTS_ONLY = "insecure"


MinSecurity: TypeAlias = int | str | InsecureLevel
"""Bits of security that a client insists on, as 128 or "128", against a classical adversary; or as "128-quantum"."""


@dataclass(frozen=True, repr=False)
class KeySet(Described):
    """Where the keys of one set are.

    Attributes
    ----------
    key_id
        Id of the set, in all its files, in hexadecimal; in CKKS the fingerprint of the public key
        (:func:`hecc.runtime.ckks.keys.keyfiles.key_fingerprint`).
    secret
        Stays with the client.
    public
        May go to whoever encrypts for the client.
    evaluation
        Goes to the server.
    """

    key_id: str
    secret: Path
    public: Path | None
    evaluation: Path

    def described(self) -> tuple[str, list[tuple[str, str]]]:
        """Where each key is, and whose it is."""
        return f"key set {self.key_id[:8]}", [
            ("secret", f"{self.secret}, stays with you"),
            ("public", "none in this scheme" if self.public is None else f"{self.public}, {PUBLIC_USE}"),
            ("evaluation", f"{self.evaluation}, goes to the server"),
            ("fingerprint", self.key_id),
        ]
