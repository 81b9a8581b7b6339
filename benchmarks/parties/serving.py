"""hecc's two parties on a link: `hecc serve` in one namespace, and in the other a client that asks row by row."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hecc
from hecc.runtime.sharing.plan.plan import SharingPlan
from parties.links import Parties

__all__ = ["asked"]

ASKING = Path(__file__).with_name("asking.py")


def asked(folder: Path, plan: SharingPlan, rows: NDArray[Any], made: Parties) -> dict[str, Any]:
    """Ask about rows.

    Parameters
    ----------
    folder
        An empty one, for all files of both parties.
    plan
        The server's.
    rows
        Of shape (rows, ...).
    made
        The namespaces.

    Returns
    -------
    dict
        What ``asking.py`` writes; ``wire``, the bytes that left the interfaces for a row, with all that was sent ahead;
        ``material_bytes``, the server's file for a row.
    """
    plan.save(folder / "plan.bin")
    plan.client().save(folder / "plan.client.bin")
    np.save(folder / "rows.npy", rows)
    material = hecc.deal(
        folder / "plan.client.bin",
        len(rows),
        server_material=folder / "server.material",
        client_material=folder / "client.material",
    )
    hosts = [address.rpartition(":")[0] for address in (made.listening, made.reached)]
    hecc.authority(folder / "tls", hosts=hosts)
    program = [sys.executable, "-m", "hecc", "serve", "plan.bin", "--listen", made.listening]
    with subprocess.Popen(made.inside(made.server, *program), cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None, "it is a pipe"
            if "listening" not in server.stdout.readline():
                raise SystemExit("the server does not listen")
            before = {each: made.bytes_sent(each) for each in (made.server, made.client)}
            command = (sys.executable, ASKING, "plan.client.bin", "rows.npy", made.reached, str(len(rows)))
            done = subprocess.run(
                made.inside(made.client, *command), cwd=folder, check=True, stdout=subprocess.PIPE, text=True
            )
            wire = sum(made.bytes_sent(each) - sent for each, sent in before.items()) / len(rows)
        finally:
            server.terminate()
    report: dict[str, Any] = json.loads(done.stdout)
    return report | {"wire": wire, "material_bytes": material.server.stat().st_size / len(rows)}
