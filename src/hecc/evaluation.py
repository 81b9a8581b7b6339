"""``hecc.evaluate``: how good a plan's answers are on a test set, without noise, with simulated noise, encrypted."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hecc.client import Client
from hecc.inputs.labels import Truth
from hecc.inputs.sources import Source, forms, load_inputs
from hecc.measure.metrics.metric import Metric
from hecc.measure.scoring import Scoring, TaskKind, scoring
from hecc.options.renamed import tells_new_names
from hecc.runtime.errors import InputError
from hecc.runtime.files.container import FileSource
from hecc.runtime.inputs.tensors import input_rows
from hecc.runtime.plan.keyset import EVALUATION
from hecc.runtime.plan.plan import Plan
from hecc.runtime.plan.sessions import SESSIONS
from hecc.runtime.tail.outcomes import Outputs
from hecc.runtime.tail.predictions import NO_CLASS, answered, is_choice
from hecc.runtime.tail.units import element_units
from hecc.server import Server
from hecc.sessions.both import between_two

if TYPE_CHECKING:
    from hecc.inputs.models import Model

__all__ = ["TITLES", "Evaluation", "Outcome", "StageProgress", "evaluate"]

Array: TypeAlias = NDArray[np.float64]

StageProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of a stage, the steps done in it, and all its steps; 0 and 0 where they are not counted."""

ROWS = 10
"""Rows that are encrypted unless told otherwise."""

TITLES = {
    "network": "network",
    "clear": "plan without noise",
    "simulated": "simulated",
    "encrypted": "encrypted",
    "shared": "two parties",
}
"""What the outcomes are called where people read it."""


@dataclass(frozen=True)
class Outcome:
    """What one way of computing gave.

    Attributes
    ----------
    name
        "network": the network itself, in clear, with its true functions. "clear": the plan without noise, with the
        polynomials that stand for activations. "simulated": the plan with simulated noise. "encrypted"; or "shared", by
        two parties who talk over a socket.
    rows
        How many of the rows, from the first on.
    values
        The output, shape (rows, ...). Rows without a result are NaN, or empty names.
    predictions
        The class of each row, -1 for one without a result; ``None`` for a regression.
    score
        The accuracy, to which rows without a result count as wrong; or of a regression the mean absolute error of the
        rows that have one, not a number if there are none. ``None`` without right answers.
    agreement
        Share of the rows whose class is that of the first outcome, which no row without a result has; ``None`` for a
        regression.
    largest_error
        Largest difference of an element from that of the first outcome, relative to the range that it has there, over
        the rows with results in both; ``None`` where the network ends in the choice of a class, or no rows are such.
    seconds
        For all rows; of the encrypted ones the server's part, of those between two parties the query.
    lost
        The rows without a result, by number: why. A value overflowed in them, or in a row of the same ciphertexts.
    outside
        The rows that left the interval of a polynomial in place of an activation, by number: where. Their results may
        be far from the network's. Of encrypted rows it is not known.
    metrics
        With confidence intervals, if they were asked for.
    """

    name: str
    rows: int
    values: NDArray[Any]
    predictions: NDArray[np.int64] | None
    score: float | None
    agreement: float | None
    largest_error: float | None
    seconds: float
    lost: Mapping[int, str] = field(default_factory=dict)
    outside: Mapping[int, str] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()


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
        First the reference, which the others are compared with: the network itself if its model was given, otherwise
        the plan without noise. Then the plan without noise, with simulated noise, and, if that was asked for,
        encrypted, or between two parties.
    confusion
        Rows by true class and by the class predicted with simulated noise, shape (classes, classes), those without a
        result left out; ``None`` for a regression, or without right answers.
    unanswered
        Rows without a result by true class, shape (classes,); ``None`` as above.
    """

    task: TaskKind
    output: str
    classes: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    confusion: NDArray[np.int64] | None
    unanswered: NDArray[np.int64] | None = None

    @property
    def precision(self) -> Array | None:
        """For every class, the share of the rows predicted to be of it that are; not a number where there are none."""
        return None if self.confusion is None else _shares(self.confusion, self.confusion.sum(axis=0))

    @property
    def recall(self) -> Array | None:
        """For every class, the share of its rows that are predicted to be of it; not a number where there are none."""
        if self.confusion is None:
            return None
        return _shares(self.confusion, self.confusion.sum(axis=1) + (0 if self.unanswered is None else self.unanswered))


@tells_new_names
def evaluate(
    plan: Plan | FileSource,
    inputs: Source,
    labels: Truth | None = None,
    *,
    model: Model | None = None,
    example_input: Any = None,
    raw: bool = False,
    clip: bool = False,
    skip_bad_rows: bool = False,
    keys: str | os.PathLike[str] | None = None,
    passphrase: str | None = None,
    keyring: bool = False,
    encrypted: bool = False,
    rows: int = ROWS,
    metrics: bool = False,
    progress: StageProgress | None = None,
) -> Evaluation:
    """Measure a plan on a test set.

    A row in which a value overflows counts as wrong, is named, and takes no other with it but those that share its
    ciphertexts.

    Parameters
    ----------
    plan
        The server's plan, or its file.
    inputs
        As for :meth:`hecc.Client.encrypt`. A folder with one folder of images per class gives the labels, too.
    labels
        The right answers, one per row: numbers or names of classes, or the values of a regression; or a .npy, .csv or
        text file of them. An output of one value is a regression, unless all of its answers are 0 or 1 or names.
        Without labels only agreement and errors are measured.
    model
        The network that the plan was compiled from, as for :func:`hecc.compile`: then the network itself is evaluated
        in clear, with its true functions, and all else is compared with it. A file or its bytes have to be those that
        the plan was compiled from; of a model in memory and of a module only names and shapes are checked. Without it
        the errors of the polynomials that stand for activations are not seen.
    example_input
        For a module, as for :func:`hecc.compile`.
    raw
        Arrays in ``inputs`` hold raw values, which are to be preprocessed.
    clip, skip_bad_rows
        What becomes of rows that the plan does not take, as for :meth:`hecc.Client.encrypt`. Those that are left out
        are measured nowhere; labels are given for all rows.
    keys, passphrase
        Folder of keys for this plan; then the first rows are encrypted, evaluated and decrypted, too.
    keyring
        Take the passphrase of the keys from the system's keyring.
    encrypted
        Do that without keys: make some, in a folder that is removed afterwards. Of the scheme sharing, which has no
        keys: deal material, and let a server and a client evaluate the first rows over a socket of this machine.
    rows
        How many rows are encrypted, or shared.
    metrics
        Compute accuracy, sensitivity, specificity and the area under the ROC curve (AUC) of every outcome, or for a
        regression the mean absolute error and R2, each with a 95% confidence interval. Of two classes the second one is
        the positive one, predicted where the network's confidence is above 0.5; of several each is held against the
        others. AUCs are by those confidences (:func:`hecc.runtime.tail.predictions.evidence`).
    progress
        Called as the work proceeds.

    Raises
    ------
    InputError, FileFormatError
        Inputs or labels that do not fit the plan, metrics without labels or of rows of one class, another model than
        the plan's, or files that cannot be read.
    UnsupportedError
        A model that cannot be imported.
    KeyMismatchError
        The keys are not for this plan.
    """
    plan = Plan.of(plan)
    plan.require_program()
    tell = progress or (lambda stage, done, total: None)
    if rows < 1:
        raise InputError(f"{rows} encrypted rows; give at least one")
    reference = None
    if model is not None:
        # Loads the importer, which nothing else here needs.
        from hecc.measure.reference import Reference

        tell("importing the network", 0, 0)
        reference = Reference(model, plan.header, example_input)
    elif example_input is not None:
        raise InputError("example_input is for PyTorch modules; give the module as model, too")
    loaded = load_inputs(
        inputs,
        forms(plan.header.inputs),
        raw=raw,
        clip=clip,
        skip_bad_rows=skip_bad_rows,
        progress=lambda done, total: tell("reading images", done, total),
    )
    loaded.warn()
    tensors = input_rows(loaded.tensors, plan.header.inputs)
    count = len(next(iter(tensors.values())))
    # Labels are of all rows; of folders only those of the rows that are left are known.
    left_out = () if labels is None else tuple(loaded.left_out)
    measured = scoring(plan.header.outputs, labels, loaded.classes, count + len(left_out)).without(left_out)
    if metrics:
        measured.check_metrics()
    name = measured.signature.name

    outcomes: list[Outcome] = []

    def add(way: str, outputs: Outputs, seconds: float) -> None:
        found = _outcome(way, measured, outputs, outcomes[0] if outcomes else None, seconds)
        outcomes.append(replace(found, metrics=measured.metrics(found.values)) if metrics else found)

    ways: dict[str, Callable[[], Outputs]] = {
        "clear": lambda: plan.scheme.simulate(plan, tensors, noise=False, seed=0),
        "simulated": lambda: plan.scheme.simulate(plan, tensors, noise=True, seed=0),
    }
    if reference is not None:
        in_clear = reference.evaluate
        ways = {"network": lambda: Outputs(in_clear(tensors)), **ways}
    for way, compute in ways.items():
        tell(f"evaluating, {TITLES[way]}", 0, 0)
        start = time.perf_counter()
        outputs = compute()
        add(way, outputs, time.perf_counter() - start)
    first = {name: values[:rows] for name, values in tensors.items()}
    if plan.header.scheme in SESSIONS:
        if keys is not None:
            raise InputError(
                f"plans of the scheme {plan.header.scheme} have no keys; ask for encrypted rows (encrypted=True, "
                "`--encrypted`), and two parties evaluate them"
            )
        if encrypted:
            tell("evaluating between two parties", 0, 0)
            add(
                "shared",
                *between_two(plan, first, lambda done, total: tell("evaluating between two parties", done, total)),
            )
    elif keys is not None or encrypted:
        with _session(plan, keys, passphrase, keyring, tell) as (client, server):
            add("encrypted", *_run(client, server, first, tell))

    simulated = next(outcome.predictions for outcome in outcomes if outcome.name == "simulated")
    truth, names = measured.truth, measured.class_names
    confusion = unanswered = None
    if simulated is not None and truth is not None:
        classified, of = simulated != NO_CLASS, truth.astype(np.int64)
        confusion = np.zeros((len(names), len(names)), dtype=np.int64)
        np.add.at(confusion, (of[classified], simulated[classified]), 1)
        unanswered = np.bincount(of[~classified], minlength=len(names))
    return Evaluation(measured.task, name, names, tuple(outcomes), confusion, unanswered)


def _outcome(name: str, measured: Scoring, outputs: Outputs, first: Outcome | None, seconds: float) -> Outcome:
    values = outputs[measured.signature.name]
    rows = len(values)
    reference = values if first is None else first.values[:rows]
    error = None
    known = answered(values) & answered(reference)
    if not is_choice(measured.signature) and values.dtype.kind == reference.dtype.kind == "f" and known.any():
        exact = (values if first is None else first.values).reshape(-1, math.prod(values.shape[1:]))
        units = element_units(exact, len(exact))
        error = float((np.abs(values[known] - reference[known]).reshape(-1, len(units)) / units).max())
    predictions, agreement = measured.predictions(values), None
    if predictions is not None:
        expected = predictions if first is None or first.predictions is None else first.predictions[:rows]
        agreement = float(((predictions == expected) & (predictions != NO_CLASS)).mean())
    score = measured.score(values)
    return Outcome(
        name, rows, values, predictions, score, agreement, error, seconds, lost=outputs.lost, outside=outputs.outside
    )


@contextlib.contextmanager
def _session(
    plan: Plan, keys: str | os.PathLike[str] | None, passphrase: str | None, keyring: bool, tell: StageProgress
) -> Iterator[tuple[Client, Server]]:
    """A client and a server, with the keys given or with some that are made for the occasion."""
    with contextlib.ExitStack() as stack:
        if keys is None:
            keys = stack.enter_context(tempfile.TemporaryDirectory(prefix="hecc-evaluate-"))
            client = Client(plan)
            client.keygen(keys, progress=lambda done, total: tell("making keys", done, total))
        else:
            client = Client(plan, keys, passphrase=passphrase, keyring=keyring)
            if not (Path(keys) / EVALUATION).exists():
                raise InputError(f"{keys}: no {EVALUATION} is here; make keys first, as `hecc keygen` does")
        yield client, stack.enter_context(Server(plan, Path(keys) / EVALUATION))


def _run(client: Client, server: Server, tensors: Mapping[str, Array], tell: StageProgress) -> tuple[Outputs, float]:
    """Encrypt, evaluate and decrypt, row by row or batch by batch; the outputs, and the server's seconds."""
    count, batch = len(next(iter(tensors.values()))), client.plan.header.batch
    parts: list[Outputs] = []
    seconds = 0.0
    for begin in range(0, count, batch):
        tell("evaluating encrypted rows", begin, count)
        # What somebody waits for is still the last request.
        request = client.encrypt({name: values[begin : begin + batch] for name, values in tensors.items()}, note=False)
        start = time.perf_counter()
        result = server.run(request)
        seconds += time.perf_counter() - start
        parts.append(client.decrypt_rows(result, request=request))
    tell("evaluating encrypted rows", count, count)
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    starts = range(0, count, batch)
    return Outputs(
        values, {start + row: why for start, part in zip(starts, parts, strict=True) for row, why in part.lost.items()}
    ), seconds


def _shares(confusion: NDArray[np.int64], total: NDArray[np.int64]) -> Array:
    shares = np.full(len(total), np.nan)
    np.divide(np.diagonal(confusion), total, out=shares, where=total > 0)
    return shares
