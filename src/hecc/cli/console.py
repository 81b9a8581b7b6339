"""What all commands have in common: where they write, how they show progress, and how they fail."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import math
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FrameType
from typing import Annotated, Any, NoReturn, Self, TextIO

import typer

from hecc.cli.leaving import leave
from hecc.runtime.described import aligned
from hecc.runtime.errors import HeccError, InputError

__all__ = ["INCOMPLETE", "Console", "JsonOption", "console"]

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]

FAULT, INTERRUPTED = 70, 130

INCOMPLETE = 3
"""The results are there, but some rows have none."""

ENDING = ("SIGTERM", "SIGHUP")
"""Signals that ask a process to end. As after Ctrl-C, what is half-written is removed first."""

PLAIN_INTERVAL = 5.0
"""Seconds between two lines of progress where there is no terminal."""

QUIET = 2.0
"""Seconds that a stage may take before it is worth a line where there is no terminal."""


class Ended(BaseException):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Console:
    """Where one command writes: results to stdout, everything else to stderr.

    Parameters
    ----------
    as_json
        Then stdout gets one JSON object, and stderr all the text.
    """

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._interactive = sys.stderr.isatty()
        self._warnings: list[str] = []
        self._insecurity = ""
        self._live: Any = None  # a rich console while it shows progress, which lines must not run into

    def say(self, text: str = "") -> None:
        """A line of the result, for humans."""
        typer.echo(text, err=self._json)

    def note(self, text: str) -> None:
        """A line about what is going on."""
        if self._live is None:
            typer.echo(text, err=True)
        else:
            self._live.print(text, markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Something that deserves attention, once."""
        if text not in self._warnings:
            self._warnings.append(text)
            self.note(f"warning: {text}")

    def insecure(self, sentence: str) -> None:
        """What is said of a scheme that protects nothing: a line, and a field of the result."""
        self._insecurity = sentence
        self.say(f"  security  {sentence}")

    def facts(self, rows: Iterable[tuple[str, str]]) -> None:
        """Names and values, aligned."""
        for line in aligned(rows):
            self.say(line)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Columns under their names, aligned on the left."""
        lines = [columns, *rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
        for line in lines:
            cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
            self.say(f"  {'  '.join(cells)}".rstrip())

    def result(self, **fields: Any) -> None:
        """The command's result as JSON, when that was asked for."""
        if self._json:
            security = {"security": self._insecurity} if self._insecurity else {}
            typer.echo(json.dumps(_finite({**security, **fields, "warnings": self._warnings}), allow_nan=False))

    def failed(self, error: BaseException, message: str) -> None:
        """One sentence of why the command failed, and what was tried that would not fail."""
        self.note(f"error: {message}")
        notes = getattr(error, "__notes__", [])
        for note in notes:
            self.note(note)
        if self._json:
            failure: dict[str, Any] = {"error": message, "kind": type(error).__name__, "warnings": self._warnings}
            if notes:
                failure["notes"] = notes
            if isinstance(error, HeccError) and error.ways:
                failure["ways"] = [way.fields for way in error.ways]
            typer.echo(json.dumps(_finite(failure), allow_nan=False))

    @contextlib.contextmanager
    def steps(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """Progress of known length: the callable takes the steps done, and of all."""
        if not self._interactive:
            last, told = time.monotonic(), ""

            def line(done: int, total: int) -> None:
                nonlocal last, told
                text = f"{title}: {done} of {total}"
                if time.monotonic() - last >= PLAIN_INTERVAL and text != told:
                    last, told = time.monotonic(), text
                    self.note(text)

            yield line
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with self._showing() as terminal, Progress(*columns, console=terminal, transient=True) as progress:
            task = progress.add_task(title, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    @contextlib.contextmanager
    def stages(self, title: str) -> Iterator[Callable[[str], None]]:
        """Progress of unknown length: the callable takes the name of each stage as it starts."""
        if not self._interactive:
            with _Slow(lambda stage: self.note(f"{title}: {stage}")) as slow:
                yield slow.start
            return
        with self._showing() as terminal, terminal.status(title) as status:
            yield lambda stage: status.update(f"{title}: {stage}")

    @contextlib.contextmanager
    def _showing(self) -> Iterator[Any]:
        from rich.console import Console as RichConsole

        self._live = RichConsole(stderr=True)
        try:
            yield self._live
        finally:
            self._live = None


def _finite(value: Any) -> Any:
    """The same with null for numbers that JSON does not know: infinities and NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value


@contextlib.contextmanager
def console(as_json: bool) -> Iterator[Console]:
    """The console of one command; every exception of the block becomes a sentence and an exit code."""
    own = Console(as_json)
    handler = _WarningHandler(own)
    logger = logging.getLogger("hecc")
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = handler.show
            with _ending():
                _check_kernels()
                yield own
    except HeccError as error:
        own.failed(error, str(error))
        raise typer.Exit(error.exit_code) from None
    except (KeyboardInterrupt, typer.Abort) as error:
        own.failed(error, "interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except Ended as error:
        own.failed(error, f"ended by {signal.Signals(error.number).name}")
        raise typer.Exit(128 + error.number) from None
    except MemoryError as error:
        own.failed(error, "out of memory; use a machine with more, or fewer rows at once")
        raise typer.Exit(1) from None
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read our output has had enough, as `head` does
            raise
        own.failed(error, f"{error.filename or 'a file'}: {error.strerror or error}")
        raise typer.Exit(1) from None
    except Exception as error:
        if isinstance(error, typer.Exit) or type(error).__module__.partition(".")[0] in {"click", "typer"}:
            raise
        if os.environ.get("HECC_DEBUG"):
            traceback.print_exc()
        summary = f"{type(error).__name__}: {error}".splitlines()[0]
        own.failed(error, f"a fault in hecc ({summary}); please report it, with what HECC_DEBUG=1 shows")
        raise typer.Exit(FAULT) from None
    finally:
        logger.removeHandler(handler)


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """Signals that ask the process to end are exceptions, so that every ``finally`` runs; ignored ones stay so."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
        before = {n: signal.signal(n, _end) for n in numbers if signal.getsignal(n) == signal.SIG_DFL}
        if signal.getsignal(signal.SIGINT) is leave:
            before[signal.SIGINT] = signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    """Handle a signal."""

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt if number == signal.SIGINT else Ended(number)

    importer = _importer(frame)
    if importer is None:
        stop()
    # Modules may lose an exception, or make an error of their own of it: it is raised as soon as they are loaded, where
    # debuggers would stop next.
    importer.f_trace = stop
    sys.settrace(lambda *_: None)


def _importer(frame: FrameType | None) -> FrameType | None:
    """Whose import, not made by another, is going on."""
    found = None
    while frame is not None:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            found = frame.f_back
        frame = frame.f_back
    return found


def _check_kernels() -> None:
    """Refuse a wrong choice of kernels before any work is done; without a choice, load nothing."""
    if os.environ.get("HECC_KERNELS") or os.environ.get("HECC_MASK_CPU"):
        from hecc.runtime.native import Kernels

        try:
            Kernels()
        except ValueError as error:
            raise InputError(str(error)) from None


class _Slow:
    """Tells of those stages only that take long, while they do; of one that comes again at once, once."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told = ""
        self._timer: threading.Timer | None = None

    def start(self, stage: str) -> None:
        """A stage starts, and the one before it ends."""
        self._stop()
        self._timer = threading.Timer(QUIET, self._say, [stage])
        self._timer.daemon = True
        self._timer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _say(self, stage: str) -> None:
        if stage != self._told:
            self._told = stage
            self._tell(stage)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            if self._timer.is_alive():  # it may have been interrupted as it started
                self._timer.join()


class _WarningHandler(logging.Handler):
    """Shows warnings, logged or raised, as lines of the console."""

    def __init__(self, own: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = own

    def emit(self, record: logging.LogRecord) -> None:
        """Show a log record."""
        self._console.warn(record.getMessage())

    def show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Stand in for :func:`warnings.showwarning`."""
        self._console.warn(str(message))
