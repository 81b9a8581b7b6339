"""Names that have changed: whoever uses an old one is told the new one, in Python as on the command line."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

__all__ = ["RENAMED", "tells_new_names"]

RENAMED: Mapping[str, str] = {"share": "disclose", "evaluator": "device", "shape": "device"}
"""The new name of an argument by its old one; a flag is two dashes and the name."""

F = TypeVar("F", bound=Callable[..., Any])


def tells_new_names(function: F) -> F:
    """Refuse the old name of an argument that the function takes by a new one.

    Raises
    ------
    TypeError
        By the function that is returned, as for any argument that it does not take.
    """
    known = inspect.signature(function).parameters
    renamed = {old: new for old, new in RENAMED.items() if new in known}

    @functools.wraps(function)
    def telling(*arguments: Any, **options: Any) -> Any:
        for old in renamed.keys() & options.keys():
            raise TypeError(f"{function.__qualname__}(): {old}= is called {renamed[old]}= now")
        return function(*arguments, **options)

    return telling  # type: ignore[return-value]
