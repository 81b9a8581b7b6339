"""Schemes whose client and server talk: what the verbs ask of them, and who trusts whom on a connection."""

from __future__ import annotations

import importlib
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.closing import Closing
from hecc.runtime.errors import HeccError, InputError
from hecc.runtime.figures import count_words
from hecc.runtime.tail.outcomes import Outputs

__all__ = [
    "SESSIONS",
    "Address",
    "Answer",
    "Connected",
    "Dealing",
    "Ended",
    "Interactive",
    "Prepared",
    "Service",
    "Traffic",
    "Trust",
    "load_sessions",
]

SESSIONS: Mapping[str, str] = MappingProxyType({"sharing": "hecc.runtime.sharing.sessions.interactive:INTERACTIVE"})
"""What runs sessions of a scheme; its module is imported only when it is asked for."""

MOST_PORTS = 1 << 16

Steps: TypeAlias = Callable[[int, int], None]
"""Called with what is done, and all there is to do."""


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> Address:
        """Read ``HOST:PORT``, or ``[HOST]:PORT`` of an IPv6 address.

        Raises
        ------
        InputError
            It is neither.
        """
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]\s]+)):([0-9]{1,5})", text)
        if match is None or int(match[3]) >= MOST_PORTS:
            raise InputError(f"{text!r} is no address; give HOST:PORT, as localhost:7000 or [::1]:7000")
        return cls(match[1] or match[2], int(match[3]))

    def __str__(self) -> str:
        """As it is read."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Trust(NamedTuple):
    """Files of one side of a connection, PEM.

    Attributes
    ----------
    certificate, key
        By which the other side knows this one.
    authority
        Who certifies the other side.
    """

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True)
class Traffic:
    """What went over the network, without TLS.

    Attributes
    ----------
    sent, received
        Bytes.
    seconds
        From the first connection to the last message.
    """

    sent: int
    received: int
    seconds: float


@dataclass(frozen=True)
class Prepared:
    """What a client prepared.

    Attributes
    ----------
    first, count
        Blocks of material.
    left
        Those of the batch that are prepared and not used.
    """

    first: int
    count: int
    left: int
    traffic: Traffic


@dataclass(frozen=True)
class Answer:
    """What a client learned.

    Attributes
    ----------
    outputs
        By name, each of shape (rows, ...), as :meth:`hecc.Client.decrypt` returns them.
    left
        Blocks of material that are prepared and not used.
    """

    outputs: Outputs
    left: int
    traffic: Traffic


@dataclass(frozen=True)
class Ended:
    """How a server's session ended.

    Attributes
    ----------
    evaluated, prepared
        Rows; neither if the client was refused, or left early.
    dealt, role
        Blocks that a dealer gave away, and to which party.
    error
        Why it ended early; ``None`` if it did not.
    """

    evaluated: int = 0
    prepared: int = 0
    dealt: int = 0
    role: str = ""
    error: HeccError | None = None

    @property
    def words(self) -> str:
        """A sentence."""
        if self.error is not None:
            return f"a session ended early: {self.error}"
        done = []
        if self.prepared:
            done.append(f"prepared {count_words(self.prepared, 'block')} of material")
        if self.dealt:
            done.append(f"dealt the {self.role}'s half of {count_words(self.dealt, 'block')}")
        if self.evaluated:
            done.append(f"evaluated {count_words(self.evaluated, 'row')}")
        return ", ".join(done) or "refused a client, and told it why"


class Service(Closing):
    """A server that listens, from the moment that it is made until it is closed."""

    @property
    @abstractmethod
    def address(self) -> Address:
        """Where; a port that was 0 is the one that was free."""

    @abstractmethod
    def wait(self) -> None:
        """Return when the server is closed."""


class Connected(Closing):
    """A client that is connected to a server, with blocks of material leased ahead of its queries."""

    @abstractmethod
    def query(self, rows: Mapping[str, NDArray[np.float64]], *, progress: Steps | None = None) -> Answer:
        """Ask about rows; see :meth:`Interactive.connect`. Not for two threads at once."""


class Dealing(NamedTuple):
    """A dealer's service, as parties reach it.

    Attributes
    ----------
    address
        Where it listens.
    trust
        What this party shows it; ``None`` for plain connections.
    """

    address: Address
    trust: Trust | None


class Interactive(Protocol):
    """A scheme's sessions."""

    def serve_dealer(
        self,
        plan: Any,
        address: Address,
        *,
        count: int,
        names: Mapping[str, str],
        trust: Trust | None,
        told: Callable[[Ended], None],
    ) -> Service:
        """Listen, and give each of both parties its half of batches of so many blocks.

        Parameters
        ----------
        names
            The common name on the certificate of each party, by "server" and "client".
        """

    def fetch(self, plan: Any, role: str, material: Path, dealer: Dealing) -> int:
        """Fetch a party's half of the next batch from a dealer, if there is no material, or none of it is left.

        Returns
        -------
        int
            The blocks that were fetched; none if there are some.
        """

    def deal(self, plan: Any, count: int, server: Path, client: Path, *, progress: Steps | None) -> None:
        """Write a batch of material for a plan.

        Raises
        ------
        InputError
            A file is there already, or cannot be written.
        """

    def prepare(
        self,
        plan: Any,
        address: Address,
        *,
        material: Path,
        trust: Trust | None,
        count: int | None,
        again: bool,
        progress: Steps | None,
    ) -> Prepared:
        """Send a server what can be sent ahead of the inputs."""

    def serve(
        self, plan: Any, address: Address, *, material: Path, trust: Trust | None, told: Callable[[Ended], None]
    ) -> Service:
        """Listen."""

    def query(
        self,
        plan: Any,
        address: Address,
        rows: Mapping[str, NDArray[np.float64]],
        *,
        material: Path,
        trust: Trust | None,
        progress: Steps | None,
    ) -> Answer:
        """Ask a server about rows."""

    def connect(self, plan: Any, address: Address, *, material: Path, trust: Trust | None, lease: int) -> Connected:
        """Connect to a server for queries to come, and lease blocks for as many rows.

        Whenever less than half of a lease is left another one is made, between queries; what is left at the end is
        burnt.
        """


def load_sessions(scheme: str) -> Interactive:
    """What runs sessions of a scheme.

    Raises
    ------
    InputError
        It has none.
    """
    if scheme not in SESSIONS:
        raise InputError(
            f"plans of the scheme {scheme} have no sessions: rows go in files, by `hecc encrypt`, `hecc run` and `hecc "
            f"decrypt`; compile the network with --scheme {' or '.join(SESSIONS)} to serve it"
        )
    module, _, name = SESSIONS[scheme].partition(":")
    sessions: Interactive = getattr(importlib.import_module(module), name)
    return sessions
