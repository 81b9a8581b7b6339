"""``hecc.estimate``: what a network will cost under encryption, layer by layer, and what would make it cheaper."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hecc.advice import Advice, advise
from hecc.compilation import DEFAULT_EVALUATOR, Machine, Model, Range, prepare
from hecc.compiler.ir.graph import Graph, InputNode
from hecc.compiler.memory import MemoryUse, memory_use
from hecc.inputs import Source
from hecc.layers import Layer, plan_layers
from hecc.runtime.parameters import KeyShape
from hecc.runtime.plan import Plan
from hecc.runtime.preprocessing import Preprocessing
from hecc.runtime.verify import verify

__all__ = ["Estimation", "estimate", "plan_memory"]

TELLING = (("Conv", "Gemm", "MatMul"), ("AveragePool", "GlobalAveragePool"))
"""Operators that layers are named after, rather than after others in them."""


@dataclass(frozen=True)
class Estimation:
    """What a network will cost.

    Attributes
    ----------
    plan
        What the network was compiled to; its header has the totals.
    layers
        The plan layer by layer.
    merged
        For every layer the ONNX nodes that were merged into it, as operators and names; they cost nothing of their own.
    memory
        What the server's memory holds when it needs most.
    advice
        Changes that would make the network cheaper.
    """

    plan: Plan
    layers: tuple[Layer, ...]
    merged: tuple[tuple[str, ...], ...]
    memory: MemoryUse
    advice: tuple[Advice, ...]


def estimate(
    model: Model,
    *,
    example_input: Any = None,
    security: int = 128,
    quantum: bool = False,
    precision: float = 12.0,
    input_range: Range | Mapping[str, Range] | None = None,
    calibration: Source | None = None,
    preprocessing: Preprocessing | Mapping[str, Preprocessing] | None = None,
    raw: bool = False,
    batch_axis: bool = True,
    evaluator: KeyShape = DEFAULT_EVALUATOR,
    machine: Machine | None = None,
    key_budget: int | None = None,
    chain_of: Plan | str | os.PathLike[str] | None = None,
    advice: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Estimation:
    """Say what an ONNX model will cost on encrypted inputs, without keys and without encrypting anything.

    Parameters
    ----------
    model, example_input, security, quantum, precision, input_range, calibration, preprocessing, raw, batch_axis
        As for :func:`hecc.compile`.
    evaluator, machine, key_budget, chain_of, progress
        As for :func:`hecc.compile`.
    advice
        Compile variants of the network, too, to find out which changes would make it cheaper. Each takes about as long
        as the network itself.

    Raises
    ------
    InputError, UnsupportedError, CompileError, SecurityError
        As :func:`hecc.compile`; an operator that cannot be evaluated is named, with what to use instead.
    """
    stage = progress or (lambda _: None)
    task = prepare(
        model,
        example_input=example_input,
        security=security,
        quantum=quantum,
        precision=precision,
        input_range=input_range,
        calibration=calibration,
        preprocessing=preprocessing,
        raw=raw,
        batch_axis=batch_axis,
        evaluator=evaluator,
        machine=machine,
        key_budget=key_budget,
        chain_of=chain_of,
        progress=stage,
    )
    plan = task.build(stage)
    stage("measure the layers")
    layers = plan_layers(plan, task.calibration)
    merged = _merged(task.imported, layers)
    names = {layer.source: _name(layer.source, nodes) for layer, nodes in zip(layers, merged, strict=True)}
    return Estimation(
        plan=plan,
        layers=layers,
        merged=merged,
        memory=plan_memory(plan),
        advice=advise(task, plan, layers, names, stage) if advice else (),
    )


def plan_memory(plan: Plan) -> MemoryUse:
    """What the memory of a server of this plan holds when it needs most.

    Raises
    ------
    InputError
        The client's plan, which has no circuit.
    """
    circuit, keys = plan.require_circuit(), plan.header.keys
    limbs = [kind.limbs for kind in verify(circuit, keys)]
    return memory_use(circuit, limbs, keys, plan.header.estimate.evaluator)


def _merged(imported: Graph, layers: Sequence[Layer]) -> tuple[tuple[str, ...], ...]:
    """For every layer the nodes that have none of their own: each belongs to the nearest that reads it."""
    sources = [layer.source for layer in layers]
    merged: list[list[str]] = [[] for _ in layers]
    consumers = imported.consumers()
    owner: dict[str, int] = {}
    for node in reversed(imported.nodes):
        source = str(node.source)
        if source in sources:
            owner[node.output.name] = sources.index(source)
            continue
        if isinstance(node, InputNode):
            continue
        found = [owner[reader.output.name] for reader in consumers[node.output.name] if reader.output.name in owner]
        if found:
            owner[node.output.name] = min(found)
            merged[min(found)].insert(0, source)
    return tuple(tuple(dict.fromkeys(names)) for names in merged)


def _name(source: str, merged: Sequence[str]) -> str:
    """What users call a layer: by the node that says most, if that was merged into another one."""
    nodes = (source, *merged)
    return next((node for telling in TELLING for node in nodes if node.partition(" ")[0] in telling), source)
