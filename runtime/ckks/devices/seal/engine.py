"""The engine of SEAL's evaluator: a circuit made ready for SEAL, once for all clients."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tenseal import sealapi

from hecc.runtime.ckks.circuit.instructions import Circuit, Raise
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.devices.device import DEFAULT_MEMORY, KeySource
from hecc.runtime.ckks.devices.engine import CircuitEngine
from hecc.runtime.ckks.devices.seal.evaluator import SealSession
from hecc.runtime.ckks.devices.seal.streams import make_context
from hecc.runtime.ckks.readings.types import verify_expanded
from hecc.runtime.errors import CircuitError

__all__ = ["SealEngine"]

LARGEST_CHECKED_DEGREE = 32768
"""SEAL's own security table ends here."""


class SealEngine(CircuitEngine):
    """A circuit on SEAL (:class:`hecc.runtime.plan.interfaces.Engine`).

    SEAL has exactly one special prime, the last one. Others are further data primes to it, above the levels at which
    ciphertexts arrive; they make SEAL's keys larger and nothing else.

    Parameters
    ----------
    circuit, keys
        What to run, and the parameters of the keys that it will run with.
    memory
        Bytes for encoded weights, once, and for the baby rotations of a session that runs, half for each.
    threads
        Of no effect: SEAL evaluates in the thread that calls it.

    Raises
    ------
    CircuitError
        When the circuit does not fit the keys, or raises a ciphertext.
    ParameterError
        When SEAL cannot work with the parameters.
    """

    def __init__(
        self, circuit: Circuit, keys: KeySpecification, *, memory: int = DEFAULT_MEMORY, threads: int | None = None
    ) -> None:
        self.circuit, self.types = verify_expanded(circuit, keys)
        for index, raised in self.circuit.every(Raise):
            where = f" of {raised.source}" if raised.source else ""
            raise CircuitError(
                f"circuit: %{index}{where} bootstraps, and SEAL has no bootstrapping; use the device native"
            )
        self.keys = keys
        checked = keys.security.level >= 128 and keys.ring_degree <= LARGEST_CHECKED_DEGREE
        primes = (*keys.data_primes, *keys.special_primes)
        self.context = make_context(keys.ring_degree, primes, expand=True, enforce_128=checked)
        self.evaluator = sealapi.Evaluator(self.context)
        self.encoder = sealapi.CKKSEncoder(self.context)
        self.levels = _levels(self.context)
        self.last_uses = self.circuit.last_uses()
        self.rotations_memory = memory // 2
        self.plaintexts = Plaintexts(memory - memory // 2)

    def session(self, keys: KeySource) -> SealSession:
        """A session with one client's keys, which are checked when they are first used."""
        self.check_open()
        return SealSession(self, keys)

    def close(self) -> None:
        """Let go of encoded weights."""
        super().close()
        self.plaintexts.clear()


class Plaintexts:
    """Encoded diagonals, for any number of threads: each is encoded once if it fits.

    First come, first kept: every row asks in the same order, where recency helps nobody.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._used = 0
        self._kept: dict[tuple[int, int], Any] = {}
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int], size: int, encode: Callable[[], Any]) -> Any:
        """The plaintext called ``key``, of ``size`` bytes, which is kept if it still fits."""
        plaintext = self._kept.get(key)
        if plaintext is not None:
            return plaintext
        with self._lock:
            plaintext = self._kept.get(key)
            if plaintext is None:
                plaintext = encode()
                if self._used + size <= self._budget:
                    self._used += size
                    self._kept[key] = plaintext
            return plaintext

    def clear(self) -> None:
        """Forget all plaintexts."""
        with self._lock:
            self._kept.clear()
            self._used = 0


def _levels(context: Any) -> dict[int, list[int]]:
    """SEAL's ``parms_id`` for every number of data limbs."""
    levels = {}
    data = context.first_context_data()
    while data is not None:
        levels[len(data.parms().coeff_modulus())] = data.parms_id()
        data = data.next_context_data()
    return levels
