"""Outputs of a network as text: values, and the predictions where they are the scores of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hecc.cli.console import Console

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hecc.runtime.plan.header import OutputSignature, PlanHeader
    from hecc.runtime.tail.predictions import Prediction

__all__ = ["NOTHING", "prediction_fields", "show_predictions", "top_fields"]

NOTHING = "none"
"""What stands for the prediction of a row without a result."""

MAX_ROWS, MAX_VALUES = 20, 10
"""How much of an output is shown."""


def show_predictions(console: Console, header: PlanHeader, outputs: Mapping[str, NDArray[Any]]) -> None:
    """A table per output, one line per row: names and confidences where the plan has labels, else values."""
    from hecc.runtime.tail.predictions import answered, class_names, is_choice

    index = getattr(outputs, "index", ()) or range(len(next(iter(outputs.values()))))
    for signature in header.outputs:
        name, values = signature.name, outputs[signature.name]
        if signature.labels or (class_names(signature) and not is_choice(signature)):
            _show_labels(console, signature, values, index)
            continue
        flat = values.reshape(len(values), -1)
        scores = _is_scores(values)
        known = answered(values)
        rows = []
        for number, row in enumerate(flat[:MAX_ROWS]):
            listed = " ".join(f"{value:.4g}" if values.dtype.kind == "f" else str(value) for value in row[:MAX_VALUES])
            more = f" ... ({row.size} values)" if row.size > MAX_VALUES else ""
            rows.append(
                [
                    str(index[number]),
                    *([str(int(row.argmax())) if known[number] else NOTHING] if scores else []),
                    listed + more,
                ]
            )
        console.table(["row", *(["prediction"] if scores else []), name], rows)
        if len(flat) > MAX_ROWS:
            console.say(f"  ... and {len(flat) - MAX_ROWS} more rows")


def top_fields(header: PlanHeader, outputs: Mapping[str, NDArray[Any]]) -> dict[str, list[list[dict[str, Any]]]]:
    """For every output with labels, the most probable classes of each row."""
    from hecc.runtime.tail.predictions import class_names, predictions

    return {
        signature.name: [
            [{"label": found.label, "class": found.number, "confidence": found.confidence} for found in row]
            for row in predictions(signature, outputs[signature.name])
        ]
        for signature in header.outputs
        if class_names(signature)
    }


def _show_labels(
    console: Console, signature: OutputSignature, values: NDArray[Any], index: Sequence[int | str]
) -> None:
    from hecc.runtime.tail.predictions import confidence_words, is_choice, predictions

    rows = []
    for number, found in enumerate(predictions(signature, values[:MAX_ROWS])):
        first, *others = [_words(one) for one in found] or [NOTHING]
        rows.append([str(index[number]), first, ", ".join(others)])
    console.table(["row", "prediction", "then"], rows)
    if len(values) > MAX_ROWS:
        console.say(f"  ... and {len(values) - MAX_ROWS} more rows")
    if not is_choice(signature):
        console.say(f"  the confidences are {confidence_words(signature)} of {signature.name!r}")


def _words(one: Prediction) -> str:
    return one.label if one.confidence is None else f"{one.label} {100 * one.confidence:.1f}%"


def prediction_fields(outputs: Mapping[str, NDArray[Any]]) -> dict[str, list[int | None]]:
    """For every output that looks like scores, the class of each row; ``None`` for a row without a result."""
    from hecc.runtime.tail.predictions import answered

    return {
        name: [
            int(row.argmax()) if known else None for row, known in zip(values, answered(values).tolist(), strict=True)
        ]
        for name, values in outputs.items()
        if _is_scores(values)
    }


def _is_scores(values: NDArray[Any]) -> bool:
    return values.dtype.kind == "f" and values.ndim == 2 and values.shape[1] > 1
