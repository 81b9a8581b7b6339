"""What is said of files of sharing, and whether they belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hecc.runtime.errors import FileFormatError
from hecc.runtime.files.container import Container, Kind
from hecc.runtime.plan.keyset import MinSecurity
from hecc.runtime.plan.verifier import Conflict, Description, Owner
from hecc.runtime.sharing.material.whole import WholeMaterial
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

    def check_security(self, path: Path, file: SharingPlan | WholeMaterial, minimum: MinSecurity) -> None:
        """Masks are uniform, and streams are of AES-256: there is nothing below any level."""

    def owner(self, file: SharingPlan | WholeMaterial) -> Owner:
        """What a plan is, or the plan that material is for."""
        if isinstance(file, WholeMaterial):
            return Owner(plan=file.batch.plan)
        return Owner(plan=file.fingerprint, inputs=file.input_fingerprint)

    def conflict(self, one: SharingPlan | WholeMaterial, other: SharingPlan | WholeMaterial) -> str | None:
        """Why two plans do not belong together, a plan and material, or two files of material."""
        if self.owner(one).plan != self.owner(other).plan:
            material = isinstance(one, WholeMaterial) or isinstance(other, WholeMaterial)
            return "the material is for another plan" if material else "they are of two plans"
        if isinstance(one, WholeMaterial) and isinstance(other, WholeMaterial):
            return one.conflict(other)
        return None

    def prove(
        self, files: Mapping[Path, SharingPlan | WholeMaterial], passphrase: str | None
    ) -> tuple[list[Conflict], list[Path]]:
        """There are no keys to prove."""
        return [], []

    def needs_passphrase(self, paths: Sequence[Path]) -> bool:
        """There are no keys."""
        return False
