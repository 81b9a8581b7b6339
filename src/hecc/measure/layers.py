"""A plan layer by layer: what each costs, and what it does to the precision.

A layer is what became of one ONNX node: the instructions that name it as their source and hang together. Times are
those of the cost model, errors those of the noise model (:mod:`hecc.measure.layer_errors`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hecc.compiler.ckks.prediction.cost import CostModel, InstructionCost, instruction_costs
from hecc.compiler.ckks.prediction.devices import DEVICE_MODELS
from hecc.compiler.ckks.prediction.workload import transform_rotations
from hecc.measure.layer_errors import LayerErrors, measured_rows
from hecc.runtime.ckks.circuit.bootstraps import expand_macros
from hecc.runtime.ckks.circuit.instructions import (
    Circuit,
    LinearTransform,
    Polynomial,
)
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.ckks.readings.types import ArrayType, Content, verify_simulated
from hecc.runtime.extras import require
from hecc.runtime.inputs.tensors import Tensor

__all__ = ["Layer", "bits_lost", "plan_layers"]


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


def plan_layers(plan: CkksPlan, inputs: Tensor | Mapping[str, Tensor] | None = None) -> tuple[Layer, ...]:
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
    require("networkx", "scipy")
    written = plan.require_circuit()
    polynomials = {ins.source: _words(written, ins) for _, ins in written.every(Polynomial)}
    expanded, types = verify_simulated(written, plan.header.keys)
    circuit = expanded.circuit
    members = _members(circuit)
    owner = {i: number for number, layer in enumerate(members) for i in layer}
    estimate = plan.header.estimate
    model = DEVICE_MODELS[estimate.device].key_cost_model(plan.header.keys, circuit.period, estimate.rates)
    costs = _costs(circuit, [kind.limbs for kind in types], model)
    total = sum(cost.seconds for cost in costs)
    shares: Sequence[float | None]
    precision: Sequence[float | None]
    shares = precision = [None] * len(members)
    if (rows := measured_rows(plan, written, inputs)) is not None:
        results = [_result(circuit, layer) for layer in members]
        errors = LayerErrors(
            circuit,
            types,
            plan.header.keys,
            results=results,
            returned=_returned(circuit, results),
            inputs=rows,
        )
        if errors.finite:
            shares, precision = errors.shares(owner), errors.precision()
    layers = (
        _layer(circuit, types, costs, total, owner, number, layer, precision[number], shares[number])
        for number, layer in enumerate(members)
    )
    return tuple(replace(layer, polynomial=polynomials.get(layer.source, "")) for layer in layers)


def _costs(circuit: Circuit, limbs: Sequence[int], model: CostModel) -> list[InstructionCost]:
    """Of each instruction; a bootstrap's are those of its expansion together."""
    expanded = expand_macros(circuit, limbs)
    costs = instruction_costs(expanded.circuit, expanded.limbs, model)
    starts = [0, *(last + 1 for last in expanded.moved[:-1])]
    return [sum(costs[start : last + 1], InstructionCost()) for start, last in zip(starts, expanded.moved, strict=True)]


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
    import networkx as nx

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
    while Trait.LEVELS in (ins := circuit.instructions[value]).traits and Trait.SCALES not in ins.traits:
        value = ins.operands[0]
    return value


def _log2(kind: ArrayType) -> float:
    if kind.scale is None:
        raise ValueError("layers are those of a circuit with scales")
    # Exact scales are fractions of integers that no float holds.
    return math.log2(kind.scale.numerator) - math.log2(kind.scale.denominator)


def _returned(circuit: Circuit, results: Sequence[int]) -> set[int]:
    """Outputs, and the results of the layers that they return."""
    outputs = [i for i, _ in circuit.outputs()]
    return {*outputs, *(_unscaled(circuit, circuit.instructions[i].operands[0]) for i in outputs)} & {
        *outputs,
        *results,
    }
