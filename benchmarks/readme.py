"""The figures of README.md that other networks and examples were measured for, written where they stand.

    python benchmarks/readme.py

Networks that others trained are those of ``benchmarks/other_networks/results``, of which README has a few; the lines of
the network with ReLU and MaxPool are what ``examples/digits_cnn/README.md`` shows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from marked import markdown_table, replaced

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "other_networks" / "results"
EXAMPLE = ROOT / "examples" / "digits_cnn" / "README.md"

SHOWN = ("ppml_slp", "vnn_mnist_256x2", "vnn2020_mnist_conv_0.1", "onnxzoo_mnist_8", "diabetes_coquism")
"""A dense network, a wider one, a convolutional one, a deep one with MaxPool, and one for a table."""

HEADING = ("network", "data", "decided as in clear, all test rows", "right, clear / simulated", "a row")
LINES = (
    "decisions   ",
    "precision   ",
    "cost        ",
    "                    rows  accuracy",
    "network  ",
    "plan without noise",
    "simulated  ",
    "encrypted  ",
)
"""How the lines begin that are shown."""


def main() -> int:
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def page(text: str) -> str:
    """The page with the figures as they were measured last."""
    reports = [json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in SHOWN]
    text = replaced(text, "networks", markdown_table(HEADING, *map(row, reports)))
    return replaced(text, "example", f"\n```text\n{example()}\n```\n")


def row(report: dict[str, Any]) -> tuple[str, ...]:
    """A network's line."""
    clear, simulated, run = report["clear"], report["simulated"], report["run"]
    return (
        report["network"],
        clear["origin"].partition(":")[0],
        f"{100 * simulated['agreement']:.2f}% of {clear['rows']:,}",
        f"{100 * clear['accuracy']:.2f}% / {100 * simulated['accuracy']:.2f}%",
        f"{run['processor_seconds']:.2g} s",
    )


def example() -> str:
    """What compiling and evaluating the example say, as its page shows it, without what a line adds at its end."""
    said = [line.removeprefix("  ") for line in EXAMPLE.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in said if line.startswith(LINES)]
    starts = [start for line in lines for start in LINES if line.startswith(start)]
    if starts != list(LINES):
        raise ValueError(f"{EXAMPLE} does not show the lines {', '.join(LINES)} once each")
    compiled, evaluated = lines[:3], lines[3:]
    return "\n".join([*(line.partition("; rows that")[0] for line in compiled), "", *evaluated])


if __name__ == "__main__":
    sys.exit(main())
