"""Both parties on one machine, with a dealer: for measurements and trials, not for secrets."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.plan.plan import Plan
from hecc.runtime.plan.sessions import Address, Steps, load_sessions
from hecc.runtime.tail.outcomes import Outputs

__all__ = ["between_two"]

ANYWHERE = Address("127.0.0.1", 0)


def between_two(
    plan: Plan, rows: Mapping[str, NDArray[np.float64]], progress: Steps | None = None
) -> tuple[Outputs, float]:
    """What two parties make of rows over a socket of this machine, with fresh material; and the seconds of the query.

    Parameters
    ----------
    plan
        The server's.
    rows
        By input, as :meth:`hecc.runtime.plan.sessions.Interactive.query` takes them.
    """
    sessions = load_sessions(plan.header.scheme)
    with (
        _material(plan, len(next(iter(rows.values())))) as (server, client),
        sessions.serve(plan, ANYWHERE, material=server, trust=None, told=lambda _: None) as service,
    ):
        address, public = service.address, plan.client()
        sessions.prepare(public, address, material=client, trust=None, count=None, again=False, progress=None)
        answer = sessions.query(public, address, rows, material=client, trust=None, progress=progress)
    return answer.outputs, answer.traffic.seconds


@contextlib.contextmanager
def _material(plan: Plan, count: int) -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory(prefix="hecc-parties-") as folder:
        server, client = (Path(folder) / f"{party}.material" for party in ("server", "client"))
        load_sessions(plan.header.scheme).deal(plan, count, server, client, progress=None)
        yield server, client
