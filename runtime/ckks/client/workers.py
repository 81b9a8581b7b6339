"""Encryption by several processes, for SEAL's binding holds the interpreter while it encrypts.

Each is a new interpreter with a SEAL of its own, so that no two share the state of a random generator. The key reaches
it through a pipe and never a file; it ends when its pipe does.
"""

from __future__ import annotations

import contextlib
import io
import os
import queue
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import IO, Self, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.client.seal_bridge import LevelCipher, Vector
from hecc.runtime.dumps import forbid_dumps
from hecc.runtime.errors import InputError
from hecc.runtime.files import codec

__all__ = ["Workers", "main"]

TASK = 8
"""Ciphertexts that a process is given at a time."""

WAITING = 3
"""Tasks per process that are handed out before the first of them has to be done."""

_LENGTH = struct.Struct("<Q")
_TASK = struct.Struct("<I?d")
"""Vectors, whether they are complex, and the scale of their encoding."""


class _Start(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a process is told first; the residues of the key follow."""

    keys: KeySpecification
    limbs: int
    enforce_128: bool
    symmetric: bool
    shape: tuple[int, ...]


class Workers:
    """Processes that encrypt with one key at one level; a context manager.

    Parameters
    ----------
    processes
        How many.
    spec, limbs, enforce_128, secret, public
        As of :class:`hecc.runtime.ckks.client.seal_bridge.LevelCipher`.
    """

    def __init__(
        self,
        processes: int,
        spec: KeySpecification,
        limbs: int,
        *,
        enforce_128: bool,
        secret: NDArray[np.uint64] | None = None,
        public: NDArray[np.uint64] | None = None,
    ) -> None:
        key = secret if secret is not None else public
        assert key is not None
        self._key = np.ascontiguousarray(key)
        self._start = _Start(
            keys=spec, limbs=limbs, enforce_128=enforce_128, symmetric=secret is not None, shape=key.shape
        )
        self._number = processes

    def __enter__(self) -> Self:
        """Start the processes."""
        command = [sys.executable, "-P", "-m", "hecc.runtime.ckks.client.workers"]
        self._processes = [
            # In a group of their own: an interruption at the terminal is for this process, which ends them.
            subprocess.Popen(  # noqa: S603 - of our own words
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                process_group=0 if os.name == "posix" else None,
            )
            for _ in range(self._number)
        ]
        self._free: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(self._number, thread_name_prefix="hecc-encrypt")
        for process in self._processes:
            self._threads.submit(self._introduce, process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes; what they have not done is not wanted any more."""
        for process in self._processes:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            assert process.stdin is not None
            assert process.stdout is not None
            # What it was still to be told is lost with it.
            with contextlib.suppress(OSError):
                process.stdin.close()
            process.stdout.close()
            process.wait()

    def encrypt(self, vectors: Iterable[Vector], scale: float) -> Iterator[bytes]:
        """SEAL's streams of encryptions of vectors, each of shape (slots of the ring,), in their order.

        Raises
        ------
        InputError
            A process ended before its work was done.
        """
        waiting: deque[Future[list[bytes]]] = deque()
        vectors = iter(vectors)
        while part := list(islice(vectors, TASK)):
            waiting.append(self._threads.submit(self._task, part, scale))
            if len(waiting) >= WAITING * self._number:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()

    def _introduce(self, process: subprocess.Popen[bytes]) -> None:
        pipe = process.stdin
        assert pipe is not None
        # Should it have ended, whoever gives it the first task is told.
        with contextlib.suppress(OSError):
            head = codec.encode(self._start)
            pipe.write(_LENGTH.pack(len(head)) + head)
            pipe.write(self._key.data)
            pipe.flush()
        self._free.put(process)

    def _task(self, vectors: list[Vector], scale: float) -> list[bytes]:
        process = self._free.get()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            content = np.stack(vectors)
            process.stdin.write(_TASK.pack(len(vectors), np.iscomplexobj(content), scale))
            process.stdin.write(content.data)
            process.stdin.flush()
            return [_read(process.stdout, *_LENGTH.unpack(_read(process.stdout, _LENGTH.size))) for _ in vectors]
        except (OSError, EOFError):
            raise InputError(
                f"a process that encrypts ended with exit code {process.wait()}; free some memory, or encrypt with "
                "one process"
            ) from None
        finally:
            self._free.put(process)


def main() -> None:
    """What a process does: encrypt what comes in, until nothing does."""
    # The process is hecc's own, whoever started it.
    forbid_dumps()
    source = sys.stdin.buffer
    # Nothing that a library prints may get between the ciphertexts.
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        start = codec.decode(_read(source, *_LENGTH.unpack(_read(source, _LENGTH.size))), _Start, where="a worker")
        key = np.empty(start.shape, dtype=np.uint64)
        _fill(source, key.reshape(-1).view(np.uint8).data)
        cipher = LevelCipher(
            start.keys,
            start.limbs,
            enforce_128=start.enforce_128,
            secret=key if start.symmetric else None,
            public=None if start.symmetric else key,
        )
        while True:
            count, are_complex, scale = _TASK.unpack(_read(source, _TASK.size))
            vectors = np.empty((count, start.keys.slots), dtype=np.complex128 if are_complex else np.float64)
            _fill(source, vectors.reshape(-1).view(np.uint8).data)
            for vector in vectors:
                stream = cipher.encrypt(vector, scale)
                target.write(_LENGTH.pack(len(stream)) + stream)
            target.flush()
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        # Whoever started it has what it wanted, or has ended.
        os._exit(0)


def _read(pipe: IO[bytes], length: int) -> bytes:
    content = bytearray(length)
    _fill(pipe, memoryview(content))
    return bytes(content)


def _fill(pipe: IO[bytes], target: memoryview) -> None:
    done = 0
    while done < len(target):
        count = cast(io.BufferedReader, pipe).readinto(target[done:])
        if not count:
            raise EOFError
        done += count


if __name__ == "__main__":
    main()
