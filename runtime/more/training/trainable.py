"""Training under MORE: see :class:`hecc.runtime.plan.training.Trainable`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import FileFormatError
from hecc.runtime.files.container import FileSource, Kind, check_kind
from hecc.runtime.more.arithmetic import Encoded, channels
from hecc.runtime.more.plan import MorePlan
from hecc.runtime.more.rows import EncodedFile
from hecc.runtime.more.training.file import TrainedFile
from hecc.runtime.more.training.loop import checkpoint_path, train, training_of
from hecc.runtime.network.evaluation import PlainArithmetic
from hecc.runtime.plan.training import Decoded, TrainingProgress
from hecc.runtime.training.names import TARGET
from hecc.runtime.training.settings import TrainingSettings
from hecc.runtime.training.trainer import Checkpoint, DivergedError, Trainer

if TYPE_CHECKING:
    from hecc.runtime.more.client import Holder

__all__ = ["TRAINABLE"]


@dataclass(frozen=True)
class _Done:
    """See :class:`hecc.runtime.plan.training.TrainedNetwork`."""

    steps: int
    seconds: float


class _Trainable:
    """See :class:`hecc.runtime.plan.training.Trainable`."""

    def train(
        self,
        plan: MorePlan,
        request: EncodedFile,
        settings: TrainingSettings,
        output: Path,
        *,
        resume: bool,
        force: bool,
        progress: TrainingProgress | None,
    ) -> _Done:
        """Train into a file; after each epoch a checkpoint lies beside it, until the file is complete."""
        check_kind(output, Kind.RESULT, force=force)
        kept = checkpoint_path(output)
        if not resume:
            kept.unlink(missing_ok=True)
        start = TrainedFile.load(kept) if kept.is_file() else None
        begun = time.perf_counter()

        def told(done: int, steps: int, loss: Encoded) -> None:
            if progress is not None:
                progress(done, steps, " or ".join(f"{value:.4g}" for value in channels(loss)))

        try:
            trained = train(
                plan,
                request,
                settings,
                start=start,
                progress=told,
                after_epoch=lambda made: made.save(kept, whole=False),
            )
        except DivergedError as error:
            if not kept.is_file():
                raise
            raise DivergedError(
                f"{error}. What the epochs before made stays in {kept}, which `hecc decrypt --model` takes as well"
            ) from None
        trained.save(output, force=force)
        kept.unlink(missing_ok=True)
        return _Done(trained.header.steps, time.perf_counter() - begun)

    def train_in_clear(
        self,
        plan: MorePlan,
        rows: Mapping[str, NDArray[np.float64]],
        targets: NDArray[np.float64],
        settings: TrainingSettings,
        *,
        progress: TrainingProgress | None,
    ) -> Decoded:
        """The same loop on numbers."""
        training = training_of(plan)
        trainer: Trainer[NDArray[np.float64]] = Trainer(
            training.step,
            PlainArithmetic(),
            settings,
            Checkpoint(0, dict(training.parameters)),
            training.statistics,
        )

        def told(done: int, steps: int, loss: NDArray[np.float64]) -> None:
            if progress is not None:
                progress(done, steps, f"{float(loss):.4g}")

        done = trainer.run({**rows, TARGET: targets}, len(targets), progress=told)
        weights = {training.initializers[name]: value for name, value in done.parameters.items()}
        return weights, np.array(done.losses, dtype=np.float64), training.model

    def decode(self, plan: MorePlan, holder: Holder, trained: FileSource) -> Decoded:
        """Weights, losses and the network, which has to be the plan's."""
        file = TrainedFile.load(trained)
        parameters = holder.trained(file)
        if hashlib.sha256(file.model).hexdigest() != plan.header.model:
            raise FileFormatError("the network in the trained file is not the plan's; get the file again")
        names = dict(file.header.initializers)
        weights = {names[name]: values for name, values in parameters.items()}
        return weights, holder.losses(file)[: file.header.steps], file.model


TRAINABLE: Any = _Trainable()
