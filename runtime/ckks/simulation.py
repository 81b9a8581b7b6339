"""What a plan computes, in clear and without keys, with the noise that encryption would add."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.alarms import NEAR, NO_FAULT, faults, with_their_batches
from hecc.runtime.ckks.circuit.instructions import Bootstrap, Circuit, Instruction, Polynomial, as_float
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.plan.header import CkksOutput
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.noise_drawn import GaussianNoise
from hecc.runtime.ckks.readings.types import ArrayType, verify_simulated
from hecc.runtime.reading import Reading
from hecc.runtime.tail.outcomes import Outputs, finished

__all__ = ["INSIDE", "simulate_rows"]

INSIDE = 1.001
"""Largest argument of a fitted polynomial, which was fitted on [-1, 1]; noise may take it a little farther."""

PEAK = 8
"""The largest error that a precision is of, in standard deviations; it is four or five, of very many values."""

Array = NDArray[np.floating[Any]]


def simulate_rows(
    plan: CkksPlan, rows: Mapping[str, NDArray[np.float64]], noise: bool = True, *, seed: int = 0
) -> Outputs:
    """As :func:`hecc.simulate`, of rows that are loaded; only the result tells which are lost, or left an interval."""
    circuit, header = plan.require_circuit(), plan.header
    expanded, types = verify_simulated(circuit, header.keys)
    arguments: dict[int, Polynomial | Bootstrap] = {
        expanded.moved[ins.x]: ins for _, ins in circuit.every(Polynomial) if ins.basis == "chebyshev"
    }
    arguments |= {expanded.moved[ins.x]: ins for _, ins in circuit.every(Bootstrap)}
    circuit = expanded.circuit
    slots = {signature.name: signature.pack(rows[signature.name]) for signature in header.inputs}
    count = len(next(iter(slots.values())))
    shares = _shares(count, header.batch, circuit.lanes)
    watch = _Watch(circuit, types, header.keys, arguments, shares)
    model = GaussianNoise(circuit, types, header.keys, np.random.default_rng(seed)) if noise else None
    simulator = Simulator(circuit)
    results = simulator.run(slots, model, watch)
    # Imaginary parts, by which decryption sees that errors have grown, are errors as large as those of the real ones.
    # They grow in rows that leave an interval, and in those whose values are beyond all that was predicted from.
    large = {
        int(row)
        for signature in header.sent
        for row in np.flatnonzero(~(np.abs(results[signature.name]).max(axis=(1, 2)) <= _predicted(plan, signature)))
    }
    grown = sorted((large | watch.outside.keys()) - watch.overflowed.keys()) if model is not None else []
    exact = simulator.run({name: array[grown] for name, array in slots.items()}) if grown else {}
    lost = dict(watch.overflowed)
    wrapped = {row // header.batch for row in watch.overflowed}
    values = {}
    for signature in header.sent:
        found = np.asarray(results[signature.name], dtype=np.float64)
        examples = signature.layout.average(found)
        shown = found.astype(np.complex128)
        if grown:
            with np.errstate(over="ignore", invalid="ignore"):
                shown[grown] += 1j * (found[grown] - exact[signature.name])
        for row, fault in enumerate(faults(signature, shown[:, :, np.newaxis], examples)):
            if fault != NO_FAULT:
                lost.setdefault(row, f"output {signature.name!r}: {fault}")
        values[signature.name] = examples.reshape(-1, *signature.shape)
        sizes = np.abs(found).mean(axis=2) * shares[:, np.newaxis]
        sums = np.add.reduceat(sizes, np.arange(0, count, header.batch)).max(axis=1)
        wrapped.update(np.flatnonzero(~(sums <= signature.bound / NEAR)).tolist())
    return finished(header, values, with_their_batches(lost, wrapped, header.batch, count), watch.outside)


def _predicted(plan: CkksPlan, signature: CkksOutput) -> float:
    """A value beyond the output's range on the calibration inputs, by what was predicted of its error there."""
    return PEAK * signature.error * 2**plan.header.estimate.precision_bits


def _shares(rows: int, batch: int, lanes: int) -> Array:
    """The part of its ciphertexts' slots that each row has; the last one also fills what is left of its batch."""
    shares = np.full(rows, 1 / lanes)
    if rows:
        shares[-1] = (lanes - (rows - 1) % batch) / lanes
    return shares


class _Watch:
    """Finds the rows in which values would wrap around the modulus under encryption, or leave a polynomial's interval.

    Of a ciphertext the coefficients wrap around, each of which is a mean of all slots with weights up to one: the mean
    magnitude is what must not exceed half of the modulus. A single slot may be larger, and harms no other.
    """

    def __init__(
        self,
        circuit: Circuit,
        types: Sequence[ArrayType],
        keys: KeySpecification,
        arguments: Mapping[int, Polynomial | Bootstrap],
        shares: Array,
    ) -> None:
        self._circuit, self._arguments, self._shares = circuit, arguments, shares
        self._bounds = [_bound(keys, kind) for kind in types]
        self.overflowed: dict[int, str] = {}
        self.outside: dict[int, str] = {}

    def lost(self, first: int, index: int, value: Array) -> NDArray[np.bool_]:
        """Which rows overflow here; see :class:`hecc.runtime.ckks.readings.clear.Watch`."""
        instruction = self._circuit.instructions[index]
        if (reader := self._arguments.get(index)) is not None:
            self._look_outside(first, reader, value)
        if max(value.max(), -value.min()) <= self._bounds[index]:
            # So are all means; NaN is not, and shares are at most one.
            return np.zeros(len(value), dtype=bool)
        shares = self._shares[first : first + len(value)]
        size = np.abs(value).mean(axis=2).max(axis=1) * shares
        # NaN is not below any bound, and neither is infinity.
        lost = np.asarray(~(np.isfinite(size) & (size <= self._bounds[index])))
        for row in (first + np.flatnonzero(lost)).tolist():
            self.overflowed.setdefault(row, self._why(instruction, self._bounds[index]))
        return lost

    @staticmethod
    def _why(instruction: Instruction, bound: float) -> str:
        return f"{instruction.source}: a value of more than {bound:.6g} would wrap around under encryption"

    def _look_outside(self, first: int, reader: Polynomial | Bootstrap, value: Array) -> None:
        reach = _REACH.of(reader)(reader)
        largest = np.abs(value).max(axis=(1, 2))
        for row in (first + np.flatnonzero(~(largest <= reach * INSIDE))).tolist():
            low, high = reader.interval or (-1.0, 1.0)
            centre, radius = (low + high) / 2, reach * (high - low) / 2
            self.outside.setdefault(
                row,
                f"{reader.source}: a value is not within {centre - radius:.4g} to {centre + radius:.4g}, where its "
                "polynomial holds",
            )


_REACH: Reading[Callable[[Any], float]] = Reading(
    "how far an argument may go, in units of its interval",
    (Polynomial, Bootstrap),
    {
        Polynomial: lambda ins: 1.0,
        # Where the sine turns back.
        Bootstrap: lambda ins: float(1 / (4 * ins.phase)),
    },
)


def _bound(keys: KeySpecification, kind: ArrayType) -> float:
    """Half of the modulus over the scale; infinite where that is beyond all floats."""
    return as_float(math.prod(keys.data_primes[: kind.limbs]) / (2 * kind.scale)) if kind.scale else math.inf
