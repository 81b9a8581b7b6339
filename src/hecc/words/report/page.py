"""A page of HTML from a template: whatever enters is escaped, so that no name in a plan can become markup."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hecc.runtime.files.atomic import open_regular, reading

__all__ = ["GENERATOR", "POLICY", "is_page", "render"]

TEMPLATES = Path(__file__).parent / "templates"

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What a browser may load for the page, and run: nothing."""

GENERATOR = '<meta name="generator" content="hecc">'
"""By which a page of ours is known."""


def render(template: str, **context: Any) -> str:
    """A whole document that loads nothing.

    Parameters
    ----------
    template
        Its file in the folder of templates.
    context
        What the template names. Text is escaped; only ``markupsafe.Markup`` is not.
    """
    return _environment().get_template(template).render(context, policy=POLICY, generator=GENERATOR)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def is_page(path: Path) -> bool:
    """Whether a file is a page that :func:`render` made."""
    with reading(path), open_regular(path) as file:
        return GENERATOR.encode() in file.read(1 << 10)
