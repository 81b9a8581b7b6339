"""How many rows go into one session: as many as fit into the memory of both sides."""

from __future__ import annotations

from hecc.runtime.sharing.plan.header import RunCost
from hecc.runtime.sharing.sessions.hello import MOST_ROWS

__all__ = ["blocks_at_once", "rows_at_once"]

ONLINE_AT_ONCE = 1 << 23
"""Bytes of messages of a session, as far as one row is not more: what parties hold of them is many times as much."""

AHEAD_AT_ONCE = 1 << 25
"""Bytes that one preparation sends, as far as one block is not more."""


def rows_at_once(cost: RunCost) -> int:
    """Rows of one session."""
    return _at_once(ONLINE_AT_ONCE, cost.online)


def blocks_at_once(cost: RunCost) -> int:
    """Blocks of one preparation."""
    return _at_once(AHEAD_AT_ONCE, cost.prepared_bytes)


def _at_once(most: int, size: int) -> int:
    return max(1, min(MOST_ROWS, most // max(size, 1)))
