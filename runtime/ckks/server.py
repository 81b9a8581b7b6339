"""The server: a plan, a client's evaluation keys, and encrypted rows in and out. It holds no secret."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Self

from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile
from hecc.runtime.ckks.devices.device import DEFAULT_MEMORY, CircuitDevice, device_for, load_device
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, check_covers
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.closing import Closing
from hecc.runtime.errors import InputError, KeyMismatchError
from hecc.runtime.plan.interfaces import Progress, RowProgress, Session

__all__ = ["Engine", "Server"]


class Engine(Closing):
    """A plan made ready on one machine, for any number of clients; a context manager.

    Weights are encoded when they are first needed, once for all clients.

    Parameters
    ----------
    plan
        The server's plan.
    device
        Name of the device, a key of :data:`hecc.runtime.ckks.devices.device.DEVICES`; by default the one that the plan
        was compiled for.
    memory
        Bytes that the device may spend on caches: half on encoded weights, and half on what a session needs as it runs.
    threads
        Threads that it computes with if it can, by default one per processor. With one, sessions in several threads run
        side by side; with more they take turns, operation by operation.

    Raises
    ------
    InputError
        When ``plan`` is the client's, which has no circuit, or there is no such device.
    CircuitError
        When the circuit breaks a rule of the verifier.
    """

    def __init__(
        self, plan: CkksPlan, *, device: str | None = None, memory: int = DEFAULT_MEMORY, threads: int | None = None
    ) -> None:
        circuit = plan.require_circuit()
        self.plan = plan
        self.device = load_device(device or plan.header.estimate.device)
        self._engine = self.device.prepare(circuit, plan.header.keys, memory=memory, threads=threads)

    def session(self, keys: EvaluationKeyFile) -> Session:
        """A session with one client's keys.

        Parameters
        ----------
        keys
            The client's evaluation keys. They may cover more than the plan needs.

        Raises
        ------
        InputError
            When the engine was closed.
        KeyMismatchError
            When the keys were made for other parameters, lack a key that the plan needs, or are of a shape that the
            device cannot use.
        """
        _check_keys(keys, self.plan, self.device)
        return self._engine.session(keys)

    def close(self) -> None:
        """Free encoded weights; servers on this engine refuse what they are asked afterwards."""
        self._engine.close()


class Server(Closing):
    """One plan and one client's keys, ready for any number of requests; a context manager.

    Servers of several clients may share an engine, and run in threads of their own, side by side. One server is not for
    two threads at once.

    Parameters
    ----------
    plan
        The server's plan; or an engine of it, to share with other servers.
    keys
        The client's evaluation keys. They may cover more than the plan needs.
    device, memory, threads
        As :class:`Engine` takes them, of the engine that is made of a plan. By default the device is the one that the
        keys are for.

    Raises
    ------
    InputError
        When ``plan`` is the client's, which has no circuit, there is no such device, the engine was closed, or options
        are given for an engine that is there already.
    KeyMismatchError
        When the keys were made for other parameters, lack a key that the plan needs, or are of a shape that the device
        cannot use.
    CircuitError
        When the circuit breaks a rule of the verifier.
    """

    def __init__(
        self,
        plan: CkksPlan | Engine,
        keys: EvaluationKeyFile,
        *,
        device: str | None = None,
        memory: int | None = None,
        threads: int | None = None,
    ) -> None:
        self._own: Engine | None = None
        if isinstance(plan, Engine):
            if (device, memory, threads) != (None, None, None):
                raise InputError("an engine has its device, memory and threads already; give them when you make it")
            engine = plan
        else:
            plan.require_circuit()
            chosen = device_for(keys.header.shape) if device is None else load_device(device)
            # Keys are refused before anything is made ready.
            _check_keys(keys, plan, chosen)
            caches = DEFAULT_MEMORY if memory is None else memory
            engine = self._own = Engine(plan, device=chosen.name, memory=caches, threads=threads)
        self.device = engine.device
        self._plan = engine.plan
        self._keys = keys
        self._closed = False
        self._session = engine.session(keys)

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def close(self) -> None:
        """Free the keys, and the engine unless others share it; what is asked of the server afterwards is refused."""
        self._closed = True
        self._session.close()
        if self._own is not None:
            self._own.close()

    def _check_open(self) -> None:
        if self._closed:
            raise InputError("this server was closed, and its keys with it; make a new one")

    def run(self, request: CiphertextFile, *, progress: RowProgress | None = None) -> ResultFile:
        """Evaluate every row of a request, one after another, or one batch of rows after another.

        Parameters
        ----------
        request
            The client's encrypted inputs.
        progress
            Called after every instruction of every row or batch.

        Raises
        ------
        InputError
            When the server or its engine was closed.
        KeyMismatchError
            When the request belongs to another plan or another key set.
        FileFormatError
            When a ciphertext or a key is damaged.
        """
        self._check_open()
        request.check(self._plan, self._keys)
        results: dict[str, list[list[bytes]]] = {signature.name: [] for signature in self._plan.header.sent}
        for result in self._evaluate(request, progress):
            for name, streams in results.items():
                streams.append(result[name])
        return ResultFile.build(self._plan, request, results)

    def run_bytes(self, request: CiphertextFile, *, progress: RowProgress | None = None) -> bytes:
        """As :meth:`run`, but what the file of the result would hold, of which there is only one copy in memory.

        Raises
        ------
        InputError, KeyMismatchError, FileFormatError
            As :meth:`run`.
        """
        self._check_open()
        request.check(self._plan, self._keys)
        return ResultFile.content(self._plan, request, self._evaluate(request, progress))

    def run_to(
        self,
        path: str | os.PathLike[str],
        request: CiphertextFile,
        *,
        progress: RowProgress | None = None,
        resume: bool = True,
        force: bool = False,
    ) -> ResultFile:
        """As :meth:`run`, but every batch goes to a file as soon as it is done: memory does not grow with the rows.

        Whatever interrupts it, what is done stays, and the same call goes on from there.

        Parameters
        ----------
        resume
            Whether to go on where an interrupted run of the same request stopped, or begin anew.
        force
            Whether to replace a file that is no result, too.

        Raises
        ------
        InputError
            When the server or its engine was closed, the file cannot be written, is no result, or what was left there
            belongs to another run.
        KeyMismatchError, FileFormatError
            As :meth:`run`.
        """
        self._check_open()
        request.check(self._plan, self._keys)
        return ResultFile.write(
            path,
            self._plan,
            request,
            lambda first: self._evaluate(request, progress, first),
            resume=resume,
            force=force,
        )

    def _evaluate(
        self, request: CiphertextFile, progress: RowProgress | None, first: int = 0
    ) -> Iterator[dict[str, list[bytes]]]:
        inputs = [signature.name for signature in self._plan.header.inputs]
        for batch in range(first, request.batches):
            # Another thread may have closed the server between two batches.
            self._check_open()
            batch_progress = None if progress is None else _for_batch(progress, batch)
            yield self._session.run({name: request.row(name, batch) for name in inputs}, progress=batch_progress)


def _check_keys(keys: EvaluationKeyFile, plan: CkksPlan, device: CircuitDevice) -> None:
    """That a device can run a plan with a client's keys."""
    check_covers(keys.header.keys, plan.header.keys, galois=True, where=keys.where)
    shape, needed = keys.header.shape, device.key_shape
    if shape != needed:
        raise KeyMismatchError(
            f"{keys.where}: keys of shape {shape!r}, but the device {device.name!r} needs shape {needed!r}; choose "
            "another device, or make keys of that shape"
        )


def _for_batch(progress: RowProgress, batch: int) -> Progress:
    """A session's progress as that of one row or batch."""
    return lambda done, total, instruction: progress(batch, done, total, instruction)
