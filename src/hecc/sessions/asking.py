"""``hecc.prepare`` and ``hecc.query``: what a client sends a server ahead of its inputs, and with them."""

from __future__ import annotations

from pathlib import Path

from hecc.inputs.sources import Inputs, Source, forms, load_inputs
from hecc.runtime.files.container import FileSource
from hecc.runtime.inputs.tensors import input_rows
from hecc.runtime.plan.plan import Plan
from hecc.runtime.plan.sessions import Address, Answer, Prepared, Steps, load_sessions
from hecc.sessions.dealing import CLIENT_MATERIAL
from hecc.sessions.trusting import AUTHORITY, FOLDER, File, trust

__all__ = ["prepare", "query"]

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
    return load_sessions(plan.header.scheme).prepare(
        plan,
        Address.of(server),
        material=Path(material),
        trust=trust(certificate, key, authority, insecure_plain),
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
    if isinstance(inputs, Inputs):
        loaded = inputs
    else:
        loaded = load_inputs(inputs, forms(plan.header.inputs), raw=raw, clip=clip, skip_bad_rows=skip_bad_rows)
        loaded.warn()
    answer = sessions.query(
        plan,
        address,
        input_rows(loaded.tensors, plan.header.inputs),
        material=Path(material),
        trust=trust(certificate, key, authority, insecure_plain),
        progress=progress,
    )
    answer.outputs.index = loaded.labels
    return answer
