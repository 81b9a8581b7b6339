"""The pipeline: from an imported graph to a plan of sharing, in the order in which the passes have to run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.passes import Pass, run_passes
from hecc.compiler.graph.stages import IMPORTED
from hecc.compiler.sharing.options import Options, Reveal
from hecc.passes.graph.outputs import merge_outputs
from hecc.passes.sharing.accuracy import Measured, choose_accuracy
from hecc.passes.sharing.layers import join_layers
from hecc.passes.sharing.order import functions_behind_maxima
from hecc.runtime.errors import UnsupportedError
from hecc.runtime.sharing.plan.header import SharingHeader, SharingInput, SharingOutput
from hecc.runtime.sharing.plan.plan import (
    SALT_BYTES,
    Secrets,
    SharingPlan,
    program_digest,
    run_cost,
    weights_digest,
)
from hecc.runtime.tail.steps import ArgMax, Hardmax, Labels, LogSoftmax, Softmax, Step

__all__ = ["PASSES", "build_plan"]


PASSES: tuple[Pass[None], ...] = (
    Pass(
        "outputs",
        merge_outputs,
        lambda graph, _: merge_outputs(graph),
        IMPORTED,
        IMPORTED,
        "those that are one value are merged while they can be told by their names",
    ),
    Pass(
        "order of maxima",
        functions_behind_maxima,
        lambda graph, _: functions_behind_maxima(graph),
        IMPORTED,
        IMPORTED,
        "functions go behind maxima, where there are fewer numbers",
    ),
    Pass(
        "layers",
        join_layers,
        lambda graph, _: join_layers(graph),
        IMPORTED,
        IMPORTED,
        "what only scales and adds goes into the layers before, at last, when nothing moves any more",
    ),
)
"""From an imported graph to the one that is lowered."""


def build_plan(
    imported: Graph,
    model: bytes,
    calibration: Mapping[str, NDArray[np.float64]],
    declared: Mapping[str, tuple[float, float]],
    options: Options,
    progress: Callable[[str], None] = lambda _: None,
) -> SharingPlan:
    """Compile an imported graph; see :class:`hecc.passes.schemes.Compiler`.

    Raises
    ------
    UnsupportedError
        The network cannot be shared.
    CompileError
        No number of bits is as precise as was asked for, or values need more bits than there are.
    """
    progress("join layers")
    graph = run_passes(PASSES, imported, None)
    progress("choose bits")
    found = choose_accuracy(
        graph, calibration, declared, options.precision, margin=options.margin, reveal=options.reveal
    )
    built = found.lowered.built
    secrets = Secrets(built.weights, built.biases, os.urandom(SALT_BYTES), built.program)
    header = SharingHeader(
        producer=options.producer,
        model=hashlib.sha256(model).hexdigest(),
        inputs=tuple(
            SharingInput(
                name=node.output.name,
                shape=graph.example_shape(node.output.shape),
                unit=found.lowered.inputs[node.output.name],
                low=declared[node.output.name][0],
                high=declared[node.output.name][1],
            )
            for node in graph.inputs()
        ),
        outputs=_outputs(graph, found, options.reveal),
        program=program_digest(built.program),
        weights=weights_digest(secrets),
        precision=round(min(found.precision, 99.0), 2),
        proved=options.margin is None,
        cost=run_cost(found.checked),
        reveals=options.reveal,
    )
    return SharingPlan(header, built.program, secrets)


def _outputs(graph: Graph, found: Measured, reveal: Reveal) -> tuple[SharingOutput, ...]:
    """The network's outputs, in its order; where several are one value, the first is sent."""
    sent: dict[str, str] = {}
    outputs = []
    for name in graph.aliases or graph.outputs:
        value = graph.aliases.get(name, name)
        epilogue = graph.epilogues.get(name, ())
        if reveal == "label":
            epilogue = _of_label(name, epilogue)
        first = sent.setdefault(value, name)
        outputs.append(
            SharingOutput(
                name=name,
                shape=graph.example_shape(graph.node(value).output.shape),
                unit=found.lowered.outputs[value],
                epilogue=epilogue,
                of="" if first == name else first,
            )
        )
    return tuple(outputs)


def _of_label(name: str, epilogue: tuple[Step, ...]) -> tuple[Step, ...]:
    """What is left to do with a one among zeros: no probabilities, which keep the order of scores."""
    kept = tuple(step for step in epilogue if not isinstance(step, Softmax | LogSoftmax | Hardmax))
    for step in kept:
        if not isinstance(step, Labels) and not (isinstance(step, ArgMax) and step.largest):
            raise UnsupportedError(
                f"output {name!r} is more than the label of the largest score; choose the option reveal=scores, or "
                "leave that output out of the network"
            )
    return kept
