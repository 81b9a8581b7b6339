"""What is asked of MORE, in the terms of its compiler."""

from __future__ import annotations

from hecc.compiler.more.options import MoreOptions, Options
from hecc.compiler.options import options_of
from hecc.options.schemes import Circumstances
from hecc.options.table import CompileOptions

__all__ = ["Asked"]


class Asked:
    """See :class:`hecc.options.schemes.Asking`."""

    takes_edges = False

    def __init__(self, asked: CompileOptions) -> None:
        self._asked = asked

    def options(self, found: Circumstances) -> Options:
        """What the compiler obeys."""
        own = {row.name: getattr(self._asked, row.name) for row in options_of(MoreOptions)}
        return Options(**own, producer=found.producer)
