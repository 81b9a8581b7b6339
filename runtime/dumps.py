"""Secrets stay out of core dumps, which the system writes to a disk when a process fails.

A process of hecc's own, a command or one that encrypts for another, writes none at all. A process that merely imports
hecc is its owner's: it is left as it is, and the memory of secret keys is marked as not to be dumped.
"""

from __future__ import annotations

import contextlib
import mmap
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["exclude_from_dumps", "forbid_dumps"]

_PR_SET_DUMPABLE = 4
_MADV_DONTDUMP = 16


def forbid_dumps() -> None:
    """Have this process, and those that it starts, write no core dump.

    Only for processes of hecc's own: on Linux, debuggers and profilers of the same user cannot look into one either.
    """
    # Not on Windows, and a sandbox may refuse; the command still does what it is for.
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # Where the kernel pipes core dumps into a program, the limit above does not count.
        _libc("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)


def exclude_from_dumps(array: NDArray[Any]) -> None:
    """Leave the pages that an array lies on out of core dumps, where the system can; what else is on them, too."""
    if sys.platform == "linux" and array.nbytes:
        import ctypes

        start = array.ctypes.data // mmap.PAGESIZE * mmap.PAGESIZE
        end = -(-(array.ctypes.data + array.nbytes) // mmap.PAGESIZE) * mmap.PAGESIZE
        _libc("madvise", ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTDUMP)


def _libc(function: str, *arguments: Any) -> None:
    """Call a function of the C library; one that is not there, or refuses, changes nothing."""
    import ctypes

    with contextlib.suppress(AttributeError, OSError):
        getattr(ctypes.CDLL(None), function)(*arguments)
