"""What can be said of every scheme's plan and encrypted rows, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from hecc.runtime.figures import count_words, shape_words, shortened
from hecc.runtime.inputs.preprocessing import Preprocessing
from hecc.runtime.plan.header import InputSignature, PlanHeader
from hecc.runtime.tail.epilogue import describe
from hecc.runtime.tail.predictions import class_names

__all__ = [
    "preprocessing_words",
    "range_words",
    "rows_words",
    "run_words",
    "tensor_facts",
    "tensor_fields",
    "tensor_words",
]

MIN_RATIO = 1e-6
"""Smallest factor that is shown as one over an integer."""


class _Rows(Protocol):
    @property
    def rows(self) -> int: ...

    @property
    def batch(self) -> int: ...

    @property
    def batches(self) -> int: ...


def rows_words(file: _Rows) -> str:
    """How many rows a file holds, and in how many batches where there are such."""
    rows, batch = file.rows, file.batch
    if batch == 1:
        return count_words(rows, "row")
    plural = "batch" if file.batches == 1 else "batches"
    return f"{count_words(rows, 'row')} in {file.batches} {plural} of up to {batch}"


def run_words(header: PlanHeader) -> str:
    """What one run of a plan evaluates."""
    return "row" if header.batch == 1 else "batch"


def tensor_facts(header: PlanHeader, inputs: Sequence[str], outputs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The inputs and the outputs of a plan.

    Parameters
    ----------
    inputs, outputs
        What is sent for each of them.
    """
    for source, sent in zip(header.inputs, inputs, strict=True):
        values = "" if source.ranges is not None else "values "
        yield f"input {source.name}", f"{shape_words(source.shape)} per row, {sent}, {values}{range_words(source)}"
        if source.preprocessing is not None:
            name = "preprocessing" if len(header.inputs) == 1 else f"preprocessing {source.name}"
            yield name, preprocessing_words(source.preprocessing, source.shape)
    for target, sent in zip(header.outputs, outputs, strict=True):
        steps = f", then {describe(target.epilogue)} on the client" if target.epilogue else ""
        yield f"output {target.name}", f"{shape_words(target.shape)} per row, {sent}{steps}"
        if names := class_names(target):
            yield f"labels {target.name}", shortened(names)


def tensor_words(header: PlanHeader) -> str:
    """What goes into a plan and what comes out of it, in one line."""
    ranges = ["a range for each column" if s.ranges is not None else f"values {range_words(s)}" for s in header.inputs]
    inputs = [f"{s.name} ({shape_words(s.shape)}, {words})" for s, words in zip(header.inputs, ranges, strict=True)]
    outputs = [f"{target.name} ({count_words(math.prod(target.shape), 'value')})" for target in header.outputs]
    return f"{shortened(inputs)} -> {shortened(outputs)}"


def range_words(source: InputSignature) -> str:
    """The values that a plan takes as an input."""
    each = "a range for each column, all within " if source.ranges is not None else ""
    return f"{each}{source.low:g} to {source.high:g}"


def tensor_fields(
    header: PlanHeader, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Who made a plan of what, its inputs and its outputs, for JSON.

    Parameters
    ----------
    inputs, outputs
        What the scheme adds to each of them.
    """
    return {
        "producer": header.producer,
        "model_sha256": header.model,
        "scheme": header.scheme,
        "inputs": [
            {
                "name": source.name,
                "shape": list(source.shape),
                **own,
                "low": source.low,
                "high": source.high,
                "ranges": None if source.ranges is None else msgspec.to_builtins(source.ranges),
                "columns": list(source.columns),
                "preprocessing": None if source.preprocessing is None else msgspec.to_builtins(source.preprocessing),
            }
            for source, own in zip(header.inputs, inputs, strict=True)
        ],
        "outputs": [
            {
                "name": target.name,
                "shape": list(target.shape),
                **own,
                "epilogue": msgspec.to_builtins(target.epilogue),
                "labels": list(target.labels),
            }
            for target, own in zip(header.outputs, outputs, strict=True)
        ],
    }


def preprocessing_words(stated: Preprocessing, shape: tuple[int, ...]) -> str:
    """What is done to raw values, step by step."""
    steps = []
    if stated.resize is not None:
        height, width, channels = stated.image_shape(shape)
        words = (
            f"shorter side to {stated.resize}" if isinstance(stated.resize, int) else f"to {shape_words(stated.resize)}"
        )
        steps += [f"{'grey' if channels == 1 else 'RGB'} images resized ({words})", f"centre {height}x{width}"]
    if stated.scale != 1:
        # Written as users write it, if it is one over a bit pattern's largest value or the like.
        ratio = round(1 / stated.scale) if MIN_RATIO < stated.scale < 1 else 0
        steps.append(f"times 1/{ratio}" if ratio and stated.scale == 1 / ratio else f"times {stated.scale:g}")
    if stated.mean:
        steps.append(f"minus {shortened([f'{value:g}' for value in stated.mean])}")
    if stated.std:
        steps.append(f"divided by {shortened([f'{value:g}' for value in stated.std])}")
    return "; ".join([*steps, f"layout {stated.layout}"])
