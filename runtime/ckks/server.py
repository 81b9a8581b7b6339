"""The server: a plan, a client's evaluation keys, and encrypted rows in and out. It holds no secret."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, TypeAlias

from hecc.runtime.ckks.ciphertexts import CiphertextFile, ResultFile
from hecc.runtime.ckks.circuit.instructions import Instruction
from hecc.runtime.ckks.devices.evaluator import DEFAULT_MEMORY, load_evaluator
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, check_covers
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.errors import InputError, KeyMismatchError

__all__ = ["RowProgress", "Server"]

RowProgress: TypeAlias = Callable[[int, int, int, Instruction], None]
"""Called with (row or batch of rows, instructions done in this one, instructions in all, the one just done)."""


class Server:
    """One plan and one client's keys, ready for any number of requests; a context manager.

    Parameters
    ----------
    plan
        The server's plan.
    keys
        The client's evaluation keys. They may cover more than the plan needs.
    evaluator
        Name of the evaluator, a key of :data:`hecc.runtime.ckks.devices.evaluator.EVALUATORS`; by default the one that
        the keys are for.
    memory
        Bytes that the evaluator may spend on caches.
    threads
        Threads that it computes with if it can, by default one per processor.

    Raises
    ------
    InputError
        When ``plan`` is the client's, which has no circuit, or there is no such evaluator.
    KeyMismatchError
        When the keys were made for other parameters, lack a key that the plan needs, or are of a shape that the
        evaluator cannot use.
    CircuitError
        When the circuit breaks a rule of the verifier.
    """

    def __init__(
        self,
        plan: CkksPlan,
        keys: EvaluationKeyFile,
        *,
        evaluator: str | None = None,
        memory: int = DEFAULT_MEMORY,
        threads: int | None = None,
    ) -> None:
        circuit = plan.require_circuit()
        check_covers(keys.header.keys, plan.header.keys, galois=True, where=keys.path)
        self._plan = plan
        self._keys = keys
        evaluator = evaluator or keys.header.shape
        engine = load_evaluator(evaluator)
        if keys.header.shape != engine.key_shape:
            raise KeyMismatchError(
                f"{keys.path}: keys of shape {keys.header.shape!r}, but the evaluator {evaluator!r} needs shape "
                f"{engine.key_shape!r}; choose another evaluator, or make keys of that shape"
            )
        self.evaluator = evaluator
        self._closed = False
        self._session = engine.prepare(circuit, plan.header.keys, keys, memory=memory, threads=threads)

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free keys and caches; what is asked of the server afterwards is refused."""
        self._closed = True
        self._session.close()

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
            When the server was closed.
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
            When the server was closed, the file cannot be written, is no result, or what was left there belongs to
            another run.
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


def _for_batch(progress: RowProgress, batch: int) -> Callable[[int, int, Instruction], None]:
    """A session's progress as that of one row or batch."""
    return lambda done, total, instruction: progress(batch, done, total, instruction)
