"""Schemes that train: what the verbs ask of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.errors import InputError
from hecc.runtime.files.container import FileSource
from hecc.runtime.training.settings import TrainingSettings

__all__ = ["TRAINING", "Trainable", "TrainedNetwork", "TrainingProgress", "load_training"]

TRAINING: Mapping[str, str] = MappingProxyType({"more": "hecc.runtime.more.training.trainable:TRAINABLE"})
"""What trains plans of a scheme; its module is imported only when it is asked for."""

TrainingProgress: TypeAlias = Callable[[int, int, str], None]
"""Called with the steps done, those of the whole training, and the loss in words."""

Decoded: TypeAlias = tuple[Mapping[str, NDArray[np.float64]], NDArray[np.float64], bytes]
"""Weights by the name of the initializer, the loss of each step, and the ONNX file that they are of."""


class TrainedNetwork(Protocol):
    """What a training made, encrypted."""

    @property
    def steps(self) -> int:
        """Done so far."""

    @property
    def seconds(self) -> float:
        """That they took in this process."""


class Trainable(Protocol):
    """A scheme's training."""

    def train(
        self,
        plan: Any,
        request: Any,
        settings: TrainingSettings,
        output: Path,
        *,
        resume: bool,
        force: bool,
        progress: TrainingProgress | None,
    ) -> TrainedNetwork:
        """Train on encrypted rows into a file."""

    def train_in_clear(
        self,
        plan: Any,
        rows: Mapping[str, NDArray[np.float64]],
        targets: NDArray[np.float64],
        settings: TrainingSettings,
        *,
        progress: TrainingProgress | None,
    ) -> Decoded:
        """Train on rows in clear."""

    def decode(self, plan: Any, holder: Any, trained: FileSource) -> Decoded:
        """What a training made, for who has the key."""


def load_training(scheme: str) -> Trainable:
    """What trains plans of a scheme.

    Raises
    ------
    InputError
        Nothing does.
    """
    if scheme not in TRAINING:
        raise InputError(
            f"plans of the scheme {scheme} do not train; compile the network with --scheme more --train cross-entropy"
        )
    module, _, name = TRAINING[scheme].partition(":")
    trainable: Trainable = getattr(importlib.import_module(module), name)
    return trainable
