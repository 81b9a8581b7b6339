"""Plans under MORE: the program of a network, and of its training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import ParameterError
from hecc.runtime.files import codec
from hecc.runtime.files.container import Container, ContainerWriter, Kind
from hecc.runtime.more.header import MoreHeader
from hecc.runtime.more.rows import blob_names
from hecc.runtime.network.instructions import AnyInstruction
from hecc.runtime.network.program import TensorProgram
from hecc.runtime.plan.plan import Plan
from hecc.runtime.training.names import GRADIENT, LOSS, TARGET
from hecc.runtime.training.statistics import Statistic

__all__ = ["MorePlan", "TrainingProgram", "read_program", "write_program"]


@dataclass(frozen=True)
class TrainingProgram:
    """How a plan trains.

    Attributes
    ----------
    step
        The program of a step.
    parameters
        What training begins with, by the program's names.
    initializers
        The name of each in the ONNX file, which may have it under another shape.
    model
        That file.
    statistics
        Those of the parameters that are running averages, and have no gradient.
    """

    step: TensorProgram
    parameters: Mapping[str, NDArray[np.float64]]
    initializers: Mapping[str, str]
    model: bytes
    statistics: tuple[Statistic, ...] = ()


@dataclass(frozen=True, repr=False)
class MorePlan(Plan):
    """A plan.

    Attributes
    ----------
    network
        The network's program; ``None`` for the client's plan.
    training
        How it is trained, if it is.
    """

    header: MoreHeader
    network: TensorProgram | None = None
    training: TrainingProgram | None = field(default=None)

    @property
    def program(self) -> TensorProgram | None:
        """What a server runs."""
        return self.network

    @property
    def summary(self) -> str:
        """How much the program is."""
        if self.network is None:
            return "none"
        trained = "" if self.training is None else f", and {len(self.training.step.instructions)} for a training step"
        return f"{len(self.network.instructions)} instructions on tensors{trained}"


class _Programs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Instructions and the names of arrays, which blobs follow by number."""

    network: tuple[AnyInstruction, ...]
    step: tuple[AnyInstruction, ...] = ()
    arrays: tuple[str, ...]
    initializers: tuple[tuple[str, str], ...] = ()
    statistics: tuple[Statistic, ...] = ()


def write_program(writer: ContainerWriter, plan: MorePlan) -> None:
    """Write instructions and arrays; those of network and training are one set."""
    network, training = plan.network, plan.training
    if network is None:
        raise ParameterError("this is the client's plan")
    arrays: dict[str, NDArray[Any]] = {**network.arrays}
    if training:
        arrays |= {**training.step.arrays, **training.parameters}
    programs = _Programs(
        network=network.instructions,
        step=training.step.instructions if training else (),
        arrays=tuple(arrays),
        initializers=tuple(training.initializers.items()) if training else (),
        statistics=training.statistics if training else (),
    )
    writer.add("programs", codec.encode(programs))
    for blob, array in zip(blob_names("array", len(arrays)), arrays.values(), strict=True):
        writer.add(blob, np.ascontiguousarray(array))
    if training:
        writer.add("model", training.model)


def read_program(container: Container, header: MoreHeader) -> MorePlan:
    """The plan in a file, checked: types, shapes and names of all that it says."""
    if container.kind is Kind.CLIENT_PLAN:
        container.require()
        return MorePlan(header, path=container.path)
    programs = codec.decode(container.bytes("programs"), _Programs, where=f"{container.where}: the programs")
    numbers = blob_names("array", len(programs.arrays))
    container.require("programs", *numbers, *(("model",) if header.training is not None else ()))
    arrays: dict[str, NDArray[Any]] = {
        name: container.array(blob) for blob, name in zip(numbers, programs.arrays, strict=True)
    }
    network = _program(programs.network, arrays)
    _check_network(network, header)
    training = None
    if header.training is not None:
        step = _program(programs.step, arrays)
        initializers = dict(programs.initializers)
        model = bytes(container.bytes("model"))
        if hashlib.sha256(model).hexdigest() != header.model:
            raise ParameterError("the network in it is not the one that its header names")
        parameters: dict[str, NDArray[np.float64]] = {name: arrays[name] for name in initializers if name in arrays}
        if any(array.dtype != np.float64 or not np.isfinite(array).all() for array in parameters.values()):
            raise ParameterError("a parameter that is trained is no array of finite numbers in double precision")
        training = TrainingProgram(step, parameters, initializers, model, programs.statistics)
        _check_training(training, header)
    return MorePlan(header, network, training, path=container.path)


def _program(instructions: tuple[AnyInstruction, ...], arrays: Mapping[str, NDArray[Any]]) -> TensorProgram:
    named = {getattr(ins, each, None) for ins in instructions for each in ("name", "index")}
    return TensorProgram(instructions, {name: array for name, array in arrays.items() if name in named})


def _check_network(program: TensorProgram, header: MoreHeader) -> None:
    inputs = {ins.name: program.types[i].shape for i, ins in program.inputs()}
    if inputs != {source.name: source.shape for source in header.inputs}:
        raise ParameterError("the program's inputs are not those of the header")
    outputs = {ins.name: (program.types[i].shape, program.types[i].by_row) for i, ins in program.outputs()}
    if outputs != {target.name: (target.shape, True) for target in header.sent}:
        raise ParameterError("the program's outputs are not those of the header")


def _check_training(training: TrainingProgram, header: MoreHeader) -> None:
    step, targets = training.step, header.targets
    if targets is None or header.training is None:
        raise ParameterError("there is a training, and the header has none")
    inputs = {ins.name: step.types[i].shape for i, ins in step.inputs()}
    if inputs != {**{source.name: source.shape for source in header.inputs}, TARGET: targets.shape}:
        raise ParameterError("the inputs of a training step are not those of the header, and targets")
    found = {ins.name: step.types[i] for i, ins in step.outputs()}
    averages = {each.name for each in training.statistics}
    wanted: dict[str, tuple[int, ...]] = {LOSS: ()}
    for name, array in training.parameters.items():
        wanted[f"{Statistic.OUTPUT if name in averages else GRADIENT}{name}"] = array.shape
    if len(averages) < len(training.statistics) or not averages <= set(training.parameters):
        raise ParameterError("a running average is of no parameter, or there are two of one")
    if {name: kind.shape for name, kind in found.items()} != wanted or any(kind.by_row for kind in found.values()):
        raise ParameterError("a training step does not return a loss, and a gradient for each parameter")
    if sorted(training.initializers.values()) != sorted(header.training.parameters):
        raise ParameterError("what is trained is not what the header says")
