"""What is asked of sharing, in the terms of its compiler."""

from __future__ import annotations

from hecc.compiler.sharing.options import PRECISION, Options
from hecc.options.schemes import Circumstances
from hecc.options.table import CompileOptions

__all__ = ["Asked"]

CALIBRATED_MARGIN, SYNTHETIC_MARGIN = 4.0, 16.0
"""How many times the observed values have room: synthetic inputs say less about real ones."""


class Asked:
    """See :class:`hecc.options.schemes.Asking`."""

    takes_edges = False

    def __init__(self, asked: CompileOptions) -> None:
        self._asked = asked

    def options(self, found: Circumstances) -> Options:
        """What the compiler obeys."""
        margin = CALIBRATED_MARGIN if found.real else SYNTHETIC_MARGIN
        precision = self._asked.precision
        return Options(
            precision=PRECISION if precision is None else precision,
            margin=None if self._asked.ranges == "proved" else margin,
            producer=found.producer,
            reveal=self._asked.reveal,
        )
