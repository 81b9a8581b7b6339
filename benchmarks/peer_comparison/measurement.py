"""Runs a network on several systems in turns."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from peer_comparison.processes import WorkerError, WorkerProcess

__all__ = ["Comparison", "Contestant", "Figures", "Run", "Setup", "measure"]

SAME_NETWORK = 1e-4
"""Cleartext outputs of one network may differ by this much of the largest: they are in single precision."""


REST = 0.2
"""Seconds between turns: what a system still does in the background, as collecting garbage, is not to meet the next."""


@dataclass(frozen=True)
class Contestant:
    """A system, and how its worker is started.

    Attributes
    ----------
    title
        Its name for readers.
    python, module, arguments
        The worker's interpreter, what it runs, and with what.
    threads
        That it is told to use, where it can be told.
    """

    title: str
    python: Path
    module: str
    arguments: tuple[str, ...] = ()
    threads: int = 1


@dataclass(frozen=True)
class Setup:
    """What happens once; see :meth:`peer_comparison.worker.System.setup`."""

    preparation: float
    key_generation: float
    key_bytes: int
    ring_degree: int
    log2_qp: float
    secret: str


@dataclass(frozen=True)
class Run:
    """One image: seconds of the stages, ``processor`` those of all threads in the computation; bytes; outputs."""

    encryption: float
    computation: float
    processor: float
    decryption: float
    input_bytes: int
    output_bytes: int
    output: list[float]
    cleartext: list[float]


@dataclass(frozen=True)
class Figures:
    """All that was measured of one system on one network.

    Attributes
    ----------
    title, versions
        The system, and its packages.
    loading
        Seconds from the start of the process until it takes requests.
    setup
        Preparation, keys, parameters.
    first
        The first run, which no median counts.
    runs
        The others.
    peak_memory
        Bytes, of the process that did all this.
    mean_error, largest_error
        Of the decrypted outputs of all runs, against the ONNX network's on the same images.
    largest_output
        The largest magnitude of the latter.
    """

    title: str
    versions: Mapping[str, str]
    loading: float
    setup: Setup
    first: Run
    runs: tuple[Run, ...]
    peak_memory: int
    mean_error: float
    largest_error: float
    largest_output: float

    def median(self, stage: str) -> float:
        """Of an attribute of :class:`Run`."""
        return float(statistics.median(getattr(run, stage) for run in self.runs))


@dataclass(frozen=True)
class Comparison:
    """One network on a peer and on hecc.

    Attributes
    ----------
    network
        Its name.
    peer
        The peer's figures.
    hecc
        Those of hecc as it is by default, and with one thread.
    others
        Which part of all processors' time other programs had meanwhile, where the system tells.
    """

    network: str
    peer: Figures
    hecc: tuple[Figures, ...]
    others: float | None


def measure(
    network: str,
    folder: Path,
    peer: Contestant,
    hecc: Sequence[Contestant],
    *,
    runs: int,
    tell: Callable[[str], None],
) -> Comparison:
    """Set every system up, then let them take turns, image by image.

    Parameters
    ----------
    network
        Its name.
    folder
        With its files, of ``runs + 1`` images at least.
    peer, hecc
        Who takes part.
    runs
        That count, after one that does not.
    tell
        Called with what is done next.

    Raises
    ------
    WorkerError
        A system failed, or they do not have the same network.
    """
    contestants = [peer, *hecc]
    before = _processors()
    with contextlib.ExitStack() as stack:
        loading: list[float] = []
        setups: list[Setup] = []
        workers: list[WorkerProcess] = []
        for contestant in contestants:
            tell(f"{network}: {contestant.title} prepares the network and makes keys")
            start = time.perf_counter()
            worker = WorkerProcess(contestant.title, contestant.python, contestant.module, contestant.arguments)
            workers.append(stack.enter_context(worker))
            loading.append(time.perf_counter() - start)
            reply = worker.ask("setup", folder=str(folder), network=network, threads=contestant.threads)
            setups.append(Setup(**reply))
        samples: list[list[Run]] = [[] for _ in contestants]
        for row in range(runs + 1):
            tell(f"{network}: " + (f"run {row} of {runs}" if row else "first run"))
            for worker, of_worker in zip(workers, samples, strict=True):
                time.sleep(REST)
                of_worker.append(Run(**worker.ask("run", row=row)))
        peaks = [int(worker.ask("finish")["peak_memory"]) for worker in workers]
    after = _processors()
    reference = np.array([run.cleartext for run in samples[-1]])
    figures = [
        Figures(
            title=contestant.title,
            versions=worker.versions,
            loading=seconds,
            setup=setup,
            first=of_worker[0],
            runs=tuple(of_worker[1:]),
            peak_memory=peak,
            **_errors(contestant.title, of_worker, reference),
        )
        for contestant, worker, seconds, setup, of_worker, peak in zip(
            contestants, workers, loading, setups, samples, peaks, strict=True
        )
    ]
    others = None
    if before is not None and after is not None:
        busy, own, everything = (end - start for start, end in zip(before, after, strict=True))
        others = max(0.0, (busy - own) / everything)
    return Comparison(network, figures[0], tuple(figures[1:]), others)


def _processors() -> tuple[float, float, float] | None:
    """Seconds that all processors were busy, those for this process and its ended workers, and all there were."""
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    except OSError:
        return None
    # user, nice, system, idle, waiting for input and output, two kinds of interrupts, taken by other virtual machines
    everything = sum(ticks) / os.sysconf("SC_CLK_TCK")
    idle = sum(ticks[3:5]) / os.sysconf("SC_CLK_TCK")
    return everything - idle, sum(os.times()[:4]), everything


def _errors(title: str, runs: Sequence[Run], reference: NDArray[np.float64]) -> Mapping[str, float]:
    """Of the outputs, after a check that the cleartext ones are those of the reference."""
    largest = float(np.abs(reference).max())
    for what, found in (("cleartext", [run.cleartext for run in runs]), ("encrypted", [run.output for run in runs])):
        if np.shape(found) != reference.shape:
            raise WorkerError(f"{title}: the {what} outputs have shape {np.shape(found)}, not {reference.shape}")
    difference = float(np.abs(np.array([run.cleartext for run in runs]) - reference).max())
    if not difference <= SAME_NETWORK * largest:
        raise WorkerError(
            f"{title} does not have the same network: its cleartext output differs from that of the ONNX file by "
            f"{difference:.2g}, the largest output being {largest:.2g}"
        )
    errors = np.abs(np.array([run.output for run in runs]) - reference)
    return {
        "mean_error": float(errors.mean()),
        "largest_error": float(errors.max()),
        "largest_output": largest,
    }
