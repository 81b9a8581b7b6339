"""The options that the compiler for MORE obeys."""

# Types are not strings here, since the command line makes flags of them.

from dataclasses import dataclass
from typing import Any, Literal

from hecc.compiler.options import option
from hecc.runtime.errors import InputError

__all__ = ["MORE", "MoreOptions", "Options"]

MORE = ("more",)
"""Whose plans these options shape."""

Loss = Literal["cross-entropy", "mse"]


def _check_size(value: Any) -> None:
    from hecc.runtime.more.header import MAX_SIZE

    if not isinstance(value, int) or not 2 <= value <= MAX_SIZE:
        raise InputError(f"matrices of size {value}; give a number from 2 to {MAX_SIZE}")


def _check_train(value: Any) -> None:
    from hecc.runtime.more.header import LOSS_KINDS

    if value is not None and value not in LOSS_KINDS:
        raise InputError(f"there is no loss {value!r}; choose one of {', '.join(LOSS_KINDS)}")


def _check_comparisons(value: Any) -> None:
    if value not in ("exact", "smooth", "refuse"):
        raise InputError(f"comparisons={value!r}; choose exact, smooth or refuse")


@dataclass(frozen=True, kw_only=True)
class MoreOptions:
    """What a user may ask of a plan for MORE: a row of the table of options is a field."""

    train: Loss | None = option(
        None,
        "A plan that trains the network on encoded rows and labels, by this loss.",
        more="Cross-entropy takes the network's logits, with or without a softmax behind them; mse its output.",
        group="Training",
        kind=Loss,
        check=_check_train,
        schemes=MORE,
    )
    comparisons: Literal["exact", "smooth", "refuse"] = option(
        "exact",
        "What becomes of ReLU, MaxPool and other comparisons: they are exact, or smooth functions that the plan names "
        "stand in their place, or the network is refused.",
        more="They are no analytic functions, which is all that the published system evaluates.",
        group="Training",
        check=_check_comparisons,
        schemes=MORE,
    )
    matrix_size: int = option(
        2,
        "Every number becomes a matrix of so many rows and columns.",
        more="Larger ones cost more, and hide nothing more.",
        group="Speed and memory",
        metavar="N",
        check=_check_size,
        schemes=MORE,
    )


@dataclass(frozen=True, kw_only=True)
class Options(MoreOptions):
    """Options of a compilation.

    Attributes
    ----------
    producer
        Name and version for the plan's header.
    """

    producer: str = "hecc"
