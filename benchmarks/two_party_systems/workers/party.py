"""What the workers of all peers have in common: the stages of a party, and what the client writes down of them."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from parties.links import wire_bytes

from two_party_systems.steps import ROWS, Program

__all__ = ["CLIENT", "SERVER", "run"]

SERVER, CLIENT = 0, 1
"""Ranks of the two parties."""

Row = NDArray[np.float32]


def run(
    rank: int,
    folder: Path,
    packages: Sequence[str],
    prepare: Callable[[Program], Callable[[Row], Row | None]],
) -> None:
    """Be a party: set up, ask about one row to warm up, and then about the others, one after the other.

    Parameters
    ----------
    rank
        Which party.
    folder
        With the files of :mod:`two_party_systems.steps`.
    packages
        Whose versions are written down.
    prepare
        Makes of the network a function of a row, which is zeros at the server's; only the client's returns the result.
    """
    # What a system prints is no report.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as report:
        os.dup2(2, 1)
        before = wire_bytes()
        start = time.perf_counter()
        program = Program.load(folder)
        rows = np.load(folder / ROWS)
        if rank == SERVER:
            rows = np.zeros_like(rows)
        answer = prepare(program)
        answer(rows[:1])
        setup_seconds, between = time.perf_counter() - start, wire_bytes()
        outputs: list[Any] = []
        seconds: list[float] = []
        for at in range(1, len(rows)):
            start = time.perf_counter()
            found = answer(rows[at : at + 1])
            seconds.append(time.perf_counter() - start)
            outputs.append(None if found is None else np.asarray(found).reshape(-1).tolist())
        if rank == CLIENT:
            found_all = {
                "rows": len(seconds),
                "setup_bytes": between - before,
                "setup_seconds": setup_seconds,
                "row_bytes": (wire_bytes() - between) / len(seconds),
                "seconds": seconds,
                "outputs": outputs,
                "versions": {package: metadata.version(package) for package in packages},
            }
            report.write(json.dumps(found_all) + "\n")
    sys.stdout.flush()
