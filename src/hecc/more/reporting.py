"""``hecc.report`` for plans of MORE."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hecc.compiler.more.prediction.plans import Layer, MemoryUse
from hecc.inputs.sources import Source
from hecc.more.estimation import Estimation, estimation
from hecc.more.words import layer_table, seconds_words, use_facts
from hecc.runtime.errors import InputError
from hecc.runtime.figures import shape_words, size_words
from hecc.runtime.more.plan import MorePlan
from hecc.runtime.more.words import NO_SECURITY_SHORT, training_words
from hecc.runtime.plan.facts import range_words, tensor_words
from hecc.runtime.plan.plan import Plan, client_path
from hecc.words.report.charts import Bar, bar_chart
from hecc.words.report.flow import arrange
from hecc.words.report.page import render
from hecc.words.report.parts import MOST_BARS, Column, Figure, Step

__all__ = ["page"]


def page(plan: Plan, inputs: Source | None) -> str:
    """A plan on one page of HTML.

    Raises
    ------
    InputError
        There are inputs: nothing is measured on them.
    """
    own = MorePlan.of(plan)
    if inputs is not None:
        raise InputError(
            "inputs are for plans of the scheme ckks, whose layers lose precision; those of the scheme more are exact "
            "but for rounding: leave --inputs out"
        )
    found = None if own.program is None else estimation(own)
    layers = () if found is None else found.layers
    trains = own.header.training is not None
    name = own.path.name if own.path else "plan.client.bin" if own.program is None else "plan.bin"
    columns, rows = layer_table(layers, trains=trains)
    facts = [] if found is None else [*use_facts(found.evaluation, found.training)]
    return render(
        "more.html",
        name=name,
        header=own.header,
        fingerprint=own.fingerprint,
        security=own.scheme.security(own.header),
        short=NO_SECURITY_SHORT,
        in_and_out=tensor_words(own.header),
        training=training_words(own.header) if trains else "",
        steps=list(_steps(name, trains, own.program is not None)),
        layers=layers,
        figures=[] if found is None else list(_figures(found)),
        layer_columns=[Column(column, numeric=column not in (columns[0], columns[-1])) for column in columns],
        layer_rows=rows,
        flow=arrange([layer.reads for layer in layers]),
        captions=[_caption(layer) for layer in layers],
        **_tensor_table(own),
        facts=[*own.scheme.facts(own.header), *facts],
    )


def _steps(name: str, trains: bool, whole: bool) -> Iterator[Step]:
    """What both sides do, from the page of either one's file."""
    server = name if whole else name.replace(".client", "")
    plan, client = (shlex.quote(each) for each in (server, client_path(Path(server)).name if whole else name))
    yield Step("The client makes a key, which protects nothing:", f"hecc keygen {client} --min-security none")
    labels = " --labels labels.npy" if trains else ""
    yield Step("It encodes rows:", f"hecc encrypt {client} rows.npy{labels} --min-security none")
    if trains:
        yield Step("The server trains:", f"hecc train {plan} encrypted.bin --epochs 3")
        yield Step(
            "The client decodes the weights:",
            f"hecc decrypt {client} trained.bin --model trained.onnx --min-security none",
        )
    else:
        yield Step("The server evaluates the network:", f"hecc run {plan} encrypted.bin")
        yield Step("The client decodes the results:", f"hecc decrypt {client} result.bin --min-security none")
    yield Step("Anybody recovers the rows from their file alone:", "hecc attack encrypted.bin")


def _figures(found: Estimation) -> Iterator[Figure]:
    """The charts: where time goes, and what memory holds."""
    evaluated = [(layer, layer.seconds) for layer in found.layers]
    yield _time_figure("Where does the time of an evaluation go?", evaluated)
    yield _memory_figure("What is in memory during an evaluation?", found.evaluation.memory, found.evaluation.rows)
    if found.training is not None:
        trained = [(layer, layer.training_seconds) for layer in found.layers]
        yield _time_figure("Where does the time of a training step go?", trained)
        yield _memory_figure("What is in memory during training?", found.training.memory, found.training.rows)


def _time_figure(title: str, times: Sequence[tuple[Layer, float]]) -> Figure:
    whole = sum(seconds for _, seconds in times) or 1.0
    computing = [(number, layer, seconds) for number, (layer, seconds) in enumerate(times) if not layer.is_input]
    longest = sorted(computing, key=lambda each: -each[2])
    bars = [
        Bar(f"{number} {layer.source}", (seconds,), f"{seconds_words(seconds)}, {100 * seconds / whole:.0f}%")
        for number, layer, seconds in sorted(longest[:MOST_BARS], key=lambda each: each[0])
    ]
    if rest := longest[MOST_BARS:]:
        seconds = sum(each[2] for each in rest)
        bars.append(
            Bar(
                f"{len(rest)} other layers together",
                (seconds,),
                f"{seconds_words(seconds)}, {100 * seconds / whole:.0f}%",
            )
        )
    _, slowest, most = longest[0]
    finding = f"{slowest.source} takes {100 * most / whole:.0f}% of {seconds_words(whole)} for each row."
    return Figure(title, finding, bar_chart(bars, f"{title} {finding}"))


def _memory_figure(title: str, memory: MemoryUse, rows: int) -> Figure:
    parts = (
        ("program", memory.program),
        ("weights", memory.weights),
        ("values of rows worked on together", memory.values),
        ("file of rows, and results", memory.rows),
    )
    name, most = max(parts, key=lambda part: part[1])
    finding = (
        f"{size_words(memory.total)} at the worst for a file of {rows:,} rows; the largest part, {size_words(most)}, "
        f"is for: {name}."
    )
    bars = [Bar(what, (float(size),), size_words(size)) for what, size in parts]
    return Figure(title, finding, bar_chart(bars, f"{title} {finding}"))


def _caption(layer: Layer) -> str:
    return "encoded" if layer.is_input else f"{seconds_words(layer.seconds)}, {100 * layer.share:.0f}%"


def _tensor_table(plan: MorePlan) -> dict[str, Any]:
    header = plan.header
    each = f"{header.size} x {header.size} numbers"
    rows = [(f"input {s.name}", shape_words(s.shape), range_words(s), each) for s in header.inputs]
    rows += [(f"output {s.name}", shape_words(s.shape), "", each) for s in header.outputs]
    names = ("tensor", "shape of a row", "values", "for each number")
    return {"tensor_columns": [*map(Column, names)], "tensor_rows": rows}
