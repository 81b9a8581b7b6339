"""Whether a file of material is whole, and its ledger the one of what is left in it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from hecc.runtime.sharing.material.files import Batch, ClientMaterial, ServerMaterial, read_batch
from hecc.runtime.sharing.material.ledger import ledger_of

__all__ = ["WholeMaterial", "whole_material"]


class WholeMaterial(NamedTuple):
    """A file of material whose blocks that are left were all looked at.

    Attributes
    ----------
    next
        The first block that is not gone.
    """

    batch: Batch
    next: int

    @property
    def left(self) -> int:
        """Blocks that are not gone."""
        return self.batch.count - self.next

    @property
    def label(self) -> str:
        """What it is."""
        return f"the {self.batch.role}'s material"

    def conflict(self, other: WholeMaterial) -> str | None:
        """Why another file does not belong to this one."""
        if self.batch.batch != other.batch.batch:
            return "they are of two batches; give the two files that were dealt together"
        if self.batch.role == other.batch.role:
            return f"both are {self.label} of one batch, and used twice it would show inputs; keep one of them"
        return None


def whole_material(path: Path) -> WholeMaterial:
    """Check a file of material, and its ledger.

    Raises
    ------
    InputError, FileFormatError
        It cannot be read; a block that is left is damaged; or the ledger is missing, was altered, or is an older copy,
        by which blocks would be left that are gone.
    """
    batch = read_batch(path)
    first = ledger_of(path, batch).next
    kind = ServerMaterial if batch.role == "server" else ClientMaterial
    with kind(path, batch.plan) as material:
        material.check(first)
    return WholeMaterial(batch, first)
