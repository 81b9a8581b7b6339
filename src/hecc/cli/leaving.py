"""How a process ends when a signal comes before a command has begun, or after it has ended."""

from __future__ import annotations

import os

__all__ = ["leave"]


def leave(number: int, _: object) -> None:
    """End the process at once: what a signal does before a command has begun, and after it has ended.

    An exception would be lost or shown where modules are loaded, and where Python ends; there is nothing to clean up.
    """
    os._exit(128 + number)
