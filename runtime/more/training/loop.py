"""Training on encoded rows: the server's part, which needs no key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hecc.runtime.errors import FileFormatError, InputError, KeyMismatchError
from hecc.runtime.more.arithmetic import EncodedArithmetic, commuting_basis, identity
from hecc.runtime.more.plan import MorePlan, TrainingProgram
from hecc.runtime.more.rows import EncodedFile
from hecc.runtime.more.server import check_request
from hecc.runtime.more.training.file import TrainedFile
from hecc.runtime.training.names import TARGET
from hecc.runtime.training.optimisers import OPTIMISERS
from hecc.runtime.training.settings import TrainingSettings
from hecc.runtime.training.trainer import Checkpoint, Trainer

__all__ = ["checkpoint_path", "train", "training_of"]


def training_of(plan: MorePlan) -> TrainingProgram:
    """How a server's plan trains.

    Raises
    ------
    InputError
        It does not, or is the client's.
    """
    plan.require_program()
    if plan.training is None:
        raise InputError("this plan does not train; compile the network with --train cross-entropy or mse")
    return plan.training


def train(
    plan: MorePlan,
    request: EncodedFile,
    settings: TrainingSettings,
    *,
    start: TrainedFile | None = None,
    progress: Callable[[int, int, Any], None] | None = None,
    after_epoch: Callable[[TrainedFile], None] | None = None,
) -> TrainedFile:
    """Train a plan's network on encoded rows.

    Parameters
    ----------
    start
        What an interrupted training of the same rows and settings has left.
    progress
        Called with the steps done, those of the whole training, and the encoded loss.
    after_epoch
        Called with what could be gone on from.

    Raises
    ------
    InputError
        The plan does not train, or the rows have no targets.
    KeyMismatchError
        The rows are for another plan, or what was left is of other rows, settings or keys.
    FileFormatError
        What was left lacks what the optimiser remembers.
    DivergedError
        A value left its range; what was made after the epoch before is what ``after_epoch`` got.
    """
    training = training_of(plan)
    check_request(plan, request, None)
    targets = plan.header.targets
    assert targets is not None, "a plan that trains has targets"
    if TARGET not in request.tensors or request.tensors[TARGET].planes.shape[2:] != (request.rows, *targets.shape):
        raise InputError("the rows have no labels of the plan's shape; encode them with --labels")
    size = plan.header.size
    begun: Checkpoint[Any] = Checkpoint(0, {name: identity(value, size) for name, value in training.parameters.items()})
    fingerprint = request.fingerprint
    if start is not None:
        own = (plan.fingerprint, fingerprint, request.key_id, settings)
        if (start.header.of, start.header.request, start.header.key_id, start.header.trained) != own or {
            name: tensor.planes.shape for name, tensor in start.parameters.items()
        } != {name: tensor.planes.shape for name, tensor in begun.parameters.items()}:
            raise KeyMismatchError(
                "the checkpoint is of another training: other rows, keys, plan or settings; remove it, or train with "
                "--no-resume"
            )
        averages = {each.name for each in training.statistics}
        learned = begun.parameters.keys() - averages
        kept = {(name, memory) for name in learned for memory in OPTIMISERS[settings.optimizer].memories}
        if set(start.header.memories) != kept and (start.header.memories or start.header.steps):
            raise FileFormatError(
                f"the checkpoint does not hold what the optimizer {settings.optimizer} remembers of each parameter; "
                "remove it, or train with --no-resume"
            )
        begun = start.checkpoint()
    arithmetic: Any = EncodedArithmetic(commuting_basis(request.tensors.values()))
    trainer: Trainer[Any] = Trainer(training.step, arithmetic, settings, begun, training.statistics)

    def made(checkpoint: Checkpoint[Any]) -> TrainedFile:
        return TrainedFile.of(
            checkpoint,
            settings,
            key_id=request.key_id,
            plan=plan.fingerprint,
            request=fingerprint,
            model=training.model,
            initializers=training.initializers,
        )

    done = trainer.run(
        request.tensors,
        request.rows,
        progress=progress,
        after_epoch=None if after_epoch is None else lambda checkpoint: after_epoch(made(checkpoint)),
    )
    return made(done)


def checkpoint_path(output: Path) -> Path:
    """Where a training leaves what it could go on from."""
    return output.with_name(f"{output.name}.checkpoint")
