"""Evaluators: what runs a Circuit on ciphertexts, and how to find one by name.

The surface is a session, not a function: preparing once per plan and key set and running once per row fits an
evaluator that caches encoded weights, one that keeps the keys on an accelerator, and one in another process alike.
Evaluators hold public data only.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Protocol, Self, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.instructions import Circuit, Input, Instruction
from hecc.runtime.ckks.circuit.parameters import KeyShape, KeySpecification
from hecc.runtime.errors import FileFormatError, InputError

__all__ = [
    "DEFAULT_MEMORY",
    "EVALUATORS",
    "SCALE_TOLERANCE",
    "Buffer",
    "Evaluator",
    "KeySource",
    "Progress",
    "Session",
    "SwitchingKey",
    "default_threads",
    "input_streams",
    "load_evaluator",
]

DEFAULT_MEMORY = 1 << 31
"""Bytes that an evaluator may spend on intermediate rotations and encoded weights, unless told otherwise."""

EVALUATORS: Mapping[str, str] = MappingProxyType(
    {
        "native": "hecc.runtime.ckks.devices.native.evaluator:NativeEvaluator",
        "seal": "hecc.runtime.ckks.devices.seal.evaluator:SealEvaluator",
    }
)
"""Where each evaluator is; its module is imported only when it is asked for."""

SCALE_TOLERANCE = 1e-9
"""How far the double of a ciphertext's scale may stray from the exact scale by rounding alone."""

Buffer: TypeAlias = bytes | memoryview

SwitchingKey: TypeAlias = Buffer | NDArray[np.uint8]
"""In the shape "seal" a SEAL stream; in the shape "native" an array, as ``docs/file-formats.md`` describes it."""

Progress: TypeAlias = Callable[[int, int, Instruction], None]
"""Called with (instructions done, instructions in all, the one just done)."""


class KeySource(Protocol):
    """Evaluation keys in the evaluator's own shape, each read when it is first needed."""

    def relinearization(self) -> SwitchingKey:
        """The relinearisation key."""

    def galois(self, element: int) -> SwitchingKey:
        """The key of one Galois element."""


class Session(Protocol):
    """One circuit and one key set, ready to run row after row. Not for use by two threads at once."""

    def run(
        self, inputs: Mapping[str, Sequence[Buffer]], *, progress: Progress | None = None
    ) -> dict[str, list[bytes]]:
        """Evaluate one row: ciphertext streams by input name, in and out by output name."""

    def close(self) -> None:
        """Free keys and caches."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Evaluator(Protocol):
    """Makes sessions, on keys of the one shape that it can use."""

    @property
    def key_shape(self) -> KeyShape:
        """The shape of keys that it can use."""

    def prepare(
        self,
        circuit: Circuit,
        keys: KeySpecification,
        source: KeySource,
        *,
        memory: int = DEFAULT_MEMORY,
        threads: int | None = None,
    ) -> Session:
        """Verify ``circuit`` against ``keys`` and make it ready to run, within about ``memory`` bytes of caches.

        An evaluator that has threads uses so many, one per processor by default.
        """


def default_threads() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def input_streams(instruction: Input, inputs: Mapping[str, Sequence[Buffer]]) -> Sequence[Buffer]:
    """The client's ciphertexts for one input of a circuit.

    Raises
    ------
    FileFormatError
        When there are not as many as the circuit needs.
    """
    streams = inputs.get(instruction.name, ())
    if len(streams) != instruction.ciphertexts:
        raise FileFormatError(
            f"input {instruction.name!r}: {len(streams)} ciphertexts found, {instruction.ciphertexts} needed"
        )
    return streams


def load_evaluator(name: str) -> Evaluator:
    """The evaluator called ``name``.

    Raises
    ------
    InputError
        When there is none of that name.
    """
    if name not in EVALUATORS:
        raise InputError(f"there is no evaluator {name!r}; choose one of {', '.join(sorted(EVALUATORS))}")
    module, _, attribute = EVALUATORS[name].partition(":")
    return cast(Evaluator, getattr(importlib.import_module(module), attribute)())
