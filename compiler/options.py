"""The table of options: a field of a dataclass is a row of it.

Whoever adds an option adds one such field, in the class of those who obey it: a scheme's compiler
(:mod:`hecc.compiler.ckks.options`) or what comes before any scheme (:mod:`hecc.options`). From the fields come the
arguments of :func:`hecc.compile` and :func:`hecc.estimate` with their types, defaults and documentation, the flags of
the command line, and the tables of the reference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["GROUPS", "Flag", "Option", "check", "option", "options_of"]

T = TypeVar("T")

GROUPS = ("The network", "Inputs and preprocessing", "Security and precision", "Training", "Speed and memory")
"""The headings under which options are shown."""

_KEY = "option"


@dataclass(frozen=True)
class Flag:
    """A flag of the command line.

    Attributes
    ----------
    name
        With underscores, as in Python: the flag ``--key-budget`` is called ``key_budget``.
    kind
        The type of what follows it.
    sentence
        Its help.
    metavar
        What help calls that which follows.
    """

    name: str
    kind: Any
    sentence: str
    metavar: str | None = None


@dataclass(frozen=True)
class Option:
    """A row of the table.

    Attributes
    ----------
    name, type, default
        As an argument in Python; the type is a string where it is not worth loading.
    sentence
        What it does, for all who ask.
    more
        What else there is to know, for those who read on.
    group
        One of :data:`GROUPS`.
    flags
        Most options have one flag of their own name; some have several, and what takes Python's objects only has none.
    check
        Refuses a value that no compilation can have, by :class:`hecc.runtime.errors.HeccError`.
    schemes
        Those whose plans it shapes; empty for all.
    """

    name: str
    type: Any
    default: Any
    sentence: str
    more: str
    group: str
    flags: tuple[Flag, ...]
    check: Callable[[Any], None] | None
    schemes: tuple[str, ...] = ()


def option(
    default: T,
    sentence: str,
    *,
    group: str,
    more: str = "",
    kind: Any = None,
    metavar: str | None = None,
    flags: tuple[Flag, ...] | None = None,
    check: Callable[[Any], None] | None = None,
    schemes: tuple[str, ...] = (),
) -> T:
    """A field of a dataclass that is an option, with what :class:`Option` says of it.

    Parameters
    ----------
    kind
        What the flag takes; by default what Python takes.
    flags
        Instead of the one of the option's name.
    schemes
        Those whose plans it shapes; for all by default. It is refused where another scheme is asked for.
    """
    about = {
        "sentence": sentence,
        "more": more,
        "group": group,
        "kind": kind,
        "metavar": metavar,
        "flags": flags,
        "check": check,
        "schemes": schemes,
    }
    found: T = dataclasses.field(default=default, metadata={_KEY: about})
    return found


def options_of(table: type) -> tuple[Option, ...]:
    """The rows of a table, group by group.

    Raises
    ------
    TypeError
        A group that is none, or a flag that takes nobody knows what.
    """
    rows = [_row(field) for field in dataclasses.fields(table) if _KEY in field.metadata]
    return tuple(sorted(rows, key=lambda row: GROUPS.index(row.group)))


def check(asked: Any) -> None:
    """Refuse what no compilation can have, option by option.

    Raises
    ------
    HeccError
        As :attr:`Option.check` of the first that is refused.
    """
    for row in options_of(type(asked)):
        if row.check is not None:
            row.check(getattr(asked, row.name))


def _row(field: dataclasses.Field[Any]) -> Option:
    about = field.metadata[_KEY]
    flags, kind = about["flags"], about["kind"] or field.type
    if flags is None:
        flags = (Flag(field.name, kind, about["sentence"], about["metavar"]),)
    if about["group"] not in GROUPS:
        raise TypeError(f"option {field.name}: there is no group {about['group']!r}; give one of GROUPS")
    if any(isinstance(flag.kind, str) for flag in flags):
        raise TypeError(f"option {field.name}: say what its flag takes (kind), which the type {kind!r} does not")
    return Option(
        field.name,
        field.type,
        field.default,
        about["sentence"],
        about["more"],
        about["group"],
        flags,
        about["check"],
        about["schemes"],
    )
