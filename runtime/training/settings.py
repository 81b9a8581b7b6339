"""What is asked of a training, checked."""

from __future__ import annotations

import math

import msgspec

from hecc.runtime.errors import InputError
from hecc.runtime.training.optimisers import OPTIMISERS
from hecc.runtime.training.schedules import SCHEDULES

__all__ = ["TrainingSettings"]

MOST_EPOCHS = 1_000_000


class TrainingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to train.

    Attributes
    ----------
    epochs
        How often all rows are seen.
    batch_size
        Rows of a step; the last step of an epoch takes what is left.
    optimizer, schedule
        Names of :data:`hecc.runtime.training.optimisers.OPTIMISERS` and
        :data:`hecc.runtime.training.schedules.SCHEDULES`.
    learning_rate
        Of the first step.
    seed
        Of the order of the rows, which is drawn anew for each epoch; ``None`` leaves them in theirs.
    """

    epochs: int = 1
    batch_size: int = 64
    optimizer: str = "adam"
    learning_rate: float = 0.001
    schedule: str = "constant"
    seed: int | None = 0

    def check(self) -> None:
        """Refuse what no training can have.

        Raises
        ------
        InputError
            A name that is none, or a number that is too small or too large.
        """
        for what, name, known in (
            ("an optimizer", self.optimizer, OPTIMISERS),
            ("a schedule", self.schedule, SCHEDULES),
        ):
            if name not in known:
                raise InputError(f"there is no {what.split()[1]} {name!r}; choose one of {', '.join(known)}")
        for what, number in (("epochs", self.epochs), ("batch_size", self.batch_size)):
            if not 1 <= number <= MOST_EPOCHS:
                raise InputError(f"{what}={number}; give a number from 1 to {MOST_EPOCHS}")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"a learning rate of {self.learning_rate:g}; give a positive number, as 0.001")
        if self.seed is not None and self.seed < 0:
            raise InputError(f"a seed of {self.seed}; give 0 or more")
