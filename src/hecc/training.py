"""``hecc.train``: train the network of a plan, on encoded rows, or on rows in clear."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hecc.inputs.labels import Truth
from hecc.inputs.sources import Inputs, Source, forms, load_inputs
from hecc.inputs.targets import load_targets
from hecc.runtime.errors import InputError
from hecc.runtime.files.container import FileSource
from hecc.runtime.inputs.tensors import input_rows
from hecc.runtime.plan.plan import Plan
from hecc.runtime.plan.training import Trainable, TrainedNetwork, load_training
from hecc.runtime.training.settings import TrainingSettings

__all__ = ["train", "train_in_clear", "trained_model", "training_settings"]

Progress = Callable[[int, int, str], None]
"""Called with the steps done, those of the whole training, and the loss in words."""


def training_settings(
    epochs: int = 1,
    batch_size: int = 64,
    optimizer: str = "adam",
    learning_rate: float | None = None,
    schedule: str = "constant",
    seed: int | None = 0,
) -> TrainingSettings:
    """How to train, checked; by default at the learning rate that is usual for the optimizer.

    Raises
    ------
    InputError
        A name that is none, or a number that is too small or too large.
    """
    from hecc.runtime.training.optimisers import OPTIMISERS

    usual = OPTIMISERS[optimizer].rate if optimizer in OPTIMISERS else 0.001
    settings = TrainingSettings(
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        learning_rate=usual if learning_rate is None else float(learning_rate),
        schedule=schedule,
        seed=seed,
    )
    settings.check()
    return settings


def train(
    plan: Plan | FileSource,
    encrypted: FileSource,
    output: str | os.PathLike[str],
    *,
    epochs: int = 1,
    batch_size: int = 64,
    optimizer: str = "adam",
    learning_rate: float | None = None,
    schedule: str = "constant",
    seed: int | None = 0,
    resume: bool = True,
    force: bool = False,
    progress: Progress | None = None,
) -> TrainedNetwork:
    """Train a plan's network on encoded rows and labels: the server's step. It needs no key.

    Parameters
    ----------
    plan
        The server's plan, of a scheme that trains (``hecc.compile(..., scheme="more", train=...)``).
    encrypted
        The client's rows, with labels.
    output
        The file of the encoded weights, for :func:`hecc.trained_model`. After every epoch what training can go on from
        is beside it, as ``OUTPUT.checkpoint``.
    epochs
        How often all rows are seen.
    batch_size
        Rows of a step.
    optimizer
        "sgd", "momentum" or "adam", as PyTorch has them.
    learning_rate
        Of the first step; by default 0.1, 0.01 and 0.001 for the three.
    schedule
        "constant", "cosine" or "linear": how the learning rate goes.
    seed
        Of the order of the rows in each epoch; ``None`` for the order that they have.
    resume
        Whether to go on where an interrupted training with the same arguments stopped, or begin anew.
    force
        Replace a file that is no result.
    progress
        Called after each step with the steps done, those of the whole training, and the loss in words: that of every
        channel, as nobody but the client knows which is the data's.

    Raises
    ------
    InputError
        The plan does not train, or the rows have no labels.
    KeyMismatchError
        The rows are for another plan, or the checkpoint is of another training.
    OutputError
        A value left its range: the sentence names the layer, the step and what to do. The checkpoint stays.
    """
    loaded = Plan.of(plan)
    settings = training_settings(epochs, batch_size, optimizer, learning_rate, schedule, seed)
    trainable = _trainable(loaded)
    return trainable.train(
        loaded, loaded.scheme.request(encrypted), settings, Path(output), resume=resume, force=force, progress=progress
    )


def train_in_clear(
    plan: Plan | FileSource,
    inputs: Source | Inputs,
    labels: Truth,
    *,
    raw: bool = False,
    epochs: int = 1,
    batch_size: int = 64,
    optimizer: str = "adam",
    learning_rate: float | None = None,
    schedule: str = "constant",
    seed: int | None = 0,
    progress: Progress | None = None,
) -> tuple[bytes, np.ndarray[Any, np.dtype[np.float64]]]:
    """The same training on rows in clear, for comparison: whoever runs it sees all data and weights.

    Parameters
    ----------
    inputs, raw
        As for :meth:`hecc.Client.encrypt`.
    labels
        The right answer of each row.

    Returns
    -------
    tuple
        The trained network, an ONNX file's bytes, and the loss of each step.
    """
    loaded = Plan.of(plan)
    settings = training_settings(epochs, batch_size, optimizer, learning_rate, schedule, seed)
    trainable = _trainable(loaded)
    given = inputs if isinstance(inputs, Inputs) else load_inputs(inputs, forms(loaded.header.inputs), raw=raw)
    given.warn()
    rows = input_rows(given.tensors, loaded.header.inputs)
    targets = load_targets(labels, loaded.header)
    count = len(next(iter(rows.values())))
    if len(targets) != count:
        raise InputError(f"{len(targets)} labels for {count} rows; give one for each")
    values = {source.name: source.normalised(rows[source.name]) for source in loaded.header.inputs}
    weights, losses, model = trainable.train_in_clear(loaded, values, targets, settings, progress=progress)
    return _written(model, weights), losses


def trained_model(client: Any, trained: FileSource) -> tuple[bytes, np.ndarray[Any, np.dtype[np.float64]]]:
    """What a training made, decoded by the client: an ONNX file's bytes, and the loss of each step.

    Parameters
    ----------
    client
        The :class:`hecc.Client` whose rows were trained on.
    trained
        The file of :func:`train`.

    Raises
    ------
    KeyMismatchError
        It is of another plan or another key set.
    FileFormatError
        It is damaged, or the network in it is not the plan's.
    """
    weights, losses, model = _trainable(client.plan).decode(client.plan, client.holder, trained)
    return _written(model, weights), losses


def _trainable(plan: Plan) -> Trainable:
    """What trains plans of the scheme.

    Raises
    ------
    InputError
        Nothing does.
    """
    return load_training(plan.header.scheme)


def _written(model: bytes, weights: Any) -> bytes:
    from hecc.compiler.exporter.weights import with_weights

    return with_weights(model, weights)
