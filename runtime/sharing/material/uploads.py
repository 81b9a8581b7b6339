"""What clients sent ahead of their inputs: for each block its part of the products with weights, written once.

A block has one upload for ever. Were there two, of two differences between weights and masks, then the server could
compute the mask of the input from them. So the same again is taken, and anything else refused.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import InputError, SecurityError
from hecc.runtime.files.atomic import writing

if sys.platform != "win32":
    import fcntl

__all__ = ["Uploads"]

DIGEST = hashlib.sha256().digest_size


class Uploads:
    """The uploads of a batch.

    Parameters
    ----------
    path
        The file; it is made when the first upload comes, and grows with the number of the block.
    size
        Bytes for each block.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size = path, size

    def store(self, first: int, rows: NDArray[np.uint8]) -> None:
        """Keep uploads, shape (rows, size); they are on the disk afterwards.

        Raises
        ------
        SecurityError
            There is another one for one of the blocks.
        InputError
            The file cannot be written.
        """
        with writing(self._path):
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                if sys.platform != "win32":
                    fcntl.flock(handle, fcntl.LOCK_EX)
                for number, row in enumerate(rows, first):
                    content = row.tobytes()
                    found = self._found(handle, number)
                    if found is None:
                        os.pwrite(handle, content + hashlib.sha256(content).digest(), number * self._place)
                    elif found != content:
                        raise SecurityError(
                            f"{self._path}: block {number} was prepared before, and differently; two preparations of "
                            "one block would show its input, so deal new material"
                        )
                os.fsync(handle)
            finally:
                os.close(handle)

    def has(self, first: int, rows: int) -> bool:
        """Whether blocks are prepared."""
        if not self._path.exists():
            return False
        with writing(self._path):
            handle = os.open(self._path, os.O_RDONLY)
            try:
                return all(self._found(handle, number) is not None for number in range(first, first + rows))
            finally:
                os.close(handle)

    def read(self, first: int, rows: int) -> NDArray[np.uint8]:
        """Uploads of blocks, shape (rows, size).

        Raises
        ------
        InputError
            One is missing.
        """
        with writing(self._path):
            handle = os.open(self._path, os.O_RDONLY)
            try:
                found = [self._found(handle, number) for number in range(first, first + rows)]
            finally:
                os.close(handle)
        whole = [content for content in found if content is not None]
        if len(whole) < rows:
            raise InputError(f"{self._path}: blocks are not prepared; let the client prepare them")
        return np.frombuffer(b"".join(whole), dtype=np.uint8).reshape(rows, self._size)

    @property
    def _place(self) -> int:
        return self._size + DIGEST

    def _found(self, handle: int, number: int) -> bytes | None:
        place = os.pread(handle, self._place, number * self._place)
        content, digest = place[: self._size], place[self._size :]
        return content if hashlib.sha256(content).digest() == digest else None
