"""Times and memory of plans that are run, for ``hecc bench``.

A process of its own runs the plan for each device. It holds what a server holds, so its peak memory is that of a
server. Devices take turns, run by run.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.client import Client
from hecc.measure.runs.processes import peak_memory, worker_process
from hecc.runtime.ckks.circuit.instructions import Instruction
from hecc.runtime.ckks.devices.device import load_device
from hecc.runtime.ckks.devices.names import DeviceName
from hecc.runtime.ckks.plan.header import CkksHeader
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.server import Server

__all__ = ["PlanTimes", "measure_plan"]


@dataclass(frozen=True)
class PlanTimes:
    """Warm runs of one row with one device.

    Attributes
    ----------
    samples
        Seconds of every run.
    instructions
        Median seconds of all instructions of a kind, by their name.
    prepare
        Seconds from nothing to a server that has run one row: keys verified, weights encoded.
    peak_memory
        Bytes, of the server's process.
    """

    samples: tuple[float, ...]
    instructions: Mapping[str, float]
    prepare: float
    peak_memory: int

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(self.samples)


def measure_plan(
    path: Path,
    devices: Sequence[DeviceName],
    folder: Path,
    *,
    threads: int,
    runs: int,
    stage: Callable[[str], None] | None = None,
) -> dict[DeviceName, PlanTimes]:
    """Make keys, encrypt random inputs, and run a plan warm.

    Parameters
    ----------
    path
        The server's plan.
    devices
        What to run it with.
    folder
        For keys and encrypted inputs.
    threads
        Of the devices that have threads.
    runs
        Of one row each, after one that is not counted.
    stage
        Called with what is done next.

    Raises
    ------
    InputError
        The plan is a client's, or this machine cannot hold it.
    HeccError
        As keys, encryption and evaluation do.
    """
    plan = CkksPlan.load(path)
    plan.require_circuit()
    tell = stage or (lambda _: None)
    rows = _random_row(plan.header)
    with contextlib.ExitStack() as stack:
        workers: dict[DeviceName, ProcessPoolExecutor] = {}
        prepared: dict[DeviceName, float] = {}
        for name in devices:
            tell(f"keys for {load_device(name).words}")
            client = Client(plan)
            keys = client.keygen(folder / name, device=name)
            request = folder / f"{name}.bin"
            client.encrypt(rows).save(request)
            tell(f"first run of {load_device(name).words}")
            workers[name] = stack.enter_context(worker_process())
            prepared[name] = workers[name].submit(_prepare, path, keys.evaluation, request, name, threads).result()
        samples: dict[DeviceName, list[_Sample]] = {name: [] for name in devices}
        for run in range(runs):
            tell(f"run {run + 1} of {runs}")
            for name, worker in workers.items():
                samples[name].append(worker.submit(_run).result())
        return {
            name: PlanTimes(
                samples=tuple(sample.seconds for sample in samples[name]),
                instructions=_medians([sample.instructions for sample in samples[name]]),
                prepare=prepared[name],
                peak_memory=worker.submit(peak_memory).result(),
            )
            for name, worker in workers.items()
        }


def _random_row(header: CkksHeader) -> dict[str, NDArray[np.float64]]:
    """One row of every input, uniform within the range that the plan declares."""
    generator = np.random.default_rng(0)
    return {source.name: generator.uniform(*source.ends, source.shape) for source in header.inputs}


def _medians(samples: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """By kind, the longest first."""
    medians = {kind: statistics.median(sample[kind] for sample in samples) for kind in samples[0]}
    return dict(sorted(medians.items(), key=lambda item: -item[1]))


@dataclass(frozen=True)
class _Sample:
    """One run: its seconds, and those of all instructions by kind."""

    seconds: float
    instructions: dict[str, float]


_session: list[Any] = []
"""In a worker: its server, and the request."""


def _prepare(plan: Path, keys: Path, request: Path, device: str, threads: int) -> float:
    """In a worker: open the plan and run it once."""
    from hecc.runtime.ckks.ciphertexts import CiphertextFile

    start = time.perf_counter()
    _session[:] = [Server(plan, keys, device=device, threads=threads), CiphertextFile.load(request)]
    _run()
    return time.perf_counter() - start


def _run() -> _Sample:
    """In a worker: one row."""
    server, request = _session
    instructions: dict[str, float] = {}
    start = last = time.perf_counter()

    def note(row: int, done: int, total: int, instruction: Instruction) -> None:
        nonlocal last
        now = time.perf_counter()
        instructions[instruction.op] = instructions.get(instruction.op, 0.0) + now - last
        last = now

    server.run(request, progress=note)
    return _Sample(time.perf_counter() - start, instructions)
