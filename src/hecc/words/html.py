"""A page of HTML, element by element: text is escaped where it enters, so that no name in a plan can become markup."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from hecc.runtime.files.atomic import open_regular, reading

__all__ = ["Child", "Html", "element", "is_page", "page", "table"]


class Html(str):
    """Text that is markup already; made by this module only."""

    __slots__ = ()


Child: TypeAlias = "Html | str | None"

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What a browser may load for the page: nothing."""

GENERATOR = '<meta name="generator" content="hecc">'
"""By which a page of ours is known."""


def element(tag: str, *children: Child, **attributes: object) -> Html:
    """An element; a trailing ``_`` of an attribute's name is dropped, other ``_`` become ``-``.

    Parameters
    ----------
    children
        Elements, or text, which is escaped; ``None`` is left out.
    attributes
        ``None`` is left out; everything else is escaped.
    """
    opening = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    content = "".join(
        child if isinstance(child, Html) else html.escape(child) for child in children if child is not None
    )
    return Html(f"<{tag}{opening}>{content}</{tag}>")


def table(columns: Iterable[str], rows: Iterable[Iterable[Child]], numbers_from: int) -> Html:
    """A table that scrolls on its own where the screen is narrow; columns from ``numbers_from`` on hold numbers."""

    def cells(tag: str, values: Iterable[Child]) -> Iterable[Html]:
        return (
            element(tag, value, class_="number" if column >= numbers_from else None)
            for column, value in enumerate(values)
        )

    head = element("thead", element("tr", *cells("th", columns)))
    body = element("tbody", *(element("tr", *cells("td", row)) for row in rows))
    return element("div", element("table", head, body), class_="wide", tabindex="0")


def page(title: str, style: str, *sections: Html) -> str:
    """A whole document that loads nothing.

    Parameters
    ----------
    style
        CSS, which is not escaped.
    """
    head = (
        f'<meta charset="utf-8">{GENERATOR}'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark">{element("title", title)}<style>{style}</style>'
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{element("main", *sections)}</body></html>\n'


def is_page(path: Path) -> bool:
    """Whether a file is a page that :func:`page` made."""
    with reading(path), open_regular(path) as file:
        return GENERATOR.encode() in file.read(1 << 10)
