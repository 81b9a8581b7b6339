"""What plans of MORE take, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hecc.compiler.more.prediction.plans import OPTIMIZER, Layer, Use
from hecc.runtime.figures import count_words, shape_words, size_words

__all__ = ["layer_fields", "layer_table", "seconds_words", "use_facts", "use_fields"]


LEAST = 1e-8
"""Seconds for each row that are worth a word: views of values, such as Flatten, take less."""


def seconds_words(seconds: float) -> str:
    """A time with three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def use_facts(evaluation: Use, training: Use | None) -> Iterator[tuple[str, str]]:
    """Time and memory as names and sentences."""
    rows, each, whole = f"{evaluation.rows:,} rows", evaluation.seconds, evaluation.seconds * evaluation.rows
    yield "time", f"{seconds_words(each)} per row on one processor core, {seconds_words(whole)} for {rows}"
    yield "memory", f"{size_words(evaluation.memory.total)} for a file of {rows}"
    if training is not None:
        each, whole = training.seconds, training.seconds * training.rows
        steps = f"{training.rows:,} rows in steps of {count_words(training.together, 'row')} by {OPTIMIZER}"
        yield "epoch", f"{seconds_words(whole)} for {steps}, {seconds_words(each)} per row"
        yield "memory", f"{size_words(training.memory.total)} to train on them"


def use_fields(use: Use | None) -> dict[str, Any] | None:
    """The same for JSON."""
    if use is None:
        return None
    memory = use.memory
    return {
        "rows": use.rows,
        "rows_at_a_time": use.together,
        "seconds_per_row": use.seconds,
        "memory_bytes": memory.total,
        "memory": {
            "program": memory.program,
            "weights": memory.weights,
            "values": memory.values,
            "rows": memory.rows,
        },
    }


def layer_table(layers: tuple[Layer, ...], *, trains: bool) -> tuple[list[str], list[list[str]]]:
    """Columns and a row for each layer."""
    columns = ["layer", "time per row", "share", *(["in training"] if trains else []), "weights", "its result"]
    rows = [
        [
            layer.source,
            _time(layer, layer.seconds),
            f"{100 * layer.share:.1f}%" if _time(layer, layer.seconds) else "",
            *([_time(layer, layer.training_seconds)] if trains else []),
            f"{layer.parameters:,}" if layer.parameters else "",
            shape_words(layer.shape),
        ]
        for layer in layers
    ]
    return columns, rows


def _time(layer: Layer, seconds: float) -> str:
    return "" if layer.is_input or seconds < LEAST else seconds_words(seconds)


def layer_fields(layer: Layer) -> dict[str, Any]:
    """A layer for JSON."""
    return {
        "layer": layer.source,
        "seconds": layer.seconds,
        "share": layer.share,
        "training_seconds": layer.training_seconds,
        "weights": layer.parameters,
        "shape": list(layer.shape),
        "outputs": list(layer.outputs),
    }
