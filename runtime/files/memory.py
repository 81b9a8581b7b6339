"""Files that are made in memory: the same bytes, for whoever sends them on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

__all__ = ["MemoryFile"]


class MemoryFile:
    """What stands for a :class:`hecc.runtime.files.atomic.NewFile` where no file is wanted.

    Attributes
    ----------
    path
        What sentences call it.
    content
        The bytes, once they are complete.
    """

    path = Path("the bytes")
    content: bytes

    def __init__(self) -> None:
        self._file = io.BytesIO()

    def open(self) -> BinaryIO:
        """What to write to."""
        return self._file

    def commit(self) -> None:
        """Take the bytes, of which this makes no copy."""
        self.content = self._file.getvalue()

    def discard(self) -> None:
        """Forget what was written."""
        self._file.close()
