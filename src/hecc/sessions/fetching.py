"""Material that a party fetches from a dealer who listens."""

from __future__ import annotations

from pathlib import Path

from hecc.runtime.plan.plan import Plan
from hecc.runtime.plan.sessions import Address, Dealing, Trust, load_sessions

__all__ = ["fetched"]


def fetched(plan: Plan, role: str, material: Path, dealer: str | None, trust: Trust | None) -> int:
    """Fetch a party's half of a batch if a dealer is named and no material is left; the blocks that were fetched."""
    if dealer is None:
        return 0
    return load_sessions(plan.header.scheme).fetch(plan, role, material, Dealing(Address.of(dealer), trust))
