"""Outputs of a network as text: values, and the prediction where they look like the scores of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hecc.cli.console import Console

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["prediction_fields", "show_predictions"]

MAX_ROWS, MAX_VALUES = 20, 10
"""How much of an output is shown."""


def show_predictions(console: Console, outputs: Mapping[str, NDArray[Any]]) -> None:
    """A table per output, one line per row."""
    for name, values in outputs.items():
        flat = values.reshape(len(values), -1)
        scores = _is_scores(values)
        rows = []
        for number, row in enumerate(flat[:MAX_ROWS]):
            listed = " ".join(f"{value:.4g}" if values.dtype.kind == "f" else str(value) for value in row[:MAX_VALUES])
            more = f" ... ({row.size} values)" if row.size > MAX_VALUES else ""
            rows.append([str(number), *([str(int(row.argmax()))] if scores else []), listed + more])
        console.table(["row", *(["prediction"] if scores else []), name], rows)
        if len(flat) > MAX_ROWS:
            console.say(f"  ... and {len(flat) - MAX_ROWS} more rows")


def prediction_fields(outputs: Mapping[str, NDArray[Any]]) -> dict[str, list[int]]:
    """For every output that looks like scores, the class of each row."""
    return {name: values.argmax(axis=1).tolist() for name, values in outputs.items() if _is_scores(values)}


def _is_scores(values: NDArray[Any]) -> bool:
    return values.dtype.kind == "f" and values.ndim == 2 and values.shape[1] > 1
