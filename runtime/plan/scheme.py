"""Schemes: what a plan is encrypted with, who knows what, and where each one's code is.

Everything that is common asks a scheme by the interface below, and imports none: a scheme is loaded when a plan or
another file names it. What compiles for a scheme is on the compiler's side (:mod:`hecc.passes.schemes`).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import FileFormatError
from hecc.runtime.files.container import Container, ContainerWriter, Content, FileSource

if TYPE_CHECKING:
    from hecc.runtime.plan.header import PlanHeader
    from hecc.runtime.plan.holder import AnyHolder, EncryptedRows, Steps
    from hecc.runtime.plan.interfaces import RowEngine, RowServer
    from hecc.runtime.plan.keyset import KeySet, MinSecurity
    from hecc.runtime.plan.plan import Plan
    from hecc.runtime.plan.verifier import Verifier
    from hecc.runtime.tail.outcomes import Outputs

__all__ = ["SCHEMES", "Scheme", "load_scheme", "scheme_of"]

SCHEMES: Mapping[str, str] = MappingProxyType(
    {
        "ckks": "hecc.runtime.ckks.scheme:CKKS",
        "sharing": "hecc.runtime.sharing.scheme:SHARING",
        "more": "hecc.runtime.more.scheme:MORE",
    }
)
"""Where each scheme is; its module is imported only when it is asked for."""

UNNAMED = "ckks"
"""The scheme of files whose header names none, as keys and ciphertexts of the first one do not."""

H = TypeVar("H", bound="PlanHeader")
P = TypeVar("P", bound="Plan")


class Scheme(Protocol[H, P]):
    """One way to compute on what the computer must not see."""

    @property
    def name(self) -> str:
        """Its key in :data:`SCHEMES`, and what files call it."""

    @property
    def header(self) -> type[H]:
        """The struct of a plan's header."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Who takes part in a run: ("client", "server")."""

    @property
    def is_secure(self) -> bool:
        """Whether it protects anything; of one that does not, every output says so."""

    @property
    def verb(self) -> str:
        """What happens to rows: "encrypted"."""

    def security(self, header: H) -> str:
        """What keeps inputs secret, and from whom, in one sentence; shown with everything that is said of a plan."""

    def summary(self, header: H) -> Iterator[tuple[str, str]]:
        """What a newcomer has to know of a plan, as names and sentences.

        What goes in and comes out, security, precision, and what a run costs, as far as the scheme has these.
        """

    def facts(self, header: H) -> Iterator[tuple[str, str]]:
        """All that is known of a plan before any key exists, as names and sentences."""

    def fields(self, header: H) -> dict[str, Any]:
        """The same for JSON."""

    def check(self, header: H) -> None:
        """Refuse a header that contradicts itself.

        Raises
        ------
        ParameterError
            With the first rule broken.
        """

    def key_bytes(self, headers: Sequence[H], *, device: str | None) -> int:
        """Bytes of the files that :meth:`keygen` would make, at most.

        Raises
        ------
        KeyMismatchError
            No keys can serve all of the plans.
        """

    def key_memory(self, headers: Sequence[H], *, device: str | None, protected: bool) -> int:
        """Bytes of memory that :meth:`keygen` is going to need."""

    def keygen(
        self,
        headers: Sequence[H],
        folder: Path,
        *,
        device: str | None,
        min_security: MinSecurity,
        passphrase: str | None,
        force: bool,
        progress: Steps | None,
    ) -> KeySet:
        """Make keys that serve all of some plans; see :meth:`hecc.Client.keygen`.

        Parameters
        ----------
        device
            What the evaluation keys are for; by default what the first plan was compiled for.
        """

    def is_protected(self, folder: Path) -> bool:
        """Whether a passphrase protects the secret key in a folder of keys; not if there is none."""

    def holder(
        self, plan: P, keys: Path | Content, *, passphrase: str | None, public: bool, min_security: MinSecurity
    ) -> AnyHolder:
        """Whoever holds the keys in a folder; see :class:`hecc.Client`.

        Parameters
        ----------
        keys
            The folder, or what the file of a secret or a public key holds.
        public
            Use the public key only.
        """

    def request(self, file: FileSource) -> EncryptedRows:
        """A file of encrypted inputs.

        Raises
        ------
        InputError, FileFormatError
            It cannot be opened, is of another kind, or damaged.
        """

    def result(self, file: FileSource) -> EncryptedRows:
        """A file of encrypted results; as :meth:`request`."""

    def result_bytes(self, plan: P, request: Any) -> int:
        """How large the file of a request's result becomes, at most."""

    def evaluation_keys(self, file: FileSource) -> Any:
        """A file of evaluation keys, as :meth:`server` takes it.

        Raises
        ------
        InputError, FileFormatError
            It cannot be opened, is of another kind, or damaged.
        """

    def engine(self, plan: P, *, device: str | None, memory: int | None, threads: int | None) -> RowEngine:
        """A plan made ready on this machine; see :class:`hecc.Engine`.

        Parameters
        ----------
        device, memory, threads
            By default the scheme's own choice.
        """

    def server(
        self, plan: Any, keys: Any, *, device: str | None, memory: int | None, threads: int | None
    ) -> RowServer[Any]:
        """A plan, or what :meth:`engine` made of one, with a client's keys; see :class:`hecc.Server`."""

    @property
    def verifier(self) -> Verifier[Any]:
        """What is said of files, and whether they belong together."""

    def simulate(self, plan: P, rows: Mapping[str, NDArray[np.float64]], *, noise: bool, seed: int) -> Outputs:
        """What a server's plan makes of rows, in clear and without keys; only the result tells of rows that are lost.

        Parameters
        ----------
        noise
            Add random noise as large as that of encryption.
        """

    def read_program(self, container: Container, header: H) -> P:
        """The plan in a file, whose header is checked already.

        Raises
        ------
        FileFormatError, ParameterError, CircuitError
            The file is damaged, or describes something impossible.
        """

    def write_program(self, writer: ContainerWriter, plan: P) -> None:
        """Write everything but the header: all of it into the server's file, and into the client's what is public."""


class _Named(msgspec.Struct, frozen=True):
    scheme: Annotated[str, msgspec.Meta(max_length=40, pattern="^[ -~]*$")] = UNNAMED


def scheme_of(container: Container) -> Scheme[Any, Any]:
    """The scheme that a file is of, which its header says before anything else is read of it.

    Raises
    ------
    FileFormatError
        There is no such scheme.
    """
    name = container.some_of_header(_Named).scheme
    if name not in SCHEMES:
        raise FileFormatError(
            f"{container.where}: this file is of the scheme {name!r}, and this hecc knows {', '.join(sorted(SCHEMES))} "
            "only; use a hecc that knows it"
        )
    return load_scheme(name)


def load_scheme(name: str) -> Scheme[Any, Any]:
    """The scheme called ``name``, a key of :data:`SCHEMES`."""
    module, _, attribute = SCHEMES[name].partition(":")
    scheme: Scheme[Any, Any] = getattr(importlib.import_module(module), attribute)
    return scheme
