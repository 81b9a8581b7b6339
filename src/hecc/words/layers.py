"""A plan layer by layer: what each costs, and what it does to the precision.

A layer is what became of one ONNX node: the instructions that name it as their source and hang together. Times are
those of the cost model, errors those of the noise model, drawn at random in the simulator.

Made-up inputs may leave the intervals that polynomials were fitted on, and all behind them is nonsense then. So a row
that does is moved towards the middle of the declared range, and left out where that does not help. Where few rows are
left, no precision is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from hecc.compiler.ckks.prediction.cost import InstructionCost, instruction_costs, key_cost_model
from hecc.compiler.ckks.prediction.workload import transform_rotations
from hecc.compiler.promise.calibration import synthetic_inputs
from hecc.runtime.ckks.circuit.instructions import (
    Circuit,
    Instruction,
    LinearTransform,
    Polynomial,
)
from hecc.runtime.ckks.circuit.parameters import KeySpecification
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.noise_drawn import GaussianNoise
from hecc.runtime.ckks.readings.types import ArrayType, Content, verify, verify_expanded
from hecc.runtime.inputs.tensors import Tensor, input_rows
from hecc.runtime.plan.plan import Plan
from hecc.simulation import INSIDE

__all__ = ["Layer", "bits_lost", "plan_layers"]

ROWS = 6
"""Rows that errors are measured on, at the most; their slots are thousands of samples."""

SPREADS = tuple(2.0**-k for k in range(8))
"""Parts of the declared range that made-up inputs spread over; each row over the first at which it stays inside."""

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Layer:
    """One layer of a plan.

    Attributes
    ----------
    source
        The ONNX node, as its operator and name.
    is_input
        Whether it is an input of the network, which costs the server nothing.
    reads
        Positions of the layers that it reads, all before it.
    outputs
        Names of the network's outputs that it computes.
    seconds, share
        Predicted time of one row, or one batch of rows, on one core, and its part of the whole.
    key_switching_seconds, diagonal_seconds
        Of these seconds: rotations and relinearisations; products with plaintexts.
    rotations, babies, giants
        Rotations of one run; those of them that are baby steps and giant steps of linear transforms.
    diagonals
        Encoded plaintexts of linear transforms, and weights of matrix products.
    limbs
        At which its work is done, at the most.
    scale_bits
        log2 of its result's scale.
    ciphertexts, slots, used_slots, period
        Of its result: how many ciphertexts of how many logical slots, how many slots hold data in all of them, and
        after how many slots they repeat.
    precision_bits
        log2 of the root mean square of its result's values over that of their errors; of an output's after the client
        has taken the mean of its copies. ``None`` where the inputs leave the intervals of fitted polynomials.
    error_share
        Its part of the variance of the outputs' errors; ``None`` as above.
    polynomial
        The polynomial that stands for an activation, its degree and its interval in words; empty where there is none.
    """

    source: str
    is_input: bool
    reads: tuple[int, ...]
    outputs: tuple[str, ...]
    seconds: float
    share: float
    key_switching_seconds: float
    diagonal_seconds: float
    rotations: int
    babies: int
    giants: int
    diagonals: int
    limbs: int
    scale_bits: float
    ciphertexts: int
    slots: int
    used_slots: int
    period: int
    precision_bits: float | None
    error_share: float | None
    polynomial: str = ""


def plan_layers(plan: Plan, inputs: Tensor | Mapping[str, Tensor] | None = None) -> tuple[Layer, ...]:
    """The layers of a plan, in the order in which they end.

    Parameters
    ----------
    plan
        The server's.
    inputs
        What errors are measured on, as for :meth:`hecc.Client.encrypt`; some of its rows are enough. By default inputs
        made up within the plan's range. Rows that leave the interval of a fitted polynomial are left out.

    Raises
    ------
    InputError
        The client's plan, which has no circuit, or inputs that the plan does not take.
    """
    written = plan.require_circuit()
    polynomials = {ins.source: _words(written, ins) for _, ins in written.every(Polynomial)}
    circuit, types = verify_expanded(written, plan.header.keys)
    members = _members(circuit)
    owner = {i: number for number, layer in enumerate(members) for i in layer}
    model = key_cost_model(plan.header.estimate.evaluator, plan.header.keys, circuit.period, plan.header.estimate.rates)
    costs = instruction_costs(circuit, [kind.limbs for kind in types], model)
    total = sum(cost.seconds for cost in costs)
    shares: Sequence[float | None]
    precision: Sequence[float | None]
    shares = precision = [None] * len(members)
    if (rows := _measured_rows(plan, written, inputs)) is not None:
        errors = _Errors(plan, circuit, types, [_result(circuit, layer) for layer in members], rows)
        if errors.finite:
            shares, precision = errors.shares(owner), errors.precision()
    layers = (
        _layer(circuit, types, costs, total, owner, number, layer, precision[number], shares[number])
        for number, layer in enumerate(members)
    )
    return tuple(replace(layer, polynomial=polynomials.get(layer.source, "")) for layer in layers)


def _words(circuit: Circuit, ins: Polynomial) -> str:
    """A polynomial in words."""
    words = f"degree {len(circuit.constants[ins.coefficients]) - 1}"
    return words if ins.interval is None else f"{words} on {ins.interval[0]:.3g} to {ins.interval[1]:.3g}"


def _layer(
    circuit: Circuit,
    types: Sequence[ArrayType],
    costs: Sequence[InstructionCost],
    total: float,
    owner: Mapping[int, int],
    number: int,
    members: Sequence[int],
    precision_bits: float | None,
    error_share: float | None,
) -> Layer:
    instructions = [circuit.instructions[i] for i in members]
    seconds = sum(costs[i].seconds for i in members)
    operands = {owner[_unscaled(circuit, v)] for ins in instructions for v in ins.operands}
    own = replace(circuit, instructions=tuple(instructions))
    transforms = [circuit.diagonals(ins) for _, ins in own.every(LinearTransform)]
    steps = [transform_rotations(diagonals) for diagonals in transforms]
    last = _result(circuit, members)
    kind = types[last]
    return Layer(
        source=circuit.instructions[last].source,
        is_input=any(own.inputs()),
        # Only a forged circuit has two nodes of one name, each before the other.
        reads=tuple(sorted(layer for layer in operands if layer < number)),
        outputs=tuple(ins.name for _, ins in own.outputs()),
        seconds=seconds,
        share=seconds / total if total else 0.0,
        key_switching_seconds=sum(costs[i].key_switching for i in members),
        diagonal_seconds=sum(costs[i].diagonals for i in members),
        rotations=sum(costs[i].rotations for i in members),
        babies=sum(babies for babies, _ in steps),
        giants=sum(giants for _, giants in steps),
        diagonals=sum(map(circuit.weights, instructions)),
        limbs=max(types[i].limbs for i in members),
        scale_bits=_log2(kind),
        ciphertexts=kind.count,
        slots=circuit.slots,
        used_slots=int((kind.content == Content.DATA).sum()),
        period=kind.period,
        precision_bits=precision_bits,
        error_share=error_share,
    )


def bits_lost(layers: Sequence[Layer], number: int) -> float | None:
    """By how many bits a layer's result is less precise than the least precise of its arguments, where that is known.

    Below zero bits are gained: sums average errors out.
    """
    layer = layers[number]
    before = [layers[read].precision_bits for read in layer.reads]
    if layer.precision_bits is None or not before:
        return None
    lost = min(math.inf if bits is None else bits for bits in before) - layer.precision_bits
    return lost if math.isfinite(lost) else None


def _members(circuit: Circuit) -> list[list[int]]:
    """Instructions of every layer: those of one source that hang together, outputs with what they return."""
    flow = nx.Graph()
    flow.add_nodes_from(range(len(circuit.instructions)))
    for i, ins in enumerate(circuit.instructions):
        for v in ins.operands:
            if not ins.source or ins.source == circuit.instructions[v].source:
                flow.add_edge(i, v)
    return sorted((sorted(part) for part in nx.connected_components(flow)), key=lambda part: part[-1])


def _result(circuit: Circuit, members: Sequence[int]) -> int:
    """The last instruction that is the layer's own: rescales for outputs name no source."""
    return max((i for i in members if circuit.instructions[i].source), default=members[-1])


def _unscaled(circuit: Circuit, value: int) -> int:
    """The value before rescales, which belong to the first of its readers although others may share them."""
    while Trait.LEVELS in (ins := circuit.instructions[value]).traits:
        value = ins.operands[0]
    return value


def _log2(kind: ArrayType) -> float:
    if kind.scale is None:
        raise ValueError("layers are those of a circuit with scales")
    # Exact scales are fractions of integers that no float holds.
    return math.log2(kind.scale.numerator) - math.log2(kind.scale.denominator)


def _measured_rows(
    plan: Plan, circuit: Circuit, inputs: Tensor | Mapping[str, Tensor] | None
) -> dict[str, NDArray[np.float64]] | None:
    """Slots of the rows that errors are measured on; ``None`` where too few stay within what polynomials are for."""
    header = plan.header
    if inputs is None:
        rows = {s.name: synthetic_inputs(s.shape, s.low, s.high) for s in header.inputs}
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
        middles = {s.name: (s.low + s.high) / 2 for s in header.inputs}
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


def _packed(plan: Plan, rows: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    return {s.name: s.layout.pack(rows[s.name].reshape(-1, *s.layout.shape)) for s in plan.header.inputs}


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


class _Errors:
    """Runs a circuit in clear, without noise and with the noise of some instructions."""

    def __init__(
        self,
        plan: Plan,
        circuit: Circuit,
        types: Sequence[ArrayType],
        results: Sequence[int],
        inputs: Mapping[str, Array],
    ) -> None:
        self._circuit, self._types, self._keys, self._results = circuit, types, plan.header.keys, results
        self._returned = _returned(circuit, results)
        self._inputs = inputs
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


def _returned(circuit: Circuit, results: Sequence[int]) -> set[int]:
    """Outputs, and the results of the layers that they return."""
    outputs = [i for i, _ in circuit.outputs()]
    return {*outputs, *(_unscaled(circuit, circuit.instructions[i].operands[0]) for i in outputs)} & {
        *outputs,
        *results,
    }


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
