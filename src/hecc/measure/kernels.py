"""Times of kernels, of single operations of the native evaluator, and of the memory, on this machine."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecc.measure.primitives import primitive_keys, primitive_work
from hecc.measure.roofline import Machine
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.keys.keyfiles import Progress
from hecc.runtime.native import Kernels, implementations, time_kernels

__all__ = [
    "BANDWIDTH_METHOD",
    "KERNEL_SIZES",
    "KernelTimes",
    "PrimitiveTimes",
    "measure_bandwidth",
    "measure_kernels",
    "measure_machine",
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
