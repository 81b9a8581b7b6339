"""``hecc.prepare`` and ``hecc.query``: what a client sends a server ahead of its inputs, and with them."""

from __future__ import annotations

from pathlib import Path

from hecc.inputs.sources import Inputs, Source, forms, load_inputs
from hecc.runtime.closing import Closing
from hecc.runtime.files.container import FileSource
from hecc.runtime.inputs.tensors import input_rows
from hecc.runtime.plan.plan import Plan
from hecc.runtime.plan.sessions import Address, Answer, Connected, Prepared, Steps, load_sessions
from hecc.sessions.dealing import CLIENT_MATERIAL
from hecc.sessions.fetching import fetched
from hecc.sessions.trusting import AUTHORITY, FOLDER, File, trust

__all__ = ["Connection", "connect", "prepare", "query"]

LEASE = 64
"""Blocks that a connection leases ahead, unless told otherwise."""

CERTIFICATE, KEY = f"{FOLDER}/client.pem", f"{FOLDER}/client.key"


def prepare(
    server: str,
    *,
    plan: Plan | FileSource,
    material: File = CLIENT_MATERIAL,
    count: int | None = None,
    again: bool = False,
    certificate: File = CERTIFICATE,
    key: File = KEY,
    authority: File = AUTHORITY,
    insecure_plain: bool = False,
    dealer: str | None = None,
    progress: Steps | None = None,
) -> Prepared:
    """Send a server what can be sent before there is an input: then :func:`hecc.query` sends little.

    Parameters
    ----------
    server
        Where it listens, as "localhost:7000".
    plan
        Either plan, or its file; the client's is enough.
    material
        The client's file, as :func:`hecc.deal` made it.
    count
        Blocks, one for each row of a later query; by default all of the batch that are not prepared.
    again
        Prepare blocks that were prepared before, too: a server that lost them takes the same.
    certificate, key
        By which the server knows this client, PEM files. The material is from now on this client's.
    authority
        Who certifies the server, a PEM file.
    insecure_plain
        Without TLS: for tests on the loopback addresses of one machine, others are refused.
    dealer
        Where a dealer listens, as "localhost:7001", who is certified by the same authority: if there is no material, or
        none of it is left, the client's half of a new batch is fetched first.
    progress
        Called with the blocks that are prepared, and all of them.

    Raises
    ------
    InputError, FileFormatError, KeyMismatchError
        A file is missing, damaged, of another kind or for another plan, or there are not so many blocks.
    PeerError
        Nobody listens there whom the authority certifies, or the server refuses, leaves or is silent.
    SecurityError
        The server shows other weights than before.
    """
    plan = Plan.of(plan)
    shown = trust(certificate, key, authority, insecure_plain)
    fetched(plan, "client", Path(material), dealer, shown)
    return load_sessions(plan.header.scheme).prepare(
        plan,
        Address.of(server),
        material=Path(material),
        trust=shown,
        count=count,
        again=again,
        progress=progress,
    )


def query(
    server: str,
    inputs: Source | Inputs,
    *,
    plan: Plan | FileSource,
    material: File = CLIENT_MATERIAL,
    raw: bool = False,
    clip: bool = False,
    skip_bad_rows: bool = False,
    certificate: File = CERTIFICATE,
    key: File = KEY,
    authority: File = AUTHORITY,
    insecure_plain: bool = False,
    dealer: str | None = None,
    progress: Steps | None = None,
) -> Answer:
    """Ask a server about rows, which it does not see.

    Each row uses up a block of material that was prepared, whatever becomes of the session.

    Parameters
    ----------
    server
        Where it listens, as "localhost:7000".
    inputs, raw, clip, skip_bad_rows
        As for :meth:`hecc.Client.encrypt`.
    plan
        Either plan, or its file; the client's is enough.
    material
        The client's file, as :func:`hecc.deal` made it.
    certificate, key
        By which the server knows this client, PEM files.
    authority
        Who certifies the server, a PEM file.
    insecure_plain
        Without TLS: for tests on the loopback addresses of one machine, others are refused.
    dealer
        As for :func:`hecc.prepare`; a batch that is fetched is prepared as well, before the rows are asked about.
    progress
        Called with the rows that are evaluated, and all of them.

    Returns
    -------
    Answer
        The outputs by name, as :meth:`hecc.Client.decrypt` returns them, and what went over the network.

    Raises
    ------
    InputError, FileFormatError, KeyMismatchError
        Inputs that the plan does not take; a file is missing, damaged, of another kind or for another plan; or there
        are not so many blocks.
    PeerError
        Nobody listens there whom the authority certifies, or the server refuses, leaves or is silent.
    SecurityError
        The server reserved blocks that are gone.
    """
    plan = Plan.of(plan)
    sessions = load_sessions(plan.header.scheme)
    address = Address.of(server)
    loaded = _loaded(plan, inputs, raw=raw, clip=clip, skip_bad_rows=skip_bad_rows)
    rows = input_rows(loaded.tensors, plan.header.inputs)
    shown = trust(certificate, key, authority, insecure_plain)
    if fetched(plan, "client", Path(material), dealer, shown):
        sessions.prepare(plan, address, material=Path(material), trust=shown, count=None, again=False, progress=None)
    answer = sessions.query(
        plan,
        address,
        rows,
        material=Path(material),
        trust=shown,
        progress=progress,
    )
    answer.outputs.index = loaded.labels
    return answer


class Connection(Closing):
    """A client that stays connected to a server; :func:`hecc.connect` makes one. Not for two threads at once."""

    def __init__(self, plan: Plan, connected: Connected) -> None:
        self._plan, self._connected = plan, connected

    def query(
        self,
        inputs: Source | Inputs,
        *,
        raw: bool = False,
        clip: bool = False,
        skip_bad_rows: bool = False,
        progress: Steps | None = None,
    ) -> Answer:
        """Ask about rows, as :func:`hecc.query` does.

        Raises
        ------
        InputError, PeerError, SecurityError
            As :func:`hecc.query`. After a ``PeerError`` what was leased is burnt, and the next query connects again.
        """
        loaded = _loaded(self._plan, inputs, raw=raw, clip=clip, skip_bad_rows=skip_bad_rows)
        answer = self._connected.query(input_rows(loaded.tensors, self._plan.header.inputs), progress=progress)
        answer.outputs.index = loaded.labels
        return answer

    def close(self) -> None:
        """Leave; blocks that are still leased are burnt."""
        self._connected.close()


def connect(
    server: str,
    *,
    plan: Plan | FileSource,
    material: File = CLIENT_MATERIAL,
    lease: int = LEASE,
    certificate: File = CERTIFICATE,
    key: File = KEY,
    authority: File = AUTHORITY,
    insecure_plain: bool = False,
) -> Connection:
    """Connect to a server for many queries, with blocks of material leased ahead of them.

    ``with hecc.connect(...) as connection: connection.query(rows)``. A query then pays neither for a connection nor for
    an agreement on material, both of which take round trips, nor waits for a disk. Whenever less than half of a lease
    is left, another one is made between two queries. Blocks that are leased and not used when it closes are burnt.

    Parameters
    ----------
    server, plan, material, certificate, key, authority, insecure_plain
        As for :func:`hecc.query`.
    lease
        Blocks that are leased at once, one for each row; fewer where the material ends.

    Raises
    ------
    InputError, FileFormatError, KeyMismatchError, PeerError, SecurityError
        As :func:`hecc.query`.
    """
    plan = Plan.of(plan)
    connected = load_sessions(plan.header.scheme).connect(
        plan,
        Address.of(server),
        material=Path(material),
        trust=trust(certificate, key, authority, insecure_plain),
        lease=lease,
    )
    return Connection(plan, connected)


def _loaded(plan: Plan, inputs: Source | Inputs, *, raw: bool, clip: bool, skip_bad_rows: bool) -> Inputs:
    if isinstance(inputs, Inputs):
        return inputs
    loaded = load_inputs(inputs, forms(plan.header.inputs), raw=raw, clip=clip, skip_bad_rows=skip_bad_rows)
    loaded.warn()
    return loaded
