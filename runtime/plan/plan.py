"""A plan, and its two files: the server's holds the program and the weights, the client's what is public."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from hecc.runtime.described import Described
from hecc.runtime.errors import CircuitError, FileFormatError, InputError, ParameterError
from hecc.runtime.files import codec
from hecc.runtime.files.container import CONTENT, Container, ContainerWriter, Content, FileSource, Kind
from hecc.runtime.files.memory import MemoryFile
from hecc.runtime.plan.facts import tensor_words
from hecc.runtime.plan.header import PlanHeader, signature_fingerprint
from hecc.runtime.plan.scheme import Scheme, load_scheme, scheme_of

__all__ = ["Plan", "client_path"]


def client_path(server: Path) -> Path:
    """Where the client's plan lies beside the server's, unless somebody says otherwise."""
    return server.with_name(f"{server.stem}.client{server.suffix}")


@dataclass(frozen=True, repr=False)
class Plan(Described, ABC):
    """What to encrypt and how, and, in the server's file, what to do with it. Each scheme has plans of its own.

    Parameters
    ----------
    header
        What both files say.
    path
        The file it came from, for error messages.
    """

    header: PlanHeader
    path: Path | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Bring the header into the form that it has in a file, so that its fingerprint does not depend on it."""
        object.__setattr__(self, "header", codec.normalise(self.header))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the header, the same for both files: what results are bound to."""
        return codec.fingerprint(self.header)

    @property
    def input_fingerprint(self) -> str:
        """SHA-256 of the input signatures: what ciphertexts are bound to."""
        return signature_fingerprint(self.header.inputs)

    @property
    def scheme(self) -> Scheme[Any, Any]:
        """What it is encrypted with."""
        return load_scheme(self.header.scheme)

    @property
    @abstractmethod
    def program(self) -> object | None:
        """What a server runs, which prints as one line per instruction; ``None`` for the client's plan."""

    @property
    def has_program(self) -> bool:
        """Whether its file holds more than the header, as the server's does, and the client's where both sides run."""
        return self.program is not None

    @property
    @abstractmethod
    def summary(self) -> str:
        """How much the program is, in a few words."""

    def described(self) -> tuple[str, list[tuple[str, str]]]:
        """Whose plan it is, what it does, and what that costs."""
        whose = "client" if self.program is None else "server"
        title = f"the {whose}'s plan {self.fingerprint[:8]}: {tensor_words(self.header)}"
        return title, [*self.scheme.summary(self.header)]

    def client(self) -> Self:
        """The plan without what the server alone may have: program and weights, as far as its scheme does not say."""
        return type(self)(self.header)

    def require_program(self) -> None:
        """Refuse the client's plan where the program is needed.

        Raises
        ------
        InputError
            This is the client's plan.
        """
        if self.program is None:
            where = f"{self.path}: " if self.path else ""
            raise InputError(f"{where}this is the client's plan, without the circuit; give the server's plan file")

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the server's file, or the client's when there is no program. Equal plans give equal bytes.

        Parameters
        ----------
        path
            The file. One of the same kind is replaced.
        force
            Replace a file of another kind, too.

        Raises
        ------
        InputError
            The file cannot be written, or would replace one of another kind.
        """
        self._write(path, force)

    def dumps(self) -> bytes:
        """The bytes that :meth:`save` would write."""
        memory = MemoryFile()
        self._write(memory, False)
        return memory.content

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as the bytes of the file, which are checked wherever they are read."""
        return type(self).loads, (self.dumps(),)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read either plan file, and check all that it says; constants stay in the mapped file.

        Raises
        ------
        InputError
            The file cannot be opened, or is a plan of another scheme than this class is of.
        FileFormatError
            It is not a plan, is of a scheme that is not known, is damaged, or describes something impossible.
        """
        return cls._read(path)

    @classmethod
    def loads(cls, content: Content) -> Self:
        """As :meth:`load`, of what either plan file holds; constants stay in these bytes.

        Raises
        ------
        InputError, FileFormatError
            As :meth:`load`.
        """
        if not isinstance(content, CONTENT):
            raise InputError(f"Plan.loads takes the bytes of a plan, not {type(content).__name__}; load takes a path")
        return cls._read(content)

    @classmethod
    def of(cls, plan: Plan | FileSource) -> Self:
        """A plan that was given as one, as its file, or as what that holds.

        Raises
        ------
        InputError, FileFormatError
            As :meth:`load`.
        """
        if not isinstance(plan, Plan):
            return cls._read(plan)
        if not isinstance(plan, cls):
            where = f"{plan.path}: " if plan.path else ""
            raise InputError(
                f"{where}this does nothing for plans of the scheme {plan.header.scheme}; give a plan of another scheme"
            )
        return plan

    @classmethod
    def _read(cls, file: FileSource) -> Self:
        container = Container(file, Kind.SERVER_PLAN, Kind.CLIENT_PLAN)
        scheme = scheme_of(container)
        header = container.header(scheme.header)
        try:
            scheme.check(header)
            plan = scheme.read_program(container, header)
        except (ParameterError, CircuitError) as error:
            raise FileFormatError(f"{container.where}: an impossible plan ({error}); compile it again") from None
        return cls.of(plan)

    def _write(self, target: str | os.PathLike[str] | MemoryFile, force: bool) -> None:
        kind = Kind.CLIENT_PLAN if self.program is None else Kind.SERVER_PLAN
        with ContainerWriter(target, kind, self.header, force=force) as writer:
            if self.has_program:
                self.scheme.write_program(writer, self)
