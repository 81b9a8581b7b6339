"""How objects show themselves: a line among others, a few where they are printed, a table in a notebook."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator

__all__ = ["Described", "aligned"]


class Described:
    """Has a text for people instead of a listing of fields. What comes from a file is escaped in HTML."""

    @abstractmethod
    def described(self) -> tuple[str, list[tuple[str, str]]]:
        """What it is, in a line, and what there is to know of it: names and sentences."""

    def __repr__(self) -> str:
        title, _ = self.described()
        return f"<{title}>"

    def __str__(self) -> str:
        title, facts = self.described()
        return "\n".join([title, *aligned(facts)])

    def _repr_html_(self) -> str:
        """What notebooks show (IPython's protocol)."""
        from html import escape  # slow to load, and of no use to commands

        title, facts = self.described()
        rows = "".join(
            f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(said)}</td></tr>'
            for name, said in facts
        )
        return f'<table><caption style="text-align:left">{escape(title)}</caption>{rows}</table>'


def aligned(facts: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Names and sentences as lines, the sentences under one another."""
    facts = list(facts)
    width = max((len(name) for name, _ in facts), default=0)
    return (f"  {name:<{width}}  {said}" for name, said in facts)
