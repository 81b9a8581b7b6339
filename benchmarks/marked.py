"""Blocks of pages that programs write, between the lines ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``."""

from __future__ import annotations

import re


def replaced(text: str, name: str, lines: str) -> str:
    """A page with other lines in one of its blocks.

    Raises
    ------
    ValueError
        The page does not have this block once.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    changed, number = re.subn(f"{begin}.*?{end}", lambda _: f"{begin}\n{lines}\n{end}", text, flags=re.DOTALL)
    if number != 1:
        raise ValueError(f"the page has {number} blocks between {begin} and {end}, and not one")
    return changed


def markdown_table(*rows: tuple[str, ...]) -> str:
    """A table in Markdown; the first row is its heading."""
    heading, *others = rows
    lines = [heading, ("---",) * len(heading), *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
