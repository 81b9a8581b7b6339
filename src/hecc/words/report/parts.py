"""What pages of reports are put together from, whatever the scheme."""

from __future__ import annotations

from typing import NamedTuple

from hecc.words.report.charts import Chart

__all__ = ["MOST_BARS", "Column", "Figure", "Step"]

MOST_BARS = 16
"""As many layers have a bar of their own, those that take most; a bar for the others together follows."""


class Column(NamedTuple):
    """A column of a table: its name, and whether it holds numbers."""

    name: str
    numeric: bool = False


class Figure(NamedTuple):
    """A chart with its title, and what it shows in a sentence."""

    title: str
    finding: str
    chart: Chart


class Step(NamedTuple):
    """What to do next: why, and the command that does it."""

    purpose: str
    command: str
