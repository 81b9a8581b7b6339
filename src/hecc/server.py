"""``hecc.Server`` and ``hecc.Engine``: evaluate a plan on encrypted rows. They hold no secret."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, Self, overload

from hecc.measure.machine import require_memory
from hecc.options.renamed import tells_new_names
from hecc.runtime.closing import Closing
from hecc.runtime.described import Described
from hecc.runtime.errors import InputError
from hecc.runtime.files.atomic import reading
from hecc.runtime.files.container import CONTENT, FILE_SOURCES, Content, FileSource
from hecc.runtime.pickling import NotPickled
from hecc.runtime.plan.holder import EncryptedRows
from hecc.runtime.plan.interfaces import Device, RowEngine, RowProgress, RowServer
from hecc.runtime.plan.keyset import EVALUATION
from hecc.runtime.plan.plan import Plan
from hecc.runtime.plan.scheme import Scheme

__all__ = ["Engine", "Server"]


class Engine(NotPickled, Described, Closing):
    """A plan made ready on this machine, for any number of clients; a context manager.

    Weights are encoded when they are first needed, once for the servers of all clients: ``hecc.Server(engine, keys)``.

    Parameters
    ----------
    plan
        The server's plan, or its file, by its path or as bytes.
    device
        "native" or "seal"; by default the one that the plan was compiled for.
    memory
        Bytes that the device may spend on caches: half on encoded weights, and half on what a server needs as it runs.
    threads
        Threads that it computes with if it can, by default one per processor. With one, servers in several threads run
        side by side; with more they take turns, operation by operation.

    Raises
    ------
    InputError
        The plan is the client's, which has no circuit; there is no such device; or this machine cannot hold the plan's
        predicted memory.
    """

    UNPICKLED: ClassVar[str] = (
        "it holds a plan made ready in this process's memory; servers in several threads share it, and another process "
        "makes one of the plan's bytes (plan.dumps())"
    )

    def __init__(
        self,
        plan: Plan | FileSource,
        *,
        device: str | None = None,
        memory: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.plan = _plan(plan)
        self._engine: RowEngine = self.plan.scheme.engine(self.plan, device=device, memory=memory, threads=threads)

    def described(self) -> tuple[str, list[tuple[str, str]]]:
        """Of which plan it is."""
        return f"an engine of plan {self.plan.fingerprint[:8]}", [*self.plan.scheme.summary(self.plan.header)]

    def close(self) -> None:
        """Free encoded weights; servers on this engine refuse what they are asked afterwards."""
        self._engine.close()


class Server(NotPickled, Described, Closing):
    """One plan and one client's keys, ready for any number of requests; a context manager.

    Files come by their paths or as bytes, and bytes are checked as files are: nothing that they say is believed.

    Parameters
    ----------
    plan
        The server's plan, or its file; or an :class:`Engine`, which the servers of several clients share. They may run
        side by side, in threads of their own; one server is not for two threads at once.
    evaluation_keys
        The client's evaluation keys, or their file, or the folder that it lies in. Of ``bytes`` no copy is made, and
        they stay in memory; a file is mapped.
    device
        "native" or "seal"; by default the one that the keys are for.
    memory
        Bytes that the device may spend on caches.
    threads
        Threads that it computes with if it can, by default one per processor.

    Raises
    ------
    InputError
        The plan is the client's, which has no circuit; there are no evaluation keys; this machine cannot hold the
        plan's predicted memory; or an engine is given, and what it has already.
    KeyMismatchError
        The keys were made for other parameters or lack one that the plan needs.
    """

    UNPICKLED: ClassVar[str] = (
        "it holds a plan and keys in this process's memory; open one where you need it, as hecc.Server(plan, "
        "evaluation_keys), of the bytes of both (plan.dumps(), and what keys/evaluation.bin holds)"
    )

    @tells_new_names
    def __init__(
        self,
        plan: Plan | Engine | FileSource,
        evaluation_keys: Any | FileSource,
        *,
        device: str | None = None,
        memory: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.plan = plan.plan if isinstance(plan, Engine) else _plan(plan)
        scheme = self.plan.scheme
        self._server: RowServer[Any] = scheme.server(
            plan._engine if isinstance(plan, Engine) else self.plan,
            _keys(scheme, evaluation_keys) if isinstance(evaluation_keys, FILE_SOURCES) else evaluation_keys,
            device=device,
            memory=memory,
            threads=threads,
        )

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def described(self) -> tuple[str, list[tuple[str, str]]]:
        """Of which plan it is, and on what it runs."""
        title = f"a server of plan {self.plan.fingerprint[:8]}"
        return title, [("runs on", self.device.words), *self.plan.scheme.summary(self.plan.header)]

    @property
    def device(self) -> Device:
        """What it runs on."""
        return self._server.device

    def close(self) -> None:
        """Free the keys, and the engine unless others share it; what is asked of the server afterwards is refused."""
        self._server.close()

    @overload
    def run(
        self,
        request: EncryptedRows | str | os.PathLike[str],
        *,
        max_rows: int | None = None,
        progress: RowProgress | None = None,
    ) -> EncryptedRows: ...

    @overload
    def run(self, request: Content, *, max_rows: int | None = None, progress: RowProgress | None = None) -> bytes: ...

    def run(
        self, request: EncryptedRows | FileSource, *, max_rows: int | None = None, progress: RowProgress | None = None
    ) -> EncryptedRows | bytes:
        """Evaluate every row of a request, or of the file of one; ``save`` writes the file for the client.

        Bytes in, bytes out: of what a file of encrypted rows holds, as a web service receives it, the answer is what
        the file of the results holds. Of both there is one copy in memory.

        Parameters
        ----------
        request
            The client's encrypted inputs.
        max_rows
            How many rows of a request are evaluated at most. A limit on its bytes is none on its rows: ciphertexts may
            be compressed.
        progress
            Called after every instruction of every row, or batch of rows.

        Raises
        ------
        InputError
            The server was closed, the request has too many rows, or this machine has not the memory for their results.
        KeyMismatchError
            The request belongs to another plan or another key set.
        FileFormatError
            The request is no file of encrypted rows, or a ciphertext or a key is damaged.
        """
        rows = self._request(request, max_rows)
        require_memory(
            self.plan.scheme.result_bytes(self.plan, rows),
            f"the result of {rows.rows} rows",
            "or send fewer rows at once, or write it to a file as it is made (`hecc run`, in Python run_to)",
        )
        if isinstance(request, CONTENT):
            return self._server.run_bytes(rows, progress=progress)
        return self._server.run(rows, progress=progress)

    def run_to(
        self,
        path: str | os.PathLike[str],
        request: EncryptedRows | FileSource,
        *,
        max_rows: int | None = None,
        progress: RowProgress | None = None,
        resume: bool = True,
        force: bool = False,
    ) -> EncryptedRows:
        """As :meth:`run` and ``save``, but no more than one row, or batch of rows, is in memory.

        Whatever interrupts it, what is done stays in ``PATH.partial``, and the same call goes on from there.

        Parameters
        ----------
        max_rows
            How many rows of a request are evaluated at most.
        resume
            Whether to go on where an interrupted run of the same request stopped, or begin anew.
        force
            Replace a file that is no result, too.

        Raises
        ------
        InputError
            The server was closed, the request has too many rows, the file cannot be written, is no result, or what was
            left there belongs to another run.
        KeyMismatchError, FileFormatError
            As :meth:`run`.
        """
        rows = self._request(request, max_rows)
        return self._server.run_to(path, rows, progress=progress, resume=resume, force=force)

    def _request(self, request: EncryptedRows | FileSource, max_rows: int | None) -> EncryptedRows:
        rows = self.plan.scheme.request(request) if isinstance(request, FILE_SOURCES) else request
        if max_rows is not None and rows.rows > max_rows:
            raise InputError(f"a request of {rows.rows} rows, and {max_rows} are evaluated at once; send fewer")
        return rows


def _plan(given: Plan | FileSource) -> Plan:
    """A plan that can be run, and that this machine has the memory for."""
    plan = Plan.of(given)
    plan.require_program()
    require_memory(plan.header.peak_memory, "a run of this plan", "or compile a smaller network or for less precision")
    return plan


def _keys(scheme: Scheme[Any, Any], given: FileSource) -> Any:
    """The evaluation keys in a file, in that of a folder, or in bytes."""
    if isinstance(given, CONTENT):
        return scheme.evaluation_keys(given)
    given = Path(given)
    with reading(given):
        if (given / EVALUATION).is_file():
            given = given / EVALUATION
        found = given.is_file()
    if not found:
        # Whoever runs a plan may never have made a key.
        raise InputError(
            f"{given}: no evaluation keys are here; the client makes them (`hecc keygen` writes keys/evaluation.bin) "
            "and sends them: give the path of that file as --evaluation-keys"
        )
    return scheme.evaluation_keys(given)
