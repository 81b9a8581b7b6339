"""The errors a user can meet.

Every message says what was found, where (an ONNX node, a file, an argument) and what to do about it. The command line
prints the message and exits with :attr:`HeccError.exit_code`; nothing else is a user error, so a traceback is a bug.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = [
    "CircuitError",
    "CompileError",
    "DisclosureError",
    "FileFormatError",
    "GraphError",
    "HeccError",
    "InputError",
    "KeyMismatchError",
    "MissingExtraError",
    "OutputError",
    "ParameterError",
    "PeerError",
    "SecurityError",
    "UnsupportedError",
    "WayOut",
]


class WayOut(Protocol):
    """What would make a network run that was refused."""

    @property
    def sentence(self) -> str:
        """What to change, and what a run would cost then."""

    @property
    def fields(self) -> Mapping[str, Any]:
        """The same as JSON has it."""


class HeccError(Exception):
    """Base of all errors that hecc raises on purpose.

    Attributes
    ----------
    exit_code
        Of the command that fails with it.
    ways
        Of a network that is refused: what was tried and would make it run, the cheapest to do first.
    """

    exit_code = 1
    ways: tuple[WayOut, ...] = ()


class InputError(HeccError):
    """An argument or an input tensor does not fit: wrong path, shape, dtype or range."""


class MissingExtraError(HeccError):
    """A package that only some tasks need is not installed (:mod:`hecc.runtime.extras`)."""


class UnsupportedError(HeccError):
    """The network has an operator, or a use of one, that cannot be compiled."""


class CompileError(HeccError):
    """The network was understood, but no plan satisfies what was asked for."""


class ParameterError(HeccError):
    """Encryption parameters that are impossible or inconsistent."""


class SecurityError(HeccError):
    """Parameters below the security level asked for."""


class DisclosureError(HeccError):
    """A result that must not be disclosed: its plan has no room for the noise, or too many were disclosed."""


class FileFormatError(HeccError):
    """A file is not what it should be: wrong kind, version, truncated, altered or forged."""


class KeyMismatchError(HeccError):
    """Keys, ciphertexts, results or plans that do not belong together."""


class OutputError(HeccError):
    """A decrypted result shows that the evaluation overflowed or was tampered with."""


class PeerError(HeccError):
    """The other party of a protocol left, was silent for too long, or sent something else than was due."""


class GraphError(HeccError):
    """A graph breaks a condition of its stage: a bug of the compiler pass that made it."""


class CircuitError(HeccError):
    """A Circuit breaks a rule of the verifier; from a compiler pass this is a bug, from a file a refusal."""
