"""Capacity: bounds of the depth that the largest ring has room for."""

from __future__ import annotations

from hecc.compiler.ckks.capacity import most_levels, usual_levels
from hecc.compiler.ckks.options import Options


def test_more_security_leaves_fewer_levels() -> None:
    levels = [usual_levels(Options(security=security)) for security in (128, 192, 256)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > levels[2] > 0


def test_what_is_usual_is_below_what_is_possible() -> None:
    # A network of 55 levels fits, as measured, and one of twice as many cannot.
    assert 55 <= usual_levels(Options()) < most_levels(Options()) < 110
