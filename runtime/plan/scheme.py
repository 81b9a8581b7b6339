"""Schemes: what a plan is encrypted with, who knows what, and where each one's code is.

Everything that is common asks a scheme by the interface below, and imports none: a scheme is loaded when a plan or
another file names it. What compiles for a scheme is on the compiler's side (:mod:`hecc.passes.schemes`).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import msgspec

from hecc.runtime.errors import FileFormatError
from hecc.runtime.files.container import Container, ContainerWriter

if TYPE_CHECKING:
    from hecc.runtime.plan.header import PlanHeader
    from hecc.runtime.plan.plan import Plan

__all__ = ["SCHEMES", "Scheme", "load_scheme", "scheme_of"]

SCHEMES: Mapping[str, str] = MappingProxyType({"ckks": "hecc.runtime.ckks.scheme:CKKS"})
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

    def security(self, header: H) -> str:
        """What keeps inputs secret, and from whom, in one sentence; shown with everything that is said of a plan."""

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

    def read_program(self, container: Container, header: H) -> P:
        """The plan in a file, whose header is checked already.

        Raises
        ------
        FileFormatError, ParameterError, CircuitError
            The file is damaged, or describes something impossible.
        """

    def write_program(self, writer: ContainerWriter, plan: P) -> None:
        """Write everything but the header into the server's file."""


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
            f"{container.path}: this file is of the scheme {name!r}, and this hecc knows {', '.join(sorted(SCHEMES))} "
            "only; use a hecc that knows it"
        )
    return load_scheme(name)


def load_scheme(name: str) -> Scheme[Any, Any]:
    """The scheme called ``name``, a key of :data:`SCHEMES`."""
    module, _, attribute = SCHEMES[name].partition(":")
    scheme: Scheme[Any, Any] = getattr(importlib.import_module(module), attribute)
    return scheme
