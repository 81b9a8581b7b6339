"""The engine of the native evaluator: a circuit made ready for hecc's own kernels, once for all clients."""

from __future__ import annotations

import logging

from hecc.runtime.ckks.circuit.instructions import Circuit, MatrixProduct, Rotate
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.devices.device import DEFAULT_MEMORY, KeySource, default_threads
from hecc.runtime.ckks.devices.engine import CircuitEngine
from hecc.runtime.ckks.devices.native.encoded import EncodedWeights
from hecc.runtime.ckks.devices.native.evaluator import NativeSession
from hecc.runtime.ckks.devices.streaming import plan_stream
from hecc.runtime.ckks.readings.types import verify_expanded
from hecc.runtime.errors import ParameterError
from hecc.runtime.native import _evaluator

__all__ = ["NativeEngine"]

log = logging.getLogger(__name__)


class NativeEngine(CircuitEngine):
    """A circuit on the native kernels (:class:`hecc.runtime.plan.interfaces.Engine`).

    Sessions in several threads share the engine's threads, operation by operation. With one thread there is nothing to
    share: then each session computes in the thread that calls it, and sessions run side by side.

    Parameters
    ----------
    circuit, keys
        What to run, and the parameters of the keys that it will run with.
    memory
        Bytes for encoded weights, once, and for the baby rotations of a session that runs, half for each.
    threads
        Threads to compute with, by default one per processor. Results are the same however many.
    kernels
        Name of the kernels to use: "avx512ifma", "avx2" or "portable"; by default the fastest that this machine can
        run, or those that the environment variable ``HECC_KERNELS`` names.

    Raises
    ------
    CircuitError
        When the circuit does not fit the keys.
    ParameterError
        When the kernels cannot work with the parameters.
    """

    def __init__(
        self,
        circuit: Circuit,
        keys: KeySpecification,
        *,
        memory: int = DEFAULT_MEMORY,
        threads: int | None = None,
        kernels: str = "",
    ) -> None:
        self.circuit, self.types = verify_expanded(circuit, keys)
        self.keys = keys
        try:
            self.context = _evaluator.Context(
                keys.ring_degree,
                keys.data_primes,
                keys.special_primes,
                keys.digit_limbs,
                default_threads() if threads is None else threads,
                kernels,
            )
        except (ValueError, TypeError) as error:
            raise ParameterError(f"the native evaluator refuses these parameters: {error}") from None
        log.debug("kernels %s, %d threads", self.context.kernels, self.context.threads)
        self.inputs = dict(self.circuit.inputs())
        self.products = dict(self.circuit.every(MatrixProduct))
        # With keys of SEAL's shape a rotation is SEAL's to the bit, and that one cannot be hoisted.
        exact = keys.digit_limbs == 1 and len(keys.special_primes) == 1
        self.hoisted = {} if exact else _hoisted(self.circuit)
        limbs = [kind.limbs for kind in self.types]
        self.stream = plan_stream(self.circuit, limbs, [kind.polynomials for kind in self.types], keys.ring_degree)
        self.rotations_memory = memory // 2
        self.weights = EncodedWeights(
            self.circuit, keys, self.types, self.context, stream=self.stream, memory=memory - memory // 2
        )

    def session(self, keys: KeySource) -> NativeSession:
        """A session with one client's keys, which are checked when they are first used."""
        self.check_open()
        return NativeSession(self, keys)

    def close(self) -> None:
        """Let go of encoded weights."""
        super().close()
        self.weights.clear()


def _hoisted(circuit: Circuit) -> dict[int, list[tuple[int, int]]]:
    """By the first of several rotations of one value, all of them: their indices and steps."""
    rotations: dict[int, list[tuple[int, int]]] = {}
    for index, instruction in circuit.every(Rotate):
        rotations.setdefault(instruction.x, []).append((index, instruction.step))
    return {together[0][0]: together for together in rotations.values() if len(together) > 1}
