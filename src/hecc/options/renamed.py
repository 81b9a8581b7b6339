"""Names that have changed: whoever uses an old one is told the new one, in Python as on the command line."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

__all__ = ["RENAMED", "refuse_old", "tells_new_names"]

RENAMED: Mapping[str, str] = {
    "calibrate": "calibration",
    "data": "inputs",
    "evaluator": "device",
    "folder": "keys",
    "shape": "device",
    "share": "disclose",
}
"""The new name of an argument by its old one; a flag is two dashes and the name."""

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
        if RENAMED[old] in signature.parameters and old not in signature.parameters:
            raise TypeError(f"{name}(): {old}= is called {RENAMED[old]}= now")
