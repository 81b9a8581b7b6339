"""What every output says of a plan whose scheme protects nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hecc.cli.console import Console
    from hecc.runtime.plan.plan import Plan

__all__ = ["say_insecurity"]


def say_insecurity(console: Console, plan: Plan) -> None:
    """A line that says so, and a field for JSON, where it is so."""
    if not plan.scheme.is_secure:
        console.insecure(plan.scheme.security(plan.header))
