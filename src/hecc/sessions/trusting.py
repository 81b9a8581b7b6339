"""Who trusts whom on a connection: certificates, and ``hecc.authority``, which makes some for tests."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from hecc.runtime.plan.sessions import Trust

__all__ = ["AUTHORITY", "FOLDER", "File", "authority", "trust"]

File: TypeAlias = str | os.PathLike[str]

FOLDER = "tls"
"""Where certificates lie, unless told otherwise."""

AUTHORITY = f"{FOLDER}/authority.pem"


def authority(folder: File = FOLDER, *, hosts: Iterable[str] = ()) -> tuple[Path, ...]:
    """Make an authority for tests, with certificates for a server, a client and a dealer.

    Nobody else trusts it, and its key is forgotten, so that it certifies nobody later; all ends after thirty days. In
    earnest certificates come from where an organisation has its others from.

    Parameters
    ----------
    folder
        A new folder. Gets ``authority.pem`` for all parties, and a ``.pem`` and a ``.key`` for each.
    hosts
        Names and addresses that the server may have beside those of this machine.

    Returns
    -------
    tuple
        The files.

    Raises
    ------
    InputError
        The folder exists already, or cannot be made; or a host is no name or address.
    """
    from hecc.runtime.connections.tls import make_test_authority

    make_test_authority(Path(folder), hosts=tuple(hosts))
    return tuple(sorted(Path(folder).iterdir()))


def trust(certificate: File, key: File, authority: File, insecure_plain: bool) -> Trust | None:
    """What a connection is secured with; nothing if it is not."""
    return None if insecure_plain else Trust(Path(certificate), Path(key), Path(authority))
