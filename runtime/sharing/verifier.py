"""What is said of files of sharing, and whether they belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hecc.runtime.errors import FileFormatError
from hecc.runtime.files.container import Container, Kind
from hecc.runtime.plan.keyset import MinSecurity
from hecc.runtime.plan.verifier import Conflict, Description, Owner
from hecc.runtime.sharing.plan.plan import SharingPlan
from hecc.runtime.sharing.words import NO_KEYS

__all__ = ["SharingVerifier"]


class SharingVerifier:
    """See :class:`hecc.runtime.plan.verifier.Verifier`."""

    def describe(self, container: Container) -> Description:
        """There are no files but plans.

        Raises
        ------
        FileFormatError
            Always.
        """
        raise FileFormatError(f"{container.where}: {NO_KEYS}")

    def load(self, path: Path, kind: Kind) -> SharingPlan:
        """Read a plan and check it."""
        if kind not in (Kind.SERVER_PLAN, Kind.CLIENT_PLAN):
            raise FileFormatError(f"{path}: {NO_KEYS}")
        return SharingPlan.load(path)

    def check_security(self, path: Path, file: SharingPlan, minimum: MinSecurity) -> None:
        """Masks are uniform, and streams are of AES-256: there is nothing below any level."""

    def owner(self, file: SharingPlan) -> Owner:
        """What a plan is."""
        return Owner(plan=file.fingerprint, inputs=file.input_fingerprint)

    def conflict(self, one: SharingPlan, other: SharingPlan) -> str | None:
        """Why two plans do not belong together."""
        return None if one.fingerprint == other.fingerprint else "they are of two plans"

    def prove(self, files: Mapping[Path, SharingPlan], passphrase: str | None) -> tuple[list[Conflict], list[Path]]:
        """There are no keys to prove."""
        return [], []

    def needs_passphrase(self, paths: Sequence[Path]) -> bool:
        """There are no keys."""
        return False
