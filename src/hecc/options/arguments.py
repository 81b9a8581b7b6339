"""Functions whose arguments are a table of options."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from hecc.compiler.options import Option, options_of
from hecc.options.renamed import refuse_old
from hecc.runtime.errors import InputError

__all__ = ["documented", "refuse_others", "takes"]

WIDTH = 116
"""Characters of a line of documentation, without its indentation."""

C = TypeVar("C")
P = ParamSpec("P")
R = TypeVar("R")


def takes(call: Callable[P, C]) -> Callable[[Callable[[C], R]], Callable[P, R]]:
    """Give a function the fields of a dataclass as its arguments, and the options among them as documentation.

    Parameters
    ----------
    call
        The dataclass; the function takes one of it. Fields that are no options are documented by the function, around
        the line ``{options}``.
    """

    def decorate(function: Callable[[C], R]) -> Callable[P, R]:
        name, signature = function.__name__, _signature(call)

        @functools.wraps(function)
        def calling(*arguments: P.args, **options: P.kwargs) -> R:
            refuse_old(name, signature, options)
            try:
                bound = signature.bind(*arguments, **options)
            except TypeError as error:
                raise TypeError(f"{name}(): {error}") from None
            refuse_others(call, bound.arguments)
            return function(call(*bound.args, **bound.kwargs))

        returned = inspect.signature(function).return_annotation
        calling.__signature__ = signature.replace(return_annotation=returned)  # type: ignore[attr-defined]
        calling.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
        calling.__doc__ = documented(function.__doc__, call)
        return calling

    return decorate


def refuse_others(table: Any, given: Mapping[str, Any]) -> None:
    """Refuse options, among the arguments that are given, that shape plans of other schemes than the one asked for.

    Raises
    ------
    InputError
        There is one: it would change nothing.
    """
    rows = {row.name: row for row in options_of(table)}
    if "scheme" not in rows:
        return
    scheme = given.get("scheme", rows["scheme"].default)
    for row in rows.values():
        if row.name in given and row.schemes and scheme not in row.schemes:
            raise InputError(
                f"{row.name}: this option is for the scheme {' or '.join(row.schemes)}, and does nothing for {scheme}; "
                "leave it out"
            )


def documented(text: str | None, table: Any) -> str | None:
    """A docstring in whose place ``{options}`` there are the options of a table."""
    if text is None:  # as python -OO leaves it
        return None
    lines = "\n".join(line for row in options_of(table) for line in _entry(row))
    return re.sub(r"^( *)\{options\}$", lambda place: textwrap.indent(lines, place[1]), text, flags=re.MULTILINE)


def _entry(row: Option) -> list[str]:
    sentences = f"{row.sentence} {row.more}".rstrip()
    return [row.name, *textwrap.wrap(sentences, WIDTH, initial_indent="    ", subsequent_indent="    ")]


def _signature(call: Any) -> inspect.Signature:
    """The arguments, the options in the order of their table."""
    fields = {field.name: field for field in dataclasses.fields(call)}
    options = [row.name for row in options_of(call)]
    ordered = [field for field in fields.values() if not field.kw_only]
    ordered += [fields[name] for name in options]
    ordered += [field for field in fields.values() if field.kw_only and field.name not in options]
    return inspect.Signature(
        [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY if field.kw_only else inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default,
                annotation=field.type,
            )
            for field in ordered
        ]
    )
