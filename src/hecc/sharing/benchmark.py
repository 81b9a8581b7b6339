"""Times and memory of two parties on this machine, each in a process of its own, for ``hecc bench``."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.sharing.prediction.plans import plan_use
from hecc.measure.runs.processes import peak_memory, worker_process
from hecc.runtime.plan.sessions import Address, load_sessions
from hecc.runtime.sharing.plan.header import SharingHeader
from hecc.runtime.sharing.plan.plan import SharingPlan

__all__ = ["PartyTimes", "measure_parties"]

TOGETHER = 32
"""Rows of one session, when many are asked about at once."""

HOST = "127.0.0.1"


@dataclass(frozen=True)
class PartyTimes:
    """Queries between two processes over a plain socket of this machine, set-up included.

    Attributes
    ----------
    samples
        Seconds of queries about one row.
    together
        Rows of a larger query.
    together_samples
        Seconds of these.
    client_seconds, server_seconds
        Of a processor core in a query about one row, the median.
    dealing_seconds, preparing_seconds
        For each row ahead of it.
    client_memory, server_memory
        Bytes, the most that each process ever had.
    predicted
        Seconds of cores for one row: client, server, dealer, and client ahead of it.
    """

    samples: tuple[float, ...]
    together: int
    together_samples: tuple[float, ...]
    client_seconds: float
    server_seconds: float
    dealing_seconds: float
    preparing_seconds: float
    client_memory: int
    server_memory: int
    predicted: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """The median of queries about one row."""
        return statistics.median(self.samples)

    @property
    def seconds_together(self) -> float:
        """For each row of the larger queries, the median."""
        return statistics.median(self.together_samples) / self.together


def measure_parties(
    plan: SharingPlan, folder: Path, *, runs: int, stage: Callable[[str], None] = lambda _: None
) -> PartyTimes:
    """Deal, prepare and query, with made-up rows.

    Parameters
    ----------
    plan
        The server's.
    folder
        For plans and material.
    runs
        Queries of each size, after one that is not counted.

    Raises
    ------
    InputError
        The plan is the client's, or a process was killed.
    """
    plan.require_program()
    use = plan_use(plan)
    together = min(TOGETHER, use.rows)
    count = (runs + 1) * (1 + together)
    server, client = folder / "server.material", folder / "client.material"
    plan.save(folder / "plan.bin")
    plan.client().save(folder / "plan.client.bin")
    stage(f"dealing {count} blocks")
    start = time.perf_counter()
    load_sessions(plan.header.scheme).deal(plan, count, server, client, progress=None)
    dealing = (time.perf_counter() - start) / count
    with contextlib.ExitStack() as stack:
        serving, asking = (stack.enter_context(worker_process()) for _ in range(2))
        stage("preparing")
        port = serving.submit(_serve, folder / "plan.bin", server).result()
        stack.callback(lambda: serving.submit(_close).result())
        preparing = asking.submit(_prepare, folder / "plan.client.bin", client, port).result() / count
        samples: dict[int, list[float]] = {1: [], together: []}
        computing: list[tuple[float, float]] = []
        for size, found in samples.items():
            for run in range(runs + 1):
                stage(f"{size} at once, run {run} of {runs}")
                before = serving.submit(time.process_time).result()
                seconds, own = asking.submit(_ask, size, run).result()
                other = serving.submit(time.process_time).result() - before
                if run:
                    found.append(seconds)
                    if size == 1:
                        computing.append((own, other))
        own, other = (statistics.median(each) for each in zip(*computing, strict=True))
        return PartyTimes(
            samples=tuple(samples[1][:runs]),
            together=together,
            together_samples=tuple(samples[together][-runs:]),
            client_seconds=own,
            server_seconds=other,
            dealing_seconds=dealing,
            preparing_seconds=preparing,
            client_memory=asking.submit(peak_memory).result(),
            server_memory=serving.submit(peak_memory).result(),
            predicted={
                "client": use.client_seconds,
                "server": use.server_seconds,
                "dealing": use.dealing_seconds,
                "preparing": use.preparing_seconds,
            },
        )


_here: dict[str, Any] = {}
"""In a worker: what it works with from call to call."""


def _serve(plan: Path, material: Path) -> int:
    """In the server's worker: listen; the port."""
    loaded = SharingPlan.load(plan)
    service = load_sessions(loaded.header.scheme).serve(
        loaded, Address(HOST, 0), material=material, trust=None, told=lambda _: None
    )
    _here["service"] = service
    return int(service.address.port)


def _close() -> None:
    """In the server's worker: listen no more."""
    _here.pop("service").close()


def _prepare(plan: Path, material: Path, port: int) -> float:
    """In the client's worker: prepare all; seconds."""
    loaded = SharingPlan.load(plan)
    _here.update(plan=loaded, material=material, address=Address(HOST, port))
    sessions = load_sessions(loaded.header.scheme)
    made = sessions.prepare(
        loaded, _here["address"], material=material, trust=None, count=None, again=False, progress=None
    )
    return made.traffic.seconds


def _ask(rows: int, seed: int) -> tuple[float, float]:
    """In the client's worker: query; seconds, and those of a core."""
    plan: SharingPlan = _here["plan"]
    given = _random_rows(plan.header, rows, seed)
    start = time.process_time()
    answer = load_sessions(plan.header.scheme).query(
        plan, _here["address"], given, material=_here["material"], trust=None, progress=None
    )
    return answer.traffic.seconds, time.process_time() - start


def _random_rows(header: SharingHeader, rows: int, seed: int) -> dict[str, NDArray[np.float64]]:
    """Rows of every input, uniform within the range that the plan declares."""
    generator = np.random.default_rng(seed)
    return {source.name: generator.uniform(*source.ends, (rows, *source.shape)) for source in header.inputs}
