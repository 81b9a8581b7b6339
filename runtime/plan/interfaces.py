"""What a plan runs on, in any scheme: devices, engines and sessions.

A *device* is one way to evaluate plans on a machine. It makes an *engine* of a plan: all that depends on the plan
alone, such as its encoded weights, once for all clients. An engine opens a *session* for each client's keys. So a
hundred clients cost one encoding, and a session of theirs what its keys cost. All three hold public data only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias, TypeVar

if TYPE_CHECKING:
    from hecc.runtime.plan.holder import EncryptedRows
    from hecc.runtime.plan.plan import Plan

__all__ = [
    "Batch",
    "Buffer",
    "Device",
    "Engine",
    "Progress",
    "RowEngine",
    "RowProgress",
    "RowServer",
    "Session",
    "Step",
]

Buffer: TypeAlias = bytes | memoryview

Batch: TypeAlias = Mapping[str, Sequence[Buffer]]
"""By the name of an input or output its ciphertexts, as the scheme writes them."""

K = TypeVar("K", contravariant=True)
R = TypeVar("R", contravariant=True)


class Step(Protocol):
    """An instruction of a program, as far as whoever watches a run has to know it."""

    @property
    def op(self) -> str:
        """What it does."""

    @property
    def source(self) -> str:
        """The node of the network that it stems from."""


Progress: TypeAlias = Callable[[int, int, Step], None]
"""Called with (instructions done, instructions in all, the one just done)."""

RowProgress: TypeAlias = Callable[[int, int, int, Step], None]
"""Called with (row or batch of rows, instructions done in this one, instructions in all, the one just done)."""


class Device(Protocol):
    """One way to evaluate plans on a machine.

    A scheme's devices have a method ``prepare`` as well, which makes an :class:`Engine`; what it takes is the scheme's.
    """

    @property
    def name(self) -> str:
        """What users call it: the value of ``--device``."""

    @property
    def words(self) -> str:
        """What sentences call it, with an article where one is due: "the native evaluator"."""


class Session(Protocol):
    """One client on an engine, ready to run batch after batch. Not for use by two threads at once."""

    def run(self, inputs: Batch, *, progress: Progress | None = None) -> dict[str, list[bytes]]:
        """Evaluate one batch: ciphertexts by input name, in and out by output name."""

    def close(self) -> None:
        """Free what belongs to the client, such as keys."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Engine(Protocol[K]):
    """A plan made ready on one machine; no key yet. Its sessions may run side by side, in threads of the caller's."""

    def session(self, keys: K) -> Session:
        """A session with one client's keys.

        A scheme in which a session needs more than keys, such as a channel to a peer or material made beforehand, takes
        it as further arguments, by name.
        """

    def close(self) -> None:
        """Free what sessions share, such as encoded weights. What its sessions are asked afterwards is refused."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class RowEngine(Protocol):
    """An engine of a plan as users have it, for the servers of any number of clients; see :class:`hecc.Engine`."""

    @property
    def plan(self) -> Plan:
        """The plan."""

    def close(self) -> None:
        """Free what its servers share."""


class RowServer(Protocol[R]):
    """A session that takes files of rows, batch after batch; see :class:`hecc.Server`."""

    @property
    def device(self) -> Device:
        """What it runs on."""

    def run(self, request: R, *, progress: RowProgress | None = None) -> EncryptedRows:
        """Evaluate every batch of a request."""

    def run_bytes(self, request: R, *, progress: RowProgress | None = None) -> bytes:
        """Evaluate every batch of a request; what the file of the result holds."""

    def run_to(
        self,
        path: str | os.PathLike[str],
        request: R,
        *,
        progress: RowProgress | None = None,
        resume: bool = True,
        force: bool = False,
    ) -> EncryptedRows:
        """Evaluate every batch of a request into a file."""

    def close(self) -> None:
        """Free what belongs to the client."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
