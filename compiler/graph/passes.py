"""Passes as data: a name, the function, the stage of the graph before and after, and the reason for the place.

A scheme's pipeline is a tuple of them (for CKKS in :mod:`hecc.passes.ckks.pipeline`), which is run as it is written and
printed into the documentation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from hecc.compiler.graph.graph import Graph
from hecc.compiler.graph.stages import Stage, check_graph

__all__ = ["Pass", "Step", "passes_table", "run_passes", "write_between"]

State = TypeVar("State")

START, END = "<!-- generated: {} -->", "<!-- end of {} -->"


@dataclass(frozen=True)
class Pass(Generic[State]):
    """A pass from Graph to Graph.

    Attributes
    ----------
    name
        For messages and the documentation.
    function
        What does the work, for the documentation.
    run
        How the pipeline calls it: with the graph, and with what the passes know beside it.
    before, after
        The stage of the graph that it takes, and of that which it makes; checked whenever it runs.
    reason
        For its place in the order.
    """

    name: str
    function: Callable[..., Any]
    run: Callable[[Graph, State], Graph]
    before: Stage
    after: Stage
    reason: str


@dataclass(frozen=True)
class Step:
    """A step behind the passes from Graph to Graph: a function with its reason.

    Attributes
    ----------
    before, after
        What it takes and makes, in a word each: "canonical graph", "circuit".
    """

    name: str
    function: Callable[..., Any]
    before: str
    after: str
    reason: str


def run_passes(passes: Sequence[Pass[State]], graph: Graph, state: State) -> Graph:
    """Run passes in order; what each of them makes is checked.

    Raises
    ------
    GraphError
        A pass made a graph that is not of its stage. That is a bug of the pass.
    """
    for each in passes:
        made = each.run(graph, state)
        if made is not graph or each.after is not each.before:
            check_graph(made, each.after, each.name)
        graph = made
    return graph


def passes_table(passes: Sequence[Pass[Any] | Step]) -> str:
    """The list of passes for the documentation, as Markdown."""
    lines = ["| pass | where | from | to | reason for its place |", "|---|---|---|---|---|"]
    for each in passes:
        before, after = (stage.name if isinstance(stage, Stage) else stage for stage in (each.before, each.after))
        lines.append(f"| {each.name} | `{_place(each.function)}` | {before} | {after} | {each.reason} |")
    return "\n".join(lines)


def write_between(path: Path, name: str, text: str) -> bool:
    """Put generated text between its marks in a file; returns whether that changed the file."""
    start, end = START.format(name), END.format(name)
    before = path.read_text(encoding="utf-8")
    head, rest = before.split(start)
    _, tail = rest.split(end)
    written = f"{head}{start}\n\n{text}\n\n{end}{tail}"
    if written == before:
        return False
    path.write_text(written, encoding="utf-8")
    return True


def _place(function: Callable[..., Any]) -> str:
    """The file of a function, as the sources have it."""
    module = str(inspect.unwrap(function).__module__).removeprefix("hecc.")
    return module.replace(".", "/") + ".py"
