"""Names that have changed: whoever uses an old one is told the new one, in Python as on the command line."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Container, Mapping
from typing import Any, TypeVar

__all__ = ["refuse_old", "renamed", "tells_new_names"]

RENAMED: Mapping[str, tuple[str, ...]] = {
    "calibrate": ("calibration", "machine_profile"),
    "data": ("inputs",),
    "evaluator": ("device",),
    "folder": ("keys",),
    "labels": ("class_names",),
    "shape": ("device",),
    "share": ("disclose",),
}
"""The new names of an argument by its old one, of which a function or a command has one at the most.

A flag is two dashes and the name, with a dash for each underscore.
"""

OTHERS: Mapping[str, tuple[str, str]] = {
    "labels": ("the right answers of the calibration inputs are", "calibration_labels"),
}
"""What else an old name may have been meant for, with how that is called."""

F = TypeVar("F", bound=Callable[..., Any])


def tells_new_names(function: F) -> F:
    """Refuse the old name of an argument that the function takes by a new one.

    Raises
    ------
    TypeError
        By the function that is returned, as for any argument that it does not take.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def telling(*arguments: Any, **options: Any) -> Any:
        refuse_old(function.__qualname__.removesuffix(".__init__"), signature, options)
        return function(*arguments, **options)

    return telling  # type: ignore[return-value]


def refuse_old(name: str, signature: inspect.Signature, given: Mapping[str, Any]) -> None:
    """Refuse old names among the arguments that a function of this name and signature is given.

    Raises
    ------
    TypeError
        There is one, with the new one.
    """
    for old in RENAMED.keys() & given.keys():
        told = None if old in signature.parameters else renamed(old, signature.parameters, "{}=".format)
        if told is not None:
            raise TypeError(f"{name}(): {told}")


def renamed(old: str, known: Container[str], written: Callable[[str], str]) -> str | None:
    """The sentence for whoever uses an old name; ``None`` if there is no new one for it.

    Parameters
    ----------
    known
        The names that there are.
    written
        A name as it is written where it is used.
    """
    for new in RENAMED.get(old, ()):
        if new in known:
            words, other = OTHERS.get(old, ("", ""))
            more = f"; {words} {written(other)}" if other in known else ""
            return f"{written(old)} is called {written(new)} now{more}"
    return None
