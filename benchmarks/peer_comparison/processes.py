"""The measuring side of a worker: starts it, sends requests, reads replies."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["WorkerError", "WorkerProcess"]

FOLDER = Path(__file__).resolve().parents[1]


class WorkerError(Exception):
    """A worker failed or died; the message says what it was doing."""


class WorkerProcess:
    """One system in a process of its own; a context manager.

    Parameters
    ----------
    title
        The system's name for messages.
    python
        The interpreter that has the system installed.
    module
        What it runs.
    arguments
        Of the module.

    Raises
    ------
    WorkerError
        It did not start.
    """

    def __init__(self, title: str, python: Path, module: str, arguments: Sequence[str] = ()) -> None:
        self._title = title
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [python, "-m", module, *arguments],
            env={**os.environ, "PYTHONPATH": str(FOLDER)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
        )
        try:
            self.versions: dict[str, str] = self._receive("loading")["versions"]
        except WorkerError:
            self.__exit__(None, None, None)
            raise

    def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        """Send a request and wait for the reply.

        Raises
        ------
        WorkerError
            The request failed, or the process ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": action, **fields}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended(action) from None
        return self._receive(action)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def _receive(self, action: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended(action)
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise WorkerError(f"{self._title} failed at '{action}': {reply['error']}")
        return reply

    def _ended(self, action: str) -> WorkerError:
        code = self._process.wait()
        if code == -9:
            return WorkerError(f"{self._title} was killed at '{action}', most likely for lack of memory")
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        said = f": {lines[-1]}" if lines else ""
        return WorkerError(f"{self._title} ended at '{action}' with status {code}{said}")
