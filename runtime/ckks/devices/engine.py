"""What the engines of all devices have in common: how they are closed."""

from __future__ import annotations

from hecc.runtime.closing import Closing
from hecc.runtime.errors import InputError

__all__ = ["CircuitEngine"]


class CircuitEngine(Closing):
    """An engine that is open until it is closed."""

    _closed = False

    def close(self) -> None:
        """Let go of encoded weights; sessions refuse what they are asked afterwards."""
        self._closed = True

    def check_open(self) -> None:
        """Refuse to work once closed.

        Raises
        ------
        InputError
            When the engine was closed.
        """
        if self._closed:
            raise InputError("this engine was closed, and its encoded weights with it; make a new one")
