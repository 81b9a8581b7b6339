"""What is asked of each scheme: the table of options read in the scheme's own terms, when the scheme is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from hecc.compiler.graph.graph import Graph
from hecc.options.table import CompileOptions

__all__ = ["ASKING", "Asking", "Circumstances", "load_asking"]

ASKING: Mapping[str, str] = MappingProxyType(
    {
        "ckks": "hecc.options.ckks:Asked",
        "sharing": "hecc.options.sharing:Asked",
        "more": "hecc.options.more:Asked",
    }
)
"""For each scheme a class that reads its options; its module is imported only when it is asked for.

A scheme without options of its own is not here: its compiler is told the circumstances."""


@dataclass(frozen=True)
class Circumstances:
    """What is known of a compilation besides what was asked for.

    Attributes
    ----------
    imported
        The network.
    labels
        Names of classes, by output.
    rows
        How many calibration inputs there are.
    real
        Whether they are real ones, and not made up.
    producer
        Name and version for the plan's header.
    """

    imported: Graph
    labels: Mapping[str, tuple[str, ...]]
    rows: int
    real: bool
    producer: str


class Asking(Protocol):
    """What was asked of one scheme. Whoever makes one refuses what no plan can have, before anything is imported."""

    @property
    def takes_edges(self) -> bool:
        """Whether the options have a field for rows at the ends of their ranges, ``edges``."""

    def options(self, found: Circumstances) -> Any:
        """What the scheme's compiler obeys.

        Raises
        ------
        HeccError
            The circumstances contradict what was asked for.
        """


class _Nothing:
    """What is asked of a scheme without options of its own."""

    takes_edges = False

    def __init__(self, asked: CompileOptions) -> None:
        pass

    def options(self, found: Circumstances) -> Circumstances:
        return found


def load_asking(scheme: str) -> Callable[[CompileOptions], Asking]:
    """What reads the options of a scheme, which may be none of :data:`ASKING`."""
    if scheme not in ASKING:
        return _Nothing
    module, _, name = ASKING[scheme].partition(":")
    asking: Callable[[CompileOptions], Asking] = getattr(importlib.import_module(module), name)
    return asking
