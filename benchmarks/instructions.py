"""The native evaluator against SEAL's own C++, instruction by instruction, and primitive by primitive.

For every plan: the median of warm native runs, and beside it the sum over the plan's instructions of what SEAL's own
operations take at that ring and level: a rotation for every baby and giant step that a transform needs, a product for
every diagonal, and so on. Each operation of SEAL is timed at each of its levels, once before every run, so that both
see the same machine; of SEAL's times only medians count. The sum is that of an ideal driver of SEAL which loses nothing
between operations, reads and writes no streams, and spends no time in Python; the native run has all of that in it.

The sum is printed without and with encoding the weights. Native sessions keep encoded weights, as far as their memory
goes, so the sum without is the fair one, and an unfair one to hecc where the weights do not all fit.

Peak memory is that of processes which hold what a server holds: one with the native evaluator, one with SEAL's, both
running this plan with keys of their own. The time of the latter is printed, too; some of it is Python's.

    python benchmarks/instructions.py [MODEL.onnx | plan.bin ...] [--calibration X.npy] [--threads 1 2] [--json FILE]

Without a model: the three networks of examples/mnist. The plans are compiled for 128 bits of security.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from tenseal import sealapi

import hecc
from hecc.measure.primitives import HOISTED, PRIME_BITS, SECURITY, primitive_keys, primitive_work
from hecc.measure.runs.benchmark import PlanTimes, measure_plan
from hecc.runtime.ckks.circuit.instructions import (
    Add,
    AddPlain,
    AddScalar,
    Circuit,
    Conjugate,
    DropLimbs,
    Fold,
    Input,
    LinearTransform,
    MatrixProduct,
    Multiply,
    MultiplyPlain,
    MultiplyScalar,
    Negate,
    Output,
    PairedInput,
    Relinearize,
    Rescale,
    Rotate,
    Square,
    Subtract,
)
from hecc.runtime.ckks.circuit.parameters import KeySpecification, galois_element
from hecc.runtime.ckks.devices.device import default_threads
from hecc.runtime.ckks.devices.names import DeviceName
from hecc.runtime.ckks.devices.seal.streams import make_context
from hecc.runtime.ckks.readings.types import ArrayType, verify_expanded
from hecc.runtime.errors import HeccError
from hecc.runtime.native import Kernels, time_kernels

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "mnist"
NETWORKS = tuple(EXAMPLES / f"{name}.onnx" for name in ("lola", "mlp", "lenet"))

SAMPLES = 3
"""Of an operation of SEAL before every run, after one that is not counted: SEAL's caches are to be warm, too."""

SCALE = 2.0**10
"""Of SEAL's operands; its square is still below the smallest prime. No operation takes longer at another one."""

ENCODED = 64
"""Slot values that SEAL is given to encode. It transforms all slots whatever they hold, and the time to convert a long
list of Python's, which is the binding's, stays out of the measurement."""

TARGET = 8.0
WIDTH = 140
"""Columns, where there is no terminal."""


class Operation(NamedTuple):
    """One of SEAL's operations on one ciphertext, of so many limbs and polynomials; what a plan consists of."""

    name: str
    limbs: int
    polynomials: int = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="*", default=NETWORKS, help="ONNX networks, or servers' plans")
    parser.add_argument("--precision", type=float, default=12.0, help="bits (12)")
    parser.add_argument("--range", type=float, nargs=2, default=(0.0, 1.0), help="of the inputs (0 1)")
    parser.add_argument("--calibration", type=Path, help="some real inputs of all the networks, an .npy file")
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, default_threads()}))
    parser.add_argument("--runs", type=int, default=7, help="of every plan (7)")
    parser.add_argument("--rounds", type=int, default=9, help="of the primitives (9)")
    parser.add_argument("--sizes", nargs="*", default=["13:4", "14:8", "15:15"], help="log2(N):limbs of the primitives")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    out = Console(width=None if sys.stdout.isatty() else WIDTH)
    kernels = Kernels().implementation
    out.print(f"native kernels: {kernels}; SEAL has one thread")
    found: dict[str, Any] = {"kernels": kernels, "threads": arguments.threads, "primitives": [], "plans": []}
    for size in arguments.sizes:
        log_degree, limbs = map(int, size.split(":"))
        found["primitives"].append(measure_primitives(2**log_degree, limbs, arguments.threads, arguments.rounds))
    if found["primitives"]:
        out.print(primitives_table(found["primitives"], arguments.threads))
    with tempfile.TemporaryDirectory(prefix="hecc-instructions-") as folder:
        for model in arguments.models:
            try:
                path = compiled(model, Path(folder), arguments.precision, arguments.range, arguments.calibration)
                report = measure(path, model.name, arguments.threads, arguments.runs)
            except HeccError as error:
                parser.exit(1, f"error: {model}: {error}\n")
            found["plans"].append(report)
            show(report, out)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


def compiled(model: Path, folder: Path, precision: float, pixels: Sequence[float], calibration: Path | None) -> Path:
    """The server's plan of a network, or the plan that this is."""
    if model.suffix != ".onnx":
        return model
    inputs = None if calibration is None else np.load(calibration)
    low, high = pixels
    plan = hecc.compile(
        model, security=SECURITY, precision=precision, input_range=(low, high), calibration=inputs, device="native"
    )
    path = folder / f"{model.stem}.bin"
    plan.save(path)
    return path


# --- What a plan consists of ------------------------------------------------------------------------------------------


def operations(circuit: Circuit, index: int, types: Sequence[ArrayType]) -> Counter[Operation]:
    """What SEAL has to do for one instruction of a circuit whose polynomials are expanded."""
    instruction, kind = circuit.instructions[index], types[index]
    limbs, count, polynomials = kind.limbs, kind.count, kind.polynomials
    match instruction:
        case PairedInput():
            pairs = instruction.ciphertexts
            # The difference is multiplied with a monomial.
            return Counter(
                {
                    Operation("rotate", limbs): pairs,
                    Operation("add", limbs): 2 * pairs,
                    Operation("multiply_plain", limbs): pairs,
                }
            )
        case Input() | Output():
            return Counter()  # streams, which are no work of an evaluator
        case LinearTransform():
            diagonals = circuit.diagonals(instruction)
            rotations = steps(diagonals.column, diagonals.baby) + steps(diagonals.row, diagonals.giant)
            return Counter(
                {
                    Operation("rotate", limbs): rotations,
                    Operation("encode", limbs): len(diagonals),
                    Operation("multiply_plain", limbs): len(diagonals),
                    Operation("add", limbs): len(diagonals) - len(np.unique(diagonals.row)),
                }
            )
        case MatrixProduct():
            matrix = circuit.matrix(instruction)
            entries = len(matrix.values)
            counted = Counter(
                {
                    Operation("encode_scalar", limbs): entries,
                    Operation("multiply_plain", limbs, polynomials): entries,
                    Operation("add", limbs, polynomials): entries - len(np.unique(matrix.rows)),
                }
            )
            if instruction.bias is not None:
                counted[Operation("encode_scalar", limbs)] += count
                counted[Operation("add_plain", limbs, polynomials)] += count
            return counted
        case Rotate() | Conjugate():
            return Counter({Operation("rotate", limbs): count})
        case Fold():
            times = count * len(instruction.steps)
            return Counter({Operation("rotate", limbs): times, Operation("add", limbs): times})
        case AddPlain():
            return Counter({Operation("encode", limbs): count, Operation("add_plain", limbs, polynomials): count})
        case MultiplyPlain():
            return Counter({Operation("encode", limbs): count, Operation("multiply_plain", limbs, polynomials): count})
        case AddScalar():
            return Counter({Operation("encode_scalar", limbs): 1, Operation("add_plain", limbs, polynomials): count})
        case MultiplyScalar():
            return Counter(
                {Operation("encode_scalar", limbs): 1, Operation("multiply_plain", limbs, polynomials): count}
            )
        case Multiply() | Square() | Relinearize():
            return Counter({Operation(instruction.op, limbs): count})
        case Add() | Subtract() | Negate():
            return Counter({Operation(instruction.op, limbs, polynomials): count})
        case Rescale() | DropLimbs():
            first = types[instruction.x].limbs
            return Counter({Operation(instruction.op, level, polynomials): count for level in range(first, limbs, -1)})
        case _:
            raise NotImplementedError(f"it is not known what SEAL does for {instruction.op}")


def steps(ciphertext: NDArray[np.int32], step: NDArray[np.int32]) -> int:
    """Rotations of an array of ciphertexts: the distinct steps of each, zero aside."""
    return len({pair for pair in zip(ciphertext.tolist(), step.tolist(), strict=True) if pair[1]})


# --- What SEAL takes --------------------------------------------------------------------------------------------------


class Seal:
    """SEAL's operations on ciphertexts of random values, at every level of one chain of primes.

    Parameters
    ----------
    ring_degree, primes
        The chain; the last prime is the special one.
    """

    def __init__(self, ring_degree: int, primes: Sequence[int]) -> None:
        self._context = make_context(ring_degree, primes, expand=True, enforce_128=False)
        self._evaluator = sealapi.Evaluator(self._context)
        self._encoder = sealapi.CKKSEncoder(self._context)
        generator = sealapi.KeyGenerator(self._context)
        self._encryptor = sealapi.Encryptor(self._context, generator.secret_key())
        self._element = galois_element(1, ring_degree)
        self._galois, self._relinearization = sealapi.GaloisKeys(), sealapi.RelinKeys()
        generator.create_galois_keys([self._element], self._galois)
        generator.create_relin_keys(self._relinearization)
        self._values = np.random.default_rng(0).uniform(-1, 1, ENCODED).tolist()
        self._work: dict[Operation, Callable[[], None]] = {}
        self._samples: dict[Operation, list[float]] = {}

    def sample(self, wanted: Iterable[Operation]) -> None:
        """Time some operations once more."""
        for operation in wanted:
            work = self._work.get(operation)
            if work is None:
                work = self._work[operation] = self._make(operation)
            work()
            for _ in range(SAMPLES):
                start = time.perf_counter()
                work()
                self._samples.setdefault(operation, []).append(time.perf_counter() - start)

    def seconds(self, operation: Operation) -> float:
        """The median of all samples."""
        return statistics.median(self._samples[operation])

    def total(self, counted: Counter[Operation]) -> float:
        """Seconds of all of these."""
        return sum(times * self.seconds(operation) for operation, times in counted.items())

    def _make(self, operation: Operation) -> Callable[[], None]:
        """The work of one operation, with operands of its own level and size."""
        name, limbs, polynomials = operation
        evaluator, encoder, result = self._evaluator, self._encoder, sealapi.Ciphertext()
        level = self._level(limbs)
        x, plain = self._ciphertext(limbs), self._plaintext(limbs)
        products = sealapi.Ciphertext()
        evaluator.square(x, products)
        sized = x if polynomials == 2 else products
        work: dict[str, Callable[[], None]] = {
            "rotate": lambda: evaluator.apply_galois(x, self._element, self._galois, result),
            "relinearize": lambda: evaluator.relinearize(products, self._relinearization, result),
            "multiply": lambda: evaluator.multiply(x, x, result),
            "square": lambda: evaluator.square(x, result),
            "add": lambda: evaluator.add(sized, sized, result),
            "subtract": lambda: evaluator.sub(sized, sized, result),
            "negate": lambda: evaluator.negate(sized, result),
            "add_plain": lambda: evaluator.add_plain(x, plain, result),
            "multiply_plain": lambda: evaluator.multiply_plain(sized, plain, result),
            "rescale": lambda: evaluator.rescale_to_next(sized, result),
            "drop_limbs": lambda: evaluator.mod_switch_to_next(sized, result),
            "encode": lambda: encoder.encode(self._values, level, SCALE, plain),
            "encode_scalar": lambda: encoder.encode(0.5, level, SCALE, plain),
        }
        if name == "transform":
            coefficients = sealapi.Ciphertext()
            evaluator.transform_from_ntt(x, coefficients)
            return lambda: evaluator.transform_to_ntt(coefficients, result)
        return work[name]

    def _plaintext(self, limbs: int) -> Any:
        plaintext = sealapi.Plaintext()
        self._encoder.encode(self._values, self._level(limbs), SCALE, plaintext)
        return plaintext

    def _ciphertext(self, limbs: int) -> Any:
        ciphertext = sealapi.Ciphertext()
        self._encryptor.encrypt_symmetric(self._plaintext(limbs), ciphertext)
        return ciphertext

    def _level(self, limbs: int) -> list[int]:
        data = self._context.first_context_data()
        while len(data.parms().coeff_modulus()) > limbs:
            data = data.next_context_data()
        return list(data.parms_id())


# --- Plans ------------------------------------------------------------------------------------------------------------


def measure(path: Path, name: str, threads: Sequence[int], runs: int) -> dict[str, Any]:
    """All figures of one plan."""
    plan = hecc.Plan.load(path)
    keys = plan.header.keys
    circuit, types = verify_expanded(plan.require_circuit(), keys)
    counted = [operations(circuit, index, types) for index in range(len(circuit.instructions))]
    every = sum(counted, Counter[Operation]())
    seal = Seal(keys.ring_degree, (*keys.data_primes, *keys.special_primes))
    times: dict[int, PlanTimes] = {}
    peer: PlanTimes | None = None
    for number in threads:
        evaluators: tuple[DeviceName, ...] = ("native",) if peer else ("native", "seal")
        with tempfile.TemporaryDirectory(prefix="hecc-keys-") as folder:
            measured = measure_plan(
                path, evaluators, Path(folder), threads=number, runs=runs, stage=lambda _: seal.sample(every)
            )
        times[number], peer = measured["native"], peer or measured["seal"]
    assert peer is not None

    kinds: dict[str, dict[str, float]] = {}
    for instruction, part in zip(circuit.instructions, counted, strict=True):
        row = kinds.setdefault(instruction.op, {"instructions": 0, "seal": 0.0, "seal_with_encoding": 0.0})
        row["instructions"] += 1
        row["seal"] += seal.total(without_encoding(part))
        row["seal_with_encoding"] += seal.total(part)
    total, encoding = seal.total(without_encoding(every)), seal.total(every)
    native_memory = max(found.peak_memory for found in times.values())
    return {
        "model": name,
        "ring_degree": keys.ring_degree,
        "log2_qp": keys.log2_qp,
        "log2_limit": keys.security.log2_limit,
        "data_primes": len(keys.data_primes),
        "special_primes": len(keys.special_primes),
        "digits": keys.digits(len(keys.data_primes)),
        "rotations": sum(times for operation, times in every.items() if operation.name == "rotate"),
        "operations": [
            {**operation._asdict(), "times": times, "seconds": seal.seconds(operation)}
            for operation, times in sorted(every.items())
        ],
        "seal_seconds": total,
        "seal_seconds_with_encoding": encoding,
        "native": [
            {
                "threads": number,
                "seconds": found.seconds,
                "samples": list(found.samples),
                "instructions": dict(found.instructions),
                "ratio": total / found.seconds,
                "ratio_with_encoding": encoding / found.seconds,
            }
            for number, found in times.items()
        ],
        "kinds": kinds,
        "native_peak_bytes": native_memory,
        "seal_evaluator_seconds": peer.seconds,
        "seal_evaluator_peak_bytes": peer.peak_memory,
        "memory_ratio": peer.peak_memory / native_memory,
    }


def without_encoding(counted: Counter[Operation]) -> Counter[Operation]:
    """What is left when the weights are encoded already."""
    return Counter(
        {operation: times for operation, times in counted.items() if not operation.name.startswith("encode")}
    )


def show(report: dict[str, Any], out: Console) -> None:
    """One plan: the ratios, what they are made of, and the memory."""
    primes = f"{report['data_primes']} data and {report['special_primes']} special primes in {report['digits']} digits"
    out.print(
        f"\n[bold]{report['model']}[/bold]: N = {report['ring_degree']}, log2 QP = {report['log2_qp']:.1f} of at most "
        f"{report['log2_limit']}, {primes} (SEAL: a digit per prime), {report['rotations']} rotations"
    )
    native = report["native"]
    table = Table("milliseconds")
    headings = [f"native, {threads_words(found['threads'])}" for found in native]
    ratio = f"ratio to {threads_words(native[-1]['threads'])}"
    for column in (*headings, "SEAL's sum", "with encoding", ratio, "with encoding"):
        table.add_column(column, justify="right")
    for kind, row in report["kinds"].items():
        own = [found["instructions"][kind] for found in native]
        cells = (row["seal"], row["seal_with_encoding"])
        ratios = [f"{cell / own[-1]:.1f}" if cell else "" for cell in cells]
        table.add_row(f"{row['instructions']} {kind}", *map(ms, own), *(ms(c) if c else "" for c in cells), *ratios)
    table.add_section()
    sums = (report["seal_seconds"], report["seal_seconds_with_encoding"])
    ratios = [f"{native[-1][name]:.1f}" for name in ("ratio", "ratio_with_encoding")]
    table.add_row("the whole run", *(ms(found["seconds"]) for found in native), *map(ms, sums), *ratios)
    out.print(table)
    for found in native:
        verdict = "meets" if found["ratio"] >= TARGET else "misses"
        out.print(
            f"{threads_words(found['threads'])}: SEAL's sum is {found['ratio']:.1f} times the native run, "
            f"{found['ratio_with_encoding']:.1f} times with encoding; that {verdict} the target of {TARGET:g}"
        )
    out.print(
        f"peak memory: native {report['native_peak_bytes'] / 1e6:.0f} MB, SEAL's evaluator "
        f"{report['seal_evaluator_peak_bytes'] / 1e6:.0f} MB, {report['memory_ratio']:.1f} times that; "
        f"its run takes {ms(report['seal_evaluator_seconds'])} ms"
    )


# --- Primitives -------------------------------------------------------------------------------------------------------


def measure_primitives(degree: int, limbs: int, threads: Sequence[int], rounds: int) -> dict[str, Any]:
    """Median seconds of SEAL and of the native evaluator, in turns, at the top of a chain."""
    keys = primitive_keys(degree, limbs)
    seal = Seal(degree, (*keys.data_primes, keys.special_primes[0]))
    peers = {
        "rotate": Counter([Operation("rotate", limbs)]),
        "multiply and relinearise": Counter([Operation("multiply", limbs), Operation("relinearize", limbs)]),
        "hoisted rotation": Counter([Operation("rotate", limbs)]),
        "encode": Counter([Operation("encode", limbs)]),
        "transform of one limb": Counter([Operation("transform", limbs)]),
    }
    wanted = sorted(set().union(*peers.values()))
    works = {number: primitive_work(keys, number) for number in threads}
    samples: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        seal.sample(wanted)
        for number, work in works.items():
            for name, (run, divisor) in work.items():
                run()
                for _ in range(SAMPLES):
                    start = time.perf_counter()
                    run()
                    samples.setdefault((name, number), []).append((time.perf_counter() - start) / divisor)
            samples.setdefault(("transform of one limb", number), []).append(native_transform(keys, number))
    divisors = {"transform of one limb": 2 * limbs}
    return {
        "ring_degree": degree,
        "limbs": limbs,
        "log2_qp": keys.log2_qp,
        "log2_limit": keys.security.log2_limit,
        "special_primes": len(keys.special_primes),
        "digits": keys.digits(limbs),
        "seal_log2_qp": sum(math.log2(q) for q in (*keys.data_primes, keys.special_primes[0])),
        "seconds": {
            name: {
                "seal": seal.total(peer) / divisors.get(name, 1),
                "native": {str(number): statistics.median(samples[name, number]) for number in threads},
            }
            for name, peer in peers.items()
        },
    }


def native_transform(keys: KeySpecification, threads: int) -> float:
    """Median seconds of a forward transform of one limb; several threads share the limbs."""

    def work(_: int) -> float:
        limbs = max(2, len(keys.data_primes))
        return statistics.median(time_kernels(Kernels(), keys.ring_degree, limbs, PRIME_BITS, SAMPLES)["ntt_forward"])

    with ThreadPoolExecutor(threads) as pool:
        return 1 / sum(1 / seconds for seconds in pool.map(work, range(threads)))


def primitives_table(reports: Sequence[dict[str, Any]], threads: Sequence[int]) -> Table:
    """Milliseconds, and how many times SEAL's speed that is."""
    title = f"milliseconds; primes of {PRIME_BITS} bits; {HOISTED} rotations are hoisted together, and SEAL hoists none"
    table = Table("N, limbs", "primitive", title=title)
    table.add_column("SEAL", justify="right")
    for number in threads:
        table.add_column(f"native, {threads_words(number)}", justify="right")
    for report in reports:
        names = [
            f"{report['ring_degree']}, {report['limbs']}",
            f"log2 QP {report['log2_qp']:.0f} (SEAL {report['seal_log2_qp']:.0f}), at most {report['log2_limit']}",
            f"{report['digits']} digits, {report['special_primes']} special (SEAL {report['limbs']}, 1)",
        ]
        rows = report["seconds"].items()
        for (name, row), first in zip(rows, [*names, *[""] * (len(rows) - len(names))], strict=True):
            own = [row["native"][str(number)] for number in threads]
            table.add_row(first, name, ms(row["seal"]), *(f"{ms(own_)} ({row['seal'] / own_:.1f}x)" for own_ in own))
        table.add_section()
    return table


def threads_words(number: int) -> str:
    return f"{number} thread{'' if number == 1 else 's'}"


def ms(seconds: float) -> str:
    return f"{1e3 * seconds:.4g}"


if __name__ == "__main__":
    main()
