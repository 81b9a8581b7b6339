"""Whoever computes on encoded rows: evaluates a network, and trains one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from hecc.runtime.errors import InputError, KeyMismatchError
from hecc.runtime.files.container import Kind
from hecc.runtime.more.arithmetic import Encoded, EncodedArithmetic, identity
from hecc.runtime.more.keyfiles import KeyHeader
from hecc.runtime.more.plan import MorePlan
from hecc.runtime.more.rows import EncodedFile, RowsHeader
from hecc.runtime.network.evaluation import evaluate
from hecc.runtime.network.program import TensorProgram
from hecc.runtime.plan.interfaces import RowProgress

__all__ = ["Engine", "NumpyDevice", "Server", "check_request", "rows_at_a_time"]

WORKING_SET = 1 << 23
"""Bytes of the largest value of the rows that are evaluated at a time: what the processor's caches hold, and far below
what the system's allocator takes new pages for."""


@dataclass(frozen=True)
class NumpyDevice:
    """What programs run on; see :class:`hecc.runtime.plan.interfaces.Device`."""

    name: str = "numpy"
    words: str = "NumPy, on encoded numbers"


class Engine:
    """A plan made ready; see :class:`hecc.runtime.plan.interfaces.RowEngine`."""

    def __init__(self, plan: MorePlan, *, device: str | None = None) -> None:
        if device not in (None, NumpyDevice.name):
            raise InputError(f"plans of the scheme more run on NumPy, not on the device {device!r}; leave it out")
        self.plan = plan
        self._closed = False

    @property
    def network(self) -> TensorProgram:
        """The program.

        Raises
        ------
        InputError
            The engine was closed.
        """
        self.plan.require_program()
        if self._closed or self.plan.network is None:
            raise InputError("the engine was closed; make another one")
        return self.plan.network

    def close(self) -> None:
        """Refuse what is asked afterwards."""
        self._closed = True


class Server:
    """A plan and the name of a client's key set; see :class:`hecc.runtime.plan.interfaces.RowServer`."""

    def __init__(self, engine: Engine, keys: KeyHeader, *, owns: bool) -> None:
        if keys.size != engine.plan.header.size:
            raise KeyMismatchError(
                f"the keys are for matrices of {keys.size} x {keys.size}, and the plan has {engine.plan.header.size} x "
                f"{engine.plan.header.size}"
            )
        self._engine, self._keys, self._owns = engine, keys, owns
        self._closed = False

    @property
    def device(self) -> NumpyDevice:
        """What it runs on."""
        return NumpyDevice()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Refuse what is asked afterwards."""
        self._closed = True
        if self._owns:
            self._engine.close()

    def run(self, request: EncodedFile, *, progress: RowProgress | None = None) -> EncodedFile:
        """Evaluate every row."""
        if self._closed:
            raise InputError("the server was closed; open another one")
        plan, program = self._engine.plan, self._engine.network
        check_request(plan, request, self._keys.key_id)
        arithmetic: Any = EncodedArithmetic()
        parts: list[dict[str, Any]] = []
        chunk = rows_at_a_time(program, plan.header.size)
        for start in range(0, request.rows, chunk):
            stop = min(start + chunk, request.rows)
            given = {
                source.name: Encoded(request.tensors[source.name].planes[:, :, start:stop])
                for source in plan.header.inputs
            }

            def step(done: int, total: int, ins: Any, first: int = start, last: int = stop) -> None:
                if progress is not None:
                    for row in range(first, last) if done == total else (first,):
                        progress(row, done, total, ins)

            parts.append(evaluate(program, arithmetic, given, {}, progress=step))
        tensors = {}
        for name in parts[0]:
            planes = np.concatenate([_encoded(part[name], plan.header.size).planes for part in parts], axis=2)
            tensors[name] = Encoded(planes)
        header = RowsHeader(
            key_id=request.key_id,
            of=plan.fingerprint,
            request=request.fingerprint,
            size=plan.header.size,
            rows=request.rows,
            tensors=tuple(tensors),
        )
        return EncodedFile(Kind.RESULT, header, tensors)

    def run_bytes(self, request: EncodedFile, *, progress: RowProgress | None = None) -> bytes:
        """Evaluate every row; what the file of the result holds."""
        return self.run(request, progress=progress).dumps()

    def run_to(
        self,
        path: str | os.PathLike[str],
        request: EncodedFile,
        *,
        progress: RowProgress | None = None,
        resume: bool = True,
        force: bool = False,
    ) -> EncodedFile:
        """Evaluate every row into a file."""
        result = self.run(request, progress=progress)
        result.save(path, force=force)
        return result


def rows_at_a_time(program: TensorProgram, size: int) -> int:
    """How many rows are evaluated together, as matrices of a size."""
    largest = max(kind.size for kind in program.types if kind.by_row)
    return max(1, WORKING_SET // (8 * size**2 * largest))


def _encoded(value: Encoded | Any, size: int) -> Encoded:
    """An output that depends on no input is a number that everybody knows."""
    return value if isinstance(value, Encoded) else identity(value, size)


def check_request(plan: MorePlan, request: EncodedFile, key_id: str | None) -> None:
    """Refuse rows that are not for a plan, or not of a key set.

    Raises
    ------
    KeyMismatchError
        They are not.
    """
    header = plan.header
    if key_id is not None and request.key_id != key_id:
        raise KeyMismatchError("the rows are of another key set than the evaluation keys")
    if request.header.of != plan.input_fingerprint or request.header.size != header.size:
        raise KeyMismatchError("the rows were encoded for the inputs of another plan; encode them with this one")
    for source in header.inputs:
        tensor = request.tensors.get(source.name)
        if tensor is None or tensor.planes.shape[2:] != (request.rows, *source.shape):
            raise KeyMismatchError(f"the rows have no input {source.name!r} of the plan's shape")
