"""Processes in which plans are measured: each begins with nothing of this one, and says how much memory it took."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from hecc.runtime.errors import InputError

__all__ = ["peak_memory", "worker_process"]


@contextlib.contextmanager
def worker_process() -> Iterator[ProcessPoolExecutor]:
    """A process that starts with nothing of this one."""
    context = multiprocessing.get_context("spawn")
    # An interruption ends it without a word: the command says all there is to say.
    with ProcessPoolExecutor(1, context, signal.signal, (signal.SIGINT, signal.SIG_DFL)) as executor:
        try:
            yield executor
        except BrokenProcessPool:
            raise InputError(
                "the server's process was killed, most likely for lack of memory; measure one device at a time, or "
                "on a larger machine"
            ) from None
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def peak_memory() -> int:
    """In a worker: the most memory it ever had, in bytes."""
    with contextlib.suppress(OSError):
        # Unlike what getrusage tells, this does not include what a parent had when it forked.
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    try:
        import resource
    except ImportError:
        raise InputError("this system does not tell the memory of a process; measure on Linux") from None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used << 10
