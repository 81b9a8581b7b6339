"""Schedules: the learning rate of each step, as a part of the one that was asked for. Definitions are PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

__all__ = ["SCHEDULES"]


def _cosine(step: int, steps: int) -> float:
    return (1 + math.cos(math.pi * step / steps)) / 2


SCHEDULES: Mapping[str, Callable[[int, int], float]] = MappingProxyType(
    {
        "constant": lambda step, steps: 1.0,
        "cosine": _cosine,
        "linear": lambda step, steps: 1 - step / steps,
    }
)
"""By name, from the number of a step, from 0, and that of all steps."""
