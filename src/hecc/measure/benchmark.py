"""What ``hecc bench`` measures: kernels, memory, and plans.

A plan is run by a process of its own for each evaluator, which holds what a server holds, so that its peak memory is
that of a server. Evaluators take turns, run by run.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.client import Client
from hecc.measure.primitives import primitive_keys, primitive_work
from hecc.measure.roofline import Machine
from hecc.runtime.ckks.circuit.instructions import Instruction
from hecc.runtime.ckks.circuit.parameters import KeyShape, KeySpecification
from hecc.runtime.ckks.keys.keyfiles import Progress
from hecc.runtime.errors import InputError
from hecc.runtime.native import Kernels, implementations, time_kernels
from hecc.runtime.plan.header import PlanHeader
from hecc.runtime.plan.plan import Plan
from hecc.server import Server

__all__ = [
    "BANDWIDTH_METHOD",
    "KERNEL_SIZES",
    "KernelTimes",
    "PlanTimes",
    "PrimitiveTimes",
    "measure_bandwidth",
    "measure_kernels",
    "measure_machine",
    "measure_plan",
    "measure_primitives",
    "measure_transforms",
]

KERNEL_SIZES = ((1 << 13, 4), (1 << 14, 8), (1 << 15, 15))
"""Ring degrees, and the limbs that a plan has there."""

PRIME_BITS = 40
"""Length of the primes; kernels take the same time for all below 46 bits."""

BANDWIDTH_BYTES = 1 << 28
"""Far more than caches hold."""

BANDWIDTH_METHOD = "sum of an array of 268 MB of 64-bit integers by numpy, a part per thread, the best of 9 passes"
"""What :func:`measure_bandwidth` does, in words."""

BANDWIDTH_PASSES = 9
SAMPLES, ROUNDS = 5, 3


@dataclass(frozen=True)
class KernelTimes:
    """Seconds of one implementation of the kernels on one thread, the smallest of all samples.

    Attributes
    ----------
    implementation
        Its name.
    ring_degree, limbs
        N, and the limbs of a polynomial.
    ntt_forward, ntt_inverse
        A transform of one limb.
    encode
        A vector of N / 2 slots to a plaintext of all limbs.
    multiply_accumulate
        A product of two limbs, one of them packed as in a switching key, added to a lazy sum of as many products as
        there are limbs; its reduction included.
    """

    implementation: str
    ring_degree: int
    limbs: int
    ntt_forward: float
    ntt_inverse: float
    encode: float
    multiply_accumulate: float


@dataclass(frozen=True)
class PrimitiveTimes:
    """Seconds of single operations of the native evaluator, the smallest of all samples.

    Attributes
    ----------
    ring_degree, limbs
        N, and the data primes.
    digits, special_primes, log2_qp
        Of key switching.
    threads
        At work.
    seconds
        By the operation's name.
    """

    ring_degree: int
    limbs: int
    digits: int
    special_primes: int
    log2_qp: float
    threads: int
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class PlanTimes:
    """Warm runs of one row with one evaluator.

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


def measure_kernels(
    sizes: Sequence[tuple[int, int]] = KERNEL_SIZES, *, rounds: int = ROUNDS, progress: Progress | None = None
) -> list[KernelTimes]:
    """Time every implementation that this machine can run, in turns.

    Parameters
    ----------
    sizes
        Ring degrees, each with a number of limbs.
    rounds
        Turns of every implementation.
    progress
        Called with (turns done, turns in all).
    """
    result = []
    names = implementations()
    done, total = 0, len(sizes) * rounds * len(names)
    for degree, limbs in sizes:
        best: dict[str, dict[str, float]] = {name: {} for name in names}
        for _ in range(rounds):
            for name in names:
                for kernel, samples in time_kernels(Kernels(name), degree, limbs, PRIME_BITS, SAMPLES).items():
                    best[name][kernel] = min(best[name].get(kernel, samples[0]), *samples)
                done += 1
                if progress is not None:
                    progress(done, total)
        result += [
            KernelTimes(
                implementation=name,
                ring_degree=degree,
                limbs=limbs,
                ntt_forward=found["ntt_forward"],
                ntt_inverse=found["ntt_inverse"],
                encode=found["encode"],
                multiply_accumulate=found["key_products"] / (2 * limbs),
            )
            for name, found in best.items()
        ]
    return result


def measure_primitives(
    threads: Sequence[int],
    sizes: Sequence[tuple[int, int]] = KERNEL_SIZES,
    *,
    rounds: int = ROUNDS,
    progress: Progress | None = None,
) -> list[PrimitiveTimes]:
    """Time single operations of the native evaluator, at the top of a chain of 40-bit primes.

    Parameters
    ----------
    threads
        Numbers of threads, which take turns.
    sizes
        Ring degrees, each with a number of limbs.
    rounds
        Turns of every number of threads.
    progress
        Called with (turns done, turns in all).
    """
    result = []
    done, total = 0, len(sizes) * rounds * len(threads)
    for degree, limbs in sizes:
        keys = primitive_keys(degree, limbs)
        works = {number: primitive_work(keys, number) for number in threads}
        best: dict[int, dict[str, float]] = {number: {} for number in threads}
        for _ in range(rounds):
            for number, work in works.items():
                for name, primitive in work.items():
                    primitive.run()
                    for _ in range(SAMPLES):
                        start = time.perf_counter()
                        primitive.run()
                        seconds = (time.perf_counter() - start) / primitive.number
                        best[number][name] = min(best[number].get(name, seconds), seconds)
                done += 1
                if progress is not None:
                    progress(done, total)
        digits, special = keys.digits(limbs), len(keys.special_primes)
        result += [
            PrimitiveTimes(degree, limbs, digits, special, keys.log2_qp, number, best[number]) for number in threads
        ]
    return result


def measure_bandwidth(threads: int) -> float:
    """Bytes that so many threads together read from memory per second; see :data:`BANDWIDTH_METHOD`."""
    words = np.ones(BANDWIDTH_BYTES // 8, dtype=np.int64)
    parts = np.array_split(words, threads)
    barrier = threading.Barrier(threads)

    def read(part: NDArray[np.int64]) -> list[tuple[float, float]]:
        times = []
        for _ in range(BANDWIDTH_PASSES):
            barrier.wait()
            start = time.perf_counter()
            part.sum()
            times.append((start, time.perf_counter()))
        return times

    with ThreadPoolExecutor(threads) as pool:
        try:
            passes = list(zip(*pool.map(read, parts), strict=True))
        except BaseException:
            # Or those that have begun would wait for those that never will.
            barrier.abort()
            raise
        seconds = [max(end for _, end in together) - min(start for start, _ in together) for together in passes]
    return float(words.nbytes / min(seconds))


def measure_transforms(keys: KeySpecification, threads: int) -> tuple[float, float]:
    """Seconds per limb of a forward and of an inverse transform in a plan's ring, with all threads at work.

    Parameters
    ----------
    keys
        Ring, number of primes and their length.
    threads
        How many transform at the same time; the more, the fewer seconds per limb.
    """
    primes = [*keys.data_primes, *keys.special_primes]
    bits = max(PRIME_BITS, round(statistics.median(prime.bit_length() for prime in primes)))

    def work(_: int) -> dict[str, list[float]]:
        return time_kernels(Kernels(), keys.ring_degree, max(2, len(primes)), bits, ROUNDS * SAMPLES)

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(work, range(threads)))
    # A thread that another program disturbed is not what the machine can do: of each, its best.
    forward, inverse = (1 / sum(1 / min(times[name]) for times in found) for name in ("ntt_forward", "ntt_inverse"))
    return forward, inverse


def measure_machine(keys: KeySpecification, threads: int) -> Machine:
    """What the roofline of a plan with these keys needs to know of this machine."""
    return Machine(*measure_transforms(keys, threads), bandwidth=measure_bandwidth(threads))


def measure_plan(
    path: Path,
    evaluators: Sequence[KeyShape],
    folder: Path,
    *,
    threads: int,
    runs: int,
    stage: Callable[[str], None] | None = None,
) -> dict[KeyShape, PlanTimes]:
    """Make keys, encrypt random inputs, and run a plan warm.

    Parameters
    ----------
    path
        The server's plan.
    evaluators
        What to run it with.
    folder
        For keys and encrypted inputs.
    threads
        Of the evaluators that have threads.
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
    plan = Plan.load(path)
    plan.require_circuit()
    tell = stage or (lambda _: None)
    rows = _random_row(plan.header)
    with contextlib.ExitStack() as stack:
        workers: dict[KeyShape, ProcessPoolExecutor] = {}
        prepared: dict[KeyShape, float] = {}
        for name in evaluators:
            tell(f"keys for the evaluator {name}")
            client = Client(plan)
            keys = client.keygen(folder / name, device=name)
            request = folder / f"{name}.bin"
            client.encrypt(rows).save(request)
            tell(f"first run of the evaluator {name}")
            workers[name] = stack.enter_context(_worker())
            prepared[name] = workers[name].submit(_prepare, path, keys.evaluation, request, name, threads).result()
        samples: dict[KeyShape, list[_Sample]] = {name: [] for name in evaluators}
        for run in range(runs):
            tell(f"run {run + 1} of {runs}")
            for name, worker in workers.items():
                samples[name].append(worker.submit(_run).result())
        return {
            name: PlanTimes(
                samples=tuple(sample.seconds for sample in samples[name]),
                instructions=_medians([sample.instructions for sample in samples[name]]),
                prepare=prepared[name],
                peak_memory=worker.submit(_peak_memory).result(),
            )
            for name, worker in workers.items()
        }


def _random_row(header: PlanHeader) -> dict[str, NDArray[np.float64]]:
    """One row of every input, uniform within the range that the plan declares."""
    generator = np.random.default_rng(0)
    return {source.name: generator.uniform(source.low, source.high, source.shape) for source in header.inputs}


def _medians(samples: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """By kind, the longest first."""
    medians = {kind: statistics.median(sample[kind] for sample in samples) for kind in samples[0]}
    return dict(sorted(medians.items(), key=lambda item: -item[1]))


@contextlib.contextmanager
def _worker() -> Iterator[ProcessPoolExecutor]:
    """A process that starts with nothing of this one."""
    context = multiprocessing.get_context("spawn")
    # An interruption ends it without a word: the command says all there is to say.
    with ProcessPoolExecutor(1, context, signal.signal, (signal.SIGINT, signal.SIG_DFL)) as executor:
        try:
            yield executor
        except BrokenProcessPool:
            raise InputError(
                "the server's process was killed, most likely for lack of memory; measure one evaluator at a time, or "
                "on a larger machine"
            ) from None
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


@dataclass(frozen=True)
class _Sample:
    """One run: its seconds, and those of all instructions by kind."""

    seconds: float
    instructions: dict[str, float]


_session: list[Any] = []
"""In a worker: its server, and the request."""


def _prepare(plan: Path, keys: Path, request: Path, evaluator: str, threads: int) -> float:
    """In a worker: open the plan and run it once."""
    from hecc.runtime.ckks.ciphertexts import CiphertextFile

    start = time.perf_counter()
    _session[:] = [Server(plan, keys, evaluator=evaluator, threads=threads), CiphertextFile.load(request)]
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


def _peak_memory() -> int:
    """In a worker: the most memory it ever had, in bytes."""
    with contextlib.suppress(OSError):
        # Unlike what getrusage tells, this does not include what a parent had when it forked.
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    try:
        import resource
    except ImportError:
        raise InputError("this system does not tell the memory of a process; measure on Linux") from None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used << 10
