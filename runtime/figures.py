"""Numbers as sentences show them: short, but never so short that two which differ look the same."""

from __future__ import annotations

__all__ = ["apart"]

EXACT = 17
"""Significant digits that tell any two numbers in double precision from each other."""


def apart(first: float, second: float, digits: int = 6) -> tuple[str, str]:
    """Two numbers with ``digits`` significant digits, or as many more as it takes to see that they differ."""
    if first != second:
        while digits < EXACT and f"{first:.{digits}g}" == f"{second:.{digits}g}":
            digits += 1
    return f"{first:.{digits}g}", f"{second:.{digits}g}"
