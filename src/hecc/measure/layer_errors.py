"""What each layer of a plan does to the precision: errors of the noise model, drawn at random in the simulator.

Made-up inputs may leave the intervals that polynomials were fitted on, and all behind them is nonsense then. So a row
that does is moved towards the middle of the declared range, and left out where that does not help. Where few rows are
left, no precision is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.promise.calibration import synthetic_inputs
from hecc.runtime.ckks.circuit.instructions import Circuit, Instruction, Polynomial
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.noise_drawn import GaussianNoise
from hecc.runtime.ckks.readings.types import ArrayType, Content, verify
from hecc.runtime.ckks.simulation import INSIDE
from hecc.runtime.inputs.tensors import Tensor, input_rows

__all__ = ["LayerErrors", "measured_rows"]

ROWS = 6
"""Rows that errors are measured on, at the most; their slots are thousands of samples."""

SPREADS = tuple(2.0**-k for k in range(8))
"""Parts of the declared range that made-up inputs spread over; each row over the first at which it stays inside."""

Array = NDArray[np.floating[Any]]


def measured_rows(
    plan: CkksPlan, circuit: Circuit, inputs: Tensor | Mapping[str, Tensor] | None
) -> dict[str, NDArray[np.float64]] | None:
    """Slots of the rows that errors are measured on; ``None`` where too few stay within what polynomials are for."""
    header = plan.header
    if inputs is None:
        rows = {s.name: synthetic_inputs(s.shape, *s.ends) for s in header.inputs}
    else:
        rows = {
            name: np.asarray(values, dtype=np.float64) for name, values in input_rows(inputs, header.inputs).items()
        }
    # Evenly spaced: synthetic inputs come kind by kind, and test sets sorted by class.
    rows = {name: values[:: -(-len(values) // ROWS)].copy() for name, values in rows.items()}
    count = len(next(iter(rows.values())))
    fitted = {ins.x for _, ins in circuit.every(Polynomial) if ins.interval is not None}
    if not fitted:
        return _packed(plan, rows)
    simulator = Simulator(circuit, memory=1 << 62)
    types = verify(circuit, header.keys)
    kept = np.zeros(count, dtype=bool)
    enough = (count + 1) // 2 if inputs is None else 1
    for spread in SPREADS if inputs is None else SPREADS[:1]:
        middles = {s.name: sum(s.ends) / 2 for s in header.inputs}
        tried = {name: values.copy() for name, values in rows.items()}
        reach = _Reach(types, fitted, count)
        with np.errstate(over="ignore", invalid="ignore"):
            for name, middle in middles.items():
                tried[name][~kept] = middle + spread * (rows[name][~kept] - middle)
            simulator.run(_packed(plan, tried), reach)
        inside = ~kept & (reach.largest <= INSIDE)
        for name, values in tried.items():
            rows[name][inside] = values[inside]
        kept |= inside
        if kept.sum() >= enough:
            break
    if kept.sum() < enough:
        return None
    return _packed(plan, {name: values[kept] for name, values in rows.items()})


def _packed(plan: CkksPlan, rows: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    return {s.name: s.pack(rows[s.name]) for s in plan.header.inputs}


class _Reach:
    """Finds the largest of some values, row by row, and adds no noise."""

    def __init__(self, types: Sequence[ArrayType], watched: Set[int], rows: int) -> None:
        self._types, self._watched = types, watched
        self.largest = np.zeros(rows)

    def noise(self, index: int, instruction: Instruction, value: Array, operands: Sequence[Array]) -> None:
        """See :class:`hecc.runtime.ckks.readings.clear.NoiseModel`."""
        if index in self._watched:
            data = np.abs(value[:, self._types[index].content == Content.DATA])
            # NaN is beyond all limits.
            found = np.nan_to_num(data, nan=math.inf, posinf=math.inf).max(axis=1, initial=0.0)
            self.largest = np.maximum(self.largest, found)


class LayerErrors:
    """Runs a circuit in clear, without noise and with the noise of some instructions.

    Parameters
    ----------
    circuit, types
        With polynomials expanded, and the types of all values.
    keys
        That the noise is of.
    results
        Of every layer, the value that counts.
    returned
        Values that the client gets, of which it takes the mean of all copies.
    inputs
        Slots of every input.

    Attributes
    ----------
    finite
        Whether all values without noise are numbers; errors mean nothing otherwise.
    """

    def __init__(
        self,
        circuit: Circuit,
        types: Sequence[ArrayType],
        keys: KeySpecification,
        *,
        results: Sequence[int],
        returned: Set[int],
        inputs: Mapping[str, Array],
    ) -> None:
        self._circuit, self._types, self._keys = circuit, types, keys
        self._results, self._returned, self._inputs = results, returned, inputs
        # One chunk: values of two runs are compared, and ROWS of them always fit where one row does.
        self._simulator = Simulator(circuit, memory=1 << 62)
        self._clean = self._run(frozenset())
        self.finite = all(np.isfinite(values).all() for values in self._clean.values())

    def precision(self) -> list[float]:
        """Bits of precision of every layer's result, with the noise of all instructions."""
        noisy = self._run(frozenset(range(len(self._circuit.instructions))))
        ratios = [self._variance_ratio(i, noisy) for i in self._results]
        # Where all is zero, or nothing adds noise, there is no ratio to speak of.
        return [-math.log2(ratio) / 2 if ratio else math.inf for ratio in ratios]

    def shares(self, owner: Mapping[int, int]) -> list[float]:
        """Of every layer, the part of the outputs' error that its noise alone makes; errors add as variances."""
        outputs = [i for i, _ in self._circuit.outputs()]
        variances = []
        for number in range(len(self._results)):
            noisy = self._run(frozenset(i for i, layer in owner.items() if layer == number))
            variances.append(sum(self._variance_ratio(i, noisy) for i in outputs))
        total = sum(variances)
        return [variance / total if total else 0.0 for variance in variances]

    def _variance_ratio(self, value: int, noisy: Mapping[int, Array]) -> float:
        """Mean square of a value's error over that of the value, in the slots that hold data; 0 where all are zero."""
        clean, error = self._clean[value], noisy[value] - self._clean[value]
        period, data = self._types[value].period, self._types[value].content == Content.DATA
        if value in self._returned:
            # As the client does, which decrypts all copies.
            error = np.tile(error.reshape(*error.shape[:2], -1, period).mean(axis=2), error.shape[2] // period)
        signal = float(np.square(clean[:, data]).mean()) if data.any() else 0.0
        return float(np.square(error[:, data]).mean()) / signal if signal else 0.0

    def _run(self, noisy: frozenset[int]) -> dict[int, Array]:
        recorder = _Recorder(self._circuit, self._types, self._keys, noisy, self._results)
        with np.errstate(over="ignore", invalid="ignore"):
            self._simulator.run(self._inputs, recorder)
        return recorder.values


class _Recorder:
    """A noise model for some instructions that keeps the values of layers and outputs."""

    def __init__(
        self,
        circuit: Circuit,
        types: Sequence[ArrayType],
        keys: KeySpecification,
        noisy: frozenset[int],
        results: Sequence[int],
    ) -> None:
        self._model = GaussianNoise(circuit, types, keys, np.random.default_rng(1)) if noisy else None
        self._noisy = noisy
        self._kept = {*results, *(i for i, _ in circuit.outputs())}
        self.values: dict[int, Array] = {}

    def noise(self, index: int, instruction: Instruction, value: Array, operands: Sequence[Array]) -> Array | None:
        """See :class:`hecc.runtime.ckks.readings.clear.NoiseModel`."""
        added = None
        if self._model is not None and index in self._noisy:
            added = self._model.noise(index, instruction, value, operands)
        if index in self._kept:
            self.values[index] = np.array(value if added is None else value + added)
        return added
