"""``hecc.estimate``: what a network will cost under encryption, layer by layer, and what would make it cheaper."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from hecc.compiler.ckks.options import CKKS
from hecc.compiler.ckks.prediction.devices import DEVICE_MODELS
from hecc.compiler.ckks.prediction.memory import MemoryUse
from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.nodes import InputNode
from hecc.measure.layers import Layer, plan_layers
from hecc.options.arguments import takes
from hecc.options.table import CompileOptions
from hecc.preparation import Model, Task, prepare
from hecc.runtime.ckks.plan.plan import CkksPlan
from hecc.runtime.ckks.readings.types import verify
from hecc.runtime.errors import CompileError, InputError, UnsupportedError
from hecc.runtime.figures import listed
from hecc.words.advice import Advice, advise
from hecc.words.ways import ways_out

__all__ = ["Estimation", "estimate", "plan_memory"]

OTHERS: Mapping[str, str] = MappingProxyType(
    {"more": "hecc.more.estimation:estimation", "sharing": "hecc.sharing.estimation:estimation"}
)
"""What says what plans of another scheme than CKKS take, by its name."""

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

    plan: CkksPlan
    layers: tuple[Layer, ...]
    merged: tuple[tuple[str, ...], ...]
    memory: MemoryUse
    advice: tuple[Advice, ...]


@dataclass(frozen=True, kw_only=True)
class _Call(CompileOptions):
    """The arguments."""

    model: Model = field(kw_only=False)
    advice: bool = True
    progress: Callable[[str], None] | None = None


@takes(_Call)
def estimate(call: _Call) -> Estimation | Any:
    """Say what an ONNX model will cost on encrypted inputs, without keys and without encrypting anything.

    For ``scheme="more"`` it is a :class:`hecc.more.estimation.Estimation`: of inputs that are encoded, without a
    security level. For ``scheme="sharing"`` it is a :class:`hecc.sharing.estimation.Estimation`: of queries between two
    parties, whose bytes are exact, and whose times are for two networks that are stated.

    Parameters
    ----------
    model
        Path or bytes of an ONNX file, a model in memory, or a ``torch.nn.Module``.
    {options}
    advice
        Compile variants of the network, too, to find out which changes would make it cheaper. Each takes about as long
        as the network itself.
    progress
        Called with the name of each stage as it starts.

    Raises
    ------
    InputError, UnsupportedError, CompileError, SecurityError
        As :func:`hecc.compile`; an operator that cannot be evaluated is named, with what to use instead. The ``ways``
        of the error are what would make the network run, with seconds and bytes for each, where anything was found.
    """
    stage = call.progress or (lambda _: None)
    if call.scheme in OTHERS:
        module, _, name = OTHERS[call.scheme].partition(":")
        return getattr(importlib.import_module(module), name)(prepare(call.model, call, stage).build(stage))
    if call.scheme != CKKS[0]:
        known = listed([*CKKS, *OTHERS])
        raise InputError(
            f"estimate knows the schemes {known} only; what a plan of the scheme {call.scheme} costs, its compilation "
            "says (hecc.compile, `hecc compile`)"
        )
    task: Task | None = None
    try:
        task = prepare(call.model, call, stage)
        plan = CkksPlan.of(task.build(stage))
    except (UnsupportedError, CompileError) as refusal:
        if call.advice and task is not None:
            refusal.ways = ways_out(task, refusal, stage)
        raise
    stage("measure the layers")
    layers = plan_layers(plan, task.calibration)
    merged = _merged(task.imported, layers)
    names = {layer.source: _name(layer.source, nodes) for layer, nodes in zip(layers, merged, strict=True)}
    return Estimation(
        plan=plan,
        layers=layers,
        merged=merged,
        memory=plan_memory(plan),
        advice=advise(task, plan, layers, names, stage) if call.advice else (),
    )


def plan_memory(plan: CkksPlan) -> MemoryUse:
    """What the memory of a server of this plan holds when it needs most.

    Raises
    ------
    InputError
        The client's plan, which has no circuit.
    """
    circuit, keys = plan.require_circuit(), plan.header.keys
    limbs = [kind.limbs for kind in verify(circuit, keys)]
    return DEVICE_MODELS[plan.header.estimate.device].memory.use(circuit, limbs, keys)


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
