"""Numbers as sentences show them."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["apart", "bits_words", "count_words", "listed", "shape_words", "shortened", "size_words", "time_words"]

EXACT = 17
"""Significant digits that tell any two numbers in double precision from each other."""

SHOWN = 8
"""How many of many words are shown."""


def apart(first: float, second: float, digits: int = 6) -> tuple[str, str]:
    """Two numbers with ``digits`` significant digits, or as many more as it takes to see that they differ."""
    if first != second:
        while digits < EXACT and f"{first:.{digits}g}" == f"{second:.{digits}g}":
            digits += 1
    return f"{first:.{digits}g}", f"{second:.{digits}g}"


def size_words(count: float) -> str:
    """Bytes, in decimal units."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB" if count < 1000 else f"{count:.0f} GB"


def time_words(seconds: float) -> str:
    """Seconds, or minutes when there are many."""
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def count_words(number: int, noun: str) -> str:
    """A number of things."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def bits_words(bits: float | None) -> str:
    """Bits of precision, if they were measured; a value without an error has any number of them."""
    if bits is None:
        return "unknown"
    return f"{bits:.1f} bits" if math.isfinite(bits) else "exact"


def shape_words(shape: tuple[int, ...]) -> str:
    """The extents of a tensor."""
    return "x".join(map(str, shape)) or "scalar"


def listed(words: Sequence[str]) -> str:
    """Words one after another: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def shortened(words: Sequence[str]) -> str:
    """The first few of many words."""
    more = f", ... ({len(words)})" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more
