"""``hecc evaluate``."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hecc.cli.client.keys import KeyringOption
from hecc.cli.console import Console, JsonOption, console
from hecc.cli.options import ClipOption, RawOption, SkipOption, TruthOption
from hecc.cli.security import say_insecurity
from hecc.cli.usage import FILES, INPUTS, NETWORK, OUTPUT, SECURITY

if TYPE_CHECKING:
    from hecc.evaluation import Evaluation, Outcome
    from hecc.measure.metrics.metric import Metric

__all__ = ["evaluate_command"]

MAX_CLASSES, MAX_CONFUSIONS = 12, 10
"""Up to how many classes the confusion matrix is shown, and how many confusions of a larger one."""


def evaluate_command(
    plan: Annotated[Path, typer.Argument(help="The server's plan file.")],
    inputs: Annotated[
        Path,
        typer.Option(
            metavar="PATH",
            help="The test set, as for encrypt; a folder per class gives the labels, too.",
            rich_help_panel=INPUTS,
        ),
    ],
    labels: TruthOption = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="The ONNX file that the plan was compiled from: compare with the network itself, in clear.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    raw: RawOption = False,
    clip: ClipOption = False,
    skip_bad_rows: SkipOption = False,
    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            show_default=False,
            help="Keys: encrypt and evaluate the first rows, too.",
            rich_help_panel=FILES,
        ),
    ] = None,
    keyring: KeyringOption = False,
    encrypted: Annotated[
        bool,
        typer.Option(
            "--encrypted",
            help="Do that with keys that are made now, in a temporary folder; under the scheme sharing with material "
            "that is dealt now, between two parties over a socket.",
            rich_help_panel=SECURITY,
        ),
    ] = False,
    rows: Annotated[
        int, typer.Option(min=1, metavar="NUMBER", help="How many rows to encrypt.", rich_help_panel=SECURITY)
    ] = 10,
    metrics: Annotated[
        bool,
        typer.Option(
            "--metrics",
            help="Sensitivity, specificity, AUC, R2 and the like, with confidence intervals.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a plan on a test set: without noise, with simulated noise, and encrypted.

    With --model all is compared with the network itself. Otherwise it is compared with the plan without noise, and the
    errors of the polynomials that stand for activations are not seen.

    Classes: accuracy, confusion matrix, precision and recall. An output of one value is a regression, whose mean
    absolute error is measured, unless all labels are 0 or 1 or names.

    With --metrics also sensitivity, specificity and AUC, or R2 of a regression, each with its 95% confidence interval.

    A row in which a value overflows is lost: it counts as wrong, and is named. So is a row that leaves the interval of
    a polynomial, which may be far off.
    """
    with console(as_json) as out:
        import hecc
        from hecc.cli.client.keys import ask_passphrase
        from hecc.runtime.plan.plan import Plan

        loaded = Plan.load(plan)
        passphrase = None if keys is None or keyring else ask_passphrase(loaded, keys)
        with _progress(out) as tell:
            found = hecc.evaluate(
                loaded,
                inputs,
                labels,
                model=model,
                raw=raw,
                clip=clip,
                skip_bad_rows=skip_bad_rows,
                keys=keys,
                passphrase=passphrase,
                keyring=keyring,
                encrypted=encrypted,
                rows=rows,
                metrics=metrics,
                progress=tell,
            )
        _show(out, found)
        say_insecurity(out, loaded)
        out.result(**_fields(found))


@contextlib.contextmanager
def _progress(out: Console) -> Iterator[Callable[[str, int, int], None]]:
    """The console's progress, stage by stage; those that are not counted pass in silence."""
    with contextlib.ExitStack() as stack:
        shown, step = "", None

        def tell(stage: str, done: int, total: int) -> None:
            nonlocal shown, step
            if stage != shown:
                stack.close()
                shown, step = stage, stack.enter_context(out.steps(stage))
            if step is not None and total:
                step(done, total)

        yield tell


def _show(out: Console, found: Evaluation) -> None:
    from hecc.evaluation import TITLES
    from hecc.runtime.figures import time_words

    regression = found.task == "regression"
    score = "mean absolute error" if regression else "accuracy"
    out.say(f"{found.task} by the output {found.output!r}")
    reference = found.outcomes[0]
    rows = []
    for outcome in found.outcomes:
        measured = "no labels" if outcome.score is None else _score(outcome, regression)
        same = [] if regression else ["" if outcome is reference else _percent(outcome.agreement)]
        error = outcome.largest_error
        shown = "" if outcome is reference or error is None else f"{100 * error:.2g}%"
        rows.append([TITLES[outcome.name], str(outcome.rows), measured, *same, shown, time_words(outcome.seconds)])
    same = [] if regression else [f"same class as {TITLES[reference.name]}"]
    out.table(["", "rows", score, *same, "largest error", "time"], rows)
    _show_lost(out, found)
    if reference.metrics:
        out.say()
        _show_metrics(out, found)
    if found.confusion is not None:
        out.say()
        _show_confusion(out, found)


def _show_metrics(out: Console, found: Evaluation) -> None:
    """A row for each metric, a column for each outcome; then why some have no value, and how they were computed."""
    from hecc.evaluation import TITLES
    from hecc.runtime.figures import shortened

    of_classes = len(found.classes) > 2
    if len(found.classes) > MAX_CLASSES:
        out.say(
            f"metrics with 95% confidence intervals; those of the {len(found.classes)} classes are printed with --json"
        )
    else:
        out.say("metrics with 95% confidence intervals")
    rows = []
    missing: dict[str, list[str]] = {}
    for metrics in zip(*(outcome.metrics for outcome in found.outcomes), strict=True):
        name, of = metrics[0].name, metrics[0].of
        if of and len(found.classes) > MAX_CLASSES:
            continue
        rows.append([*((name, of) if of_classes else (name,)), *map(_metric, metrics)])
        for outcome, metric in zip(found.outcomes, metrics, strict=True):
            if metric.why:
                missing.setdefault(TITLES[outcome.name], []).append(metric.why)
    out.table(["", *([""] if of_classes else []), *(TITLES[outcome.name] for outcome in found.outcomes)], rows)
    for title, reasons in missing.items():
        out.say(f"  {title}: some are missing, as {shortened(list(dict.fromkeys(reasons)))}")
    out.say(f"  {_method(found)}")


def _metric(metric: Metric) -> str:
    if metric.value is None:
        return "-"
    digits = ".4g" if metric.name == "mean absolute error" else ".3f"
    interval = "" if metric.low is None else f" ({metric.low:{digits}} to {metric.high:{digits}})"
    return f"{metric.value:{digits}}{interval}"


def _method(found: Evaluation) -> str:
    """How metrics were computed, in a sentence."""
    from hecc.measure.metrics.intervals import RESAMPLES, SEED

    if found.task == "regression":
        return f"intervals by the percentile bootstrap, {RESAMPLES} resamples of rows, seed {SEED}"
    if len(found.classes) == 2:
        positive = f"positive is {found.classes[1]!r}, predicted at a confidence above 0.5"
    else:
        positive = "each class against the others; predicted is the one of highest confidence"
    return f"{positive}; intervals: Wilson's, of AUC Newcombe's"


def _show_lost(out: Console, found: Evaluation) -> None:
    """The rows that are lost, and those that left an interval, way by way; once where two ways lose the same."""
    from hecc.evaluation import TITLES
    from hecc.runtime.tail.outcomes import row_words

    told = set()
    for outcome in found.outcomes:
        for what, rows in (("lost", outcome.lost), ("outside", outcome.outside)):
            words = f"{len(rows)} of {outcome.rows} rows {what}: {row_words(list(rows))}" if rows else ""
            if words and words not in told:
                told.add(words)
                out.say(f"{TITLES[outcome.name]}: {words} ({next(iter(rows.values()))})")


def _show_confusion(out: Console, found: Evaluation) -> None:
    matrix, precision, recall = found.confusion, found.precision, found.recall
    assert matrix is not None
    assert precision is not None
    assert recall is not None
    shares = [(_percent(one), _percent(other)) for one, other in zip(precision, recall, strict=True)]
    if len(found.classes) <= MAX_CLASSES:
        out.say("confusion matrix with simulated noise: a row per true class, a column per predicted one")
        rows = [
            [name, *map(str, counts), *share] for name, counts, share in zip(found.classes, matrix, shares, strict=True)
        ]
        out.table(["", *found.classes, "precision", "recall"], rows)
        return
    out.say("precision and recall with simulated noise")
    out.table(
        ["", "rows", "precision", "recall"],
        [[name, str(counts.sum()), *share] for name, counts, share in zip(found.classes, matrix, shares, strict=True)],
    )
    wrong = [
        (int(matrix[true, seen]), found.classes[true], found.classes[seen])
        for true in range(len(matrix))
        for seen in range(len(matrix))
        if true != seen and matrix[true, seen]
    ]
    if wrong:
        out.say("most frequent confusions")
        wrong.sort(key=lambda entry: -entry[0])
        out.table(["rows", "true", "predicted"], [[str(n), *names] for n, *names in wrong[:MAX_CONFUSIONS]])


def _score(outcome: Outcome, regression: bool) -> str:
    if outcome.score != outcome.score:
        return "-"
    return f"{outcome.score:.4g}" if regression else _percent(outcome.score)


def _percent(share: float | None) -> str:
    return "-" if share is None or share != share else f"{100 * share:.2f}%"


def _fields(found: Evaluation) -> dict[str, Any]:
    """The same for JSON. The plan without noise has the name "clear", too, which it had before."""
    matrix, precision, recall = found.confusion, found.precision, found.recall
    score = "mean_absolute_error" if found.task == "regression" else "accuracy"
    keys = {outcome.name: outcome.name for outcome in found.outcomes} | {"clear": "plan_without_noise"}
    measured = {
        outcome.name: {
            "rows": outcome.rows,
            score: outcome.score,
            "agreement": outcome.agreement,
            "largest_error": outcome.largest_error,
            "seconds": outcome.seconds,
            "lost_rows": list(outcome.lost),
            "outside_rows": list(outcome.outside),
            "metrics": [dataclasses.asdict(metric) for metric in outcome.metrics],
        }
        for outcome in found.outcomes
    }
    return {
        "task": found.task,
        "output": found.output,
        "reference": keys[found.outcomes[0].name],
        **measured,
        **{keys[name]: fields for name, fields in measured.items()},
        "classes": list(found.classes),
        "confusion": None if matrix is None else matrix.tolist(),
        "unanswered": None if found.unanswered is None else found.unanswered.tolist(),
        "precision": None if precision is None else precision.tolist(),
        "recall": None if recall is None else recall.tolist(),
    }
