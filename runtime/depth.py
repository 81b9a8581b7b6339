"""Depth: how many products lie in a row, whatever scheme evaluates them."""

from __future__ import annotations

__all__ = ["polynomial_depth"]


def polynomial_depth(degree: int) -> int:
    """Products in a row that a polynomial of ``degree`` in one variable takes at the least: ceil(log2(degree + 1))."""
    return degree.bit_length()
