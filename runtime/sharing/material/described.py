"""What a file of material is, in words: for whoever has found one and wonders."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from hecc.runtime.figures import size_words
from hecc.runtime.sharing.material.files import read_batch
from hecc.runtime.sharing.material.ledger import ledger_of, ledger_path

__all__ = ["DescribedMaterial", "describe_material"]


class DescribedMaterial(NamedTuple):
    """A file of material.

    Attributes
    ----------
    label
        What it is.
    facts
        For humans, in order.
    fields
        The same for programs.
    """

    label: str
    facts: list[tuple[str, str]]
    fields: dict[str, Any]


def describe_material(path: Path) -> DescribedMaterial:
    """What a file of material is for, and how much of it is left.

    Raises
    ------
    InputError, FileFormatError
        The file or its ledger cannot be read, or is damaged.
    """
    batch = read_batch(path)
    used = ledger_of(path, batch).next
    facts = [
        ("plan SHA-256", batch.plan),
        ("batch", batch.batch),
        ("blocks", f"{batch.count}, one for each row; {used} are gone, {batch.count - used} are left"),
        ("ledger", f"{ledger_path(path)}, which must stay beside it"),
    ]
    if batch.role == "server":
        facts.append(("a block", size_words(batch.block_bytes)))
    fields = {
        "role": batch.role,
        "plan": batch.plan,
        "batch": batch.batch,
        "count": batch.count,
        "left": batch.count - used,
        "block_bytes": batch.block_bytes,
    }
    return DescribedMaterial(f"the {batch.role}'s material of the scheme sharing", facts, fields)
