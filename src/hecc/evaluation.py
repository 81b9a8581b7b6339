"""``hecc.evaluate``: how good a plan's answers are on a test set, in clear, with simulated noise, and encrypted."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.client import Client
from hecc.inputs import Source, forms, load_inputs
from hecc.labels import Truth, class_numbers, load_truth
from hecc.runtime.client.keygen import EVALUATION
from hecc.runtime.client.predictions import are_scores, class_count, class_names, classes, is_choice
from hecc.runtime.epilogue import result_shape
from hecc.runtime.errors import InputError
from hecc.runtime.header import OutputSignature
from hecc.runtime.plan import Plan
from hecc.runtime.tensors import input_rows
from hecc.server import Server
from hecc.simulation import simulate

__all__ = ["Evaluation", "Outcome", "StageProgress", "evaluate"]

Array: TypeAlias = NDArray[np.float64]

StageProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of a stage, the steps done in it, and all its steps; 0 and 0 where they are not counted."""

ROWS = 10
"""Rows that are encrypted unless told otherwise."""


@dataclass(frozen=True)
class Outcome:
    """What one way of computing gave.

    Attributes
    ----------
    name
        "clear", "simulated" or "encrypted".
    rows
        How many of the rows, from the first on.
    values
        The output, shape (rows, ...).
    predictions
        The class of each row; ``None`` for a regression.
    score
        The accuracy, or of a regression the mean absolute error; ``None`` without right answers.
    agreement
        Share of the rows whose class is the one found in clear; ``None`` for a regression.
    largest_error
        Largest difference from the values in clear, relative to the largest of them; ``None`` where the network ends
        in the choice of a class.
    seconds
        For all rows; of the encrypted ones the server's part.
    """

    name: str
    rows: int
    values: NDArray[Any]
    predictions: NDArray[np.int64] | None
    score: float | None
    agreement: float | None
    largest_error: float | None
    seconds: float


@dataclass(frozen=True)
class Evaluation:
    """How good a plan is on a test set.

    Attributes
    ----------
    task
        "classification", whose score is the accuracy, or "regression", whose score is the mean absolute error.
    output
        The output that was looked at.
    classes
        Names of the classes, or their numbers; empty for a regression.
    outcomes
        In clear, with simulated noise, and, if that was asked for, encrypted.
    confusion
        Rows by true class and by the class predicted with simulated noise, shape (classes, classes); ``None`` for a
        regression, or without right answers.
    """

    task: Literal["classification", "regression"]
    output: str
    classes: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    confusion: NDArray[np.int64] | None

    @property
    def precision(self) -> Array | None:
        """For every class, the share of the rows predicted to be of it that are; not a number where there are none."""
        return None if self.confusion is None else _shares(self.confusion, 0)

    @property
    def recall(self) -> Array | None:
        """For every class, the share of its rows that are predicted to be of it; not a number where there are none."""
        return None if self.confusion is None else _shares(self.confusion, 1)


def evaluate(
    plan: Plan | str | os.PathLike[str],
    data: Source,
    labels: Truth | None = None,
    *,
    raw: bool = False,
    keys: str | os.PathLike[str] | None = None,
    passphrase: str | None = None,
    encrypted: bool = False,
    rows: int = ROWS,
    progress: StageProgress | None = None,
) -> Evaluation:
    """Measure a plan on a test set.

    Parameters
    ----------
    plan
        The server's plan, or its file.
    data
        As for :meth:`hecc.Client.encrypt`. A folder with one folder of images per class gives the labels, too.
    labels
        The right answers, one per row: numbers or names of classes, or the values of a regression; or a .npy, .csv or
        text file of them. An output of one value is a regression, unless all of its answers are 0 or 1 or names.
        Without labels only agreement and errors are measured.
    raw
        Arrays in ``data`` hold raw values, which are to be preprocessed.
    keys, passphrase
        Folder of keys for this plan; then the first rows are encrypted, evaluated and decrypted, too.
    encrypted
        Do that without keys: make some, in a folder that is removed afterwards.
    rows
        How many rows are encrypted.
    progress
        Called as the work proceeds.

    Raises
    ------
    InputError, FileFormatError
        Inputs or labels that do not fit the plan, or files that cannot be read.
    KeyMismatchError
        The keys are not for this plan.
    OutputError
        A value inside the network is too large for the plan's modulus; names the layer.
    """
    plan = plan if isinstance(plan, Plan) else Plan.load(plan)
    plan.require_circuit()
    tell = progress or (lambda stage, done, total: None)
    if rows < 1:
        raise InputError(f"{rows} encrypted rows; give at least one")
    loaded = load_inputs(
        data, forms(plan.header.inputs), raw=raw, progress=lambda done, total: tell("reading images", done, total)
    )
    tensors = input_rows(loaded.tensors, plan.header.inputs)
    count = len(next(iter(tensors.values())))
    signature = _output(plan.header.outputs)
    answers = _answers(labels, loaded.classes, count)
    task, truth = _task(signature, answers)

    outcomes: list[Outcome] = []

    def add(name: str, outputs: Mapping[str, NDArray[Any]], seconds: float) -> None:
        values = outputs[signature.name]
        clear = outcomes[0] if outcomes else None
        outcomes.append(_outcome(name, signature, task, values, truth, clear, seconds))

    for name, noise in (("clear", False), ("simulated", True)):
        tell(f"evaluating, {name}", 0, 0)
        start = time.perf_counter()
        outputs = simulate(plan, tensors, noise=noise)
        add(name, outputs, time.perf_counter() - start)
    if keys is not None or encrypted:
        first = {name: values[:rows] for name, values in tensors.items()}
        with _session(plan, keys, passphrase, tell) as (client, server):
            add("encrypted", *_run(client, server, first, tell))

    simulated = outcomes[1].predictions
    names: tuple[str, ...] = ()
    confusion = None
    if task == "classification":
        names = class_names(signature) or tuple(map(str, range(class_count(signature))))
        if simulated is not None and truth is not None:
            confusion = np.zeros((len(names), len(names)), dtype=np.int64)
            np.add.at(confusion, (truth.astype(np.int64), simulated), 1)
    return Evaluation(task, signature.name, names, tuple(outcomes), confusion)


def _output(outputs: Sequence[OutputSignature]) -> OutputSignature:
    """The one output to look at: the only one, or the only one of scores."""
    candidates = list(outputs) if len(outputs) == 1 else [signature for signature in outputs if are_scores(signature)]
    if len(candidates) > 1:
        # Scores say more than the choice that the network makes of them.
        candidates = [signature for signature in candidates if not is_choice(signature)] or candidates
    if len(candidates) != 1:
        names = ", ".join(repr(signature.name) for signature in outputs)
        raise InputError(f"of the plan's outputs ({names}) {len(candidates)} look like scores of classes, not one")
    return candidates[0]


def _answers(labels: Truth | None, folders: Sequence[str], count: int) -> NDArray[np.generic] | None:
    if labels is None:
        return np.array(folders) if folders else None
    answers = load_truth(labels)
    if len(answers) != count or answers.ndim == 0:
        raise InputError(f"labels of shape {answers.shape} for {count} rows; give one for each row, and no header")
    # A column is as good as a list.
    return answers[:, 0] if answers.ndim == 2 and answers.shape[1] == 1 else answers


def _task(
    signature: OutputSignature, answers: NDArray[np.generic] | None
) -> tuple[Literal["classification", "regression"], NDArray[np.generic] | None]:
    """What is measured, and the right answers for it: numbers of classes, or values of shape (rows, ...)."""
    if answers is None:
        return ("classification" if are_scores(signature) else "regression"), None
    integral = answers.dtype.kind in "iub" or (answers.dtype.kind == "f" and not (answers % 1).any())
    if integral and answers.dtype.kind == "f":
        answers = answers.astype(np.int64)
    binary = answers.dtype.kind in "US" or (integral and set(np.unique(answers).tolist()) <= {0, 1})
    single = math.prod(result_shape(signature.shape, signature.epilogue)) == 1
    if answers.ndim == 1 and (are_scores(signature) or (single and binary)):
        return "classification", class_numbers(answers, class_names(signature), class_count(signature))
    shape = result_shape(signature.shape, signature.epilogue)
    if answers.dtype.kind not in "fiub" or answers.size != len(answers) * math.prod(shape):
        raise InputError(
            f"labels of shape {answers.shape} and dtype {answers.dtype} for an output of shape {shape}; give "
            "a class, or the values of a regression, for each row"
        )
    return "regression", answers.reshape(-1, *shape)


def _outcome(
    name: str,
    signature: OutputSignature,
    task: str,
    values: NDArray[Any],
    truth: NDArray[np.generic] | None,
    clear: Outcome | None,
    seconds: float,
) -> Outcome:
    rows = len(values)
    reference = values if clear is None else clear.values[:rows]
    error = None
    if values.dtype.kind == "f":
        error = float(np.abs(values - reference).max() / max(float(np.abs(reference).max()), np.finfo(float).tiny))
    predictions, agreement, score = None, None, None
    if task == "classification":
        predictions = classes(signature, values)
        expected = predictions if clear is None or clear.predictions is None else clear.predictions[:rows]
        agreement = float((predictions == expected).mean())
        if truth is not None:
            score = float((predictions == truth[:rows]).mean())
    elif truth is not None:
        score = float(np.abs(values - truth[:rows].astype(np.float64)).mean())
    return Outcome(name, rows, values, predictions, score, agreement, error, seconds)


@contextlib.contextmanager
def _session(
    plan: Plan, keys: str | os.PathLike[str] | None, passphrase: str | None, tell: StageProgress
) -> Iterator[tuple[Client, Server]]:
    """A client and a server, with the keys given or with some that are made for the occasion."""
    with contextlib.ExitStack() as stack:
        if keys is None:
            keys = stack.enter_context(tempfile.TemporaryDirectory(prefix="hecc-evaluate-"))
            client = Client(plan)
            client.keygen(keys, progress=lambda done, total: tell("making keys", done, total))
        else:
            client = Client(plan, keys, passphrase=passphrase)
        yield client, stack.enter_context(Server(plan, Path(keys) / EVALUATION))


def _run(
    client: Client, server: Server, tensors: Mapping[str, Array], tell: StageProgress
) -> tuple[dict[str, NDArray[Any]], float]:
    """Encrypt, evaluate and decrypt, row by row or batch by batch; the outputs, and the server's seconds."""
    count, batch = len(next(iter(tensors.values()))), client.plan.header.batch
    parts: list[dict[str, NDArray[Any]]] = []
    seconds = 0.0
    for begin in range(0, count, batch):
        tell("evaluating encrypted rows", begin, count)
        request = client.encrypt({name: values[begin : begin + batch] for name, values in tensors.items()})
        start = time.perf_counter()
        result = server.run(request)
        seconds += time.perf_counter() - start
        parts.append(client.decrypt(result))
    tell("evaluating encrypted rows", count, count)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, seconds


def _shares(confusion: NDArray[np.int64], axis: int) -> Array:
    total = confusion.sum(axis=axis)
    shares = np.full(len(total), np.nan)
    np.divide(np.diagonal(confusion), total, out=shares, where=total > 0)
    return shares
