"""``hecc bench --machine-profile``: the cost model's rates on this machine, measured with the evaluator itself.

A few made-up circuits (:mod:`hecc.measure.probes`) run on the native evaluator with real keys and ciphertexts, and the
rates are fitted to their times (:mod:`hecc.measure.rate_fit`). With one thread these are times of the processor, which
other programs on the machine do not change much; with several they are times of the clock.
"""

from __future__ import annotations

import contextlib
import math
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hecc
from hecc.compiler.ckks.chain.scaling import Chain
from hecc.compiler.ckks.lowering.assembly import key_specification
from hecc.compiler.ckks.options import Options
from hecc.compiler.ckks.prediction.cost import instruction_costs
from hecc.compiler.ckks.prediction.devices import DEVICE_MODELS
from hecc.compiler.ckks.prediction.machine import MachineProfile
from hecc.measure.primitives import primitive_keys
from hecc.measure.probes import PROBES, SCALE, Probe, probe_circuit
from hecc.measure.rate_fit import RATES, Fit, fit
from hecc.runtime.ckks.circuit.instructions import Circuit
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.client.keygen import generate_keys, secret_residues
from hecc.runtime.ckks.client.seal_bridge import LevelCipher
from hecc.runtime.ckks.devices.device import default_threads
from hecc.runtime.ckks.devices.native.engine import NativeEngine
from hecc.runtime.ckks.devices.native.evaluator import NativeSession
from hecc.runtime.ckks.devices.streaming import plan_stream
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, SecretKeyFile
from hecc.runtime.ckks.plan.rates import Rates
from hecc.runtime.ckks.readings.types import verify
from hecc.runtime.native import Kernels
from hecc.runtime.plan.interfaces import Step

__all__ = ["machine_profile", "measure_rates", "processor_name", "profile_of"]

ROUNDS, SECONDS = 6, 0.4
"""Of all circuits, one after the other, and for each circuit and number of threads in a round: whatever else the
machine does disturbs some rounds, and the shortest times are those that count."""


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
        machine=processor_name(),
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
            model = DEVICE_MODELS["native"].key_cost_model(keys, circuit.period, unit)
            costs = instruction_costs(circuit, limbs, model)
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

    def note(done: int, total: int, instruction: Step) -> None:
        ends.append(clock())

    session.run({"x": request}, progress=note)
    return np.diff(ends)


@contextlib.contextmanager
def _prepared(probe: Probe, threads: Sequence[int]) -> Iterator[_Prepared]:
    base = primitive_keys(probe.ring_degree, probe.limbs)
    circuit = probe_circuit(probe, base)
    chain = Chain(
        ring_degree=probe.ring_degree,
        scale_bits=int(math.log2(SCALE)),
        input_bits=int(math.log2(SCALE)),
        data_primes=base.data_primes,
        special_primes=base.special_primes,
        dropped=(),
        digit_limbs=base.digit_limbs,
    )
    keys = key_specification(circuit, chain, Options(security=base.security.level))
    with tempfile.TemporaryDirectory(prefix="hecc-calibrate-") as folder:
        files = generate_keys(keys, Path(folder) / "keys", shape="native")
        secret = secret_residues(SecretKeyFile.load(files.secret), None)
        cipher = LevelCipher(keys, probe.limbs, enforce_128=True, secret=secret)
        stream = cipher.encrypt(np.zeros(keys.slots), float(SCALE))
        source = EvaluationKeyFile(files.evaluation)
        with contextlib.ExitStack() as stack:
            sessions = {
                number: stack.enter_context(NativeEngine(circuit, keys, threads=number).session(source))
                for number in threads
            }
            yield _Prepared(circuit, keys, sessions, [stream] * circuit.counts()[0])


def processor_name() -> str:
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
