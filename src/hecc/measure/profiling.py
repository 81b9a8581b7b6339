"""``hecc bench --calibrate``: the cost model's rates on this machine, measured with the evaluator itself.

A few made-up circuits, of the instructions and sizes that networks have but of no network, run on the native evaluator
with real keys and ciphertexts. The cost model is linear in its rates, so what it says of an instruction when one rate
is 1 and all others are 0 is the coefficient of that rate; non-negative least squares find the rates that come closest
to the times measured. With one thread these are those of the processor, which other programs on the machine do not
change much; with several they are those of the clock.
"""

from __future__ import annotations

import contextlib
import math
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

import hecc
from hecc.compiler.ckks.chain.scaling import Chain
from hecc.compiler.ckks.lowering.assembly import key_specification
from hecc.compiler.ckks.prediction.cost import instruction_costs, key_cost_model
from hecc.compiler.ckks.prediction.machine import MachineProfile
from hecc.compiler.options import Options
from hecc.measure.primitives import primitive_keys
from hecc.runtime.ckks.circuit.instructions import (
    Circuit,
    Diagonals,
    Fold,
    Input,
    Instruction,
    LinearTransform,
    MatrixProduct,
    Output,
    Relinearize,
    Rescale,
    SparseMatrix,
    Square,
)
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.client.keygen import generate_keys, secret_residues
from hecc.runtime.ckks.client.seal_bridge import LevelCipher
from hecc.runtime.ckks.devices.evaluator import default_threads
from hecc.runtime.ckks.devices.native.evaluator import NativeEvaluator, NativeSession
from hecc.runtime.ckks.devices.streaming import plan_stream
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, SecretKeyFile
from hecc.runtime.ckks.readings.types import verify
from hecc.runtime.native import Kernels
from hecc.runtime.plan.rates import Rates

__all__ = ["PROBES", "Fit", "Probe", "fit", "machine_profile", "measure_rates", "profile_of"]

SCALE = Fraction(1 << 30)
"""Of inputs and constants; what the values are does not matter to the time."""

ROUNDS, SECONDS = 6, 0.4
"""Of all circuits, one after the other, and for each circuit and number of threads in a round: whatever else the
machine does disturbs some rounds, and the shortest times are those that count."""

SMALL = 0.02
"""Parts that take less of their circuit's time count for less: what they take is hard to measure."""

RATES = tuple(Rates.__struct_fields__)


@dataclass(frozen=True)
class Probe:
    """A made-up circuit.

    Attributes
    ----------
    ring_degree, limbs
        N, and the data primes; digits are as few as 128 bits of security allow.
    babies, giants
        Rotations of the first linear transform, per ciphertext; the second one has half as many at two limbs less.
    rows
        Ciphertexts that the first linear transform makes of two, with as many giant rotations of each.
    batch
        Ciphertexts of a batch layout instead, of which a matrix product makes half as many.
    """

    ring_degree: int
    limbs: int
    babies: int = 0
    giants: int = 0
    rows: int = 1
    batch: int = 0

    @property
    def name(self) -> str:
        """In words."""
        what = f"{self.babies} x {self.giants} rotations, {self.rows} rows"
        what = f"{self.batch} in a batch" if self.batch else what
        return f"N = {self.ring_degree}, {self.limbs} limbs, {what}"


PROBES = (
    Probe(1 << 13, 4, 24, 1),
    Probe(1 << 13, 4, 5, 12),
    Probe(1 << 13, 3, batch=64),
    Probe(1 << 13, 3, batch=256),
    Probe(1 << 14, 8, 12, 2),
    Probe(1 << 14, 8, 9, 2, rows=3),
    Probe(1 << 14, 4, 20, 1),
    Probe(1 << 14, 6, 4, 12),
    Probe(1 << 15, 12, 6, 3),
)
"""What is measured: rings and chains as the compiler chooses them, half a gigabyte of keys at the most."""


@dataclass(frozen=True)
class Fit:
    """Rates, and how well they explain what was measured.

    Attributes
    ----------
    rates
        By least squares.
    measured, predicted
        Seconds of every circuit.
    """

    rates: Rates
    measured: tuple[float, ...]
    predicted: tuple[float, ...]

    @property
    def error(self) -> float:
        """Root mean square of predicted over measured time, less one."""
        ratios = np.asarray(self.predicted) / np.asarray(self.measured)
        return float(np.sqrt(np.mean((ratios - 1) ** 2)))


def machine_profile(*, threads: int | None = None, progress: Callable[[str], None] | None = None) -> MachineProfile:
    """Measure this machine for the cost model, in about a minute.

    Parameters
    ----------
    threads
        That run together besides one alone, by default one per processor.
    progress
        Called with what is done next.

    Returns
    -------
    MachineProfile
        For ``hecc.compile(..., machine=profile)``; its ``save`` writes the file that ``--machine`` takes.
    """
    together = threads or default_threads()
    return profile_of(measure_rates(sorted({1, together}), progress=progress))


def profile_of(fits: Mapping[int, Fit]) -> MachineProfile:
    """The profile of this machine with these rates, by number of threads; one is among them."""
    together = max(fits)
    return MachineProfile(
        machine=_processor(),
        kernels=Kernels().implementation,
        producer=f"hecc {hecc.__version__}",
        threads=together,
        one_thread=fits[1].rates,
        all_threads=fits[together].rates,
        error=max(found.error for found in fits.values()),
    )


def measure_rates(
    threads: Sequence[int],
    *,
    probes: Sequence[Probe] = PROBES,
    rounds: int = ROUNDS,
    progress: Callable[[str], None] | None = None,
) -> dict[int, Fit]:
    """The rates of this machine for each number of threads, and how well they explain the times of the circuits.

    Parameters
    ----------
    threads
        Numbers of threads, which take turns.
    probes
        Circuits to measure.
    rounds
        How often every circuit is measured.
    progress
        Called with what is done next.
    """
    stage = progress or (lambda _: None)
    with contextlib.ExitStack() as stack:
        circuits = []
        for probe in probes:
            stage(f"keys for {probe.name}")
            circuits.append(stack.enter_context(_prepared(probe, threads)))
        for turn in range(rounds):
            stage(f"round {turn + 1} of {rounds}")
            for circuit in circuits:
                circuit.measure()
        coefficients = [circuit.coefficients for circuit in circuits]
        return {number: fit(coefficients, [circuit.best[number] for circuit in circuits]) for number in threads}


def fit(coefficients: Sequence[NDArray[np.float64]], seconds: Sequence[NDArray[np.float64]]) -> Fit:
    """The rates that explain best what the parts of some circuits take.

    Parameters
    ----------
    coefficients
        Per circuit of shape (parts, rates): the cost model's seconds with one rate 1 and all others 0. A part is an
        instruction, or several that are measured together.
    seconds
        Per circuit of shape (parts,): what was measured.
    """
    # Relative errors count, of instructions that are too short to matter less so.
    weights = [1 / np.maximum(times, SMALL * times.sum()) for times in seconds]
    matrix = np.concatenate([rows * weight[:, np.newaxis] for rows, weight in zip(coefficients, weights, strict=True)])
    wanted = np.concatenate([times * weight for times, weight in zip(seconds, weights, strict=True)])
    # Columns of one size: rates differ by orders of magnitude.
    sizes = np.linalg.norm(matrix, axis=0)
    sizes[sizes == 0] = 1.0
    found = nnls(matrix / sizes, wanted)[0] / sizes
    return Fit(
        rates=Rates(**dict(zip(RATES, found.tolist(), strict=True))),
        measured=tuple(float(times.sum()) for times in seconds),
        predicted=tuple(float((rows @ found).sum()) for rows in coefficients),
    )


class _Prepared:
    """A circuit with keys and an encrypted input, and a session for each number of threads.

    Attributes
    ----------
    coefficients
        Shape (parts, rates): the cost model's seconds with one rate 1 and all others 0. A part is one instruction, or
        those that are evaluated in blocks, whose times cannot be told apart.
    best
        Shape (parts,), by number of threads: the shortest times so far.
    """

    def __init__(
        self, circuit: Circuit, keys: KeySpecification, sessions: Mapping[int, NativeSession], request: list[bytes]
    ) -> None:
        self._sessions, self._request = sessions, request
        types = verify(circuit, keys)
        limbs = [kind.limbs for kind in types]
        # No rate stands for what goes back to the client.
        outputs = dict(circuit.outputs())
        self._counted = [i for i in range(len(circuit.instructions)) if i not in outputs]
        stream = plan_stream(circuit, limbs, [kind.polynomials for kind in types], keys.ring_degree)
        self._starts = [0, *range(1 if stream is None else stream.end + 1, len(self._counted))]
        columns = []
        for name in RATES:
            unit = Rates(**{other: float(other == name) for other in RATES})
            costs = instruction_costs(circuit, limbs, key_cost_model("native", keys, circuit.period, unit))
            columns.append([costs[i].seconds for i in self._counted])
        self.coefficients = np.add.reduceat(np.array(columns).T, self._starts)
        self.best = {number: np.full(len(self._starts), np.inf) for number in sessions}
        for number, session in sessions.items():
            # The first run encodes the weights and verifies the keys.
            _times(session, request, number)

    def measure(self) -> None:
        """Run for a while with each number of threads, in turns, and keep the shortest time of every part."""
        start = time.perf_counter()
        while time.perf_counter() - start < SECONDS * len(self._sessions):
            for number, session in self._sessions.items():
                times = _times(session, self._request, number)
                self.best[number] = np.minimum(self.best[number], np.add.reduceat(times[self._counted], self._starts))


def _times(session: NativeSession, request: list[bytes], threads: int) -> NDArray[np.float64]:
    """Seconds of every instruction of one run: of its processor, if it has only one, which other programs may want."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    ends = [clock()]

    def note(done: int, total: int, instruction: Instruction) -> None:
        ends.append(clock())

    session.run({"x": request}, progress=note)
    return np.diff(ends)


@contextlib.contextmanager
def _prepared(probe: Probe, threads: Sequence[int]) -> Iterator[_Prepared]:
    base = primitive_keys(probe.ring_degree, probe.limbs)
    circuit = _batch_circuit(probe, base) if probe.batch else _circuit(probe, base)
    chain = Chain(
        ring_degree=probe.ring_degree,
        scale_bits=int(math.log2(SCALE)),
        input_bits=int(math.log2(SCALE)),
        data_primes=base.data_primes,
        special_primes=base.special_primes,
        dropped=(),
        digit_limbs=base.digit_limbs,
    )
    keys = key_specification(circuit, chain, Options(level=base.security.level))
    with tempfile.TemporaryDirectory(prefix="hecc-calibrate-") as folder:
        files = generate_keys(keys, Path(folder) / "keys", shape="native")
        secret = secret_residues(SecretKeyFile.load(files.secret), None)
        cipher = LevelCipher(keys, probe.limbs, enforce_128=True, secret=secret)
        stream = cipher.encrypt(np.zeros(keys.slots), float(SCALE))
        source = EvaluationKeyFile(files.evaluation)
        with contextlib.ExitStack() as stack:
            sessions = {
                number: stack.enter_context(NativeEvaluator().prepare(circuit, keys, source, threads=number))
                for number in threads
            }
            yield _Prepared(circuit, keys, sessions, [stream] * circuit.counts()[0])


def _circuit(probe: Probe, keys: KeySpecification) -> Circuit:
    """Two linear transforms with a square in between, and a fold."""
    slots, primes, rows = keys.slots, keys.data_primes, probe.rows
    pitch = probe.babies + 1
    first = _diagonals(rows, 2, range(pitch), range(0, (probe.giants + 1) * pitch, pitch), slots)
    # Steps of its own: keys that are used at fewer limbs are shorter.
    babies, giants, unused = max(1, probe.babies // 2), max(1, probe.giants // 2), (probe.giants + 2) * pitch
    second = _diagonals(1, rows, range(babies + 1), range(unused, (giants + 1) * unused, unused), slots)
    constants: dict[str, NDArray[Any]] = {
        f"{prefix}.{name}": getattr(diagonals, name)
        for prefix, diagonals in (("first", first), ("second", second))
        for name in Diagonals.FIELDS
    }
    constants["in"] = np.ones((2, slots), np.uint8)
    constants["out"] = np.ones((1, slots), np.uint8)
    program = (
        Input(name="x", count=2, occupied="in", period=slots, limbs=len(primes), scale=SCALE),
        LinearTransform(x=0, count=rows, diagonals="first", scale=Fraction(primes[-1])),
        Rescale(x=1),
        Square(x=2),
        Relinearize(x=3),
        Rescale(x=4),
        LinearTransform(x=5, count=1, diagonals="second", scale=Fraction(1 << 20)),
        Fold(x=6, period=slots // 8, span=slots),
        Output(x=7, name="y", occupied="out"),
    )
    return Circuit(slots, program, constants)


def _diagonals(rows: int, columns: int, babies: Sequence[int], giants: Sequence[int], slots: int) -> Diagonals:
    """Every giant step of every row with every ciphertext and every baby step, full of numbers."""
    number = len(giants) * rows * columns * len(babies)
    giant, row, column, baby = np.meshgrid(giants, range(rows), range(columns), babies, indexing="ij")
    return Diagonals(
        row=row.reshape(-1).astype(np.int32),
        column=column.reshape(-1).astype(np.int32),
        baby=baby.reshape(-1).astype(np.int32),
        giant=giant.reshape(-1).astype(np.int32),
        offsets=np.arange(number + 1, dtype=np.int64) * slots,
        slots=np.tile(np.arange(slots, dtype=np.uint16), number),
        values=np.random.default_rng(0).uniform(-1, 1, number * slots).astype(np.float32),
    )


def _batch_circuit(probe: Probe, keys: KeySpecification) -> Circuit:
    """A dense matrix product, squares, and another one."""
    constants: dict[str, NDArray[Any]] = {}
    for name, rows, columns in (("first", probe.batch // 2, probe.batch), ("second", 10, probe.batch // 2)):
        matrix = SparseMatrix(
            offsets=np.arange(rows + 1, dtype=np.int64) * columns,
            columns=np.tile(np.arange(columns, dtype=np.int32), rows),
            values=np.random.default_rng(0).uniform(-1, 1, rows * columns).astype(np.float32),
        )
        constants |= {f"{name}.{field}": getattr(matrix, field) for field in SparseMatrix.FIELDS}
    constants["in"] = np.ones((probe.batch, 1), np.uint8)
    constants["out"] = np.ones((10, 1), np.uint8)
    limbs, scale = len(keys.data_primes), Fraction(1 << 16)
    program = (
        Input(name="x", count=probe.batch, occupied="in", period=1, limbs=limbs, scale=SCALE),
        MatrixProduct(x=0, count=probe.batch // 2, matrix="first", scale=scale),
        Rescale(x=1),
        Square(x=2),
        Relinearize(x=3),
        MatrixProduct(x=4, count=10, matrix="second", scale=scale),
        Output(x=5, name="y", occupied="out"),
    )
    return Circuit(1, program, constants)


def _processor() -> str:
    """What the processor calls itself."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return _printable(value)
    return _printable(platform.processor() or platform.machine() or "unknown processor")


def _printable(name: str) -> str:
    """ASCII of a reasonable length, as a profile holds it."""
    return "".join(c for c in name.strip() if " " <= c <= "~")[:200] or "unknown processor"
