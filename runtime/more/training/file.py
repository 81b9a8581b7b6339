"""The file of a training: encoded parameters, what the optimiser remembers, and the losses so far."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from hecc.runtime.errors import FileFormatError
from hecc.runtime.files.container import Container, ContainerWriter, FileSource, Kind
from hecc.runtime.more.arithmetic import Encoded
from hecc.runtime.more.header import MAX_SIZE
from hecc.runtime.more.keyfiles import KeyId
from hecc.runtime.more.rows import Hash, blob_names, read_encoded, write_encoded
from hecc.runtime.training.settings import TrainingSettings
from hecc.runtime.training.trainer import Checkpoint

__all__ = ["TrainedFile", "TrainedHeader", "is_trained"]

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class TrainedHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file says.

    Attributes
    ----------
    of, request
        Fingerprints of the plan, and of the rows that were trained on.
    trained
        How.
    steps
        Done so far.
    memories
        Names of the parameters of which something is remembered, with the name of that.
    initializers
        Names of the parameters, with those that the ONNX file has for them.
    """

    scheme: Literal["more"] = "more"
    key_id: KeyId
    of: Hash
    request: Hash
    size: Annotated[int, msgspec.Meta(ge=2, le=MAX_SIZE)]
    trained: TrainingSettings
    steps: Annotated[int, msgspec.Meta(ge=0)]
    parameters: tuple[Name, ...]
    memories: tuple[tuple[Name, Name], ...]
    initializers: tuple[tuple[Name, Name], ...]


class _Kind(msgspec.Struct, frozen=True):
    trained: Any = None


def is_trained(container: Container) -> bool:
    """Whether a file of results is one of a training."""
    return container.kind is Kind.RESULT and container.some_of_header(_Kind).trained is not None


@dataclass(frozen=True)
class TrainedFile:
    """A training, or what it goes on from.

    Attributes
    ----------
    parameters
        By the program's names.
    losses
        Of each step, shape (n, n, steps).
    model
        The ONNX file that the parameters are of.
    """

    header: TrainedHeader
    parameters: Mapping[str, Encoded]
    losses: Encoded
    model: bytes
    memories: Mapping[str, Mapping[str, Encoded]] = field(default_factory=dict)
    path: Path | None = None

    @classmethod
    def of(
        cls,
        checkpoint: Checkpoint[Any],
        settings: TrainingSettings,
        *,
        key_id: str,
        plan: str,
        request: str,
        model: bytes,
        initializers: Mapping[str, str],
    ) -> TrainedFile:
        """What a training has made so far."""
        size = next(iter(checkpoint.parameters.values())).size
        losses = [loss.planes for loss in checkpoint.losses] or [np.zeros((size, size))]
        header = TrainedHeader(
            key_id=key_id,
            of=plan,
            request=request,
            size=size,
            trained=settings,
            steps=checkpoint.steps,
            parameters=tuple(checkpoint.parameters),
            memories=tuple((name, each) for name, kept in checkpoint.memories.items() for each in kept),
            initializers=tuple(initializers.items()),
        )
        stacked = Encoded(np.stack(losses, axis=-1))
        return cls(header, checkpoint.parameters, stacked, model, checkpoint.memories)

    def checkpoint(self) -> Checkpoint[Any]:
        """What a training goes on from."""
        losses = tuple(Encoded(self.losses.planes[..., step]) for step in range(self.header.steps))
        return Checkpoint(self.header.steps, dict(self.parameters), dict(self.memories), losses)

    def save(self, path: str | os.PathLike[str], *, force: bool = False, whole: bool = True) -> None:
        """Write the file.

        Parameters
        ----------
        whole
            Leave out what only a training that goes on needs.
        """
        memories = {} if whole else {(name, each): kept[each] for name, kept in self.memories.items() for each in kept}
        header = msgspec.structs.replace(self.header, memories=tuple(memories))
        with ContainerWriter(path, Kind.RESULT, header, force=force) as writer:
            write_encoded(writer, "parameter", self.parameters)
            write_encoded(writer, "memory", {"/".join(key): kept for key, kept in memories.items()})
            writer.add("losses", np.ascontiguousarray(self.losses.planes))
            writer.add("model", self.model)

    @classmethod
    def load(cls, file: FileSource) -> TrainedFile:
        """Read a file and check it.

        Raises
        ------
        InputError, FileFormatError
            It cannot be read, or is damaged.
        """
        container = Container(file, Kind.RESULT)
        header = container.header(TrainedHeader)
        if sorted(name for name, _ in header.initializers) != sorted(header.parameters):
            raise FileFormatError(f"{container.where}: not every parameter is an initializer of the network")
        container.require(
            *blob_names("parameter", len(header.parameters)),
            *blob_names("memory", len(header.memories)),
            "losses",
            "model",
        )
        parameters = read_encoded(container, "parameter", header.parameters, header.size)
        kept = read_encoded(container, "memory", tuple("/".join(key) for key in header.memories), header.size)
        memories: dict[str, dict[str, Encoded]] = {}
        for name, each in header.memories:
            memory = kept[f"{name}/{each}"]
            if name not in parameters or memory.planes.shape != parameters[name].planes.shape:
                raise FileFormatError(f"{container.where}: what is remembered of {name!r} does not fit it")
            memories.setdefault(name, {})[each] = memory
        losses = container.array("losses")
        if losses.shape != (header.size, header.size, max(header.steps, 1)) or not bool(np.isfinite(losses).all()):
            raise FileFormatError(f"{container.where}: there is not a finite loss for each step")
        model = bytes(container.bytes("model"))
        return cls(header, parameters, Encoded(losses), model, memories, container.path)
