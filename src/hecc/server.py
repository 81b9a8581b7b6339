"""``hecc.Server`` and ``hecc.Engine``: evaluate a plan on encrypted rows. They hold no secret."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

from hecc.measure.machine import require_memory
from hecc.options.renamed import tells_new_names
from hecc.runtime.closing import Closing
from hecc.runtime.errors import InputError
from hecc.runtime.files.atomic import reading
from hecc.runtime.plan.holder import EncryptedRows
from hecc.runtime.plan.interfaces import Device, RowEngine, RowProgress, RowServer
from hecc.runtime.plan.keyset import EVALUATION
from hecc.runtime.plan.plan import Plan

__all__ = ["Engine", "Server"]


class Engine(Closing):
    """A plan made ready on this machine, for any number of clients; a context manager.

    Weights are encoded when they are first needed, once for the servers of all clients: ``hecc.Server(engine, keys)``.

    Parameters
    ----------
    plan
        The server's plan, or its file.
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

    def __init__(
        self,
        plan: Plan | str | os.PathLike[str],
        *,
        device: str | None = None,
        memory: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.plan = _plan(plan)
        self._engine: RowEngine = self.plan.scheme.engine(self.plan, device=device, memory=memory, threads=threads)

    def close(self) -> None:
        """Free encoded weights; servers on this engine refuse what they are asked afterwards."""
        self._engine.close()


class Server(Closing):
    """One plan and one client's keys, ready for any number of requests; a context manager.

    Parameters
    ----------
    plan
        The server's plan, or its file; or an :class:`Engine`, which the servers of several clients share. They may run
        side by side, in threads of their own; one server is not for two threads at once.
    evaluation_keys
        The client's evaluation keys, or their file, or the folder that it lies in.
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

    @tells_new_names
    def __init__(
        self,
        plan: Plan | Engine | str | os.PathLike[str],
        evaluation_keys: Any | str | os.PathLike[str],
        *,
        device: str | None = None,
        memory: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.plan = plan.plan if isinstance(plan, Engine) else _plan(plan)
        scheme = self.plan.scheme
        self._server: RowServer[Any] = scheme.server(
            plan._engine if isinstance(plan, Engine) else self.plan,
            scheme.evaluation_keys(_keys(evaluation_keys))
            if isinstance(evaluation_keys, str | os.PathLike)
            else evaluation_keys,
            device=device,
            memory=memory,
            threads=threads,
        )

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    @property
    def device(self) -> Device:
        """What it runs on."""
        return self._server.device

    def close(self) -> None:
        """Free the keys, and the engine unless others share it; what is asked of the server afterwards is refused."""
        self._server.close()

    def run(
        self, request: EncryptedRows | str | os.PathLike[str], *, progress: RowProgress | None = None
    ) -> EncryptedRows:
        """Evaluate every row of a request, or of the file of one; ``save`` writes the file for the client.

        Parameters
        ----------
        request
            The client's encrypted inputs.
        progress
            Called after every instruction of every row, or batch of rows.

        Raises
        ------
        InputError
            The server was closed.
        KeyMismatchError
            The request belongs to another plan or another key set.
        FileFormatError
            A ciphertext or a key is damaged.
        """
        return self._server.run(self._request(request), progress=progress)

    def run_to(
        self,
        path: str | os.PathLike[str],
        request: EncryptedRows | str | os.PathLike[str],
        *,
        progress: RowProgress | None = None,
        resume: bool = True,
        force: bool = False,
    ) -> EncryptedRows:
        """As :meth:`run` and ``save``, but no more than one row, or batch of rows, is in memory.

        Whatever interrupts it, what is done stays in ``PATH.partial``, and the same call goes on from there.

        Parameters
        ----------
        resume
            Whether to go on where an interrupted run of the same request stopped, or begin anew.
        force
            Replace a file that is no result, too.

        Raises
        ------
        InputError
            The server was closed, the file cannot be written, is no result, or what was left there belongs to another
            run.
        KeyMismatchError, FileFormatError
            As :meth:`run`.
        """
        return self._server.run_to(path, self._request(request), progress=progress, resume=resume, force=force)

    def _request(self, request: EncryptedRows | str | os.PathLike[str]) -> EncryptedRows:
        return self.plan.scheme.request(request) if isinstance(request, str | os.PathLike) else request


def _plan(given: Plan | str | os.PathLike[str]) -> Plan:
    """A plan that can be run, and that this machine has the memory for."""
    plan = Plan.of(given)
    plan.require_program()
    require_memory(plan.header.peak_memory, "a run of this plan", "or compile a smaller network or for less precision")
    return plan


def _keys(given: str | os.PathLike[str]) -> Path:
    """The file of evaluation keys, or that in a folder."""
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
    return given
