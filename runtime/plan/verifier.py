"""What is said of files one by one, and whether they belong together: a scheme's answers, asked by the verbs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from hecc.runtime.files.container import Container, Kind
from hecc.runtime.plan.keyset import MinSecurity

__all__ = ["Conflict", "Description", "Owner", "Verifier"]

F = TypeVar("F")


@dataclass(frozen=True)
class Conflict:
    """Two whole files that do not belong together, and why."""

    first: Path
    second: Path
    reason: str


@dataclass(frozen=True)
class Description:
    """A file of keys or of rows in words.

    Attributes
    ----------
    key_id
        The key set that it is of.
    facts
        Names and sentences, for people.
    fields
        The same for JSON.
    """

    key_id: str
    facts: Sequence[tuple[str, str]] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Owner:
    """What a file belongs to: see :class:`hecc.verification.VerifiedFile`."""

    plan: str | None = None
    inputs: str | None = None
    key_id: str | None = None


class Verifier(Protocol[F]):
    """Checks a scheme's files completely, whatever kind they are of."""

    def describe(self, container: Container) -> Description:
        """A file of keys or of rows in words."""

    def load(self, path: Path, kind: Kind) -> F:
        """Read a file and check all of it that its checksums do not.

        Raises
        ------
        HeccError
            The file is not whole.
        """

    def check_security(self, path: Path, file: F, minimum: MinSecurity) -> None:
        """Refuse a plan or keys below a level of security.

        Raises
        ------
        SecurityError
            They are.
        """

    def owner(self, file: F) -> Owner:
        """What a file belongs to."""

    def conflict(self, one: F, other: F) -> str | None:
        """Why two files do not belong together, in either order."""

    def prove(self, files: Mapping[Path, F], passphrase: str | None) -> tuple[list[Conflict], list[Path]]:
        """What a secret key among files says of the other keys: which are not its own, and which are."""

    def needs_passphrase(self, paths: Sequence[Path]) -> bool:
        """Whether :meth:`prove` would open a protected secret key."""
