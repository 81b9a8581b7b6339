"""``hecc.Server`` and ``hecc.Engine``: evaluate a plan on encrypted rows. They hold no secret."""

from __future__ import annotations

import os
from pathlib import Path

from hecc.measure.machine import require_memory
from hecc.options.renamed import tells_new_names
from hecc.runtime.ckks import server
from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile
from hecc.runtime.ckks.devices.device import DEFAULT_MEMORY
from hecc.runtime.ckks.keys.folder import EVALUATION
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile
from hecc.runtime.ckks.server import RowProgress
from hecc.runtime.errors import InputError
from hecc.runtime.files.atomic import reading
from hecc.runtime.plan.plan import Plan

__all__ = ["Engine", "Server"]


class Engine(server.Engine):
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
        memory: int = DEFAULT_MEMORY,
        threads: int | None = None,
    ) -> None:
        super().__init__(_plan(plan), device=device, memory=memory, threads=threads)


class Server(server.Server):
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
        plan: Plan | server.Engine | str | os.PathLike[str],
        evaluation_keys: EvaluationKeyFile | str | os.PathLike[str],
        *,
        device: str | None = None,
        memory: int | None = None,
        threads: int | None = None,
    ) -> None:
        super().__init__(
            plan if isinstance(plan, server.Engine) else _plan(plan),
            _keys(evaluation_keys),
            device=device,
            memory=memory,
            threads=threads,
        )

    def run(
        self, request: CiphertextFile | str | os.PathLike[str], *, progress: RowProgress | None = None
    ) -> ResultFile:
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
        return super().run(_loaded(request), progress=progress)

    def run_to(
        self,
        path: str | os.PathLike[str],
        request: CiphertextFile | str | os.PathLike[str],
        *,
        progress: RowProgress | None = None,
        resume: bool = True,
        force: bool = False,
    ) -> ResultFile:
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
        return super().run_to(path, _loaded(request), progress=progress, resume=resume, force=force)


def _plan(given: Plan | str | os.PathLike[str]) -> Plan:
    """A plan that can be run, and that this machine has the memory for."""
    plan = given if isinstance(given, Plan) else Plan.load(given)
    plan.require_circuit()
    require_memory(
        plan.header.estimate.peak_memory, "a run of this plan", "or compile a smaller network or for less precision"
    )
    return plan


def _keys(given: EvaluationKeyFile | str | os.PathLike[str]) -> EvaluationKeyFile:
    if isinstance(given, EvaluationKeyFile):
        return given
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
    return EvaluationKeyFile(given)


def _loaded(request: CiphertextFile | str | os.PathLike[str]) -> CiphertextFile:
    return request if isinstance(request, CiphertextFile) else CiphertextFile.load(request)
